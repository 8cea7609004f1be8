//! What operators stand on, on real servers: every metric is there after a day in the mall, and `verify` sees each kind
//! of damage that is done to a database, with the offending id.

use anyhow::{Context, Result};
use load::{Crowd, Mall, Plan, Platform, PlatformOptions, Ways};
use tokio_postgres::{Client, NoTls};

/// Some orders, all ended; answers one that was completed.
async fn day(platform: &Platform, orders: usize) -> Result<String> {
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 3, 100).await?;
    let plan = Plan::draw(5, orders, mall.ordinary.len());
    let kiosk = platform.url("kiosk-gateway");
    let patience = std::time::Duration::from_secs(90);
    let told = Crowd { kiosk, mall, at_once: 8, patience, run: "operators".into(), ways: Ways::default() }
        .shop(&plan, |_| {})
        .await?;
    platform.ctl(&["verify", "--wait", "60s"]).await?;
    let completed = told.into_iter().find(|t| t.end == "completed").context("no order was completed")?;
    Ok(completed.order_id)
}

/// Metrics that dashboards and alerts name.
const METRICS: &[&str] = &[
    r#"mallbots_sagas_started_total{type="order-fulfilment"}"#,
    r#"mallbots_sagas_started_total{type="return-refund"} 0"#,
    r#"mallbots_sagas_ended_total{type="order-fulfilment",phase="completed"}"#,
    r#"mallbots_sagas_ended_total{type="order-fulfilment",phase="compensated"}"#,
    r#"mallbots_sagas_stuck_total{type="order-fulfilment"} 0"#,
    "mallbots_sagas_stuck 0",
    "mallbots_sagas_orphaned 0",
    r#"mallbots_saga_step_seconds_count{type="order-fulfilment",step="authorize-payment",direction="do"}"#,
    r#"mallbots_saga_step_seconds_count{type="order-fulfilment",step="order-placed",direction="undo"}"#,
    r#"mallbots_saga_seconds_count{type="order-fulfilment"}"#,
    r#"mallbots_outbox_rows{context="orders"}"#,
    r#"mallbots_outbox_oldest_seconds{context="orders"}"#,
    r#"mallbots_relay_dwell_seconds_count{context="orchestrator"}"#,
    r#"mallbots_relay_sent_total{context="payments"}"#,
    r#"mallbots_inbox_duplicates_total{context="depot"}"#,
    r#"mallbots_parked_keys{context="depot"} 0"#,
    r#"mallbots_parked_oldest_seconds{context="depot"} 0"#,
    r#"mallbots_consumer_lag_seconds{context="orchestrator"}"#,
    r#"mallbots_order_violations_total{context="orders"} 0"#,
    r#"mallbots_batch_seconds_count{context="orders"}"#,
    r#"mallbots_acquirer_calls_total{"#,
    r#"mallbots_kiosk_requests_total{"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_there_after_a_day_in_the_mall() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let platform = Platform::start(PlatformOptions::test(folder.path(), "metrics")).await?;
    day(&platform, 25).await?;
    let url = format!("{}/metrics", platform.http("all"));
    let mut missing = METRICS.to_vec();
    for _ in 0..150 {
        let text = reqwest::get(&url).await?.text().await?;
        missing.retain(|metric| !text.lines().any(|line| line.starts_with(metric)));
        if missing.is_empty() {
            return platform.stop().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("not in {url}: {missing:#?}")
}

/// Damage to one table, and the invariant that must not survive it; `$order` is a completed order, `$saga` its saga.
struct Damage {
    context: &'static str,
    table: &'static str,
    sql: &'static str,
    breaks: &'static str,
    offending: &'static str,
}

const DAMAGES: &[Damage] = &[
    Damage {
        context: "payments",
        table: "payment",
        sql: r#"UPDATE payment SET state = jsonb_set(state::jsonb, '{ledger,1,amount,amount}', '1')::json WHERE id = '$order'"#,
        breaks: "I1 money",
        offending: "$order",
    },
    Damage {
        context: "payments",
        table: "payment",
        sql: r#"UPDATE payment SET state = jsonb_set(state::jsonb, '{ledger,1,amount,amount}', '1')::json WHERE id = '$order'"#,
        breaks: "I1 ledgers",
        offending: "$order",
    },
    Damage {
        context: "depot",
        table: "shopping_list",
        sql: "UPDATE shopping_list SET status = 'cancelled' WHERE id = '$order'",
        breaks: "I2 ends",
        offending: "$order",
    },
    Damage {
        context: "orchestrator",
        table: "saga",
        sql: "UPDATE saga SET status = 'stuck' WHERE id = '$saga'",
        breaks: "I4 ended",
        offending: "$saga",
    },
    Damage {
        context: "orders",
        table: "order",
        sql: r#"UPDATE "order" SET streams = jsonb_set(streams::jsonb, '{0,n}', to_jsonb((streams::jsonb->0->>'n')::int + 1))::json WHERE id = '$order'"#,
        breaks: "I6 outbox = topic",
        offending: "$order",
    },
    Damage {
        context: "depot",
        table: "fence",
        sql: r#"UPDATE fence SET state = jsonb_set(state::jsonb, '{effects,plan-shopping/do/1,given,outcome}', '"refused"')::json WHERE id = '$saga'"#,
        breaks: "I7 once",
        offending: "$saga",
    },
    Damage {
        context: "orchestrator",
        table: "journal",
        sql: "DELETE FROM journal WHERE id = '$saga' AND version = (SELECT min(version) + 1 FROM journal WHERE id = '$saga')",
        breaks: "I8 histories",
        offending: "$saga",
    },
    Damage {
        context: "depot",
        table: "shopping_list",
        sql: r#"UPDATE shopping_list SET state = (state::jsonb || '{"holds_bay": true, "bay": 999}')::json"#,
        breaks: "I9 bookings",
        offending: "bay 999",
    },
    Damage {
        context: "depot",
        table: "fence",
        sql: "UPDATE fence SET state = jsonb_set(state::jsonb, '{effects,plan-shopping/do/1,barred}', 'true')::json WHERE id = '$saga'",
        breaks: "I10 bars",
        offending: "$saga",
    },
];

async fn database(platform: &Platform, context: &str) -> Result<Client> {
    let server = std::env::var("MALLBOTS_POSTGRES").context("run the tests by `make test`")?;
    let prefix = &platform.env()["MALLBOTS_DATABASE_PREFIX"];
    let (client, connection) = tokio_postgres::connect(&format!("{server}/{prefix}_{context}"), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_the_invariant_and_the_id_for_each_kind_of_damage() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let platform = Platform::start(PlatformOptions::test(folder.path(), "damage")).await?;
    let order = day(&platform, 12).await?;
    let found = platform.ctl(&["sagas", "list", "--order", &order, "-o", "json"]).await?;
    let found: serde_json::Value = serde_json::from_str(&found)?;
    let saga = found[0]["saga_id"].as_str().context("the order has no saga")?.to_owned();
    let told = |text: &str| text.replace("$order", &order).replace("$saga", &saga);
    for damage in DAMAGES {
        let client = database(&platform, damage.context).await?;
        let table = damage.table;
        client.batch_execute(&format!("CREATE TEMP TABLE kept AS SELECT * FROM \"{table}\"")).await?;
        client.batch_execute(&told(damage.sql)).await?;
        let (code, text) = platform.ctl_code(&["verify"]).await?;
        assert_eq!(code, 1, "{}: {text}", damage.breaks);
        let line = text.lines().find(|line| line.trim_start().starts_with(damage.breaks)).context("no such line")?;
        assert!(line.contains("BROKEN") && line.contains(&told(damage.offending)), "{line}");
        let mend = format!("BEGIN; DELETE FROM \"{table}\"; INSERT INTO \"{table}\" SELECT * FROM kept; COMMIT");
        client.batch_execute(&mend).await?;
    }
    platform.ctl(&["verify"]).await?;
    platform.stop().await
}
