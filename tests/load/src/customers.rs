//! Customers at the kiosk: each fills a basket over REST, checks out and follows the order to its end as the plan says.

use crate::{
    mall::Mall,
    plan::{CancelAt, Plan, Planned, Scenario},
};
use anyhow::{Context as _, Result, bail};
use futures::{StreamExt, stream};
use reqwest::StatusCode;
use schemas::grpc::orders::{RequestReturnRequest, orders_client::OrdersClient};
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
    /// How the payment provider misbehaved.
    #[serde(skip)]
    pub trouble: Option<&'static str>,
    /// The goods were to be brought back.
    #[serde(skip)]
    pub returns: bool,
    /// The state the order ended in; what it was in last when patience ended.
    pub end: String,
    #[serde(skip)]
    pub total: i64,
    /// When the customer came.
    #[serde(skip)]
    pub came: Instant,
    /// When the checkout was first sent.
    #[serde(skip)]
    pub begun: Instant,
    /// From there to the checkout's answer, to approved, and to the end.
    #[serde(skip)]
    pub accepted: Option<Duration>,
    #[serde(skip)]
    pub approved: Option<Duration>,
    #[serde(skip)]
    pub ended: Option<Duration>,
    /// When the customer first wished to cancel.
    #[serde(skip)]
    pub cancelled: Option<Instant>,
}

impl Told {
    /// Whether the order ended as its customer's story has it.
    pub fn as_predicted(&self) -> bool {
        self.predicted().is_none_or(|end| end == self.end)
    }

    /// The state that its customer's story ends in.
    pub fn predicted(&self) -> Option<&'static str> {
        if self.returns { Some("refunded") } else { self.scenario.map(Scenario::end) }
    }

    /// Whether the order had been accepted and had not ended at that moment.
    pub fn in_flight(&self, at: Instant) -> bool {
        self.let_in().is_some_and(|since| since <= at) && self.ended_at().is_none_or(|end| end > at)
    }

    /// When the order was taken in.
    pub fn let_in(&self) -> Option<Instant> {
        self.accepted.map(|took| self.begun + took)
    }

    pub fn ended_at(&self) -> Option<Instant> {
        self.ended.map(|took| self.begun + took)
    }

    /// From the customer's coming to the approval of the order, however long it took to be let in.
    pub fn approved_after(&self) -> Option<Duration> {
        self.approved.map(|took| self.begun + took - self.came)
    }
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
    pub ways: Ways,
}

/// What is not everybody's way.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// Who hears that the mall is full goes home at once, without an order.
    pub leaves_when_full: bool,
    /// The gRPC API of orders, where staff asks for the returns of the plan.
    pub staff: Option<String>,
}

const POLL: Duration = Duration::from_millis(100);
/// Who has waited for long asks less often, or a mall at a standstill would be kept busy by questions alone.
const SLOWEST_POLL: Duration = Duration::from_secs(1);

/// The pause before the next try of somebody who has waited since `since`.
async fn pause(since: Instant) {
    tokio::time::sleep((since.elapsed() / 10).clamp(POLL, SLOWEST_POLL)).await;
}

impl Crowd {
    /// Every order of the plan, in no order; `seen` is called as each ends.
    pub async fn shop(&self, plan: &Plan, seen: impl FnMut(&Told)) -> Result<Vec<Told>> {
        self.come(plan, Duration::ZERO, self.at_once, seen).await
    }

    /// As [`Crowd::shop`], but a customer comes every `every`, however many are in the mall already.
    pub async fn shop_steadily(&self, plan: &Plan, every: Duration, seen: impl FnMut(&Told)) -> Result<Vec<Told>> {
        self.come(plan, every, plan.orders.len().max(1), seen).await
    }

    async fn come(
        &self,
        plan: &Plan,
        every: Duration,
        at_once: usize,
        mut seen: impl FnMut(&Told),
    ) -> Result<Vec<Told>> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).build()?;
        let opened = tokio::time::Instant::now();
        let orders = plan.orders.iter().enumerate();
        let mut told = Vec::with_capacity(plan.orders.len());
        let mut running = stream::iter(orders.map(|(number, planned)| {
            let visit = Visit { crowd: self, http: http.clone(), planned, number };
            async move {
                tokio::time::sleep_until(opened + every * number as u32).await;
                visit.run().await.with_context(|| format!("order {number}, {}", planned.scenario.name()))
            }
        }))
        .buffer_unordered(at_once);
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

