//! The context on the production shell, with the ports in memory: events of all topics in, answers out.

use crate::{Search, api::Api};
use schemas::{
    depot,
    grpc::{
        common,
        search::{self as pb, search_server::Search as _},
    },
    lines::OrderLine,
    money::{Currency, Money},
    orchestrator, orders, payments,
    quantity::Quantity,
    stores::{CatalogueStore, Location},
};
use testkit::{MemoryShell, memory_shell};
use tonic::{Request, Status};
use uuid::Uuid;

type Desk = MemoryShell<Search>;

const DAY: i64 = 86_400_000;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n << 64)
}

fn store() -> Uuid {
    Uuid::from_u128(0xa)
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

async fn place(desk: &Desk, order: Uuid, product: &str) {
    let line = OrderLine {
        product_id: Uuid::from_u128(0xb).into(),
        store_id: store().into(),
        name: product.into(),
        quantity: Quantity::ONE,
        price: eur(250),
        volume_ml: 900,
    };
    let event = orders::OrderPlaced {
        order_id: order.into(),
        lines: vec![line],
        total: eur(250),
        volume_ml: 900,
        payment_token: "tok_ok".into(),
        pay_on_arrival: false,
        customer_ref: String::new(),
    };
    desk.event("order", order, event).await;
}

async fn name_store(desk: &Desk, name: &str, version: i64) {
    let location = Location { level: 0, x: 0, y: 0 };
    let record = CatalogueStore { store_id: store().into(), name: name.into(), location, participating: true, version };
    desk.event("store", store(), record).await;
}

/// Three orders, placed a day apart: bread, roses, bread.
async fn desk() -> Desk {
    let desk = memory_shell(Search);
    name_store(&desk, "Corner Market", 1).await;
    for (n, product) in [(1, "Bread"), (2, "Roses"), (3, "Bread")] {
        place(&desk, id(n), product).await;
        desk.pass(DAY).await;
    }
    desk
}

async fn search(desk: &Desk, request: pb::SearchOrdersRequest) -> Result<pb::SearchOrdersResponse, Status> {
    let api = Api { shell: desk.shell.clone() };
    api.search_orders(Request::new(request)).await.map(tonic::Response::into_inner)
}

/// The numbers of the orders found.
async fn found(desk: &Desk, request: pb::SearchOrdersRequest) -> Vec<u128> {
    let orders = search(desk, request).await.unwrap().orders;
    orders.iter().map(|o| o.order_id.parse::<Uuid>().unwrap().as_u128() >> 64).collect()
}

fn text(text: &str) -> pb::SearchOrdersRequest {
    pb::SearchOrdersRequest { text: text.into(), ..pb::SearchOrdersRequest::default() }
}

#[tokio::test]
async fn orders_are_found_newest_first_by_words_store_and_id() {
    let desk = desk().await;
    assert_eq!(found(&desk, text("")).await, [3, 2, 1]);
    assert_eq!(found(&desk, text("bread")).await, [3, 1]);
    assert_eq!(found(&desk, text("MARKET roses")).await, [2]);
    assert_eq!(found(&desk, text(&id(2).to_string())).await, [2]);
    let by_store = |id: Uuid| pb::SearchOrdersRequest { store_id: id.to_string(), ..text("") };
    assert_eq!(found(&desk, by_store(store())).await, [3, 2, 1]);
    assert!(found(&desk, by_store(Uuid::from_u128(4))).await.is_empty());
}

#[tokio::test]
async fn orders_are_found_by_the_time_they_were_placed() {
    let desk = desk().await;
    let second = search(&desk, text("roses")).await.unwrap().orders[0].placed_at_ms;
    let between = |from_ms, to_ms| pb::SearchOrdersRequest { from_ms, to_ms, ..text("") };
    assert_eq!(found(&desk, between(second, 0)).await, [3, 2]);
    assert_eq!(found(&desk, between(0, second)).await, [1]);
    assert_eq!(found(&desk, between(second, second + 1)).await, [2]);
}

#[tokio::test]
async fn the_view_follows_each_topic() {
    let desk = desk().await;
    let (order_id, business_key) = (id(1).into(), id(1).to_string());
    let (saga_id, saga_type) = (Uuid::from_u128(5).into(), "order-fulfilment".to_owned());
    desk.event("saga", Uuid::from_u128(5), orchestrator::SagaStarted { saga_id, saga_type, business_key }).await;
    let captured = payments::PaymentCaptured { payment_id: id(1).into(), order_id, amount: eur(100) };
    desk.event("payment", id(1), captured).await;
    let checked = depot::ShoppingChecked { order_id, collected: vec![], missing: vec![], bay: 1 };
    desk.event("shopping_list", id(1), checked).await;
    let ready = orders::OrderReady { order_id, total: eur(100), bay: 1, missing: vec![] };
    desk.event("order", id(1), ready).await;
    let order = search(&desk, text("captured checked")).await.unwrap().orders.remove(0);
    assert_eq!((order.status.as_str(), order.saga_state.as_str()), ("ready", "running"));
    assert_eq!((order.total, order.store_names), (Some(eur(100).into()), vec!["Corner Market".to_owned()]));
    let by_status = pb::SearchOrdersRequest { status: "ready".into(), ..text("") };
    assert_eq!(found(&desk, by_status).await, [1]);
}

#[tokio::test]
async fn topics_may_be_read_in_any_order() {
    let desk = memory_shell(Search);
    let captured = payments::PaymentCaptured { payment_id: id(1).into(), order_id: id(1).into(), amount: eur(1) };
    desk.event("payment", id(1), captured).await;
    assert!(found(&desk, text("")).await.is_empty());
    place(&desk, id(1), "Bread").await;
    assert_eq!(found(&desk, text("captured")).await, [1]);
    name_store(&desk, "Corner Market", 1).await;
    assert_eq!(found(&desk, text("market")).await, [1]);
}

#[tokio::test]
async fn other_sagas_do_not_show() {
    let desk = desk().await;
    let (saga_type, business_key) = ("return-and-refund".to_owned(), id(1).to_string());
    let event = orchestrator::SagaStarted { saga_id: Uuid::from_u128(5).into(), saga_type, business_key };
    desk.event("saga", Uuid::from_u128(5), event).await;
    assert_eq!(search(&desk, text("bread")).await.unwrap().orders[1].saga_state, "");
}

#[tokio::test]
async fn orders_of_a_closed_store_are_still_found_by_its_name() {
    let desk = desk().await;
    desk.tombstone::<CatalogueStore>("store", store()).await;
    assert_eq!(found(&desk, text("corner")).await, [3, 2, 1]);
    assert!(desk.store.parked().is_empty());
}

#[tokio::test]
async fn pages_bring_everything_once() {
    let desk = desk().await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = Some(common::Page { page_size: 1, page_token: token });
        let answer = search(&desk, pb::SearchOrdersRequest { page, ..text("bread") }).await.unwrap();
        seen.extend(answer.orders.into_iter().map(|o| o.order_id));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [id(3).to_string(), id(1).to_string()]);
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_refused_by_field() {
    let desk = desk().await;
    for (field, request) in [
        ("text", text(&"x".repeat(201))),
        ("status", pb::SearchOrdersRequest { status: "lost".into(), ..text("") }),
        ("store_id", pb::SearchOrdersRequest { store_id: "7".into(), ..text("") }),
    ] {
        let status = search(&desk, request).await.unwrap_err();
        assert_eq!(status.metadata().get(service_kit::grpc::FIELD).unwrap(), field);
    }
}
