//! The context on the production shell, with store and acquirer in memory and a stepped clock: commands in, replies and
//! events out, whatever the provider does in between.

use crate::{
    Config, Payments, WorkerConfig,
    acquirer::MemoryAcquirer,
    api::Api,
    domain::{EntryStatus, Invoice, Payment},
    worker::{Outcome, Worker},
};
use message::{Command, Direction, EffectKey, Envelope, Outgoing, SagaRef, Stream};
use schemas::{
    grpc::payments::{self as pb, payments_server::Payments as _},
    ids::OrderId,
    lines::OrderLine,
    money::{Currency, Money},
    payments as wire,
    quantity::Quantity,
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio_stream::StreamExt;
use tonic::Request;
use transport::{
    Call, Context, Shell, ShellConfig,
    codec::{Codec, Wire},
    memory::MemoryStore,
    ports::{Record, Store},
    timers::{Always, Timers},
};
use uuid::Uuid;

const SHARDS: [i16; 4] = [0, 1, 2, 3];

/// Payments as it runs, but for the log: records are delivered by hand and read from the outbox.
struct Desk {
    shell: Shell<Payments, MemoryStore>,
    /// Taken out by the test that lets it run by itself.
    worker: Option<Worker<MemoryAcquirer, MemoryStore>>,
    acquirer: MemoryAcquirer,
    sent: u64,
    read: usize,
    ran: tokio::task::JoinHandle<()>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.ran.abort();
    }
}

