//! Stores and depot: what staff and robots are refused, through gRPC.

use super::{Stage, nobody, refused};
use anyhow::Result;
use schemas::grpc::{
    common::{Location, Money},
    depot::{
        AddBayRequest, BotReport, CheckListRequest, GetListRequest, HandOverRequest, RegisterBotRequest, ReportRequest,
        bot_report::{Delivered, GoOffline, What},
    },
    payments::{GetInvoiceRequest, GetPaymentRequest, TakePaymentRequest},
    stores::{
        AddProductRequest, ChangePriceRequest, CreateStoreRequest, GetProductRequest, GetStoreRequest, ProductRequest,
        StoreReasonRequest, StoreRequest,
    },
};

pub async fn are_refused(stage: &Stage) -> Result<()> {
    stores(stage).await?;
    products(stage).await?;
    depot(stage).await?;
    robots(stage).await?;
    payments(stage).await
}

fn of(store_id: &str) -> StoreRequest {
    StoreRequest { store_id: store_id.into(), idempotency_key: String::new() }
}

fn because(store_id: &str, reason: &str) -> StoreReasonRequest {
    StoreReasonRequest { store_id: store_id.into(), reason: reason.into(), idempotency_key: String::new() }
}

/// `draft → requested → participating ⇄ suspended → closed`, and nothing else.
async fn stores(stage: &Stage) -> Result<()> {
    let (mut api, wrong) = (stage.stores.clone(), "stores.wrong_state");
    let new = |name: &str| CreateStoreRequest {
        name: name.into(),
        location: Some(Location { level: 0, x: 1, y: 1 }),
        idempotency_key: String::new(),
    };
    refused(api.create_store(new(" ")).await, "platform.invalid_argument", &["name"]);
    let nowhere = CreateStoreRequest { location: None, ..new("Nowhere") };
    refused(api.create_store(nowhere).await, "platform.invalid_argument", &["location"]);
    let unknown = nobody();
    refused(api.get_store(GetStoreRequest { store_id: unknown.clone() }).await, "stores.unknown_store", &[]);
    refused(api.approve_participation(of(&unknown)).await, "stores.unknown_store", &[]);

    let id = api.create_store(new("Shy")).await?.into_inner().store_id;
    refused(api.approve_participation(of(&id)).await, wrong, &["draft", "participating"]);
    refused(api.suspend_store(because(&id, "why not")).await, wrong, &["draft", "suspended"]);
    refused(api.resume_store(of(&id)).await, wrong, &["draft", "participating"]);
    api.request_participation(of(&id)).await?;
    refused(api.request_participation(of(&id)).await, wrong, &["requested"]);
    refused(api.deny_participation(because(&id, "")).await, "platform.invalid_argument", &["reason"]);
    api.approve_participation(of(&id)).await?;
    refused(api.deny_participation(because(&id, "too late")).await, wrong, &["participating", "draft"]);
    refused(api.close_store(of(&id)).await, wrong, &["participating", "closed"]);
    api.suspend_store(because(&id, "closing down")).await?;
    api.close_store(of(&id)).await?;
    refused(api.request_participation(of(&id)).await, wrong, &["closed", "requested"]);
    refused(api.close_store(of(&id)).await, wrong, &["closed"]);
    refused(api.add_product(product(&id, 1)).await, wrong, &["closed", "listed"]);
    Ok(())
}

fn product(store_id: &str, amount: i64) -> AddProductRequest {
    AddProductRequest {
        store_id: store_id.into(),
        name: "Thing".into(),
        price: Some(Money { amount, currency: "EUR".into() }),
        volume_ml: 10,
        idempotency_key: String::new(),
    }
}

