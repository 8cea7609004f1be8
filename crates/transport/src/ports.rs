//! The ports the shell stands on: the log, the store and the clock. Each has a real implementation (`kafka`, `postgres`)
//! and one in memory, and both pass the same contract suite (`tests/contract_*.rs`).

use crate::error::Error;
use message::{EffectKey, Headers, Stream};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};
use uuid::Uuid;

type Result<T, E = Error> = std::result::Result<T, E>;

// ---------------------------------------------------------------- the log

/// A record to be appended to a topic. A `None` value is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    pub topic: String,
    pub key: String,
    pub headers: Headers,
    pub value: Option<Vec<u8>>,
}

/// A record as read from a topic. As JSON its bytes are base 16.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    #[serde(with = "crate::hex::optional")]
    pub key: Option<Vec<u8>>,
    #[serde(with = "crate::hex::named")]
    pub headers: Headers,
    #[serde(with = "crate::hex::optional")]
    pub value: Option<Vec<u8>>,
}

/// What a consumer reports.
#[derive(Debug)]
pub enum Polled {
    Record(Record),
    /// A record that the poller does not want, by its place.
    Passed(String, i32, i64),
    /// Partitions were taken away: what is in flight for them must not be stored.
    Revoked(Vec<(String, i32)>),
    Assigned(Vec<(String, i32)>),
}

/// Whether a record is wanted, by its topic and `ce_type`. One without a readable `ce_type` always is: it must be parked.
pub type Wants<'a> = &'a (dyn Fn(&str, &str) -> bool + Sync);

/// An append-only, partitioned log. Promises: records with one key keep their order within a partition; an acknowledged
/// record is never lost; a record whose append failed may be in the log all the same.
pub trait Log: Clone + Send + Sync + 'static {
    type Consumer: LogConsumer;

    /// Appends in order and waits for every acknowledgement; one result a record. No later record of a partition is there
    /// without an earlier one of the same append: a failed record that is not there takes what follows in its partition along.
    fn append(&self, records: Vec<NewRecord>) -> impl Future<Output = Vec<Result<()>>> + Send;

    /// Joins consumer group `group` on `topics`, starting at the committed offset, else at the beginning.
    fn subscribe(&self, group: &str, topics: &[&str]) -> Result<Self::Consumer>;

    /// For each partition of `topic`, the offset after its last record; 0 where none is left, also when retention has
    /// deleted them all: nobody can read up to an offset behind which nothing lies.
    fn end_offsets(&self, topic: &str) -> impl Future<Output = Result<Vec<i64>>> + Send;

    /// Committed offsets of consumer group `group` on these partitions, whoever of its members reads them (0 where nothing is
    /// committed). It is a moment behind what the members have processed.
    fn group_offsets(
        &self,
        group: &str,
        places: &[(&str, i32)],
    ) -> impl Future<Output = Result<HashMap<(String, i32), i64>>> + Send;

    /// The partition that `key` has on `topic` (murmur2, as the Java client's default).
    fn partition(&self, topic: &str, key: &str) -> impl Future<Output = Result<i32>> + Send;
}

/// One member of a consumer group.
pub trait LogConsumer: Send + Sync + 'static {
    /// The next record or change of assignment; waits for one.
    fn poll(&self) -> impl Future<Output = Result<Polled>> + Send {
        self.poll_for(&|_, _| true)
    }

    /// As [`LogConsumer::poll`]; records that `wants` denies are not copied out of the log, only their place is told.
    fn poll_for(&self, wants: Wants<'_>) -> impl Future<Output = Result<Polled>> + Send;

    /// Records up to and without `offset` are processed; committed in the background and on revocation.
    fn store_offset(&self, topic: &str, partition: i32, offset: i64) -> Result<()>;

    /// Stops (or resumes) fetching without leaving the group. Poll must go on.
    fn pause(&self, paused: bool) -> Result<()>;

    /// Committed offsets of the partitions assigned now (0 where nothing is committed).
    fn committed(&self) -> impl Future<Output = Result<HashMap<(String, i32), i64>>> + Send;
}

// ---------------------------------------------------------------- the store

/// Sequence and running hash of what an aggregate has emitted on one topic (invariant I6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamMark {
    #[serde(rename = "t")]
    pub topic: String,
    #[serde(rename = "n")]
    pub last_seq: u64,
    /// FNV-1a over (previous hash, message id, value), see [`crate::fold::running_hash`].
    #[serde(rename = "h")]
    pub hash: u64,
}

/// An aggregate as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub id: Uuid,
    /// 1 after the first save.
    pub version: i64,
    pub status: String,
    pub parent: Option<Uuid>,
    pub rank: i64,
    /// JSON of the aggregate.
    pub state: String,
    pub streams: Vec<StreamMark>,
    /// A lower bound of when the timer of this aggregate fires; `None` when no timer row stands.
    pub armed_ms: Option<i64>,
}