fn order() -> OrderId {
    Uuid::from_u128(1).into()
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn authorize(token: &str) -> wire::AuthorizePayment {
    wire::AuthorizePayment { order_id: order(), amount: eur(100), token: token.into(), customer_ref: "c".into() }
}

fn void() -> wire::VoidPayment {
    wire::VoidPayment { order_id: order() }
}

fn capture(amount: i64) -> wire::CapturePayment {
    wire::CapturePayment { order_id: order(), amount: eur(amount) }
}

impl Desk {
    fn new() -> Self {
        Self::over(MemoryStore::new(Payments::KINDS), MemoryAcquirer::new(), 1)
    }

    /// A process on the store and the acquirer of another: what a restart finds.
    fn over(store: MemoryStore, acquirer: MemoryAcquirer, tries: u32) -> Self {
        let worker = WorkerConfig { tries, pause: Duration::ZERO, ..WorkerConfig::default() };
        let context = Payments { config: Config { worker: worker.clone(), ..Config::default() } };
        let codec = Arc::new(Codec::offline().unwrap());
        let shell = Shell::new(context, store, codec, ShellConfig { id_seed: Some(7), ..ShellConfig::default() });
        let running = shell.clone();
        let ran = tokio::spawn(async move { running.run().await });
        let worker = Worker::new(acquirer.clone(), shell.clone(), worker);
        Self { shell, worker, acquirer, sent: 0, read: 0, ran }
    }

    fn store(&self) -> &MemoryStore {
        self.shell.store()
    }

    /// Delivers a command of step `step`, and waits until it is committed.
    async fn send<C: Command>(&mut self, step: &str, direction: Direction, round: u32, command: C) {
        self.sent += 1;
        let effect = EffectKey { saga_id: Uuid::from_u128(9), step: step.into(), direction, round };
        let record = self.record(self.sent, effect, Outgoing::new(command));
        self.shell.deliver(record).await.unwrap();
        self.settled().await;
    }

    fn record(&self, seq: u64, effect: EffectKey, command: Outgoing) -> Record {
        let stream = Stream {
            source: "orchestrator".into(),
            aggregate_type: "saga".into(),
            aggregate_id: effect.saga_id.to_string(),
            topic: command.topic.into(),
        };
        let (reply_to, key) = ("mallbots.orchestrator.replies".into(), order().to_string());
        let saga = SagaRef { saga_type: "order-fulfilment".into(), effect, attempt: 1, reply_to, key: key.clone() };
        let envelope = Envelope {
            id: Uuid::from_u128(u128::from(seq)),
            name: command.name.into(),
            stream,
            seq,
            time_ms: 0,
            trace: None,
            correlation_id: None,
            causation_id: None,
            saga: Some(saga),
            outcome: None,
        };
        let headers = envelope.to_headers().into_iter().map(|(k, v)| (k.to_owned(), v.into_bytes())).collect();
        let value = Some(self.shell.codec().encode(&command).unwrap());
        let (topic, offset) = (command.topic.to_owned(), seq as i64 - 1);
        Record { topic, partition: 0, offset, key: Some(key.into_bytes()), headers, value }
    }

    /// A call goes through the same queue, so what came before it is committed when it is answered.
    async fn settled(&self) {
        self.shell.call(Call::new("barrier"), |_, _| Ok(())).await.unwrap();
    }

    /// Lets the worker serve all that is asked; answers how each question ended.
    async fn work(&mut self) -> Vec<Outcome> {
        let (worker, mut outcomes) = (self.worker.as_mut().unwrap(), Vec::new());
        loop {
            match worker.run_once().await {
                Outcome::Idle => return outcomes,
                outcome => outcomes.push(outcome),
            }
        }
    }

    /// Steps the clock and fires what is due then.
    async fn later(&mut self, ms: i64) -> usize {
        self.store().clock().step(ms);
        let woken = Timers::new(self.shell.clone(), Always).run_once().await.unwrap();
        self.settled().await;
        woken
    }

    /// What was published since the last look: names, and for replies step, direction, round and the refusal's code.
    async fn published(&mut self) -> Vec<String> {
        let mut rows = self.store().unsent(&SHARDS, 1_000).await.unwrap();
        rows.sort_by_key(|row| row.id);
        let fresh: Vec<_> = rows.iter().skip(self.read).map(|row| self.describe(&row.record)).collect();
        self.read = rows.len();
        fresh
    }

    fn describe(&self, record: &transport::ports::NewRecord) -> String {
        let headers = record.headers.iter().map(|(k, v)| (k.as_str(), v.as_slice()));
        let envelope = Envelope::from_headers(&record.topic, Some(record.key.as_bytes()), headers).unwrap();
        assert_eq!(record.key, order().to_string());
        let body = self.shell.codec().decode_json(&Wire::parse(record.value.as_ref().unwrap()).unwrap()).unwrap();
        let name = message::short_name(&envelope.name).rsplit('.').next().unwrap().to_owned();
        match envelope.saga {
            None => name,
            Some(saga) => {
                let code = body.get("code").and_then(Value::as_str).unwrap_or(&name);
                format!("{}/{}/{} -> {code}", saga.effect.step, saga.effect.direction, saga.effect.round)
            }
        }
    }

    async fn payment(&self) -> Payment {
        self.shell.get::<Payment>(order().into()).await.unwrap().unwrap()
    }

    async fn status(&self) -> &'static str {
        self.payment().await.state.name()
    }

    fn api(&self) -> Api<MemoryStore> {
        Api { shell: self.shell.clone() }
    }

    /// Every operation the provider carried out is in our ledger, and the other way round (I1).
    async fn ledgers_agree(&self) {
        let theirs: Vec<_> = self.acquirer.ledger().into_iter().filter(|d| d.status == EntryStatus::Done).collect();
        let theirs: Vec<_> = theirs.into_iter().map(|d| (d.operation, d.idempotency_key, d.amount)).collect();
        let ours = self.payment().await.ledger.into_iter().filter(|e| e.status == EntryStatus::Done);
        let ours: Vec<_> = ours.map(|e| (e.operation, e.idempotency_key, e.amount.amount)).collect();
        assert_eq!(ours, theirs);
    }
}

const DO: Direction = Direction::Do;
const UNDO: Direction = Direction::Undo;

/// A desk whose order is held with this token.
async fn held(token: &str) -> Desk {
    let mut desk = Desk::new();
    desk.send("authorize", DO, 1, authorize(token)).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentAuthorized", "authorize/do/1 -> PaymentHeld"]);
    desk
}

