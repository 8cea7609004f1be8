//! The shell: one batcher per context. Records, calls, timers and released records all enter one queue and are answered
//! after the commit that holds their effects.
//!
//! A batch closes when the queue is empty, and grows because work arrives while the last commit is in flight. Only where
//! much comes does it wait a little for more ([`Pace`]).

mod batch;

use crate::{
    cache::RowCache,
    codec::Codec,
    context::{Aggregate, Context},
    decode::Decoder,
    error::{CallError, Error},
    failpoint::{self, Place},
    fold::{AnyAnswer, CallFold, Done, Fnv, Pass, Work},
    metric_names as m,
    pace::{Linger, Pace},
    ports::{CommitError, Mark, OutboxRow, Parked, ParkedAction, Query, Record, Row, Store, Tx, Wanted},
    router::Router,
    seeded, spans,
    unit::{Fold, Unit},
};
use batch::{Item, all_kinds, first_wanted, made_ms, prepare_call, record_span, take_in};
use message::{
    Envelope, Stream, TraceContext,
    bugs::{Bug, has},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    any::Any,
    collections::{HashMap, HashSet},
    hash::Hasher,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

/// Bounds of a shell. Each is a limit, not a target.
#[derive(Debug, Clone)]
pub struct ShellConfig {
    /// Most inputs in one transaction.
    pub max_batch: usize,
    /// Inputs that may wait in memory; beyond it consumers pause and callers wait.
    pub queue: usize,
    /// How long a caller waits for its answer.
    pub call_timeout: Duration,
    /// Messages in the outbox beyond which new work is refused.
    pub outbox_limit: u64,
    /// Rows of [`Context::AWAITED`] that may wait; above it new work is refused. What waits longer than a saga's deadlines is
    /// work for nothing, so this is what the platform does in a few seconds.
    pub waiting_limit: u64,
    /// Where commands may ask to be answered; empty: anywhere. An answer to a topic that does not exist would stop the relay.
    pub reply_topics: Vec<String>,
    /// How long a batch waits for more inputs under load; batches never wait while little comes.
    pub linger: Linger,
    /// Seeds ids in tests; drawn at random otherwise.
    pub id_seed: Option<u64>,
}

impl Default for ShellConfig {
    fn default() -> Self {
        Self {
            max_batch: 1_000,
            queue: 2_000,
            call_timeout: Duration::from_secs(10),
            outbox_limit: 200_000,
            waiting_limit: 1_000,
            reply_topics: Vec::new(),
            linger: Linger::under_load(Duration::from_millis(25)),
            id_seed: None,
        }
    }
}

/// Passes over a batch before it is given up as a defect: each but the last loads at least one more row, or ends the
/// search for what strangers need.
const MAX_PASSES: usize = 32;
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LONGEST: Duration = Duration::from_secs(1);
/// What a caller is told to wait when the outbox is over its limit.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// For finding out whether new work that is refused was done before.
const REPEATED_WITHIN: Duration = Duration::from_secs(2);

/// Who calls and how: see [`Shell::call`].
#[derive(Debug, Clone)]
pub struct Call {
    name: &'static str,
    trace: Option<TraceContext>,
    correlation_id: Option<String>,
    idempotency: Option<Idempotency>,
    new_work: bool,
}

/// Makes a repeated request harmless for 24 h: the same key and request get the first answer, another request is refused.
#[derive(Debug, Clone)]
pub struct Idempotency {
    pub caller: String,
    pub key: String,
    pub request_hash: u64,
}

impl Idempotency {
    /// The hash is taken of the request's bytes.
    pub fn new(caller: impl Into<String>, key: impl Into<String>, request: &[u8]) -> Self {
        let mut hasher = Fnv::default();
        hasher.write(request);
        Self { caller: caller.into(), key: key.into(), request_hash: hasher.finish() & (i64::MAX as u64) }
    }
}

impl Call {
    /// `name` is the span's name and the idempotency route.
    pub fn new(name: &'static str) -> Self {
        Self { name, trace: None, correlation_id: None, idempotency: None, new_work: false }
    }

    pub fn trace(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    /// The order this is about: the attribute `order.id` of every span and the `correlation_id` of every message that follows.
    pub fn order(mut self, id: impl std::fmt::Display) -> Self {
        self.correlation_id = Some(id.to_string());
        self
    }

    pub fn idempotent(mut self, idempotency: Idempotency) -> Self {
        self.idempotency = Some(idempotency);
        self
    }

    /// Refused with [`CallError::Overloaded`] while the outbox, or what waits for others, is over its limit; what was done
    /// under the same idempotency key before is answered all the same.
    pub fn new_work(mut self) -> Self {
        self.new_work = true;
        self
    }
}

type Replied = Result<AnyAnswer, CallError>;
type Decoded = fn(&str) -> Result<AnyAnswer, String>;

pub(crate) enum Input<C: Context> {
    Record(Arc<Record>),
    /// Records up to and without this offset of a partition are not for this context.
    Passed(String, i32, i64),
    Parked(Parked, ParkedAction),
    Wake(&'static str, Uuid),
    Call(CallInput<C>),
}

pub(crate) struct CallInput<C: Context> {
    call: Call,
    fold: CallFold<C>,
    decode: Decoded,
    reply: oneshot::Sender<Replied>,
    only_repeated: bool,
}

type OffsetSink = Arc<dyn Fn(&str, i32, i64) + Send + Sync>;

pub(crate) struct Inner<C: Context, S: Store> {
    pub context: C,
    pub router: Router<C>,
    pub store: S,
    pub codec: Arc<Codec>,
    pub config: ShellConfig,
    queue: mpsc::Sender<Input<C>>,
    intake: tokio::sync::Mutex<(mpsc::Receiver<Input<C>>, Pace)>,
    hand_over: mpsc::Sender<Vec<OutboxRow>>,
    handed: Mutex<Option<mpsc::Receiver<Vec<OutboxRow>>>>,
    outside: mpsc::Sender<Box<dyn Any + Send>>,
    outside_requests: Mutex<Option<mpsc::Receiver<Box<dyn Any + Send>>>>,
    commits: watch::Sender<u64>,
    positions: Mutex<HashMap<(String, i32), i64>>,
    /// Taken by the batch that is under way.
    cache: Mutex<RowCache>,
    sink: Mutex<Option<OffsetSink>>,
    /// The outbox is over its limit.
    pub overloaded: AtomicBool,
    /// How many wait for others, as last seen.
    pub waiting: AtomicU64,
    /// New work was asked for since then.
    pub new_work: AtomicBool,
    /// The log says that new work is refused.
    pub told_full: AtomicBool,
    seed: AtomicU64,
}

impl<C: Context, S: Store> Inner<C, S> {
    fn takes_new_work(&self) -> bool {
        self.new_work.store(true, Ordering::Relaxed);
        !self.overloaded.load(Ordering::Relaxed) && !self.is_crowded()
    }

    /// More wait for others than may.
    pub fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > self.config.waiting_limit
    }
}

/// A handle on a context's shell; clones share it.
pub struct Shell<C: Context, S: Store> {
    pub(crate) inner: Arc<Inner<C, S>>,
}

impl<C: Context, S: Store> Clone for Shell<C, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<C: Context, S: Store> Shell<C, S> {
    pub fn new(context: C, store: S, codec: Arc<Codec>, config: ShellConfig) -> Self {
        let (queue, intake) = mpsc::channel(config.queue);
        // Both are hints: a full channel loses nothing, the relay's scan and the wake-ups find what was not handed over.
        let (hand_over, handed) = mpsc::channel(64);
        let (outside, outside_requests) = mpsc::channel(4_096);
        let seed = config.id_seed.unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1 ^ u64::from(std::process::id()));
        let pace = Pace::new(config.linger);
        let inner = Inner {
            context,
            router: C::routes(),
            store,
            codec,
            config,
            queue,
            intake: tokio::sync::Mutex::new((intake, pace)),
            hand_over,
            handed: Mutex::new(Some(handed)),
            outside,
            outside_requests: Mutex::new(Some(outside_requests)),
            commits: watch::channel(0).0,
            positions: Mutex::default(),
            cache: Mutex::default(),
            sink: Mutex::default(),
            overloaded: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            new_work: AtomicBool::new(false),
            told_full: AtomicBool::new(false),
            seed: AtomicU64::new(seed),
        };
        for name in m::FROM_THE_START {
            metrics::counter!(*name, "context" => C::NAME).absolute(0);
        }
        metrics::gauge!(m::CONSUMER_LAG_SECONDS, "context" => C::NAME).set(0.0);
        Self { inner: Arc::new(inner) }
    }

    /// An id that no other has, from the same source as those of messages.
    pub(crate) fn new_id(&self) -> Uuid {
        let nth = self.inner.seed.fetch_add(0x1_0000_0001, Ordering::Relaxed);
        Uuid::new_v5(&Uuid::from_u64_pair(nth, nth.rotate_left(32)), C::NAME.as_bytes())
    }

    pub fn context(&self) -> &C {
        &self.inner.context
    }

    pub fn store(&self) -> &S {
        &self.inner.store
    }

    pub fn codec(&self) -> &Arc<Codec> {
        &self.inner.codec
    }

    /// The topics of the context's routes.
    pub fn topics(&self) -> Vec<&'static str> {
        self.inner.router.topics()
    }

    /// Counts this process's commits: for those who wait for a change and then read.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.commits.subscribe()
    }

    /// The requests of [`Unit::ask_outside`]; `None` when they were taken before.
    pub fn outside(&self) -> Option<mpsc::Receiver<Box<dyn Any + Send>>> {
        lock(&self.inner.outside_requests).take()
    }

    pub(crate) fn handed_over(&self) -> Option<mpsc::Receiver<Vec<OutboxRow>>> {
        lock(&self.inner.handed).take()
    }

    /// Folds in the next batch and answers after its commit. `fold` must be pure: it may run several times.
    pub async fn call<T, F>(&self, call: Call, fold: F) -> Result<T, CallError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(&C, &mut Unit) -> Fold<T> + Send + Sync + 'static,
    {
        let full = call.new_work && !self.inner.takes_new_work();
        if full && call.idempotency.is_none() {
            return Err(self.refuse_new_work());
        }
        let keep = call.idempotency.is_some();
        let fold: CallFold<C> = Box::new(move |context, unit| {
            let answer = fold(context, unit)?;
            let json = keep.then(|| serde_json::to_string(&answer).unwrap_or_default());
            Ok((Box::new(answer), json))
        });
        let decode: Decoded = |json| match serde_json::from_str::<T>(json) {
            Ok(answer) => Ok(Box::new(answer)),
            Err(e) => Err(e.to_string()),
        };
        let (reply, answer) = oneshot::channel();
        let input = Input::Call(CallInput { call, fold, decode, reply, only_repeated: full });
        let answer = if full { self.ask_first_answer(input, answer).await } else { self.ask(input, answer).await };
        answer?.downcast::<T>().map(|b| *b).map_err(|_| CallError::Internal("an answer of another type".into()))
    }

    async fn ask(&self, input: Input<C>, answer: oneshot::Receiver<Replied>) -> Replied {
        let answer = async {
            self.inner.queue.send(input).await.map_err(|_| CallError::Unknown("the service is stopping".into()))?;
            answer.await.map_err(|_| CallError::Unknown("the service is stopping".into()))?
        };
        let answer = tokio::time::timeout(self.inner.config.call_timeout, answer).await;
        answer.map_err(|_| CallError::Unknown("not answered in time".into()))?
    }

    /// Of new work that is refused: it is worth a look whether it was done before, and not a wait.
    async fn ask_first_answer(&self, input: Input<C>, answer: oneshot::Receiver<Replied>) -> Replied {
        if self.inner.queue.try_send(input).is_err() {
            return Err(self.refuse_new_work());
        }
        match tokio::time::timeout(REPEATED_WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(self.refuse_new_work()),
        }
    }

    fn refuse_new_work(&self) -> CallError {
        metrics::counter!(m::NEW_WORK_REFUSED, "context" => C::NAME).increment(1);
        CallError::Overloaded { retry_after: RETRY_AFTER }
    }

    /// The aggregate with this id, as last committed.
    pub async fn get<A: Aggregate>(&self, id: Uuid) -> Result<Option<A>, CallError> {
        let rows = self.inner.store.get(A::KIND, &[id]).await.map_err(read_failed)?;
        rows.into_iter().next().map(|row| parse::<A>(&row)).transpose()
    }

    /// Aggregates as last committed, newest id first.
    pub async fn list<A: Aggregate>(&self, query: &Query) -> Result<Vec<(Uuid, A)>, CallError> {
        let rows = self.inner.store.list(A::KIND, query).await.map_err(read_failed)?;
        rows.iter().map(|row| Ok((row.id, parse(row)?))).collect()
    }

    /// Waits for room in the queue.
    pub(crate) async fn enqueue(&self, input: Input<C>) -> Result<(), Error> {
        self.inner.queue.send(input).await.map_err(|_| Error::Fatal("the shell has stopped".into()))
    }

    /// Room for one more record, without waiting.
    pub(crate) fn try_reserve(&self) -> Option<mpsc::Permit<'_, Input<C>>> {
        self.inner.queue.try_reserve().ok()
    }

    pub(crate) async fn reserve(&self) -> Option<mpsc::Permit<'_, Input<C>>> {
        self.inner.queue.reserve().await.ok()
    }

    /// Feeds a record as if it had come from the log; for tests and the simulator.
    pub async fn deliver(&self, record: Record) -> Result<(), Error> {
        self.enqueue(Input::Record(Arc::new(record))).await
    }

    /// The offset after the last record of the partition whose effects are committed; `None` when it is not ours.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        lock(&self.inner.positions).get(&(topic.to_owned(), partition)).copied()
    }

    pub(crate) fn set_position(&self, topic: &str, partition: i32, offset: Option<i64>) {
        let key = (topic.to_owned(), partition);
        match offset {
            Some(offset) => lock(&self.inner.positions).insert(key, offset),
            None => lock(&self.inner.positions).remove(&key),
        };
    }

    pub(crate) fn set_offset_sink(&self, sink: OffsetSink) {
        *lock(&self.inner.sink) = Some(sink);
    }

    /// Processes batches until the queue is closed.
    pub async fn run(&self) {
        while self.run_once().await > 0 {}
    }

    /// Waits for input, processes one batch of it and answers how many inputs it had; 0 when the queue is closed.
    pub async fn run_once(&self) -> usize {
        let mut intake = self.inner.intake.lock().await;
        let (intake, pace) = &mut *intake;
        let (mut inputs, most) = (Vec::new(), self.inner.config.max_batch);
        let mut count = intake.recv_many(&mut inputs, most).await;
        if let Some(wait) = pace.linger(Instant::now(), count, most) {
            tokio::time::sleep(wait).await;
            if !intake.is_empty() {
                count += intake.recv_many(&mut inputs, most - count).await;
            }
        }
        let foreign = inputs.iter().filter(|input| matches!(input, Input::Passed(..))).count();
        pace.note(Instant::now(), count - foreign);
        let items: Vec<_> = inputs.into_iter().map(|input| self.prepare(input)).collect();
        metrics::histogram!(m::BATCH_INPUTS, "context" => C::NAME).record(count as f64);
        if has(Bug::OffsetBeforeCommit)
            && let Some(sink) = lock(&self.inner.sink).clone()
        {
            items.iter().filter_map(|item| item.place.as_ref()).for_each(|place| sink(&place.0, place.1, place.2));
        }
        Box::pin(self.process(items)).await;
        count
    }

    /// As [`Shell::run_once`], but answers 0 at once when nothing waits: for tests and the simulator.
    pub async fn run_ready(&self) -> usize {
        if self.inner.queue.capacity() == self.inner.config.queue { 0 } else { self.run_once().await }
    }

    fn prepare(&self, input: Input<C>) -> Item<C> {
        let Inner { router, codec, config, .. } = &*self.inner;
        let decoder = Decoder { router, codec, reply_topics: &config.reply_topics };
        match input {
            Input::Record(record) => {
                let place = Some((record.topic.clone(), record.partition, record.offset + 1));
                let work = decoder.decode(record, None);
                Item { span: work.as_ref().and_then(record_span::<C>), work, place, reply: None }
            }
            Input::Parked(parked, action) => {
                let record = Arc::new(parked.record.clone());
                let work = match action {
                    ParkedAction::Release => decoder.decode(record, Some(parked)),
                    ParkedAction::Skip => {
                        let (key, headers) = (record.key.as_deref(), record.headers.iter());
                        let envelope = Envelope::from_headers(&record.topic, key, headers).ok();
                        Some(Work::Skip { parked, envelope })
                    }
                };
                Item { span: work.as_ref().and_then(record_span::<C>), work, place: None, reply: None }
            }
            Input::Passed(topic, partition, offset) => {
                Item { work: None, place: Some((topic, partition, offset)), reply: None, span: None }
            }
            Input::Wake(kind, id) => Item { work: Some(Work::Wake { kind, id }), place: None, reply: None, span: None },
            Input::Call(input) => prepare_call(input),
        }
    }

    /// Processes a batch until it is committed, parked or refused. Infrastructure errors are retried for ever.
    async fn process(&self, mut items: Vec<Item<C>>) {
        let mut pause = RETRY_FIRST;
        let mut failing = false;
        loop {
            items.retain(|item| !item.reply.as_ref().is_some_and(|(reply, _)| reply.is_closed()));
            match self.try_batch(&items).await {
                Ok(done) => {
                    if failing {
                        tracing::info!(context = C::NAME, "processing again");
                    }
                    return self.finish(items, done);
                }
                Err(Error::Retry { what, why }) => {
                    metrics::counter!(m::BATCH_RETRIES, "context" => C::NAME, "what" => what).increment(1);
                    if !failing && pause >= RETRY_LONGEST {
                        failing = true;
                        tracing::warn!(
                            context = C::NAME,
                            what,
                            why,
                            "a batch fails and is tried again until it succeeds"
                        );
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                }
                Err(Error::Poison(reason) | Error::Fatal(reason)) if items.len() <= 1 => {
                    return self.isolate(items, reason).await;
                }
                Err(Error::Poison(_) | Error::Fatal(_)) => {
                    let second = items.split_off(items.len() / 2);
                    Box::pin(self.process(items)).await;
                    return Box::pin(self.process(second)).await;
                }
            }
        }
    }

    /// The one input that the store refuses whatever is done: its record is parked, its caller told.
    async fn isolate(&self, mut items: Vec<Item<C>>, reason: String) {
        let Some(item) = items.pop() else { return };
        tracing::error!(context = C::NAME, reason, "an input cannot be stored");
        match item.work {
            Some(Work::Message { record, envelope, command, parked, .. }) => {
                let work = Work::Poison { record, envelope: Some(envelope), command, reason, parked };
                Box::pin(self.process(vec![Item { work: Some(work), ..item }])).await;
            }
            Some(Work::Reply { record, parked, .. }) => {
                let work = Work::Poison { record, envelope: None, command: false, reason, parked };
                Box::pin(self.process(vec![Item { work: Some(work), ..item }])).await;
            }
            // What its headers claim cannot be stored either: it is parked alone.
            Some(Work::Poison { record, envelope: Some(_), command, parked, .. }) => {
                let work = Work::Poison { record, envelope: None, command, reason, parked };
                Box::pin(self.process(vec![Item { work: Some(work), ..item }])).await;
            }
            work => self.finish(vec![Item { work, ..item }], vec![Done::Failed(reason)]),
        }
    }

    async fn try_batch(&self, items: &[Item<C>]) -> Result<Vec<Done>, Error> {
        if items.iter().all(|i| i.work.is_none()) {
            return Ok(items.iter().map(|_| Done::Nothing).collect());
        }
        let seed = self.inner.seed.fetch_add(0x1_0000_0001, Ordering::Relaxed);
        let cache = std::mem::take(&mut *lock(&self.inner.cache));
        let mut unit = Unit::new(C::NAME, self.inner.codec.clone(), seed, cache);
        let done = self.fold_and_commit(items, &mut unit).await;
        *lock(&self.inner.cache) = unit.into_cache(done.is_ok());
        done
    }

    async fn fold_and_commit(&self, items: &[Item<C>], unit: &mut Unit) -> Result<Vec<Done>, Error> {
        let started = Instant::now();
        let mut tx = self.inner.store.begin().await?;
        let mut wanted = first_wanted(items);
        let mut marks = HashMap::new();
        // A parked record may be given up without its mark moving, so that nothing would compare it: those are loaded.
        let parked: HashSet<&Stream> = items.iter().filter_map(Item::parked_in).collect();
        wanted.marks.retain(|stream| match unit.recall_mark(stream) {
            Some(mark) if !parked.contains(stream) => {
                marks.insert(stream.clone(), mark);
                false
            }
            _ => true,
        });
        for (kind, ids) in &mut wanted.rows {
            ids.retain(|id| !unit.recall((*kind, *id)));
        }
        wanted.rows.retain(|(_, ids)| !ids.is_empty());
        let mut loaded = tx.load(C::NAME, &wanted).await?;
        unit.now_ms = loaded.now_ms;
        if let Some(made_ms) = items.iter().filter_map(made_ms).min() {
            let lag = (loaded.now_ms - made_ms).max(0) as f64 / 1000.0;
            metrics::gauge!(m::CONSUMER_LAG_SECONDS, "context" => C::NAME).set(lag);
        }
        marks.extend(std::mem::take(&mut loaded.marks));
        let parked = self.parked(&mut tx, items, &marks).await?;
        let held = std::mem::take(&mut loaded.held).into_iter().collect();
        let stored = std::mem::take(&mut loaded.answers).into_iter().collect();
        take_in(unit, &wanted, loaded);
        // Most inputs find their rows in the cache. Those of which that is not to be expected are folded by themselves first,
        // only to learn what they need.
        let mut strangers: Vec<_> = items.iter().filter(|item| item.is_stranger(unit)).collect();
        for _ in 0..MAX_PASSES {
            unit.restart();
            let mut pass = Pass::new(&self.inner.context, &self.inner.router, &marks, &parked, &held, &stored);
            if !strangers.is_empty() {
                strangers.retain(|item| item.fold(&mut pass, unit).is_none());
                let wanted = unit.take_needs(&all_kinds::<C>());
                if !wanted.is_empty() {
                    let loaded = tx.load(C::NAME, &wanted).await?;
                    take_in(unit, &wanted, loaded);
                }
                continue;
            }
            let done: Vec<_> = items.iter().map(|item| item.fold(&mut pass, unit)).collect();
            let wanted = unit.take_needs(&all_kinds::<C>());
            if wanted.is_empty() {
                let done = done.into_iter().map(|d| d.unwrap_or_else(|| Done::Failed("folded on nothing".into())));
                let done: Vec<_> = done.collect();
                let (changes, outside) = pass.finish(unit).map_err(Error::Poison)?;
                self.commit(tx, changes, outside, unit.now_ms).await?;
                metrics::histogram!(m::BATCH_SECONDS, "context" => C::NAME).record(started.elapsed().as_secs_f64());
                return Ok(done);
            }
            let loaded = tx.load(C::NAME, &wanted).await?;
            take_in(unit, &wanted, loaded);
        }
        Err(Error::Poison(format!("a fold asked for more rows {MAX_PASSES} times")))
    }

    /// The parked records that hold positions which this batch claims. Rarely is anything of its streams parked at all.
    async fn parked(
        &self,
        tx: &mut S::Tx,
        items: &[Item<C>],
        marks: &HashMap<Stream, Mark>,
    ) -> Result<HashMap<(Stream, u64), Arc<Record>>, Error> {
        let positions = items.iter().filter_map(|i| i.work.as_ref()?.position());
        let held = positions.filter(|(stream, _)| marks.get(*stream).is_some_and(|mark| mark.parked > 0));
        let parked: Vec<_> = held.map(|(stream, seq)| (stream.clone(), seq)).collect();
        if parked.is_empty() {
            return Ok(HashMap::new());
        }
        let loaded = tx.load(C::NAME, &Wanted { parked, ..Wanted::default() }).await?;
        Ok(loaded.parked.into_iter().map(|(position, record)| (position, Arc::new(record))).collect())
    }

    async fn commit(
        &self,
        tx: S::Tx,
        mut changes: crate::ports::Changes,
        outside: Vec<Box<dyn Any + Send>>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let later = if has(Bug::InboxLater) { std::mem::take(&mut changes.marks) } else { Vec::new() };
        failpoint::pass(Place::SaveBefore);
        let handed = match tx.commit(C::NAME, &changes).await {
            Ok(committed) => {
                failpoint::pass(Place::CommitAfter);
                for (row, (id, table)) in changes.outbox.iter_mut().zip(&committed.outbox) {
                    (row.id, row.table) = (*id, *table);
                }
                committed.outbox.len() == changes.outbox.len()
            }
            Err(CommitError::Failed(error)) => return Err(error),
            Err(CommitError::Unknown(token)) => {
                metrics::counter!(m::COMMITS_UNKNOWN, "context" => C::NAME).increment(1);
                if !self.ask_until_known(&token).await {
                    return Err(Error::retry("commit", "it did not take effect"));
                }
                false
            }
        };
        if !later.is_empty() {
            let marks = crate::ports::Changes { marks: later, ..crate::ports::Changes::default() };
            let _ = self.inner.store.begin().await?.commit(C::NAME, &marks).await;
        }
        seeded::armed(self.inner.config.id_seed, &changes.arm);
        if handed && !changes.outbox.is_empty() {
            let _ = self.inner.hand_over.try_send(std::mem::take(&mut changes.outbox));
        }
        let overtaken = changes.park.iter().filter(|parked| parked.gap && parked.since_ms == now_ms).count();
        if overtaken > 0 {
            metrics::counter!(m::ORDER_VIOLATIONS, "context" => C::NAME).increment(overtaken as u64);
        }
        for request in outside {
            let _ = self.inner.outside.try_send(request);
        }
        self.inner.commits.send_modify(|n| *n += 1);
        Ok(())
    }

    /// A commit whose answer got lost either stands or does not: the store knows.
    async fn ask_until_known(&self, token: &S::Token) -> bool {
        let mut pause = RETRY_FIRST;
        loop {
            match self.inner.store.committed(token).await {
                Ok(committed) => return committed,
                Err(error) => tracing::debug!(context = C::NAME, %error, "asking for the outcome of a commit"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_LONGEST);
        }
    }

    /// After the commit: offsets, answers, spans, counters.
    fn finish(&self, items: Vec<Item<C>>, done: Vec<Done>) {
        let mut offsets: HashMap<(String, i32), i64> = HashMap::new();
        for (item, done) in items.into_iter().zip(done) {
            count::<C>(&done);
            if let Some(span) = item.span {
                span.end(outcome_of(&done));
            }
            if let Some((topic, partition, offset)) = item.place {
                let at = offsets.entry((topic, partition)).or_default();
                *at = offset.max(*at);
            }
            if let Some((reply, decode)) = item.reply {
                let _ = reply.send(answer(done, decode));
            }
        }
        if offsets.is_empty() {
            return;
        }
        failpoint::pass(Place::OffsetBefore);
        let sink = lock(&self.inner.sink).clone();
        let mut positions = lock(&self.inner.positions);
        for ((topic, partition), offset) in offsets {
            if let Some(sink) = &sink {
                sink(&topic, partition, offset);
            }
            if let Some(position) = positions.get_mut(&(topic, partition)) {
                *position = offset.max(*position);
            }
        }
        failpoint::pass(Place::OffsetStored);
    }
}

fn answer(done: Done, decode: Decoded) -> Replied {
    match done {
        Done::Answer(answer) => Ok(answer),
        Done::Repeated(json) => decode(&json).map_err(CallError::Internal),
        Done::KeyReused => Err(CallError::KeyReused),
        Done::Full => Err(CallError::Overloaded { retry_after: RETRY_AFTER }),
        Done::Refused(refusal) => Err(CallError::Refused(refusal)),
        Done::Failed(reason) => Err(CallError::Internal(reason)),
        Done::Nothing | Done::Duplicate | Done::Parked => Err(CallError::Internal("a call that was not folded".into())),
    }
}

fn outcome_of(done: &Done) -> spans::Ended {
    match done {
        Done::Nothing | Done::Answer(_) | Done::Repeated(_) => spans::Ended::Ok,
        Done::Duplicate => spans::Ended::Note("duplicate"),
        Done::Parked => spans::Ended::Error("parked".into()),
        Done::Refused(refusal) => spans::Ended::Refused(refusal.code.clone()),
        Done::KeyReused => spans::Ended::Refused("platform.key_reused".into()),
        Done::Full => spans::Ended::Refused("platform.overloaded".into()),
        Done::Failed(reason) => spans::Ended::Error(reason.clone()),
    }
}

fn count<C: Context>(done: &Done) {
    let name = match done {
        Done::Duplicate => m::INBOX_DUPLICATES,
        Done::Parked => m::PARKED,
        Done::Failed(reason) => {
            tracing::error!(context = C::NAME, reason, "an input failed");
            m::INPUTS_FAILED
        }
        Done::Full => m::NEW_WORK_REFUSED,
        Done::Nothing | Done::Refused(_) | Done::Answer(_) | Done::Repeated(_) | Done::KeyReused => m::INPUTS,
    };
    metrics::counter!(name, "context" => C::NAME).increment(1);
}

fn read_failed(error: Error) -> CallError {
    CallError::Unknown(error.to_string())
}

fn parse<A: Aggregate>(row: &Row) -> Result<A, CallError> {
    let unreadable = |e| CallError::Internal(format!("{} {} cannot be read back: {e}", A::KIND, row.id));
    serde_json::from_str(&row.state).map_err(unreadable)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
