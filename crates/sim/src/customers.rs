//! Customers, who do what the seed says and keep a log of what they were told.

use crate::{
    dice::{Roll, number_of},
    platform::Platform,
};
use schemas::grpc::{
    common::{Location, Money},
    depot::{AddBayRequest, depot_client::DepotClient},
    orders::{
        CancelOrderRequest, CheckoutRequest, CreateBasketRequest, GetOrderRequest, PutItemRequest,
        RequestReturnRequest, orders_server::Orders as _,
    },
    payments::{TakePaymentRequest, payments_server::Payments as _},
    stores::{
        AddProductRequest, ChangePriceRequest, CreateStoreRequest, ProductRequest, StoreRequest,
        stores_server::Stores as _,
    },
};
use serde_json::{Value, json};
use std::{future::Future, sync::Arc, time::Duration};
use tonic::{Code, Request, Response, Status};

/// Millilitres a bay holds.
const BAY_ML: i32 = 200_000;

/// What there is to buy, by product id.
#[derive(Debug, Clone, Default)]
pub struct Mall {
    pub ordinary: Vec<String>,
    pub missing: String,
    pub huge: String,
}

/// Opens the mall: two stores, their products, and the bays.
pub async fn open(platform: &Arc<Platform>, bays: i32) -> Result<Mall, Status> {
    let mut mall = Mall::default();
    for number in 0..2 {
        let location = Some(Location { level: number, x: 10 * number, y: 5 });
        let request = CreateStoreRequest {
            name: format!("Store {number}"),
            location,
            idempotency_key: format!("store {number}"),
        };
        let store = answered(platform.stores()?.create_store(Request::new(request)).await)?.store_id;
        let step = |key: &str| {
            Request::new(StoreRequest { store_id: store.clone(), idempotency_key: format!("{key} {number}") })
        };
        platform.stores()?.request_participation(step("request")).await?;
        platform.stores()?.approve_participation(step("approve")).await?;
        mall.ordinary.push(product(platform, &store, &format!("Tea {number}"), 500).await?);
        if number == 0 {
            mall.missing = product(platform, &store, "Rare find (out of stock)", 500).await?;
            mall.huge = product(platform, &store, "Wardrobe", 2 * BAY_ML).await?;
        }
    }
    let mut depot = DepotClient::new(crate::platform::Line(platform.clone()));
    for number in 1..=bays {
        depot.add_bay(AddBayRequest { number, volume_ml: BAY_ML }).await?;
    }
    Ok(mall)
}

async fn product(platform: &Arc<Platform>, store_id: &str, name: &str, volume_ml: i32) -> Result<String, Status> {
    let price = Some(Money { amount: 250, currency: "EUR".into() });
    let (store_id, name, key) = (store_id.to_owned(), name.to_owned(), format!("add {name}"));
    let request = AddProductRequest { store_id, name, price, volume_ml, idempotency_key: key };
    let made = answered(platform.stores()?.add_product(Request::new(request)).await)?;
    if made.status != "listed" {
        let request = ProductRequest { product_id: made.product_id.clone(), idempotency_key: String::new() };
        platform.stores()?.list_product(Request::new(request)).await?;
    }
    Ok(made.product_id)
}

/// A clerk who changes a price now and then, for as long as there are faults.
pub async fn reprice(platform: Arc<Platform>, mall: Mall) {
    for nth in 0.. {
        let mut roll = platform.world.dice.roll(&[number_of("clerk"), nth]);
        tokio::time::sleep(Duration::from_millis(roll.between(500, 6_000))).await;
        if !platform.world.is_active() {
            return;
        }
        let product_id = mall.ordinary[roll.below(mall.ordinary.len() as u64) as usize].clone();
        let price = Some(Money { amount: roll.between(100, 900) as i64, currency: "EUR".into() });
        let request = ChangePriceRequest { product_id, price, idempotency_key: format!("price {nth}") };
        if let Ok(api) = platform.stores() {
            let _ = patient(api.change_price(Request::new(request))).await;
        }
    }
}

/// What a customer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    PaysNow,
    PaysOnArrival,
    OneMissing,
    AllMissing,
    TooLarge,
    Cancels,
    Returns,
}

const STORIES: [Story; 10] = [
    Story::PaysNow,
    Story::PaysNow,
    Story::PaysOnArrival,
    Story::PaysOnArrival,
    Story::OneMissing,
    Story::AllMissing,
    Story::TooLarge,
    Story::Cancels,
    Story::Cancels,
    Story::Returns,
];

/// Cards: most are good, others are declined, answer nothing although the bank has acted, are refused at the capture.
const TOKENS: [&str; 10] = [
    "tok_ok",
    "tok_ok",
    "tok_ok",
    "tok_ok",
    "tok_ok",
    "tok_declined",
    "tok_timeout",
    "tok_unavailable",
    "tok_capture_refused",
    "tok_capture_flaky",
];

/// One customer, from the empty basket to the end. Answers what they were told about their order.
pub struct Customer {
    pub platform: Arc<Platform>,
    pub mall: Mall,
    pub number: u64,
    /// They come within this time.
    pub within: Duration,
}

impl Customer {
    pub async fn shop(self) -> Option<Value> {
        let mut roll = self.platform.world.dice.roll(&[number_of("customer"), self.number]);
        tokio::time::sleep(Duration::from_millis(roll.below(self.within.as_millis() as u64))).await;
        let story = STORIES[roll.below(STORIES.len() as u64) as usize];
        self.platform.world.note(&format!("customer {}", self.number), &format!("{story:?}"));
        let basket = self.fill(story, &mut roll).await?;
        let told = self.check_out(&basket, story, &mut roll).await;
        if told == "ok" {
            self.follow(&basket, story, &mut roll).await;
        }
        Some(json!({"order_id": basket, "answered": told}))
    }

