//! The context on the production shell, with store and acquirer in memory and a stepped clock: commands in, replies and
//! events out, whatever the provider does in between.

mod api;
mod commands;
mod provider;

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
        let stream = Stream::new("orchestrator", "saga", &effect.saga_id.to_string(), command.topic);
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
        let headers = envelope.to_headers();
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
        let headers = record.headers.iter();
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
