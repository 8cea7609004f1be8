//! One customer at the kiosk, a request at a time: for tests that look at each answer.

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What the gateway said.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub media: String,
    /// Seconds after which to come again.
    pub retry_after: Option<u64>,
    pub body: Value,
}

impl Answer {
    /// The field of the body as text; empty when it has none.
    pub fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// The body of a success; anything else is an error that shows it.
    pub fn ok(self) -> Result<Value> {
        if !(200..300).contains(&self.status) {
            bail!("{} {}", self.status, self.body);
        }
        Ok(self.body)
    }
}

/// The kiosk's API.
#[derive(Clone)]
pub struct Kiosk {
    base: String,
    http: reqwest::Client,
}

/// Longest time that anything asked of a quiet platform takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

impl Kiosk {
    pub fn new(base: String) -> Result<Self> {
        Ok(Self { base, http: reqwest::Client::builder().timeout(Duration::from_secs(20)).build()? })
    }

    /// Sends `body` as JSON, under an idempotency key of its own.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        self.ask_under(&Uuid::now_v7().to_string(), method, path, body).await
    }

    pub async fn ask_under(&self, key: &str, method: Method, path: &str, body: &Value) -> Result<Answer> {
        self.send(method, path, |request| request.header("Idempotency-Key", key).json(body)).await
    }

    /// Sends what `with` makes of the request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Answer> {
        let request = with(self.http.request(method, format!("{}{path}", self.base)));
        let response = request.send().await.with_context(|| path.to_owned())?;
        let media = response.headers().get("content-type").map(HeaderValue::to_str).transpose()?;
        let retry_after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
        let (status, media) = (response.status().as_u16(), media.unwrap_or_default().to_owned());
        let text = response.text().await?;
        Ok(Answer { status, media, retry_after, body: serde_json::from_str(&text).unwrap_or_default() })
    }

    /// An open basket with one piece of each product.
    pub async fn basket(&self, products: &[&str]) -> Result<String> {
        let made = self.ask(Method::POST, "/v1/baskets", &json!({})).await?.ok()?;
        let id = made["basket_id"].as_str().context("a basket without id")?.to_owned();
        for product in products {
            self.put(&id, product, 1).await?.ok()?;
        }
        Ok(id)
    }

    pub async fn put(&self, basket: &str, product: &str, quantity: u32) -> Result<Answer> {
        let path = format!("/v1/baskets/{basket}/items/{product}");
        self.ask(Method::PUT, &path, &json!({"quantity": quantity})).await
    }

    pub async fn checkout(&self, basket: &str, token: &str, pay: &str) -> Result<Answer> {
        self.ask(Method::POST, &format!("/v1/baskets/{basket}/checkout"), &contact(token, pay)).await
    }

    /// An order of one piece of `product`; `pay` is `now` or `on_arrival`.
    pub async fn order(&self, product: &str, token: &str, pay: &str) -> Result<String> {
        let basket = self.basket(&[product]).await?;
        self.checkout(&basket, token, pay).await?.ok()?;
        Ok(basket)
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, |request| request).await
    }

    pub async fn cancel(&self, order: &str) -> Result<Answer> {
        self.ask(Method::POST, &format!("/v1/orders/{order}/cancel"), &json!({"reason": "changed my mind"})).await
    }

    pub async fn pay(&self, order: &str) -> Result<Answer> {
        self.ask(Method::POST, &format!("/v1/orders/{order}/pay"), &json!({})).await
    }

    /// Waits until the order is in this state, and answers it. An order that has ended elsewhere is an error.
    pub async fn until(&self, order: &str, state: &str) -> Result<Value> {
        let path = format!("/v1/orders/{order}");
        let ended = |is: &str| matches!(is, "completed" | "cancelled" | "rejected" | "refunded");
        let started = Instant::now();
        loop {
            let found = self.get(&path).await?.ok()?;
            match found["status"].as_str().unwrap_or_default() {
                is if is == state => return Ok(found),
                is if ended(is) => bail!("order {order} should become {state}: {found}"),
                _ if started.elapsed() > PATIENCE => bail!("order {order} does not become {state}: {found}"),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// What a checkout says besides the basket.
pub fn contact(token: &str, pay: &str) -> Value {
    json!({"phone": "+491701234567", "payment_token": token, "pay": pay, "customer_ref": "customer-1"})
}