    async fn fill(&self, story: Story, roll: &mut Roll) -> Option<String> {
        let request = CreateBasketRequest { idempotency_key: self.key("basket") };
        let made = self.ask(request, |p, r| async move { p.orders()?.create_basket(r).await });
        let basket_id = made.await.ok()?.basket_id;
        let ordinary = self.mall.ordinary[roll.below(self.mall.ordinary.len() as u64) as usize].clone();
        let items = match story {
            Story::OneMissing => vec![ordinary, self.mall.missing.clone()],
            Story::AllMissing => vec![self.mall.missing.clone()],
            Story::TooLarge => vec![ordinary, self.mall.huge.clone()],
            _ if roll.chance(0.5) => self.mall.ordinary.clone(),
            _ => vec![ordinary],
        };
        for (n, product_id) in items.into_iter().enumerate() {
            let quantity = roll.between(1, 3) as u32;
            let idempotency_key = self.key(&format!("item {n}"));
            let request = PutItemRequest { basket_id: basket_id.clone(), product_id, quantity, idempotency_key };
            let put = self.ask(request, |p, r| async move { p.orders()?.put_item(r).await });
            put.await.ok()?;
        }
        Some(basket_id)
    }

    async fn check_out(&self, basket: &str, story: Story, roll: &mut Roll) -> &'static str {
        let token = if story == Story::Returns { "tok_ok" } else { TOKENS[roll.below(TOKENS.len() as u64) as usize] };
        let request = CheckoutRequest {
            basket_id: basket.to_owned(),
            phone: "+4917012345678".into(),
            payment_token: format!("{token}_{}", self.number),
            pay_on_arrival: matches!(story, Story::PaysOnArrival | Story::Cancels),
            customer_ref: format!("cus_{}", self.number),
            idempotency_key: self.key("checkout"),
        };
        let placed = self.ask(request, |p, r| async move { p.orders()?.checkout(r).await });
        match placed.await {
            Ok(_) => "ok",
            Err(status) if may_pass(&status) => "unknown",
            Err(_) => "refused",
        }
    }

    /// What happens after the checkout.
    async fn follow(&self, order: &str, story: Story, roll: &mut Roll) {
        match story {
            Story::PaysOnArrival => {
                if self.until(order, &["ready"]).await {
                    let request = TakePaymentRequest { order_id: order.to_owned(), by: "customer".into() };
                    let _ = self.ask(request, |p, r| async move { p.payments()?.take_payment(r).await }).await;
                }
            }
            Story::Cancels => {
                tokio::time::sleep(Duration::from_millis(roll.below(4_000))).await;
                let (order_id, by) = (order.to_owned(), "customer".to_owned());
                let request = CancelOrderRequest { order_id, reason: "no time".into(), by };
                let _ = self.ask(request, |p, r| async move { p.orders()?.cancel_order(r).await }).await;
            }
            Story::Returns => {
                if self.until(order, &["completed"]).await {
                    let (order_id, reason, by) = (order.to_owned(), "broken".to_owned(), "clerk".to_owned());
                    let request = RequestReturnRequest { order_id, reason, by, idempotency_key: self.key("return") };
                    let _ = self.ask(request, |p, r| async move { p.orders()?.request_return(r).await }).await;
                }
            }
            Story::PaysNow | Story::OneMissing | Story::AllMissing | Story::TooLarge => {}
        }
    }

    /// Watches the order until it is in one of these states; false when it never will be.
    async fn until(&self, order: &str, wanted: &[&str]) -> bool {
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let request = GetOrderRequest { order_id: order.to_owned() };
            let Ok(api) = self.platform.orders() else { continue };
            let Ok(order) = patient(api.get_order(Request::new(request))).await else {
                continue;
            };
            if wanted.contains(&order.status.as_str()) {
                return true;
            }
            if ["completed", "rejected", "cancelled", "refunded"].contains(&order.status.as_str()) {
                return false;
            }
        }
        false
    }

    fn key(&self, what: &str) -> String {
        format!("customer {} {what}", self.number)
    }

    /// Asks until there is an answer that will not pass by itself; a minute of silence is enough for anybody.
    async fn ask<R: Clone, T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        request: R,
        call: impl Fn(Arc<Platform>, Request<R>) -> F,
    ) -> Result<T, Status> {
        let mut answer = Err(Status::unavailable("not asked"));
        for pause in [0, 200, 500, 1_000, 2_000, 5_000, 5_000, 10_000, 10_000, 20_000] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            answer = patient(call(self.platform.clone(), Request::new(request.clone()))).await;
            if !answer.as_ref().is_err_and(may_pass) {
                return answer;
            }
        }
        answer
    }
}

/// The answer, if it comes: a process that has died gives none.
async fn patient<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    let answer = tokio::time::timeout(Duration::from_secs(12), answer).await;
    answered(answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))))
}

/// Whether the same request may be answered otherwise later.
fn may_pass(status: &Status) -> bool {
    let unanswered =
        matches!(status.code(), Code::Unavailable | Code::Internal | Code::DeadlineExceeded | Code::Cancelled);
    // The catalogue may not have come yet.
    let early = ["orders.store_not_participating", "orders.unknown_product"];
    unanswered || service_kit::grpc::code(status).is_some_and(|code| early.contains(&code))
}

fn answered<T>(answer: Result<Response<T>, Status>) -> Result<T, Status> {
    answer.map(Response::into_inner)
}
