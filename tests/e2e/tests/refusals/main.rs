//! Every refusal that a customer, a member of staff or a robot can meet, provoked through the public APIs on real servers:
//! each has its stable code and a sentence, and leaves nothing behind.
//!
//! Not to be met from outside, and proved where they are made: a list that is being collected already (a second
//! `StartShopping` is a command: `services/depot/src/tests/lists.rs`), items given out already, amounts that do not fit a
//! hold (commands: `services/payments/src/tests`), and limits that take hundreds of products (unit tests of `orders`,
//! `stores`).

mod baskets;
mod orders;
mod requests;
mod staff;

use anyhow::{Context as _, Result, bail, ensure};
use load::{Answer, Kiosk, Mall, Platform, PlatformOptions, kiosk::PATIENCE};
use schemas::grpc::{
    common::{Location, Money, Page},
    depot::{ListBaysRequest, depot_client::DepotClient},
    orders::orders_client::OrdersClient,
    payments::{ListPaymentsRequest, payments_client::PaymentsClient},
    stores::{AddProductRequest, CreateStoreRequest, StoreRequest, stores_client::StoresClient},
};
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use uuid::Uuid;

/// Seconds after which the acquirer gives a hold up: longer than any other order of this file waits for its capture.
const HOLD_S: u64 = 25;
/// More than one order may cost, minor units.
const LIMIT: i64 = 100_000;

/// Everything a refusal can be provoked through.
struct Stage {
    platform: Platform,
    kiosk: Kiosk,
    mall: Mall,
    stores: StoresClient<Channel>,
    orders: OrdersClient<Channel>,
    payments: PaymentsClient<Channel>,
    depot: DepotClient<Channel>,
}

impl Stage {
    async fn open(folder: &std::path::Path) -> Result<Self> {
        let env = [
            ("MALLBOTS_ACQUIRER_HOLD_S", HOLD_S.to_string()),
            ("MALLBOTS_DEPOT_BAY_WAIT_S", "2".into()),
            ("MALLBOTS_PAYMENTS_LIMIT", LIMIT.to_string()),
        ];
        let platform = Platform::start(PlatformOptions {
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..PlatformOptions::test(folder, "refusals")
        })
        .await?;
        let mall = Mall::open(platform.url("stores"), platform.url("depot"), 2, 20).await?;
        let stage = Self {
            kiosk: Kiosk::new(platform.url("kiosk-gateway"))?,
            stores: StoresClient::connect(platform.url("stores")).await?,
            orders: OrdersClient::connect(platform.url("orders")).await?,
            payments: PaymentsClient::connect(platform.url("payments")).await?,
            depot: DepotClient::connect(platform.url("depot")).await?,
            platform,
            mall,
        };
        let last = &stage.mall.ordinary.last().context("an empty mall")?.id;
        stage.in_catalogue(last).await?;
        Ok(stage)
    }

    /// A product that is always found.
    fn good(&self) -> &str {
        &self.mall.ordinary[0].id
    }

    /// A store that takes part.
    async fn store(&self, name: &str) -> Result<String> {
        let mut stores = self.stores.clone();
        let location = Some(Location { level: 1, x: 7, y: 7 });
        let draft = CreateStoreRequest { name: name.into(), location, idempotency_key: String::new() };
        let store_id = stores.create_store(draft).await?.into_inner().store_id;
        let step = StoreRequest { store_id: store_id.clone(), idempotency_key: String::new() };
        stores.request_participation(step.clone()).await?;
        stores.approve_participation(step).await?;
        Ok(store_id)
    }

    /// A product that is listed, and known to `orders`.
    async fn product(&self, store_id: &str, name: &str, price: (i64, &str), volume_ml: i32) -> Result<String> {
        let request = AddProductRequest {
            store_id: store_id.into(),
            name: name.into(),
            price: Some(Money { amount: price.0, currency: price.1.into() }),
            volume_ml,
            idempotency_key: String::new(),
        };
        let product = self.stores.clone().add_product(request).await?.into_inner().product_id;
        self.in_catalogue(&product).await?;
        Ok(product)
    }

    async fn in_catalogue(&self, product: &str) -> Result<()> {
        let basket = self.kiosk.basket(&[]).await?;
        let accepted = |answer: &Answer| answer.status == 200;
        self.put_until(&basket, product, accepted).await.map(|_| ())
    }

    /// Puts the product into the basket until the answer is as wanted: the catalogue reaches `orders` by a topic.
    async fn put_until(&self, basket: &str, product: &str, wanted: impl Fn(&Answer) -> bool) -> Result<Answer> {
        let started = Instant::now();
        loop {
            let answer = self.kiosk.put(basket, product, 1).await?;
            if wanted(&answer) {
                return Ok(answer);
            }
            ensure!(started.elapsed() < PATIENCE, "product {product} is still answered with {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The answer is a problem with this code, a sentence and, where one is at fault, the field.
#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str, field: Option<&str>) {
    assert_eq!((answer.status, answer.text("code")), (status, code), "{answer:?}");
    assert_eq!(answer.media, "application/problem+json", "{answer:?}");
    let sentence = answer.text("detail");
    assert!(sentence.ends_with('.') && sentence.contains(' '), "no sentence: {answer:?}");
    assert_eq!(answer.body["field"].as_str(), field, "{answer:?}");
}

/// A gRPC refusal has this code, and its sentence holds these words.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, tonic::Status>, code: &str, words: &[&str]) {
    let status = answer.expect_err(code);
    let text = |name: &str| status.metadata().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(text("mallbots-code"), code, "{status:?}");
    let said = format!("{} {}", text("mallbots-field"), status.message());
    assert!(words.iter().all(|word| said.contains(word)), "{code} does not say {words:?}: {said}");
}

fn nobody() -> String {
    Uuid::now_v7().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_code_and_leaves_nothing_behind() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stage = Stage::open(folder.path()).await?;
    staff::are_refused(&stage).await?;
    tokio::try_join!(
        requests::are_refused(&stage),
        baskets::are_refused(&stage),
        orders::are_refused_for_money(&stage),
        orders::are_refused_for_bays_and_goods(&stage),
        orders::whose_hold_expired_are_cancelled(&stage),
        orders::ask_too_late(&stage),
        orders::that_have_ended_stay_so(&stage),
    )?;
    nothing_is_left(&stage).await?;
    stage.platform.stop().await
}

/// No hold, no reserved bay, no live list, nothing parked; every saga ended and every invariant holds.
async fn nothing_is_left(stage: &Stage) -> Result<()> {
    stage.platform.ctl(&["verify", "--wait", "60s"]).await?;
    let page = || Some(Page { page_size: 500, page_token: String::new() });
    for status in ["authorizing", "authorized", "capturing", "voiding", "refunding"] {
        let request = ListPaymentsRequest { status: status.into(), page: page() };
        let left = stage.payments.clone().list_payments(request).await?.into_inner().payments;
        ensure!(left.is_empty(), "payments are left {status}: {left:?}");
    }
    for bay in stage.depot.clone().list_bays(ListBaysRequest { page: page() }).await?.into_inner().bays {
        match bay.status.as_str() {
            "free" => {}
            // Until its customer takes the items away.
            "occupied" => drop(stage.kiosk.until(&bay.order_id, "completed").await?),
            other => bail!("bay {} is left {other} for order {}", bay.number, bay.order_id),
        }
    }
    let parked = load::garbage::parked(&stage.platform).await?;
    ensure!(parked.is_empty(), "records are parked: {parked:?}");
    Ok(())
}
