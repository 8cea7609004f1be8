//! Another ecosystem at our topics: a stock client in Python reads them all, and a participant in Python takes the place of
//! payments. Needs what `story.rs` needs, and Python, which it says how to get when it is missing.

mod python;

use anyhow::{Context as _, Result};
use load::{Crowd, Mall, Plan, Platform, PlatformOptions, Scenario, Told, Ways};
use python::Python;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use schemas::grpc::{
    orders::{GetOrderRequest, RequestReturnRequest, orders_client::OrdersClient},
    stores::{ListStoresRequest, StoreReasonRequest, StoreRequest, stores_client::StoresClient},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const KAFKA_ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

async fn open_mall(platform: &Platform, run: &str) -> Result<Crowd> {
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 3, 100).await?;
    let kiosk = platform.url("kiosk-gateway");
    Ok(Crowd {
        kiosk,
        mall,
        at_once: 16,
        patience: Duration::from_secs(90),
        run: run.to_owned(),
        ways: Ways::default(),
    })
}

fn each_ended_as_planned(told: &[Told]) {
    for one in told {
        assert_eq!(Some(one.end.as_str()), one.scenario.map(Scenario::end), "order {}", one.order_id);
    }
}

/// Polls until `done` answers true.
async fn until(what: &str, mut done: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let waited = async {
        while !done().await? {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, waited).await.with_context(|| format!("waited in vain for {what}"))?
}

/// Records of a topic, by its offsets.
fn written(platform: &Platform, topic: &str) -> Result<i64> {
    let servers = std::env::var("MALLBOTS_KAFKA").context("MALLBOTS_KAFKA is not set: run the tests by `make test`")?;
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "offsets").create()?;
    let name = format!("{}{topic}", platform.env()["MALLBOTS_TOPIC_PREFIX"]);
    let metadata = consumer.fetch_metadata(Some(&name), KAFKA_ANSWERS_WITHIN)?;
    let partitions = metadata.topics().first().map_or(0, |t| t.partitions().len() as i32);
    let mut records = 0;
    for partition in 0..partitions {
        let (low, high) = consumer.fetch_watermarks(&name, partition, KAFKA_ANSWERS_WITHIN)?;
        records += high - low;
    }
    Ok(records)
}

