//! A context's production shell, relay, timers and parking on the ports in memory: for tests of handlers.

use message::{Command, Direction, EffectKey, Envelope, Event, Message, Outcome, Outgoing, Refusal, SagaRef, Stream};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::sync::Mutex as AsyncMutex;
use transport::{
    Aggregate, Call, CallError, Context, Fold, Shell, ShellConfig, Unit,
    codec::Codec,
    memory::{MemoryLog, MemoryStore},
    parking::Parking,
    ports::Record,
    relay::{Outcome as Relayed, Relay, RelayConfig},
    timers::{Always, Timers},
};
use uuid::Uuid;

const REPLIES: &str = "mallbots.orchestrator.replies";
/// Steps after which something goes round in circles instead of settling.
const MAX_STEPS: usize = 10_000;

/// A context in memory. Nothing moves by itself: the methods that say so, move it.
pub struct MemoryShell<C: Context> {
    pub shell: Shell<C, MemoryStore>,
    pub store: MemoryStore,
    pub log: MemoryLog,
    relay: AsyncMutex<Relay<C, MemoryStore, MemoryLog>>,
    timers: AsyncMutex<Timers<C, MemoryStore, Always>>,
    parking: Parking<C, MemoryStore>,
    /// How many messages were delivered, by stream and altogether.
    delivered: Mutex<(HashMap<Stream, u64>, i64)>,
}

/// A shell of `context` on an empty store and log, with ids that are the same in each run.
pub fn memory_shell<C: Context>(context: C) -> MemoryShell<C> {
    memory_shell_with(context, ShellConfig::default())
}

/// As [`memory_shell`], with bounds of its own.
pub fn memory_shell_with<C: Context>(context: C, config: ShellConfig) -> MemoryShell<C> {
    let (store, log) = (MemoryStore::new(C::KINDS), MemoryLog::new(2));
    let config = ShellConfig { id_seed: Some(1), ..config };
    let shell = Shell::new(context, store.clone(), codec(), config);
    MemoryShell {
        relay: AsyncMutex::new(Relay::new(&shell, log.clone(), RelayConfig::default())),
        timers: AsyncMutex::new(Timers::new(shell.clone(), Always)),
        parking: Parking::new(shell.clone()),
        delivered: Mutex::default(),
        shell,
        store,
        log,
    }
}

/// The `do` of a step of some saga, first round and attempt.
pub fn do_ref(saga_id: Uuid, step: &str) -> SagaRef {
    let effect = EffectKey { saga_id, step: step.to_owned(), direction: Direction::Do, round: 1 };
    SagaRef { saga_type: "test".into(), effect, attempt: 1, reply_to: REPLIES.into(), key: saga_id.to_string() }
}

/// The `undo` that belongs to [`do_ref`] of the same saga and step.
pub fn undo_ref(saga_id: Uuid, step: &str) -> SagaRef {
    let saga = do_ref(saga_id, step);
    SagaRef { effect: saga.effect.counterpart(), ..saga }
}

/// All schemas with made-up ids; parsing them once is enough for a test process.
fn codec() -> Arc<Codec> {
    static CODEC: OnceLock<Arc<Codec>> = OnceLock::new();
    CODEC.get_or_init(|| Arc::new(Codec::offline().unwrap_or_else(|e| panic!("our schemas: {e}")))).clone()
}

impl<C: Context> MemoryShell<C> {
    /// Lets everything happen that can happen now: batches, released records, the relay. Time stands still.
    pub async fn settle(&self) {
        for _ in 0..MAX_STEPS {
            let folded = self.shell.run_ready().await;
            let released = self.parking.run_once().await.unwrap_or_else(|e| panic!("parking: {e}"));
            let relayed = self.relay.lock().await.run_once().await;
            if folded == 0 && released == 0 && relayed == Relayed::Idle {
                return;
            }
        }
        panic!("{} does not settle", C::NAME);
    }