/// What became of a request, repeats included.
enum Answer {
    Ok(Value),
    /// Said no, with the status and the code of the problem.
    Refused(StatusCode, String),
    /// Said that too many are here, to somebody who then leaves.
    Full(String),
    /// No answer before patience ended: it may have happened.
    Unknown(String),
}

impl Visit<'_> {
    async fn run(&self) -> Result<Told> {
        let came = Instant::now();
        Ok(Told { came, ..self.shop().await? })
    }

    async fn shop(&self) -> Result<Told> {
        let opened = self.at_the_door("basket", |http, url| http.post(url).json(&json!({})), "/v1/baskets").await?;
        if let Some(told) = self.sent_away(&opened) {
            return Ok(told);
        }
        let basket = self.must("/v1/baskets", opened)?;
        let id = basket["basket_id"].as_str().context("a basket without id")?.to_owned();
        for (product, quantity) in self.items() {
            let path = format!("/v1/baskets/{id}/items/{product}");
            let body = json!({"quantity": quantity});
            let put = self.at_the_door(&product, |http, url| http.put(url).json(&body), &path).await?;
            if let Some(told) = self.sent_away(&put) {
                return Ok(told);
            }
            self.must(&path, put)?;
        }
        let checkout = json!({
            "phone": format!("+49170{:07}", self.number),
            "payment_token": self.token(),
            "pay": if self.pays_now() { "now" } else { "on_arrival" },
            "customer_ref": format!("customer-{}", self.number),
        });
        let mut told = self.nothing_told(id);
        let path = format!("/v1/baskets/{}/checkout", told.order_id);
        match self.at_the_door("checkout", |http, url| http.post(url).json(&checkout), &path).await? {
            Answer::Ok(_) => {
                (told.answered, told.accepted) = ("ok", Some(told.begun.elapsed()));
                self.follow(told).await
            }
            Answer::Refused(status, code) => Ok(Told {
                answered: "refused",
                end: format!("refused at checkout: {status} {code}"),
                code: Some(code),
                ..told
            }),
            Answer::Full(code) => {
                Ok(Told { answered: "refused", end: format!("sent away: {code}"), code: Some(code), ..told })
            }
            Answer::Unknown(why) => Ok(Told { end: format!("checkout not answered: {why}"), ..told }),
        }
    }

    /// Of somebody who leaves without an order, since the mall is full.
    fn sent_away(&self, answer: &Answer) -> Option<Told> {
        match answer {
            Answer::Full(code) => Some(Told {
                answered: "refused",
                end: format!("sent away: {code}"),
                code: Some(code.clone()),
                ..self.nothing_told(String::new())
            }),
            _ => None,
        }
    }

    fn nothing_told(&self, order_id: String) -> Told {
        Told {
            order_id,
            answered: "unknown",
            code: None,
            scenario: Some(self.planned.scenario),
            trouble: self.planned.trouble,
            returns: self.returns(),
            end: String::new(),
            total: 0,
            came: Instant::now(),
            begun: Instant::now(),
            accepted: None,
            approved: None,
            ended: None,
            cancelled: None,
        }
    }

    async fn follow(&self, mut told: Told) -> Result<Told> {
        let path = format!("/v1/orders/{}", told.order_id);
        let mut acted = false;
        // When the order was last changed before it was to be brought back.
        let mut returning_since = None;
        let mut view = View::new(self, &path);
        while told.begun.elapsed() < self.crowd.patience {
            let order = match self.get(&path).await? {
                Answer::Ok(order) => order,
                Answer::Refused(status, code) => return Ok(Told { end: format!("lost: {status} {code}"), ..told }),
                Answer::Full(_) | Answer::Unknown(_) => break,
            };
            told.end = order["status"].as_str().unwrap_or_default().to_owned();
            told.total = order["total"]["amount"].as_i64().unwrap_or_default();
            if told.approved.is_none() && matches!(told.end.as_str(), "approved" | "shopping" | "ready" | "completed") {
                told.approved = Some(told.begun.elapsed());
            }
            let changed = order["updated_at_ms"].as_i64();
            let comes_back = told.end == "completed" && told.returns;
            if comes_back && returning_since.is_none() {
                if self.bring_back(&told.order_id).await? {
                    returning_since = changed;
                }
            } else if comes_back && returning_since == changed {
                // The return has been asked for, and is about to begin.
            } else if matches!(told.end.as_str(), "completed" | "cancelled" | "rejected" | "refunded") {
                told.ended = Some(told.begun.elapsed());
                break;
            }
            if !acted {
                acted = self.act(&mut told).await?;
            }
            view.wait_for_a_turn().await;
        }
        Ok(told)
    }

    fn returns(&self) -> bool {
        self.planned.returns && self.crowd.ways.staff.is_some() && self.planned.scenario.end() == "completed"
    }

    /// Staff accepts the goods back; answers whether that is on its way for certain.
    async fn bring_back(&self, order_id: &str) -> Result<bool> {
        let Some(staff) = &self.crowd.ways.staff else { return Ok(false) };
        let first = Instant::now();
        while first.elapsed() < self.crowd.patience {
            let request = RequestReturnRequest {
                order_id: order_id.to_owned(),
                reason: "does not fit".into(),
                by: "clerk".into(),
                idempotency_key: format!("{}-{}-return", self.crowd.run, self.number),
            };
            if let Ok(mut orders) = OrdersClient::connect(staff.clone()).await {
                match orders.request_return(request).await {
                    Ok(_) => return Ok(true),
                    // A repeat may find that the first one has done it. The order's end tells.
                    Err(status) if status.code() == tonic::Code::FailedPrecondition => return Ok(true),
                    Err(status) if is_passing(status.code()) => {}
                    Err(status) => bail!("return of {order_id}: {status}"),
                }
            }
            pause(first).await;
        }
        Ok(false)
    }

    /// Pays or cancels when the moment of the story has come; answers whether it did.
    async fn act(&self, told: &mut Told) -> Result<bool> {
        let (id, state) = (&told.order_id, told.end.as_str());
        let (path, body) = match self.planned.scenario {
            Scenario::PaysOnArrival if state == "ready" => (format!("/v1/orders/{id}/pay"), json!({})),
            Scenario::Cancels if self.time_to_cancel(state) => {
                (format!("/v1/orders/{id}/cancel"), json!({"reason": "changed my mind"}))
            }
            _ => return Ok(false),
        };
        let what = path.rsplit('/').next().unwrap_or_default();
        if self.planned.scenario == Scenario::Cancels {
            told.cancelled.get_or_insert_with(Instant::now);
        }
        match self.post(&path, &body, what).await? {
            Answer::Ok(_) => Ok(true),
            // A repeat may find that the first one has done it. The order's end tells.
            Answer::Refused(StatusCode::CONFLICT, _) => Ok(true),
            Answer::Refused(status, code) => bail!("{path}: {status} {code}"),
            Answer::Full(_) | Answer::Unknown(_) => Ok(false),
        }
    }

    /// The answer to what nobody may refuse.
    fn must(&self, path: &str, answer: Answer) -> Result<Value> {
        match answer {
            Answer::Ok(value) => Ok(value),
            Answer::Refused(status, code) => bail!("{path}: {status} {code}"),
            Answer::Full(code) => bail!("{path}: {code}"),
            Answer::Unknown(why) => bail!("{path}: no answer in {} s: {why}", self.crowd.patience.as_secs()),
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
        let declined = self.planned.scenario == Scenario::Declined;
        let kind = if declined { "tok_declined" } else { self.planned.trouble.unwrap_or("tok_ok") };
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

    async fn post(&self, path: &str, body: &Value, what: &str) -> Result<Answer> {
        self.send(|http, url| http.post(url).json(body), path, what, false).await
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.send(|http, url| http.get(url), path, "get", false).await
    }

    /// A request of somebody who has no order yet, and may leave.
    async fn at_the_door(
        &self,
        what: &str,
        request: impl Fn(&reqwest::Client, String) -> reqwest::RequestBuilder,
        path: &str,
    ) -> Result<Answer> {
        self.send(request, path, what, self.crowd.ways.leaves_when_full).await
    }

    /// Sends until it is answered: what may have happened is sent again under the same idempotency key.
    async fn send(
        &self,
        request: impl Fn(&reqwest::Client, String) -> reqwest::RequestBuilder,
        path: &str,
        what: &str,
        leaves: bool,
    ) -> Result<Answer> {
        let key = format!("{}-{}-{what}", self.crowd.run, self.number);
        let first = Instant::now();
        // Somebody who may have been let in does not leave.
        let mut in_doubt = false;
        loop {
            let url = format!("{}{path}", self.crowd.kiosk);
            let why = match request(&self.http, url).header("Idempotency-Key", &key).send().await {
                Ok(answer) => {
                    let status = answer.status();
                    match answer.text().await {
                        Ok(text) if status.is_success() => {
                            return Ok(Answer::Ok(serde_json::from_str(&text).unwrap_or_default()));
                        }
                        Ok(text) if leaves && !in_doubt && FULL.contains(&code_of(&text).as_str()) => {
                            return Ok(Answer::Full(code_of(&text)));
                        }
                        Ok(text) if !may_change(status, &code_of(&text)) => {
                            return Ok(Answer::Refused(status, code_of(&text)));
                        }
                        Ok(text) => format!("{status} {text}"),
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error.to_string(),
            };
            if first.elapsed() > self.crowd.patience {
                return Ok(Answer::Unknown(why));
            }
            in_doubt = true;
            pause(first).await;
        }
    }
}

/// Codes by which the mall says that nobody more is let in.
pub(crate) const FULL: [&str; 2] = ["platform.overloaded", "kiosk.overloaded"];

/// Errors of a service that is away, or was asked in vain.
fn is_passing(code: tonic::Code) -> bool {
    use tonic::Code::*;
    matches!(code, Unavailable | DeadlineExceeded | Unknown | Internal | Cancelled | ResourceExhausted | Aborted)
}

/// A customer's live view of the order, by which they need not ask all the time.
struct View<'a> {
    visit: &'a Visit<'a>,
    path: String,
    open: Option<reqwest::Response>,
}

/// Without news an order is looked at again after so long: a view may miss a line, and the kiosk may have died with it.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);
/// Changes after which a customer has something to do, or may go.
const TURNS: [&str; 7] = ["approved", "ready", "completed", "cancelled", "rejected", "return_failed", "refunded"];

impl<'a> View<'a> {
    fn new(visit: &'a Visit<'a>, path: &str) -> Self {
        Self { visit, path: format!("{path}/events"), open: None }
    }

    /// Resolves when the order may have come to a turn since it was last looked at.
    async fn wait_for_a_turn(&mut self) {
        let _ = tokio::time::timeout(LOOK_ANYWAY, self.next_turn()).await;
    }

    async fn next_turn(&mut self) {
        loop {
            let Some(view) = &mut self.open else {
                let url = format!("{}{}", self.visit.crowd.kiosk, self.path);
                let asked = self.visit.http.get(url).timeout(self.visit.crowd.patience).send().await;
                match asked.and_then(reqwest::Response::error_for_status) {
                    Ok(view) => self.open = Some(view),
                    // The kiosk is away, or has no place for another view.
                    Err(_) => return tokio::time::sleep(SLOWEST_POLL).await,
                }
                continue;
            };
            match view.chunk().await {
                Ok(Some(chunk)) if is_turn(&String::from_utf8_lossy(&chunk)) => return,
                Ok(Some(_)) => {}
                // It has ended, as the kiosk may have: what came meanwhile must be looked for.
                Ok(None) | Err(_) => {
                    self.open = None;
                    return tokio::time::sleep(POLL).await;
                }
            }
        }
    }
}

/// Whether these lines of a live view tell of a turn. A view begins with the whole order, which may have changed since it
/// was looked at.
fn is_turn(lines: &str) -> bool {
    let told =
        |line: &str| line.starts_with("data:") && TURNS.iter().any(|t| line.contains(&format!("\"kind\":\"{t}\"")));
    lines.lines().any(|line| line == "event: snapshot" || told(line))
}

/// Whether asking again may bring another answer. A new product, and its store's approval, reach orders by topics, each by
/// its own: both may be a moment late.
fn may_change(status: StatusCode, code: &str) -> bool {
    status.is_server_error() || ["orders.unknown_product", "orders.store_not_participating"].contains(&code)
}

fn code_of(problem: &str) -> String {
    let problem: Value = serde_json::from_str(problem).unwrap_or_default();
    problem["code"].as_str().unwrap_or("no code").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_tells_of_a_turn_by_its_beginning_and_by_what_a_customer_acts_upon() {
        assert!(is_turn("event: snapshot\nretry: 2000\ndata: {\"status\":\"pending\"}\n\n"));
        assert!(is_turn("event: change\nid: 1\ndata: {\"kind\":\"ready\",\"detail\":\"Bay 4\"}\n\n"));
        assert!(!is_turn("event: change\nid: 1\ndata: {\"kind\":\"robot_sent\",\"detail\":\"ready soon\"}\n\n"));
        assert!(!is_turn(": heartbeat\n\n"));
    }
}