/// A store that closes leaves the catalogue: its records there become tombstones.
async fn close_a_store(platform: &Platform) -> Result<()> {
    let mut stores = StoresClient::connect(platform.url("stores")).await?;
    let open = stores.list_stores(ListStoresRequest { status: "participating".into(), page: None }).await?.into_inner();
    let store_id = open.stores.first().context("no store is open")?.store_id.clone();
    let reason = StoreReasonRequest {
        store_id: store_id.clone(),
        reason: "moves out".into(),
        idempotency_key: "suspend".into(),
    };
    stores.suspend_store(reason).await?;
    stores.close_store(StoreRequest { store_id, idempotency_key: "close".into() }).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_python_client_reads_every_record_of_every_topic() -> Result<()> {
    let python = Python::ready().await?;
    let folder = tempfile::tempdir()?;
    let platform = Platform::start(PlatformOptions::test(folder.path(), "stock")).await?;
    let crowd = open_mall(&platform, "stock").await?;
    let plan = Plan::draw(3, 30, crowd.mall.ordinary.len());
    each_ended_as_planned(&crowd.shop(&plan, |_| {}).await?);
    close_a_store(&platform).await?;
    let verdict: Value = serde_json::from_str(&platform.ctl(&["verify", "--wait", "60s", "-o", "json"]).await?)?;

    let read: Value = serde_json::from_str(&python.run(platform.env(), "read_all.py", &["--json"]).await?)?;
    for topic in schemas::topics::ALL {
        let by_type = read["topics"][topic].as_object().with_context(|| format!("{topic} was not read"))?;
        let counted: i64 = by_type.values().filter_map(Value::as_i64).sum();
        assert_eq!(counted, written(&platform, topic)?, "{topic}: {by_type:?}");
        assert!(counted > 0, "{topic} is empty, so nothing was shown");
    }
    let deleted = read["topics"]["mallbots.stores.catalogue"]["mallbots.stores.CatalogueStore (deleted)"].as_i64();
    assert_eq!(deleted, Some(1), "{read}");
    let streams = verdict.as_array().into_iter().flatten().find(|v| v["invariant"] == "I5 streams");
    let streams = streams.and_then(|v| v["checked"].as_str()).context("verify says nothing of I5")?;
    assert!(streams.starts_with(&format!("{} streams", read["streams"])), "verify saw {streams}, Python {read}");
    platform.stop().await
}

#[tokio::test]
async fn the_python_participant_keeps_a_participants_promises() -> Result<()> {
    Python::ready().await?.run(&BTreeMap::new(), "test_participant.py", &[]).await.map(|_| ())
}

/// Operations that the acquirer's ledger holds.
async fn operations(platform: &Platform) -> Result<usize> {
    let ledger = reqwest::get(format!("{}/v1/ledger", platform.url("acquirer-sim"))).await?.text().await?;
    Ok(ledger.lines().count())
}

/// Waits until the participant has asked the acquirer for something that was done and is not answered: the moment at which
/// a kill hurts most.
async fn between_asking_and_hearing(platform: &Platform) -> Result<()> {
    let http = reqwest::Client::new();
    let behaviour = format!("{}/v1/behaviour", platform.url("acquirer-sim"));
    let hang = json!({"behaviour": "timeout", "next": 1_000});
    http.post(&behaviour).json(&hang).send().await?.error_for_status()?;
    let before = operations(platform).await?;
    // One may have been answered just before; of two, the second hangs.
    until("an operation that hangs", async || Ok(operations(platform).await? >= before + 2)).await
}

async fn acquirer_behaves_well(platform: &Platform) -> Result<()> {
    let behaviour = format!("{}/v1/behaviour", platform.url("acquirer-sim"));
    reqwest::Client::new().delete(behaviour).send().await?.error_for_status()?;
    Ok(())
}

/// Staff take a completed order's goods back, and the money goes back too.
async fn give_back(platform: &Platform, told: &[Told]) -> Result<()> {
    let completed = told.iter().find(|t| t.end == "completed").context("no order was completed")?;
    let mut orders = OrdersClient::connect(platform.url("orders")).await?;
    let order_id = completed.order_id.clone();
    orders
        .request_return(RequestReturnRequest {
            order_id: order_id.clone(),
            reason: "does not fit".into(),
            by: "staff".into(),
            idempotency_key: "return".into(),
        })
        .await?;
    let refunded = until("the refund", async || {
        let order = orders.get_order(GetOrderRequest { order_id: order_id.clone() }).await?;
        Ok(order.into_inner().status == "refunded")
    });
    match refunded.await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(platform.ctl(&["sagas", "list", "--order", &completed.order_id]).await?)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_in_python_bears_duplicates_and_a_kill_in_mid_flight() -> Result<()> {
    let python = Python::ready().await?;
    let folder = tempfile::tempdir()?;
    let platform = Platform::start_without(PlatformOptions::test(folder.path(), "python"), &["payments"]).await?;
    let payments = python.payments(&platform, folder.path(), &[]).await?;
    let crowd = open_mall(&platform, "python").await?;
    let plan = Plan::draw(8, 80, crowd.mall.ordinary.len());
    let (ended, mut seen) = tokio::sync::watch::channel(0_usize);
    let shopping = crowd.shop(&plan, |_| ended.send_modify(|n| *n += 1));
    let trouble = async {
        seen.wait_for(|n| *n >= 10).await?;
        between_asking_and_hearing(&platform).await?;
        payments.kill().await?;
        let again = python.run(platform.env(), "duplicate.py", &["mallbots.payments.commands", "--every", "2"]).await?;
        acquirer_behaves_well(&platform).await?;
        let payments = python.payments(&platform, folder.path(), &["--rewind", "20"]).await?;
        anyhow::Ok((payments, again.trim().parse::<usize>()?))
    };
    let (told, troubled) = tokio::join!(shopping, trouble);
    let (payments, again) = troubled?;
    let told = told?;
    each_ended_as_planned(&told);
    give_back(&platform, &told).await?;

    let log = payments.log()?;
    let answered_again = log.lines().filter(|l| l.starts_with("answers ")).count();
    assert!(again > 0 && answered_again >= again, "{again} commands came again, {answered_again} were answered again");
    assert!(log.contains("asks for "), "the kill hit no question to the acquirer:\n{log}");
    let verdict = platform.ctl(&["verify", "--wait", "60s"]).await.with_context(|| log.clone())?;
    assert!(verdict.contains("payments is foreign"), "{verdict}");
    println!("{verdict}");
    payments.stop().await?;
    platform.stop().await
}