    /// Runs `work`, which waits for answers of the shell, and the shell beside it; then settles.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let done = loop {
            tokio::select! {
                biased;
                done = &mut work => break done,
                _ = self.shell.run_once() => {}
            }
        };
        self.settle().await;
        done
    }

    /// Folds as a gRPC method would, and settles.
    pub async fn call<T, F>(&self, fold: F) -> Result<T, CallError>
    where
        T: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
        F: Fn(&C, &mut Unit) -> Fold<T> + Send + Sync + 'static,
    {
        self.drive(self.shell.call(Call::new("test"), fold)).await
    }

    /// The aggregate as committed.
    pub async fn get<A: Aggregate>(&self, id: Uuid) -> Option<A> {
        self.shell.get(id).await.unwrap_or_else(|e| panic!("{} {id}: {e}", A::KIND))
    }

    /// Moves the clock on and wakes everyone who is due then, until nobody is.
    pub async fn pass(&self, ms: i64) {
        self.store.clock().step(ms);
        for _ in 0..MAX_STEPS {
            let woken = self.timers.lock().await.run_once().await.unwrap_or_else(|e| panic!("timers: {e}"));
            self.settle().await;
            if woken == 0 {
                return;
            }
        }
        panic!("a timer of {} stays due", C::NAME);
    }

    /// Delivers the next command of the saga and settles. The answer, when there is one: [`MemoryShell::answer`].
    pub async fn command<M: Command>(&self, saga: &SagaRef, command: M) {
        let (kind, id) = ("saga", saga.effect.saga_id.to_string());
        self.deliver(stream("orchestrator", kind, &id, M::TOPIC), Some(saga), M::NAME, Some(Outgoing::new(command)))
            .await;
    }

    /// As [`MemoryShell::command`], for commands that are answered at once. Panics when this one was not.
    pub async fn ask<M: Command>(&self, saga: &SagaRef, command: M) -> Result<M::Reply, Refusal> {
        self.command(saga, command).await;
        self.answer::<M>(saga).unwrap_or_else(|| panic!("{} was not answered: {:?}", M::NAME, self.store.parked()))
    }

    /// The last answer to this effect and attempt of command `M`, when it was given.
    pub fn answer<M: Command>(&self, saga: &SagaRef) -> Option<Result<M::Reply, Refusal>> {
        let replies = self.log.records(&saga.reply_to);
        let ours = |record: &&Record| {
            envelope(record).saga.is_some_and(|s| s.effect == saga.effect && s.attempt == saga.attempt)
        };
        let last = replies.iter().filter(ours).max_by_key(|record| record.offset)?;
        Some(match envelope(last).outcome {
            Some(Outcome::Ok) => Ok(decode(last)),
            Some(Outcome::Refused) => Err(decode(last)),
            None => panic!("a reply without an outcome"),
        })
    }

    /// Delivers the next event of aggregate `id` of the publishing context, and settles.
    pub async fn event<M: Event>(&self, aggregate_type: &str, id: Uuid, event: M) {
        let stream = stream(source(M::TOPIC), aggregate_type, &id.to_string(), M::TOPIC);
        self.deliver(stream, None, M::NAME, Some(Outgoing::new(event))).await;
    }

    /// Delivers a deletion on a compacted topic, and settles.
    pub async fn tombstone<M: Message>(&self, aggregate_type: &str, id: Uuid) {
        let stream = stream(source(M::TOPIC), aggregate_type, &id.to_string(), M::TOPIC);
        self.deliver(stream, None, M::NAME, None).await;
    }

    /// Everything of type `M` that was published, by partition in order, tombstones apart.
    pub fn published<M: Message>(&self) -> Vec<M> {
        let records = self.log.records(M::TOPIC);
        let ours = records.iter().filter(|record| record.value.is_some() && envelope(record).name == M::NAME);
        ours.map(decode).collect()
    }

    async fn deliver(&self, stream: Stream, saga: Option<&SagaRef>, name: &str, body: Option<Outgoing>) {
        let (seq, offset) = self.count(&stream);
        let key = saga.map_or(stream.aggregate_id().to_owned(), |s| s.key.clone());
        let value = body.map(|b| self.shell.codec().encode(&b).unwrap_or_else(|e| panic!("{name}: {e}")));
        let topic = stream.topic().to_owned();
        let envelope = Envelope {
            id: Uuid::now_v7(),
            name: name.to_owned(),
            stream,
            seq,
            time_ms: self.store.clock().now(),
            trace: None,
            correlation_id: None,
            causation_id: None,
            saga: saga.cloned(),
            outcome: None,
        };
        let headers = envelope.to_headers();
        let record = Record { topic, partition: 0, offset, key: Some(key.into_bytes()), headers, value };
        self.shell.deliver(record).await.unwrap_or_else(|e| panic!("{e}"));
        self.settle().await;
    }

    /// The next position in the stream, and the next offset.
    fn count(&self, stream: &Stream) -> (u64, i64) {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        delivered.1 += 1;
        let offset = delivered.1;
        let seq = delivered.0.entry(stream.clone()).or_default();
        *seq += 1;
        (*seq, offset)
    }
}

fn stream(source: &str, aggregate_type: &str, aggregate_id: &str, topic: &str) -> Stream {
    Stream::new(source, aggregate_type, aggregate_id, topic)
}

/// `orders` of `mallbots.orders.events`.
fn source(topic: &str) -> &str {
    topic.split('.').nth(1).unwrap_or(topic)
}

fn envelope(record: &Record) -> Envelope {
    let headers = record.headers.iter();
    Envelope::from_headers(&record.topic, record.key.as_deref(), headers)
        .unwrap_or_else(|e| panic!("{} {}: {e}", record.topic, record.offset))
}

fn decode<M: Message>(record: &Record) -> M {
    let value = record.value.as_deref().unwrap_or_default();
    codec().decode(value).unwrap_or_else(|e| panic!("{} {}: {e}", record.topic, record.offset))
}