/// A save: compare-and-set from `expected` (0: it must not exist yet) to `row.version`.
#[derive(Debug, Clone)]
pub struct Save {
    pub kind: &'static str,
    pub expected: i64,
    pub row: Row,
}

/// What a batch wants to know before it folds.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Aggregates to load and lock, by kind, in the order of the context's kinds.
    pub rows: Vec<(&'static str, Vec<Uuid>)>,
    /// Aggregates to read without a lock (reference data).
    pub peeks: Vec<(&'static str, Vec<Uuid>)>,
    pub claims: Vec<ClaimRows>,
    pub marks: Vec<Stream>,
    /// Which of these positions a parked record holds.
    pub parked: Vec<(Stream, u64)>,
    /// Parked records by id, to be locked: which of them are still there.
    pub held: Vec<i64>,
    pub idempotency: Vec<IdempotencyKey>,
}

impl Wanted {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.peeks.is_empty()
            && self.claims.is_empty()
            && self.marks.is_empty()
            && self.parked.is_empty()
            && self.held.is_empty()
            && self.idempotency.is_empty()
    }
}

/// Lock up to `count` rows of `kind` with `status` and at least `min_rank`, lowest rank first, passing over those that others hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimRows {
    pub kind: &'static str,
    pub status: &'static str,
    pub min_rank: i64,
    pub count: usize,
}

/// What the store answers to [`Wanted`]; what does not exist is absent.
#[derive(Debug, Default)]
pub struct Loaded {
    pub now_ms: i64,
    pub rows: Vec<(&'static str, Row)>,
    pub peeks: Vec<(&'static str, Row)>,
    pub claimed: Vec<(&'static str, Row)>,
    pub marks: Vec<(Stream, Mark)>,
    pub parked: Vec<((Stream, u64), Record)>,
    pub held: Vec<i64>,
    pub answers: Vec<(IdempotencyKey, StoredAnswer)>,
}

/// How far a consumer has read a stream, and how many of its records are parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    pub last_seq: u64,
    pub parked: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey {
    pub caller: String,
    pub route: &'static str,
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Hash of the request the key was first used with.
    pub request_hash: u64,
    /// JSON: the answer, or the refusal.
    pub answer: String,
}

/// A message waiting in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Of what holds it; given by the store at the commit, 0 before. Messages of one commit and shard may share it.
    pub id: i64,
    /// Which of the two outbox tables holds it; given by the store.
    pub table: i16,
    pub shard: i16,
    /// The stream's name, see [`Stream::as_str`].
    pub stream: Arc<str>,
    pub seq: u64,
    pub record: NewRecord,
    pub created_ms: i64,
}

/// A parked record with why it waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    pub id: i64,
    /// Absent for a record that is parked alone: its headers could not be read, or another has its position.
    pub position: Option<(Stream, u64)>,
    /// A command: its stream may not jump.
    pub strict: bool,
    pub record: Record,
    pub reason: String,
    /// Waits only for the missing sequence number, and is released by itself.
    pub gap: bool,
    pub since_ms: i64,
}

/// What an operator decided about a parked record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedAction {
    Release,
    Skip,
}

/// An entry of an aggregate's immutable history.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    pub kind: &'static str,
    pub id: Uuid,
    /// The aggregate's version that the entry led to.
    pub version: i64,
    pub at_ms: i64,
    /// What happened in this change: a JSON array of [`crate::journal::Chapter`]s.
    pub entries: String,
}

/// Everything a batch changes: one statement a table.
#[derive(Debug, Default)]
pub struct Changes {
    pub saves: Vec<Save>,
    /// (kind, id, version): rows that were not loaded in this transaction, were relied on, and are not saved. The commit
    /// fails like a lost compare-and-set when one has another version by then.
    pub unchanged: Vec<(&'static str, Uuid, i64)>,
    /// (stream, expected mark, new mark).
    pub marks: Vec<(Stream, Mark, Mark)>,
    pub outbox: Vec<OutboxRow>,
    /// (kind, id, due): sets the aggregate's one timer.
    pub arm: Vec<(&'static str, Uuid, i64)>,
    pub disarm: Vec<(&'static str, Uuid)>,
    pub park: Vec<Parked>,
    pub unpark: Vec<i64>,
    pub answers: Vec<(IdempotencyKey, StoredAnswer)>,
    pub journal: Vec<JournalEntry>,
}

/// How a commit ended.
#[derive(Debug)]
pub enum CommitError<K> {
    /// Nothing happened; the reaction is in the error.
    Failed(Error),
    /// The answer got lost: ask [`Store::committed`] with this token.
    Unknown(K),
}

/// What the commit gave: ids and tables of the outbox rows, in order.
#[derive(Debug, Default)]
pub struct Committed {
    pub outbox: Vec<(i64, i16)>,
}

/// A transaction.
pub trait Tx: Send {
    type Token: Send + Sync + std::fmt::Debug;

    /// Loads and locks. Rows of a kind are locked in the order of their ids.
    fn load(&mut self, consumer: &str, wanted: &Wanted) -> impl Future<Output = Result<Loaded>> + Send;

    /// Applies all changes and commits. [`Error::Retry`] when a compare-and-set did not find what it expected.
    fn commit(
        self,
        consumer: &str,
        changes: &Changes,
    ) -> impl Future<Output = Result<Committed, CommitError<Self::Token>>> + Send;
}

/// A relay's right to send a shard, until `until_ms` by the store's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    pub shard: i16,
    pub owner: Uuid,
    pub epoch: i64,
}

/// How much waits in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Backlog {
    pub rows: u64,
    pub oldest_ms: i64,
}

/// What is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Streams that wait; a record without a stream counts as one.
    pub streams: u64,
    /// Age of the oldest record.
    pub oldest_ms: i64,
}

