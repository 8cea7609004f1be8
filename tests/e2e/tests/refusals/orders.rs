//! Orders that the saga turns down or takes back, and orders that cannot be changed any more.

use super::{HOLD_S, LIMIT, Stage, nobody, problem, refused};
use anyhow::{Context as _, Result, ensure};
use load::kiosk::PATIENCE;
use schemas::grpc::{
    depot::{AddBayRequest, HandOverRequest},
    orders::RequestReturnRequest,
    payments::GetPaymentRequest,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The order ends in this state, for this reason.
async fn ends(stage: &Stage, order: &str, state: &str, code: &str) -> Result<Value> {
    let ended = stage.kiosk.until(order, state).await?;
    ensure!(ended["code"] == code, "order {order} should be {state} for {code}: {ended}");
    let sentence = ended["reason"].as_str().unwrap_or_default();
    ensure!(sentence.contains(' '), "no sentence: {ended}");
    Ok(ended)
}

pub async fn are_refused_for_money(stage: &Stage) -> Result<()> {
    let kiosk = &stage.kiosk;
    let declined = kiosk.order(stage.good(), "tok_declined", "now").await?;
    ends(stage, &declined, "rejected", "payments.declined").await?;
    problem(&kiosk.pay(&declined).await?, 409, "payments.not_authorized", None);
    let store = stage.store("Jeweller").await?;
    let ring = stage.product(&store, "Ring", (LIMIT + 1, "EUR"), 10).await?;
    let dear = kiosk.order(&ring, "tok_ok", "now").await?;
    ends(stage, &dear, "rejected", "payments.limit_exceeded").await?;
    let withheld = kiosk.order(stage.good(), "tok_capture_refused", "now").await?;
    ends(stage, &withheld, "cancelled", "payments.capture_refused").await?;
    // Refused once, it is tried again.
    let flaky = kiosk.order(stage.good(), "tok_capture_flaky", "now").await?;
    kiosk.until(&flaky, "completed").await?;
    Ok(())
}

/// There is one bay of this number and size, larger than all others.
const BIG_BAY: AddBayRequest = AddBayRequest { number: 500, volume_ml: 1_500_000 };

pub async fn are_refused_for_bays_and_goods(stage: &Stage) -> Result<()> {
    let (kiosk, mut depot) = (&stage.kiosk, stage.depot.clone());
    depot.add_bay(BIG_BAY).await?;
    let store = stage.store("Furniture").await?;
    let piano = stage.product(&store, "Piano", (90_000, "EUR"), BIG_BAY.volume_ml + 1).await?;
    let larger = kiosk.order(&piano, "tok_ok", "now").await?;
    let ended = ends(stage, &larger, "rejected", "depot.no_bay").await?;
    ensure!(ended["reason"].as_str().is_some_and(|r| r.contains("larger than any bay")), "{ended}");

    let sofa = stage.product(&store, "Sofa", (80_000, "EUR"), BIG_BAY.volume_ml).await?;
    let first = kiosk.order(&sofa, "tok_ok", "on_arrival").await?;
    kiosk.until(&first, "ready").await?;
    let second = kiosk.order(&sofa, "tok_ok", "on_arrival").await?;
    let ended = ends(stage, &second, "rejected", "depot.no_bay").await?;
    ensure!(ended["reason"].as_str().is_some_and(|r| r.contains("became free")), "{ended}");
    refused(depot.add_bay(AddBayRequest { volume_ml: 1, ..BIG_BAY }).await, "depot.bay_in_use", &["occupied"]);
    let hand_over = HandOverRequest { order_id: first.clone(), by: "staff".into() };
    refused(depot.hand_over(hand_over).await, "depot.wrong_state", &["checked"]);
    kiosk.cancel(&first).await?.ok()?;
    ends(stage, &first, "cancelled", "platform.cancelled").await?;
    depot.add_bay(AddBayRequest { volume_ml: 1, ..BIG_BAY }).await.context("the bay is free again")?;

    let missing = kiosk.order(&stage.mall.missing[0].id, "tok_ok", "now").await?;
    ends(stage, &missing, "cancelled", "depot.nothing_collected").await?;
    Ok(())
}

/// The customer comes after the provider has given the hold up.
pub async fn whose_hold_expired_are_cancelled(stage: &Stage) -> Result<()> {
    let order = stage.kiosk.order(stage.good(), "tok_ok", "on_arrival").await?;
    stage.kiosk.until(&order, "ready").await?;
    let hold = format!("{}/v1/by-reference/{order}", stage.platform.url("acquirer-sim"));
    let started = Instant::now();
    loop {
        let known: Value = serde_json::from_str(&reqwest::get(&hold).await?.text().await?)?;
        if known["status"] == "expired" {
            break;
        }
        ensure!(started.elapsed() < Duration::from_secs(HOLD_S) + PATIENCE, "the hold does not expire: {known}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stage.kiosk.pay(&order).await?.ok()?;
    ends(stage, &order, "cancelled", "payments.hold_expired").await.map(|_| ())
}

/// The money has been asked for and the provider takes its time: the wish to cancel is heard, and comes too late.
pub async fn ask_too_late(stage: &Stage) -> Result<()> {
    let kiosk = &stage.kiosk;
    let order = kiosk.order(stage.good(), "tok_slow", "on_arrival").await?;
    kiosk.until(&order, "ready").await?;
    let url = format!("{}/v1/orders/{order}/events", stage.platform.url("kiosk-gateway"));
    let mut live = reqwest::get(url).await?;
    kiosk.pay(&order).await?.ok()?;
    let started = Instant::now();
    loop {
        let request = GetPaymentRequest { order_id: order.clone() };
        match stage.payments.clone().get_payment(request).await?.into_inner().status.as_str() {
            "capturing" => break,
            "authorized" => tokio::time::sleep(Duration::from_millis(10)).await,
            other => anyhow::bail!("the payment is {other} already"),
        }
        ensure!(started.elapsed() < PATIENCE, "the money is not asked for");
    }
    let asked = kiosk.cancel(&order).await?;
    assert_eq!(asked.status, 202, "{asked:?}");
    let mut told = String::new();
    while !told.contains("cancel_too_late") {
        let next = tokio::time::timeout(PATIENCE, live.chunk()).await.with_context(|| format!("only {told}"))??;
        told.push_str(&String::from_utf8_lossy(&next.context("the live view ended")?));
    }
    kiosk.until(&order, "completed").await.map(|_| ())
}

pub async fn that_have_ended_stay_so(stage: &Stage) -> Result<()> {
    let (kiosk, mut orders) = (&stage.kiosk, stage.orders.clone());
    problem(&kiosk.get(&format!("/v1/orders/{}", nobody())).await?, 404, "orders.unknown_order", None);
    problem(&kiosk.cancel(&nobody()).await?, 404, "orders.unknown_order", None);
    problem(&kiosk.pay(&nobody()).await?, 409, "payments.not_authorized", None);
    let giving_back = |order: &str| RequestReturnRequest {
        order_id: order.into(),
        reason: "does not fit".into(),
        by: "staff".into(),
        idempotency_key: String::new(),
    };
    refused(orders.request_return(giving_back(&nobody())).await, "orders.unknown_order", &[]);

    let waiting = kiosk.order(stage.good(), "tok_ok", "on_arrival").await?;
    kiosk.until(&waiting, "ready").await?;
    refused(orders.request_return(giving_back(&waiting)).await, "orders.wrong_state", &["ready", "returning"]);
    kiosk.cancel(&waiting).await?.ok()?;
    ends(stage, &waiting, "cancelled", "platform.cancelled").await?;
    let again = kiosk.cancel(&waiting).await?;
    problem(&again, 409, "orders.already_terminal", None);
    assert!(again.text("detail").contains("cancelled"), "{again:?}");
    problem(&kiosk.pay(&waiting).await?, 409, "payments.not_authorized", None);

    let done = kiosk.order(stage.good(), "tok_ok", "now").await?;
    kiosk.until(&done, "completed").await?;
    problem(&kiosk.cancel(&done).await?, 409, "orders.already_terminal", None);
    let mut other = orders.clone();
    let (one, two) = tokio::join!(orders.request_return(giving_back(&done)), other.request_return(giving_back(&done)));
    // Two at once: which of them is first is not said, and how far the first is when the second comes neither.
    let second = if one.is_ok() { two } else { one }.expect_err("both returns were accepted");
    let code = second.metadata().get("mallbots-code").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    assert!(["orders.return_under_way", "orders.wrong_state"].contains(&code.as_str()), "{second:?}");
    kiosk_until_refunded(stage, &done).await
}

/// `completed` is no end for an order that is being given back.
async fn kiosk_until_refunded(stage: &Stage, order: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let found = stage.kiosk.get(&format!("/v1/orders/{order}")).await?.ok()?;
        if found["status"] == json!("refunded") {
            return Ok(());
        }
        ensure!(started.elapsed() < PATIENCE, "the order is not refunded: {found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
