//! The two worlds that the store's properties hold in, and what the properties are written with.

pub mod claims;
pub mod inbox;
pub mod outbox;
pub mod parking;
pub mod poison;
pub mod rows;
pub mod timers;
pub mod transactions;
pub mod version;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use testkit::{CommitCutter, Cut, Database};
use transport::{
    Error,
    memory::{CommitFault, MemoryStore},
    ports::{Changes, CommitError, NewRecord, OutboxRow, ParkedAction, Row, Save, Store, Tx, Wanted},
    postgres::{PgConfig, PgStore},
};
use uuid::Uuid;

/// The kinds of the contract's context.
pub const KINDS: transport::Kinds = &["thing", "spot"];
/// Its consumer.
pub const ME: &str = "contract";
pub const SECONDS: Duration = Duration::from_secs(10);

/// A store with the hooks that no port offers.
pub trait World {
    type Store: Store;

    fn store(&self) -> &Self::Store;
    /// Lets the store's clock go on.
    async fn pass(&self, time: Duration);
    /// What `mallctl parked` does.
    async fn decide(&self, id: i64, action: ParkedAction);
    /// Makes all idempotency answers look this much older.
    async fn age_answers(&self, hours: i64);
    /// The same store, reached in a way that loses the answer to the next commit.
    async fn losing_a_commit(&self, took_effect: bool) -> Self::Store;
}

pub struct InMemory(MemoryStore);

impl Default for InMemory {
    fn default() -> Self {
        Self(MemoryStore::new(KINDS))
    }
}

impl World for InMemory {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.0
    }

    async fn pass(&self, time: Duration) {
        self.0.clock().step(time.as_millis() as i64);
    }

    async fn decide(&self, id: i64, action: ParkedAction) {
        assert!(self.0.decide(id, action), "{id} is not parked");
    }

    async fn age_answers(&self, hours: i64) {
        self.0.clock().step(hours * 3_600_000);
    }

    async fn losing_a_commit(&self, took_effect: bool) -> MemoryStore {
        self.0.fail_next_commit(CommitFault::Unknown { took_effect });
        self.0.clone()
    }
}

pub struct OnPostgres(Database);

impl OnPostgres {
    pub async fn create() -> Self {
        let columns = "(id uuid PRIMARY KEY, version bigint NOT NULL, status text NOT NULL, parent uuid,
            rank bigint NOT NULL DEFAULT 0, state text NOT NULL, streams text NOT NULL DEFAULT '[]', armed_ms bigint,
            updated_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 70);";
        let tables: String = KINDS.iter().map(|kind| format!("CREATE TABLE {kind} {columns}")).collect();
        let migration = refinery::Migration::unapplied("V1__kinds", &tables).unwrap();
        Self(Database::create("contract", KINDS, refinery::Runner::new(&[migration])).await)
    }

    async fn execute(&self, sql: &str) {
        self.0.connect().await.batch_execute(sql).await.unwrap();
    }
}

impl World for OnPostgres {
    type Store = PgStore;

    fn store(&self) -> &PgStore {
        self.0.store()
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn decide(&self, id: i64, action: ParkedAction) {
        let action = match action {
            ParkedAction::Release => "release",
            ParkedAction::Skip => "skip",
        };
        self.execute(&format!("UPDATE parked SET action = '{action}' WHERE id = {id}")).await;
    }

    async fn age_answers(&self, hours: i64) {
        self.execute(&format!("UPDATE idempotency SET created_at = created_at - interval '{hours} hours'")).await;
    }

    async fn losing_a_commit(&self, took_effect: bool) -> PgStore {
        let cut = if took_effect { Cut::After } else { Cut::Before };
        let first = AtomicBool::new(true);
        let decide = move || first.swap(false, Ordering::Relaxed).then_some(cut);
        let cutter = CommitCutter::start(&self.0.url(), decide).await.unwrap();
        PgStore::new(&PgConfig::new(cutter.url()), KINDS).unwrap()
    }
}

/// An aggregate without anything special.
pub fn row(id: Uuid, version: i64) -> Row {
    Row {
        id,
        version,
        status: "open".into(),
        parent: None,
        rank: 0,
        state: "{}".into(),
        streams: Vec::new(),
        armed_ms: None,
    }
}

/// Saves `row`, whose version is the new one.
pub fn save(kind: &'static str, row: Row) -> Save {
    Save { kind, expected: row.version - 1, row }
}

pub fn saves(kind: &'static str, rows: impl IntoIterator<Item = Row>) -> Changes {
    Changes { saves: rows.into_iter().map(|row| save(kind, row)).collect(), ..Changes::default() }
}

pub fn wanted(kind: &'static str, ids: &[Uuid]) -> Wanted {
    Wanted { rows: vec![(kind, ids.to_vec())], ..Wanted::default() }
}

/// A row of the outbox on shard 0.
pub fn message(stream: &str, seq: u64) -> OutboxRow {
    let record = NewRecord {
        topic: "events".into(),
        key: stream.to_owned(),
        headers: message::Headers::new(),
        value: Some(vec![1]),
    };
    OutboxRow { id: 0, table: 0, shard: 0, stream: stream.into(), seq, record, created_ms: 0 }
}

pub fn messages(rows: impl IntoIterator<Item = OutboxRow>) -> Changes {
    Changes { outbox: rows.into_iter().collect(), ..Changes::default() }
}

/// Ids in ascending order.
pub fn ids<const N: usize>() -> [Uuid; N] {
    let ids: BTreeSet<Uuid> = std::iter::repeat_with(Uuid::now_v7).take(N).collect();
    ids.into_iter().collect::<Vec<_>>().try_into().unwrap()
}

/// Commits in a transaction of its own.
pub async fn commit<S: Store>(store: &S, changes: &Changes) -> Result<transport::ports::Committed, Error> {
    match store.begin().await.unwrap().commit(ME, changes).await {
        Ok(committed) => Ok(committed),
        Err(CommitError::Failed(error)) => Err(error),
        Err(CommitError::Unknown(token)) => panic!("the answer to {token:?} got lost"),
    }
}

pub fn is_retry<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Retry { .. }))
}

pub async fn get<S: Store>(store: &S, kind: &'static str, id: Uuid) -> Option<Row> {
    store.get(kind, &[id]).await.unwrap().pop()
}