/// Which rows a listing returns, newest id first.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub status: Option<String>,
    pub parent: Option<Uuid>,
    /// Only ids below this one: the last of the page before.
    pub before: Option<Uuid>,
    /// At most this many, 1..=500.
    pub limit: usize,
}

/// A context's state. Promises: transactions are atomic; a row loaded in one is not changed by another before it ends;
/// what was committed stays.
pub trait Store: Clone + Send + Sync + 'static {
    type Tx: Tx<Token = Self::Token>;
    type Token: Send + Sync + std::fmt::Debug;

    fn begin(&self) -> impl Future<Output = Result<Self::Tx>> + Send;
    /// Whether the transaction with this token took effect.
    fn committed(&self, token: &Self::Token) -> impl Future<Output = Result<bool>> + Send;

    fn now_ms(&self) -> impl Future<Output = Result<i64>> + Send;
    fn get(&self, kind: &'static str, ids: &[Uuid]) -> impl Future<Output = Result<Vec<Row>>> + Send;
    fn list(&self, kind: &'static str, query: &Query) -> impl Future<Output = Result<Vec<Row>>> + Send;
    fn journal(&self, kind: &'static str, id: Uuid) -> impl Future<Output = Result<Vec<JournalEntry>>> + Send;

    /// Takes or renews the lease of each of the shards `0..shards`; answers those that are held now.
    fn lease(&self, owner: Uuid, shards: i16, ttl: Duration) -> impl Future<Output = Result<Vec<Lease>>> + Send;
    /// Gives the leases back, so that another relay need not wait.
    fn release(&self, owner: Uuid) -> impl Future<Output = Result<()>> + Send;
    /// Unsent messages of the shards: a prefix of each stream, in order. Those that share an id come together, so that
    /// there may be some more than `limit`.
    fn unsent(&self, shards: &[i16], limit: usize) -> impl Future<Output = Result<Vec<OutboxRow>>> + Send;
    /// Removes acknowledged messages (id, table), all that share it, of shards that are still leased under the epochs given.
    fn sent(&self, leases: &[Lease], rows: &[(i64, i16)]) -> impl Future<Output = Result<()>> + Send;
    /// Switches writers to the other table and truncates the drained one when it can; answers whether it did.
    fn rotate(&self) -> impl Future<Output = Result<bool>> + Send;
    fn backlog(&self) -> impl Future<Output = Result<Backlog>> + Send;
    /// How many rows of the kind have as their rank a time, in milliseconds, of the last `since` or of the future; counts no
    /// further than `at_most`.
    fn waiting(&self, kind: &'static str, since: Duration, at_most: u64) -> impl Future<Output = Result<u64>> + Send;
    /// Whether commands of this effect key are still in the outbox.
    fn in_outbox(&self, keys: &[EffectKey]) -> impl Future<Output = Result<Vec<EffectKey>>> + Send;

    /// Aggregates whose timer is due by the store's clock, by due time and then id, with their due times; only those that come
    /// behind `after` in this order. Of two kinds with the same id and time the second may be passed over, until the next walk.
    fn due(
        &self,
        after: Option<(i64, Uuid)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(String, Uuid, i64)>>> + Send;

    /// Parked records that an operator decided about, whose missing predecessor has arrived, or that their stream has
    /// passed by, in stream order.
    fn released(
        &self,
        consumer: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Parked, ParkedAction)>>> + Send;
    fn held(&self, consumer: &str) -> impl Future<Output = Result<Waiting>> + Send;
    /// Deletes what is past its keep: idempotency answers after 24 h.
    fn sweep(&self) -> impl Future<Output = Result<u64>> + Send;
}

// ---------------------------------------------------------------- the clock

/// The one clock deadlines are judged by (the database's), and waiting.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Milliseconds since the Unix epoch by the clock that every process shares.
    fn now_ms(&self) -> impl Future<Output = Result<i64>> + Send;
    /// Waits; returns early only when the clock was stepped past it.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;
}
