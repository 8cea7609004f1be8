//! The REST path by itself: a basket, an item and a checkout over the kiosk gateway for each order.

use super::{
    Latency, Spread,
    run::{Bench, Load},
};
use anyhow::{Result, ensure};
use futures::{StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What the kiosk's customers saw.
#[derive(Debug, Serialize)]
pub struct Kiosk {
    pub orders_per_s: Spread,
    pub requests_per_s: Spread,
    /// Of the checkout's answer, by run.
    pub checkout: Vec<Latency>,
}

/// Requests that make an order: basket, item, checkout.
const REQUESTS: f64 = 3.0;

pub async fn measure(load: &Load, runs: usize, customers: usize, folder: std::path::PathBuf) -> Result<Kiosk> {
    let prefix = format!("kiosk{}", std::process::id());
    let mut bench = Bench::start(load, prefix, folder).await?;
    bench.platform.spawn_robots(load.robots)?;
    let (mut rates, mut checkout) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let (rate, latency) = once(&bench, load.saturation_orders, customers, run).await?;
        // The first one warms up.
        if run > 0 {
            rates.push(rate);
            checkout.push(latency);
        }
    }
    bench.platform.stop().await?;
    let requests_per_s = Spread::of(rates.iter().map(|r| r * REQUESTS).collect());
    Ok(Kiosk { orders_per_s: Spread::of(rates), requests_per_s, checkout })
}

async fn once(bench: &Bench, orders: usize, customers: usize, run: usize) -> Result<(f64, Latency)> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let kiosk = bench.platform.url("kiosk-gateway");
    let product = &bench.mall.ordinary[0].id;
    let started = Instant::now();
    let visits = stream::iter(0..orders).map(|number| {
        let (http, kiosk) = (http.clone(), kiosk.clone());
        async move {
            let key = format!("{run}-{number}");
            let basket = send(http.post(format!("{kiosk}/v1/baskets")), &key, json!({})).await?;
            let id = basket["basket_id"].as_str().unwrap_or_default().to_owned();
            let items = format!("{kiosk}/v1/baskets/{id}/items/{product}");
            send(http.put(items), &key, json!({"quantity": 1})).await?;
            let checkout = json!({
                "phone": "+491700000000", "payment_token": format!("tok_ok_{key}"), "pay": "now", "customer_ref": "bench",
            });
            let asked = Instant::now();
            send(http.post(format!("{kiosk}/v1/baskets/{id}/checkout")), &key, checkout).await?;
            anyhow::Ok(asked.elapsed())
        }
    });
    let answers: Vec<_> = visits.buffer_unordered(customers).collect().await;
    let rate = orders as f64 / started.elapsed().as_secs_f64();
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    Ok((rate, Latency::of(answers)))
}

async fn send(request: reqwest::RequestBuilder, key: &str, body: Value) -> Result<Value> {
    let answer = request.header("Idempotency-Key", key).json(&body).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "INVALID: {status} {text}");
    Ok(serde_json::from_str(&text)?)
}

impl Kiosk {
    pub fn print(&self) {
        let Self { orders_per_s: o, requests_per_s: r, checkout } = self;
        println!("REST: {:.0} ({:.0} – {:.0}) requests/s", r.median, r.min, r.max);
        println!(
            "      {:.0} ({:.0} – {:.0}) orders/s placed, the rest of the platform at work on them",
            o.median, o.min, o.max
        );
        for latency in checkout {
            println!("      checkout answered p50 {:.1} ms, p99 {:.1} ms", latency.p50_ms, latency.p99_ms);
        }
    }
}
