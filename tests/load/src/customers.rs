//! Customers at the kiosk: each fills a basket over REST, checks out and follows the order to its end as the plan says.

use crate::{
    mall::Mall,
    plan::{CancelAt, Plan, Planned, Scenario},
};
use anyhow::{Context as _, Result, bail};
use futures::{StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What a customer was told, and how the order ended: a line of the client log that `mallctl verify` reads for I3.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    pub order_id: String,
    /// Of the checkout: `ok`, `refused` or `unknown`.
    pub answered: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip)]
    pub scenario: Option<Scenario>,
    /// The state the order ended in; what it was in last when patience ended.
    pub end: String,
    #[serde(skip)]
    pub total: i64,
    /// Checkout to approved, and to the end.
    #[serde(skip)]
    pub approved: Option<Duration>,
    #[serde(skip)]
    pub ended: Option<Duration>,
}

/// All customers of a run.
pub struct Crowd {
    pub kiosk: String,
    pub mall: Mall,
    /// How many are in the mall at once.
    pub at_once: usize,
    /// How long a customer waits for the order's end.
    pub patience: Duration,
    pub run: String,
}

const POLL: Duration = Duration::from_millis(100);

impl Crowd {
    /// Every order of the plan, in no order; `seen` is called as each ends.
    pub async fn shop(&self, plan: &Plan, mut seen: impl FnMut(&Told)) -> Result<Vec<Told>> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).build()?;
        let orders = plan.orders.iter().enumerate();
        let mut told = Vec::with_capacity(plan.orders.len());
        let mut running = stream::iter(orders.map(|(number, planned)| {
            let visit = Visit { crowd: self, http: http.clone(), planned, number };
            async move { visit.run().await.with_context(|| format!("order {number}, {}", planned.scenario.name())) }
        }))
        .buffer_unordered(self.at_once);
        while let Some(one) = running.next().await {
            let one = one?;
            seen(&one);
            told.push(one);
        }
        Ok(told)
    }
}

struct Visit<'a> {
    crowd: &'a Crowd,
    http: reqwest::Client,
    planned: &'a Planned,
    number: usize,
}

impl Visit<'_> {
    async fn run(&self) -> Result<Told> {
        let basket = self.post("/v1/baskets", &json!({}), "basket").await?;
        let id = basket["basket_id"].as_str().context("a basket without id")?.to_owned();
        for (product, quantity) in self.items() {
            self.put(&format!("/v1/baskets/{id}/items/{product}"), &json!({"quantity": quantity}), &product).await?;
        }
        let started = Instant::now();
        let checkout = json!({
            "phone": format!("+49170{:07}", self.number),
            "payment_token": self.token(),
            "pay": if self.pays_now() { "now" } else { "on_arrival" },
            "customer_ref": format!("customer-{}", self.number),
        });
        self.post(&format!("/v1/baskets/{id}/checkout"), &checkout, "checkout").await?;
        self.follow(id, started).await
    }

    async fn follow(&self, id: String, started: Instant) -> Result<Told> {
        let mut told = Told {
            order_id: id.clone(),
            answered: "ok",
            code: None,
            scenario: Some(self.planned.scenario),
            end: String::new(),
            total: 0,
            approved: None,
            ended: None,
        };
        let mut acted = false;
        while started.elapsed() < self.crowd.patience {
            let order = self.get(&format!("/v1/orders/{id}")).await?;
            told.end = order["status"].as_str().unwrap_or_default().to_owned();
            told.total = order["total"]["amount"].as_i64().unwrap_or_default();
            if told.approved.is_none() && matches!(told.end.as_str(), "approved" | "shopping" | "ready" | "completed") {
                told.approved = Some(started.elapsed());
            }
            if matches!(told.end.as_str(), "completed" | "cancelled" | "rejected") {
                told.ended = Some(started.elapsed());
                break;
            }
            acted = acted || self.act(&id, &told.end).await?;
            tokio::time::sleep(POLL).await;
        }
        Ok(told)
    }

    /// Pays or cancels when the moment of the story has come; answers whether it did.
    async fn act(&self, id: &str, state: &str) -> Result<bool> {
        match self.planned.scenario {
            Scenario::PaysOnArrival if state == "ready" => {
                self.post(&format!("/v1/orders/{id}/pay"), &json!({}), "pay").await?;
                Ok(true)
            }
            Scenario::Cancels if self.time_to_cancel(state) => {
                let reason = json!({"reason": "changed my mind"});
                self.post(&format!("/v1/orders/{id}/cancel"), &reason, "cancel").await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn time_to_cancel(&self, state: &str) -> bool {
        match self.planned.cancel_at {
            CancelAt::AfterCheckout => true,
            CancelAt::Approved => matches!(state, "approved" | "shopping" | "ready"),
            CancelAt::Ready => state == "ready",
        }
    }

    fn pays_now(&self) -> bool {
        !matches!(self.planned.scenario, Scenario::PaysOnArrival | Scenario::Cancels)
    }

    fn token(&self) -> String {
        let kind = if self.planned.scenario == Scenario::Declined { "tok_declined" } else { "tok_ok" };
        format!("{kind}_{}_{}", self.crowd.run, self.number)
    }

    fn items(&self) -> Vec<(String, u32)> {
        let mall = &self.crowd.mall;
        let first = |products: &[crate::mall::Product]| products.first().map(|p| (p.id.clone(), 1));
        let mut items: Vec<_> = self
            .planned
            .items
            .iter()
            .filter_map(|(at, pieces)| Some((mall.ordinary.get(at % mall.ordinary.len().max(1))?.id.clone(), *pieces)))
            .collect();
        match self.planned.scenario {
            Scenario::AllMissing => items = first(&mall.missing).into_iter().collect(),
            Scenario::OneMissing => items.extend(first(&mall.missing)),
            Scenario::TooLarge => items.extend(first(&mall.huge)),
            Scenario::PaysNow | Scenario::PaysOnArrival | Scenario::Declined | Scenario::Cancels => {}
        }
        items
    }

    async fn post(&self, path: &str, body: &Value, what: &str) -> Result<Value> {
        self.send(|http, url| http.post(url).json(body), path, what).await
    }

    async fn put(&self, path: &str, body: &Value, what: &str) -> Result<Value> {
        self.send(|http, url| http.put(url).json(body), path, what).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.send(|http, url| http.get(url), path, "get").await
    }

    /// Sends until it is answered: what may have happened is sent again under the same idempotency key.
    async fn send(
        &self,
        request: impl Fn(&reqwest::Client, String) -> reqwest::RequestBuilder,
        path: &str,
        what: &str,
    ) -> Result<Value> {
        let key = format!("{}-{}-{what}", self.crowd.run, self.number);
        let deadline = Instant::now() + self.crowd.patience;
        loop {
            let url = format!("{}{path}", self.crowd.kiosk);
            let answer = request(&self.http, url).header("Idempotency-Key", &key).send().await;
            let problem = match answer {
                Ok(answer) if answer.status().is_success() => {
                    let text = answer.text().await?;
                    return Ok(serde_json::from_str(&text).unwrap_or_default());
                }
                // The catalogue reaches orders by a topic: a new product may be a moment late.
                Ok(answer)
                    if answer.status().is_server_error() || answer.status() == 404 && path.contains("/items/") =>
                {
                    format!("{} {}", answer.status(), answer.text().await.unwrap_or_default())
                }
                Ok(answer) => bail!("{path}: {} {}", answer.status(), answer.text().await.unwrap_or_default()),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                bail!("{path}: {problem}");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
