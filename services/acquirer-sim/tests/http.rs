//! The provider through its own front door: protocol, misbehaviour and what a restart leaves.

use acquirer_sim::{Config, Entry, HoldStatus, HoldView, Status};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{net::TcpListener, sync::oneshot};

struct Sim {
    url: String,
    http: Client,
    stop: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Sim {
    async fn start(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let ended = tokio::spawn(acquirer_sim::serve(listener, config, shutdown));
        Self { url, http: Client::new(), stop: Some(stop), ended }
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> Response {
        let request = self.http.post(format!("{}{path}", self.url)).header("Idempotency-Key", key).json(&body);
        request.send().await.unwrap()
    }

    async fn hold(&self, reference: &str, token: &str) -> Response {
        let body = json!({ "reference": reference, "amount": 500, "currency": "EUR", "token": token });
        self.post("/v1/holds", &format!("{reference}-a"), body).await
    }

    async fn known(&self, reference: &str) -> Option<HoldView> {
        let response = self.http.get(format!("{}/v1/by-reference/{reference}", self.url)).send().await.unwrap();
        if response.status() == 404 {
            assert_eq!(code(response).await, "unknown_reference");
            return None;
        }
        Some(response.json().await.unwrap())
    }

    async fn ledger(&self) -> Vec<Entry> {
        let text = self.http.get(format!("{}/v1/ledger", self.url)).send().await.unwrap().text().await.unwrap();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        drop(self.http);
        self.ended.await.unwrap().unwrap();
    }
}

async fn code(response: Response) -> String {
    response.json::<Value>().await.unwrap()["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_operation_is_in_the_ledger_once_however_often_it_is_sent() {
    let sim = Sim::start(Config::default()).await;
    let entry: Entry = sim.hold("o1", "tok_ok").await.json().await.unwrap();
    let capture = format!("/v1/holds/{}/capture", entry.provider_ref);
    for _ in 0..3 {
        assert_eq!(sim.hold("o1", "tok_ok").await.json::<Entry>().await.unwrap(), entry);
        assert_eq!(sim.post(&capture, "o1-c", json!({ "amount": 400 })).await.status(), 200);
    }
    let ledger = sim.ledger().await;
    assert_eq!(ledger.iter().map(|e| e.amount).collect::<Vec<_>>(), [500, 400]);
    assert!(ledger.iter().all(|e| e.status == Status::Done && e.order_id == "o1"));
    assert_eq!(sim.known("o1").await.unwrap().status, HoldStatus::Captured);
    assert_eq!(sim.known("o2").await, None);
}

#[tokio::test]
async fn misuse_is_answered_with_a_code_and_changes_nothing() {
    let sim = Sim::start(Config::default()).await;
    sim.hold("o1", "tok_ok").await;
    let other = json!({ "reference": "o1", "amount": 501, "currency": "EUR", "token": "tok_ok" });
    let reused = sim.post("/v1/holds", "o1-a", other).await;
    assert_eq!((reused.status().as_u16(), code(reused).await.as_str()), (422, "idempotency_key_reused"));
    let keyless = sim.post("/v1/holds", "", json!({})).await;
    assert_eq!(keyless.status(), 400);
    let stranger = sim.post("/v1/holds/hold_x_1/void", "k", json!({})).await;
    assert_eq!((stranger.status().as_u16(), code(stranger).await.as_str()), (404, "unknown_hold"));
    assert_eq!(sim.post("/v1/holds", "k", json!("x")).await.status(), 400);
    assert_eq!(sim.ledger().await.len(), 1);
}

#[tokio::test]
async fn a_timeout_and_a_500_hide_an_operation_that_was_carried_out() {
    let config = Config { timeout: Duration::from_secs(3_600), ..Config::default() };
    let sim = Sim::start(config).await;
    let impatient = Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
    let body = json!({ "reference": "o1", "amount": 5, "currency": "EUR", "token": "tok_timeout" });
    let lost = impatient.post(format!("{}/v1/holds", sim.url)).header("Idempotency-Key", "k").json(&body).send().await;
    assert!(lost.unwrap_err().is_timeout());
    assert_eq!(sim.known("o1").await.unwrap().status, HoldStatus::Held);
    assert_eq!(sim.post("/v1/holds", "k", body).await.status(), 200);

    assert_eq!(sim.hold("o2", "tok_500").await.status(), 500);
    assert_eq!(sim.hold("o2", "tok_500").await.status(), 200);
    assert_eq!(sim.ledger().await.len(), 2);
}

#[tokio::test]
async fn refusals_say_whether_another_try_may_help() {
    let sim = Sim::start(Config { slow: Duration::from_millis(1), ..Config::default() }).await;
    let declined = sim.hold("o1", "tok_declined_x").await;
    assert_eq!((declined.status().as_u16(), code(declined).await.as_str()), (402, "card_declined"));
    let entry: Entry = sim.hold("o2", "tok_capture_flaky").await.json().await.unwrap();
    let path = format!("/v1/holds/{}/capture", entry.provider_ref);
    let flaky = sim.post(&path, "c1", json!({ "amount": 1 })).await.json::<Value>().await.unwrap();
    assert_eq!(flaky["error"]["retryable"], true);
    assert_eq!(sim.post(&path, "c2", json!({ "amount": 1 })).await.status(), 200);
    assert_eq!(sim.hold("o3", "tok_slow").await.status(), 200);
}

#[tokio::test]
async fn it_can_be_told_how_to_behave_and_to_behave_again() {
    let sim = Sim::start(Config::default()).await;
    assert_eq!(sim.post("/v1/behaviour", "-", json!({ "behaviour": "500", "next": 1 })).await.status(), 204);
    let prefix = json!({ "behaviour": "declined", "token_prefix": "poor_" });
    assert_eq!(sim.post("/v1/behaviour", "-", prefix).await.status(), 204);
    assert_eq!(sim.post("/v1/behaviour", "-", json!({ "behaviour": "slow" })).await.status(), 400);
    assert_eq!(sim.hold("o1", "tok_ok").await.status(), 500);
    assert_eq!(sim.hold("o2", "poor_1").await.status(), 402);
    sim.http.delete(format!("{}/v1/behaviour", sim.url)).send().await.unwrap();
    assert_eq!(sim.hold("o3", "poor_1").await.status(), 200);
}

#[tokio::test]
async fn a_restart_with_a_torn_last_line_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let config = Config { journal: Some(path.clone()), ..Config::default() };
    let sim = Sim::start(config.clone()).await;
    let entry: Entry = sim.hold("o1", "tok_ok").await.json().await.unwrap();
    sim.stop().await;
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend(b"{\"order_id\":\"o");
    std::fs::write(&path, torn).unwrap();

    let sim = Sim::start(config.clone()).await;
    assert_eq!(sim.hold("o1", "tok_ok").await.json::<Entry>().await.unwrap(), entry);
    let capture = format!("/v1/holds/{}/capture", entry.provider_ref);
    assert_eq!(sim.post(&capture, "o1-c", json!({ "amount": 500 })).await.status(), 200);
    let before = sim.ledger().await;
    sim.stop().await;
    let sim = Sim::start(config).await;
    assert_eq!(sim.ledger().await, before);
}

#[tokio::test]
async fn a_foreign_file_is_not_taken_for_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    std::fs::write(&path, "my shopping list\n").unwrap();
    let error = acquirer_sim::app(Config { journal: Some(path.clone()), ..Config::default() }).unwrap_err();
    assert!(error.to_string().contains("MALLBOTS_ACQUIRER_JOURNAL"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my shopping list\n");
}