/// `listed ⇄ hidden → removed`, and nothing else.
async fn products(stage: &Stage) -> Result<()> {
    let (mut api, wrong) = (stage.stores.clone(), "stores.wrong_state");
    let store = stage.store("Things").await?;
    refused(api.add_product(product(&nobody(), 1)).await, "stores.unknown_store", &[]);
    refused(api.add_product(product(&store, -1)).await, "platform.invalid_argument", &["price"]);
    let flat = AddProductRequest { volume_ml: 0, ..product(&store, 1) };
    refused(api.add_product(flat).await, "platform.invalid_argument", &["volume_ml"]);
    refused(api.get_product(GetProductRequest { product_id: nobody() }).await, "stores.unknown_product", &[]);

    let id = api.add_product(product(&store, 1)).await?.into_inner().product_id;
    let it = || ProductRequest { product_id: id.clone(), idempotency_key: String::new() };
    refused(api.remove_product(it()).await, wrong, &["listed", "removed"]);
    refused(api.list_product(it()).await, wrong, &["listed"]);
    api.hide_product(it()).await?;
    refused(api.hide_product(it()).await, wrong, &["hidden"]);
    api.remove_product(it()).await?;
    refused(api.list_product(it()).await, wrong, &["removed", "listed"]);
    let price = Some(Money { amount: 5, currency: "EUR".into() });
    let reprice = ChangePriceRequest { product_id: id.clone(), price, idempotency_key: String::new() };
    refused(api.change_price(reprice).await, wrong, &["removed"]);
    Ok(())
}

async fn depot(stage: &Stage) -> Result<()> {
    let mut api = stage.depot.clone();
    refused(api.get_list(GetListRequest { order_id: nobody() }).await, "depot.unknown_list", &[]);
    let check = CheckListRequest { order_id: nobody(), missing: vec![], by: "staff".into() };
    refused(api.check_list(check.clone()).await, "depot.unknown_list", &[]);
    refused(
        api.check_list(CheckListRequest { by: String::new(), ..check }).await,
        "platform.invalid_argument",
        &["by"],
    );
    let hand_over = HandOverRequest { order_id: nobody(), by: "staff".into() };
    refused(api.hand_over(hand_over).await, "depot.unknown_list", &[]);
    refused(api.add_bay(AddBayRequest { number: 0, volume_ml: 1 }).await, "platform.invalid_argument", &["number"]);
    refused(api.add_bay(AddBayRequest { number: 1, volume_ml: 0 }).await, "platform.invalid_argument", &["volume_ml"]);
    Ok(())
}

/// Refusals come per robot, with its instruction.
async fn robots(stage: &Stage) -> Result<()> {
    let mut api = stage.depot.clone();
    let register = RegisterBotRequest { bot_id: nobody(), name: "Stray".into(), location: None };
    refused(
        api.register_bot(RegisterBotRequest { name: String::new(), ..register.clone() }).await,
        "platform.invalid_argument",
        &["name"],
    );
    let mut report = async |bot_id: &str, epoch: i64, report_no: i64, what: What| {
        let report = BotReport { bot_id: bot_id.into(), epoch, report_no, what: Some(what) };
        let answer = api.report(ReportRequest { reports: vec![report] }).await?.into_inner();
        anyhow::Ok(answer.instructions.into_iter().map(|i| i.refusal_code).collect::<Vec<_>>())
    };
    assert_eq!(report(&nobody(), 1, 1, What::GoOffline(GoOffline {})).await?, ["depot.unknown_bot"]);
    let mut registry = stage.depot.clone();
    let old = registry.register_bot(register.clone()).await?.into_inner().epoch;
    let new = registry.register_bot(register.clone()).await?.into_inner().epoch;
    let id = register.bot_id;
    assert_eq!(report(&id, old, 1, What::GoOffline(GoOffline {})).await?, ["depot.stale_epoch"]);
    let delivered = What::Delivered(Delivered { order_id: nobody() });
    assert_eq!(report(&id, new, 1, delivered).await?, ["depot.unknown_list"]);
    assert_eq!(report(&id, new, 2, What::GoOffline(GoOffline {})).await?, [""]);
    Ok(())
}

async fn payments(stage: &Stage) -> Result<()> {
    let mut api = stage.payments.clone();
    refused(api.get_payment(GetPaymentRequest { order_id: nobody() }).await, "payments.unknown_payment", &[]);
    refused(api.get_invoice(GetInvoiceRequest { order_id: nobody() }).await, "payments.unknown_invoice", &[]);
    let take = TakePaymentRequest { order_id: nobody(), by: String::new() };
    refused(api.take_payment(take).await, "platform.invalid_argument", &["by"]);
    Ok(())
}
