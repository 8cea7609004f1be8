//! The context on the production shell, with the ports in memory: requests and commands in, events and replies out.

mod api;
mod catalogue;
mod checkout;
mod commands;

use crate::{
    Orders,
    domain::{Order, OrderStatus, Phone},
    handlers::{self, BasketView, Checkout},
};
use message::{SagaRef, headers};
use schemas::{
    ids::{BasketId, OrderId, ProductId, StoreId},
    lines::LineCount,
    money::{Currency, Money},
    orders as wire,
    quantity::Quantity,
    stores::{CatalogueProduct, CatalogueStore, Location},
};
use testkit::{MemoryShell, do_ref, memory_shell};
use transport::{CallError, codec::Wire, ports::Record};
use uuid::Uuid;

type Desk = MemoryShell<Orders>;

const PHONE: &str = "+4917012345678";
const IDLE_MS: i64 = 1_800_000;

fn store() -> StoreId {
    Uuid::from_u128(0xa).into()
}

/// Bread at 2.50.
fn bread() -> ProductId {
    Uuid::from_u128(0xb).into()
}

/// Roses at 1.00.
fn roses() -> ProductId {
    Uuid::from_u128(0xc).into()
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn pieces(n: i32) -> Quantity {
    Quantity::try_from(n).unwrap()
}

fn count(product_id: ProductId, n: i32) -> LineCount {
    LineCount { product_id, quantity: pieces(n) }
}

fn product(product_id: ProductId, name: &str, amount: i64, version: i64) -> CatalogueProduct {
    let (store_id, price) = (store(), eur(amount));
    CatalogueProduct { product_id, store_id, name: name.into(), price, volume_ml: 900, listed: true, version }
}

async fn tell_product(desk: &Desk, product: CatalogueProduct) {
    desk.event("product", product.product_id.into(), product).await;
}

async fn tell_store(desk: &Desk, participating: bool, version: i64) {
    let location = Location { level: 0, x: 1, y: 2 };
    let record = CatalogueStore { store_id: store(), name: "Corner".into(), location, participating, version };
    desk.event("store", store().into(), record).await;
}

/// Orders with one participating store that sells bread and roses.
async fn desk() -> Desk {
    let desk = memory_shell(Orders::default());
    tell_store(&desk, true, 1).await;
    tell_product(&desk, product(bread(), "Bread", 250, 1)).await;
    tell_product(&desk, product(roses(), "Roses", 100, 1)).await;
    desk
}

async fn put(desk: &Desk, basket: BasketId, product: ProductId, n: i32) -> Result<BasketView, CallError> {
    desk.call(move |orders, unit| handlers::put_item(orders, unit, basket, product, pieces(n))).await
}

/// A basket with two loaves and three roses.
async fn basket(desk: &Desk) -> BasketId {
    let basket = desk.call(handlers::create_basket).await.unwrap().id;
    put(desk, basket, bread(), 2).await.unwrap();
    put(desk, basket, roses(), 3).await.unwrap();
    basket
}

async fn check_out(desk: &Desk, basket_id: BasketId) -> Result<Order, CallError> {
    let checkout = Checkout {
        basket_id,
        phone: Phone::parse(PHONE).unwrap(),
        payment_token: "tok_ok".into(),
        pay_on_arrival: true,
        customer_ref: "customer-7".into(),
    };
    desk.call(move |_, unit| handlers::checkout(unit, &checkout)).await
}

async fn placed(desk: &Desk) -> OrderId {
    let basket = basket(desk).await;
    check_out(desk, basket).await.unwrap();
    basket.into()
}

/// An order that the saga has carried to `ready` (two loaves and one rose), or to `completed`.
async fn carried(desk: &Desk, to: OrderStatus) -> OrderId {
    let order_id = placed(desk).await;
    let saga = Uuid::from(order_id);
    desk.ask(&do_ref(saga, "approve-order"), wire::ApproveOrder { order_id }).await.unwrap();
    desk.ask(&do_ref(saga, "mark-shopping"), wire::MarkShopping { order_id }).await.unwrap();
    let collected = vec![count(bread(), 2), count(roses(), 1)];
    desk.ask(&do_ref(saga, "mark-ready"), wire::MarkReady { order_id, collected, bay: 4 }).await.unwrap();
    if to == OrderStatus::Completed {
        desk.ask(&do_ref(saga, "complete-order"), wire::CompleteOrder { order_id }).await.unwrap();
    }
    assert_eq!(order(desk, order_id).await.status, to);
    order_id
}

async fn order(desk: &Desk, id: OrderId) -> Order {
    desk.get::<Order>(id.into()).await.unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
    match result {
        Err(CallError::Refused(refusal)) => refusal.code,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The code that a command was refused with, read as any consumer in another language would: by the schema alone.
fn refused(desk: &Desk, saga: &SagaRef) -> String {
    let records = desk.log.records(&saga.reply_to);
    let ours = |record: &&Record| {
        let outcome = || record.headers.get(headers::OUTCOME).unwrap();
        record.headers.names(&saga.effect) && outcome() == b"refused"
    };
    let reply = records.iter().rfind(ours).expect("nothing was refused");
    let wire = Wire::parse(reply.value.as_deref().unwrap()).unwrap();
    desk.shell.codec().decode_json(&wire).unwrap()["code"].as_str().unwrap().to_owned()
}
