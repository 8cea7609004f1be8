//! Places orders: baskets are filled beforehand, an order is one gRPC call.

use super::watch::{Course, End, Watcher};
use crate::Mall;
use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use schemas::grpc::orders::{CheckoutRequest, CreateBasketRequest, PutItemRequest, orders_client::OrdersClient};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};
use tonic::transport::Channel;

/// A filled basket, waiting for its checkout.
#[derive(Debug, Clone)]
pub struct Basket {
    pub id: String,
    /// Larger than any bay: the depot refuses it.
    pub huge: bool,
}

/// The client side of a run.
pub struct Driver {
    orders: OrdersClient<Channel>,
    pub watcher: Arc<Watcher>,
}

/// One order in so many is refused for its volume.
const HUGE_EVERY: usize = 20;
/// How long the last orders may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Calls that fill baskets at once.
const FILLING: usize = 256;

impl Driver {
    pub async fn connect(orders_url: String, watcher: Arc<Watcher>) -> Result<Self> {
        let orders = OrdersClient::connect(orders_url).await.context("orders")?;
        Ok(Self { orders, watcher })
    }

    /// Fills `count` baskets with one or two pieces of one product; every twentieth is too large for any bay.
    pub async fn fill(&self, mall: &Mall, count: usize, run: &str) -> Result<Vec<Basket>> {
        let filled = stream::iter(0..count).map(|number| self.fill_one(mall, number, run)).buffered(FILLING);
        filled.try_collect().await
    }

    async fn fill_one(&self, mall: &Mall, number: usize, run: &str) -> Result<Basket> {
        let huge = number % HUGE_EVERY == HUGE_EVERY - 1;
        let products = if huge { &mall.huge } else { &mall.ordinary };
        let product = products.get(number % products.len().max(1)).context("a mall without products")?;
        let mut orders = self.orders.clone();
        let key = |what: &str| format!("{run}-{number}-{what}");
        let basket = orders.create_basket(CreateBasketRequest { idempotency_key: key("basket") }).await?.into_inner();
        let put = PutItemRequest {
            basket_id: basket.basket_id.clone(),
            product_id: product.id.clone(),
            quantity: 1 + (number % 2) as u32,
            idempotency_key: key("item"),
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        // The catalogue reaches orders by a topic: a new product may be a moment late.
        while let Err(status) = orders.put_item(put.clone()).await {
            if Instant::now() > deadline {
                bail!("put an item into a basket: {status}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Basket { id: basket.basket_id, huge })
    }

    async fn check_out(mut orders: OrdersClient<Channel>, watcher: Arc<Watcher>, basket: Basket) -> Result<()> {
        let request = CheckoutRequest {
            basket_id: basket.id.clone(),
            phone: "+491700000000".into(),
            payment_token: format!("tok_ok_{}", basket.id),
            pay_on_arrival: false,
            customer_ref: "bench".into(),
            idempotency_key: basket.id.clone(),
        };
        watcher.placed(&basket.id, Instant::now());
        orders.checkout(request).await.context("checkout")?;
        Ok(())
    }

    /// Places the orders with at most `in_flight` between checkout and end; answers when all have ended.
    pub async fn saturate(&self, baskets: &[Basket], in_flight: usize) -> Result<()> {
        let mut count = self.watcher.count();
        let before = count.borrow().ended();
        let mut placed = 0;
        let mut calls = JoinSet::new();
        while placed < baskets.len() {
            let ended = count.borrow_and_update().ended() - before;
            let room = (ended + in_flight).saturating_sub(placed).min(baskets.len() - placed);
            for basket in &baskets[placed..placed + room] {
                calls.spawn(Self::check_out(self.orders.clone(), self.watcher.clone(), basket.clone()));
            }
            placed += room;
            while let Some(called) = calls.try_join_next() {
                called??;
            }
            if placed < baskets.len() {
                tokio::time::timeout(PATIENCE, count.changed()).await.context("no order ended")??;
            }
        }
        finish(calls).await?;
        self.all_ended(before + baskets.len()).await
    }

    /// Places the orders at `per_second`, whatever becomes of them (open loop); answers when all have ended.
    pub async fn steady(&self, baskets: &[Basket], per_second: f64) -> Result<()> {
        let before = self.watcher.count().borrow().ended();
        let mut calls = JoinSet::new();
        let started = Instant::now();
        for (number, basket) in baskets.iter().enumerate() {
            tokio::time::sleep_until((started + Duration::from_secs_f64(number as f64 / per_second)).into()).await;
            calls.spawn(Self::check_out(self.orders.clone(), self.watcher.clone(), basket.clone()));
        }
        finish(calls).await?;
        self.all_ended(before + baskets.len()).await
    }

    /// Places all orders as fast as `calls` callers can, and answers when each is approved or was refused.
    pub async fn flood(&self, baskets: &[Basket], callers: usize) -> Result<()> {
        let mut count = self.watcher.count();
        let target = {
            let now = count.borrow();
            now.approved + now.rejected + baskets.len()
        };
        let room = Arc::new(Semaphore::new(callers));
        let mut calls = JoinSet::new();
        for basket in baskets {
            let permit = room.clone().acquire_owned().await?;
            let call = Self::check_out(self.orders.clone(), self.watcher.clone(), basket.clone());
            calls.spawn(async move {
                let called = call.await;
                drop(permit);
                called
            });
        }
        finish(calls).await?;
        let all = count.wait_for(|c| c.approved + c.rejected >= target);
        tokio::time::timeout(PATIENCE, all).await.context("not every order was approved")??;
        Ok(())
    }

    async fn all_ended(&self, target: usize) -> Result<()> {
        let mut count = self.watcher.count();
        let all = count.wait_for(|c| c.ended() >= target);
        tokio::time::timeout(PATIENCE, all).await.context("not every order ended")??;
        Ok(())
    }

    /// How the orders went. An end that was not planned makes the run invalid.
    pub fn courses(&self, baskets: &[Basket]) -> Result<Vec<Course>> {
        let course = |basket: &Basket| {
            let course = self.watcher.course(&basket.id);
            let planned = if basket.huge { End::Rejected } else { End::Completed };
            ensure!(
                course.end == Some(planned),
                "INVALID: order {} ended as {:?}, planned was {planned:?}",
                basket.id,
                course.end
            );
            Ok(course)
        };
        baskets.iter().map(course).collect()
    }
}

async fn finish(mut calls: JoinSet<Result<()>>) -> Result<()> {
    while let Some(called) = calls.join_next().await {
        called??;
    }
    Ok(())
}