#[tokio::test]
async fn a_payment_is_held_captured_invoiced_and_refunded() {
    let mut desk = held("tok_ok").await;
    desk.send("capture", DO, 1, capture(80)).await;
    assert_eq!(desk.status().await, "capturing");
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.published().await, ["PaymentCaptured", "capture/do/1 -> PaymentCollected"]);
    let line = OrderLine {
        product_id: Uuid::from_u128(3).into(),
        store_id: Uuid::from_u128(4).into(),
        name: "Tea".into(),
        quantity: Quantity::try_from(2).unwrap(),
        price: eur(40),
        volume_ml: 1,
    };
    let issue = wire::IssueInvoice { order_id: order(), lines: vec![line], total: eur(80) };
    desk.send("invoice", DO, 1, issue.clone()).await;
    desk.send("invoice", DO, 2, issue).await;
    assert_eq!(
        desk.published().await,
        ["InvoiceIssued", "invoice/do/1 -> InvoiceReady", "invoice/do/2 -> InvoiceReady"]
    );
    let refund = wire::RefundPayment { order_id: order(), return_id: Uuid::from_u128(5).into(), amount: eur(80) };
    desk.send("refund", DO, 1, refund).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentRefunded", "InvoiceCredited", "refund/do/1 -> RefundDone"]);
    let invoice = desk.shell.get::<Invoice>(order().into()).await.unwrap().unwrap();
    assert_eq!(invoice.status.name(), "credited");
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn i7_a_repeated_command_is_carried_out_once_and_answered_alike() {
    let mut desk = Desk::new();
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    let published = desk.published().await;
    let answer = "authorize/do/1 -> PaymentHeld";
    assert_eq!(published, ["PaymentAuthorized", answer, answer]);
    assert_eq!(desk.acquirer.ledger().len(), 1);
}

#[tokio::test]
async fn refusals_are_answers_and_leave_nothing_behind() {
    let mut desk = Desk::new();
    let dear = wire::AuthorizePayment { amount: eur(100_000_000), ..authorize("tok_ok") };
    desk.send("authorize", DO, 1, dear).await;
    assert_eq!(desk.work().await, []);
    assert_eq!(desk.published().await, ["authorize/do/1 -> payments.limit_exceeded"]);
    assert_eq!(desk.shell.get::<Payment>(order().into()).await.unwrap(), None);
    desk.send("capture", DO, 1, capture(1)).await;
    desk.send("authorize", UNDO, 1, void()).await;
    let refusal = "capture/do/1 -> payments.unknown_payment";
    assert_eq!(desk.published().await, [refusal, "authorize/undo/1 -> PaymentReleased"]);
}

#[tokio::test]
async fn a_declined_card_is_refused_and_its_undo_is_ok() {
    let mut desk = Desk::new();
    desk.send("authorize", DO, 1, authorize("tok_declined")).await;
    desk.work().await;
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(
        desk.published().await,
        ["PaymentDeclined", "authorize/do/1 -> payments.declined", "authorize/undo/1 -> PaymentReleased"]
    );
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn i10_an_undo_before_its_do_bars_the_do() {
    let mut desk = Desk::new();
    desk.send("authorize", UNDO, 1, void()).await;
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    assert_eq!(desk.work().await, []);
    let barred = "authorize/do/1 -> platform.barred";
    assert_eq!(desk.published().await, ["authorize/undo/1 -> PaymentReleased", barred]);
}

#[tokio::test]
async fn an_undo_that_meets_an_open_hold_is_carried_out_when_the_provider_has_answered() {
    let mut desk = Desk::new();
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(desk.published().await, [] as [&str; 0]);
    assert_eq!(desk.work().await, [Outcome::Answered, Outcome::Answered]);
    assert_eq!(
        desk.published().await,
        ["PaymentAuthorized", "authorize/do/1 -> PaymentHeld", "PaymentVoided", "authorize/undo/1 -> PaymentReleased"]
    );
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_and_the_provider_acts_once() {
    for token in ["tok_timeout", "tok_500", "tok_unavailable"] {
        let mut desk = Desk::new();
        desk.send("authorize", DO, 1, authorize(token)).await;
        assert_eq!(desk.work().await, [Outcome::Unanswered]);
        assert_eq!((desk.status().await, desk.later(9_999).await), ("authorizing", 0));
        assert_eq!(desk.later(1).await, 1);
        assert_eq!(desk.work().await, [Outcome::Answered], "{token}");
        assert_eq!(desk.status().await, "authorized");
        assert_eq!(desk.acquirer.ledger().len(), 1);
        desk.ledgers_agree().await;
    }
}

#[tokio::test]
async fn an_answer_that_gets_lost_is_asked_for_at_once_before_the_timer_is_needed() {
    let mut desk = Desk::over(MemoryStore::new(Payments::KINDS), MemoryAcquirer::new(), 3);
    desk.acquirer.next_unknown(1, true);
    desk.acquirer.next_unknown(1, false);
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    desk.send("capture", DO, 1, capture(100)).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.status().await, "captured");
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn the_workers_loop_serves_what_comes_until_it_is_stopped() {
    let mut desk = Desk::new();
    let worker = desk.worker.take().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ran = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    let mut commits = desk.shell.commits();
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    while desk.status().await != "authorized" {
        commits.changed().await.unwrap();
    }
    stop.send(()).unwrap();
    ran.await.unwrap();
}

#[tokio::test]
async fn a_provider_that_stays_silent_is_asked_until_it_speaks() {
    let mut desk = Desk::new();
    desk.acquirer.next_unknown(5, false);
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    assert_eq!(desk.work().await, [Outcome::Unanswered]);
    for _ in 0..4 {
        desk.later(300_000).await;
        assert_eq!(desk.work().await, [Outcome::Unanswered]);
    }
    desk.later(300_000).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.published().await, ["PaymentAuthorized", "authorize/do/1 -> PaymentHeld"]);
}

#[tokio::test]
async fn after_20_hours_nothing_is_sent_again_that_the_provider_does_not_know() {
    let mut desk = Desk::new();
    desk.acquirer.next_unknown(1, false);
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    desk.work().await;
    desk.later(20 * 3_600_000).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.published().await, ["PaymentDeclined", "authorize/do/1 -> payments.not_carried_out"]);
    assert!(desk.acquirer.ledger().is_empty());
}

#[tokio::test]
async fn after_20_hours_what_the_provider_did_counts() {
    let mut desk = held("tok_ok").await;
    desk.acquirer.next_unknown(1, true);
    desk.send("capture", DO, 1, capture(100)).await;
    desk.work().await;
    desk.later(21 * 3_600_000).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentCaptured", "capture/do/1 -> PaymentCollected"]);
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn a_process_that_dies_with_its_questions_leaves_them_to_the_next() {
    let mut dead = Desk::new();
    dead.send("authorize", DO, 1, authorize("tok_ok")).await;
    let mut desk = Desk::over(dead.store().clone(), dead.acquirer.clone(), 1);
    assert_eq!(desk.work().await, []);
    assert_eq!(desk.later(10_000).await, 1);
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.published().await, ["PaymentAuthorized", "authorize/do/1 -> PaymentHeld"]);
    // The answer to the question of the dead one comes late, and again.
    assert_eq!(dead.work().await, [Outcome::Stale]);
    assert_eq!(desk.published().await, [] as [&str; 0]);
    assert_eq!(desk.acquirer.ledger().len(), 1);
}

#[tokio::test]
async fn a_flaky_capture_is_refused_and_works_in_the_next_round() {
    let mut desk = held("tok_capture_flaky").await;
    desk.send("capture", DO, 1, capture(100)).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["capture/do/1 -> payments.capture_refused"]);
    desk.send("capture", DO, 2, capture(100)).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentCaptured", "capture/do/2 -> PaymentCollected"]);
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn a_capture_refused_for_good_can_be_undone() {
    let mut desk = held("tok_capture_refused").await;
    desk.send("capture", DO, 1, capture(100)).await;
    desk.work().await;
    desk.send("authorize", UNDO, 1, void()).await;
    desk.work().await;
    assert_eq!(
        desk.published().await,
        ["capture/do/1 -> payments.capture_refused", "PaymentVoided", "authorize/undo/1 -> PaymentReleased"]
    );
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn an_undo_of_taken_money_is_refused() {
    let mut desk = held("tok_ok").await;
    desk.send("capture", DO, 1, capture(100)).await;
    desk.send("authorize", UNDO, 1, void()).await;
    desk.work().await;
    let refused = "authorize/undo/1 -> payments.already_captured";
    assert_eq!(desk.published().await, ["PaymentCaptured", "capture/do/1 -> PaymentCollected", refused]);
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(desk.published().await, [refused]);
}

#[tokio::test]
async fn a_hold_expires_after_its_time_and_its_capture_is_refused() {
    let mut desk = held("tok_ok").await;
    // The timer of the question fires first, and finds nothing to do.
    desk.later(10_000).await;
    assert_eq!((desk.status().await, desk.published().await.len()), ("authorized", 0));
    desk.later(7 * 24 * 3_600_000).await;
    desk.send("capture", DO, 1, capture(100)).await;
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(
        desk.published().await,
        ["PaymentExpired", "capture/do/1 -> payments.hold_expired", "authorize/undo/1 -> PaymentReleased"]
    );
}

#[tokio::test]
async fn a_hold_that_the_provider_gave_up_early_is_expired_by_its_answer() {
    let mut desk = held("tok_ok").await;
    desk.acquirer.expire(&order().to_string());
    desk.send("capture", DO, 1, capture(100)).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentExpired", "capture/do/1 -> payments.hold_expired"]);
    assert_eq!(desk.status().await, "expired");
}

#[tokio::test]
async fn the_customer_confirms_once_and_only_what_is_held() {
    let mut desk = Desk::new();
    let take = || Request::new(pb::TakePaymentRequest { order_id: order().to_string(), by: " customer ".into() });
    let early = desk.api().take_payment(take()).await.unwrap_err();
    assert_eq!(service_kit::grpc::code(&early), Some("payments.not_authorized"));
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    let early = desk.api().take_payment(take()).await.unwrap_err();
    assert_eq!(service_kit::grpc::code(&early), Some("payments.not_authorized"));
    desk.work().await;
    desk.published().await;
    for _ in 0..2 {
        assert!(desk.api().take_payment(take()).await.unwrap().into_inner().taken);
    }
    assert_eq!(desk.published().await, ["PaymentTaken"]);
    let nobody = pb::TakePaymentRequest { order_id: order().to_string(), by: " ".into() };
    assert_eq!(desk.api().take_payment(Request::new(nobody)).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn payments_and_the_ledger_can_be_read() {
    let mut desk = held("tok_ok").await;
    desk.send("capture", DO, 1, capture(80)).await;
    desk.work().await;
    let api = desk.api();
    let request = pb::GetPaymentRequest { order_id: order().to_string() };
    let payment = api.get_payment(Request::new(request)).await.unwrap().into_inner();
    assert_eq!((payment.status.as_str(), payment.captured.unwrap().amount), ("captured", 80));
    let request = pb::ListPaymentsRequest { status: "captured".into(), page: None };
    assert_eq!(api.list_payments(Request::new(request)).await.unwrap().into_inner().payments.len(), 1);
    for order_id in [String::new(), order().to_string()] {
        let ledger = api.list_ledger(Request::new(pb::ListLedgerRequest { order_id })).await.unwrap().into_inner();
        let entries: Vec<_> = ledger.map(Result::unwrap).collect().await;
        let read: Vec<_> = entries.iter().map(|e| (e.operation.as_str(), e.amount.as_ref().unwrap().amount)).collect();
        assert_eq!(read, [("authorize", 100), ("capture", 80)]);
        assert!(entries[1].effect_key.ends_with("/capture/do/1"));
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_said_so() {
    let desk = Desk::new();
    let api = desk.api();
    let code = |status: tonic::Status| (status.code(), service_kit::grpc::code(&status).map(str::to_owned));
    let stranger = pb::GetPaymentRequest { order_id: Uuid::from_u128(77).to_string() };
    let status = api.get_payment(Request::new(stranger)).await.unwrap_err();
    assert_eq!(code(status), (tonic::Code::NotFound, Some("payments.unknown_payment".into())));
    let stranger = pb::GetInvoiceRequest { order_id: Uuid::from_u128(77).to_string() };
    let status = api.get_invoice(Request::new(stranger)).await.unwrap_err();
    assert_eq!(code(status), (tonic::Code::NotFound, Some("payments.unknown_invoice".into())));
    let status = api.get_payment(Request::new(pb::GetPaymentRequest { order_id: "x".into() })).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let request = pb::ListPaymentsRequest { status: "rich".into(), page: None };
    assert_eq!(api.list_payments(Request::new(request)).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}
