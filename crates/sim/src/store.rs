//! A context's database as one process sees it: the store in memory behind a way that is slow and breaks.

use crate::process::Process;
use message::{
    EffectKey,
    bugs::{Bug, has},
};
use std::{sync::Arc, time::Duration};
use transport::{
    Error,
    memory::{CommitFault, MemoryStore, MemoryTx},
    ports::{
        Backlog, Changes, CommitError, Committed, JournalEntry, Lease, Loaded, OutboxRow, Parked, ParkedAction, Query,
        Row, Store, Tx, Waiting, Wanted,
    },
};
use uuid::Uuid;

#[derive(Clone)]
pub struct SimStore {
    inner: MemoryStore,
    process: Arc<Process>,
}

impl SimStore {
    pub fn new(inner: MemoryStore, process: Arc<Process>) -> Self {
        Self { inner, process }
    }

    /// An operation that may fail on the way there, and whose answer may get lost.
    async fn ask<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let faults = &self.process.world.faults;
        let reached = self.process.reach(operation).await;
        self.present()?;
        reached.may_fail(faults.store_fails, "store fails")?;
        let done = work.await;
        reached.travel("back").await;
        reached.may_fail(faults.store_unheard, "store unheard")?;
        done
    }
}

impl SimStore {
    /// Fails while the database is away.
    fn present(&self) -> Result<(), Error> {
        let away = self.process.world.is_away(self.process.context);
        if away { Err(Error::retry("connect", "the database is away")) } else { Ok(()) }
    }
}

impl Store for SimStore {
    type Tx = SimTx;
    type Token = u64;

    async fn begin(&self) -> Result<SimTx, Error> {
        let reached = self.process.reach("begin").await;
        self.present()?;
        reached.may_fail(self.process.world.faults.store_fails, "store fails")?;
        Ok(SimTx { inner: self.inner.begin().await?, store: self.clone() })
    }

    async fn committed(&self, token: &u64) -> Result<bool, Error> {
        self.ask("committed", self.inner.committed(token)).await
    }

    async fn now_ms(&self) -> Result<i64, Error> {
        self.ask("now", self.inner.now_ms()).await
    }

    async fn get(&self, kind: &'static str, ids: &[Uuid]) -> Result<Vec<Row>, Error> {
        self.ask("get", self.inner.get(kind, ids)).await
    }

    async fn list(&self, kind: &'static str, query: &Query) -> Result<Vec<Row>, Error> {
        self.ask("list", self.inner.list(kind, query)).await
    }

    async fn journal(&self, kind: &'static str, id: Uuid) -> Result<Vec<JournalEntry>, Error> {
        self.ask("journal", self.inner.journal(kind, id)).await
    }

    async fn lease(&self, owner: Uuid, shards: i16, ttl: Duration) -> Result<Vec<Lease>, Error> {
        let process = &self.process;
        let lease = async {
            let skew_ms = if has(Bug::AppClockLeases) { process.skew_ms() } else { 0 };
            process.world.clock.step(skew_ms);
            let leases = self.inner.lease(owner, shards, ttl).await;
            process.world.clock.step(-skew_ms);
            if let Ok(leases) = &leases {
                process.world.leased(process.context, leases, ttl);
            }
            leases
        };
        self.ask("lease", lease).await
    }

    async fn release(&self, owner: Uuid) -> Result<(), Error> {
        let release = async {
            self.process.world.released(owner);
            self.inner.release(owner).await
        };
        self.ask("release", release).await
    }

    async fn unsent(&self, shards: &[i16], limit: usize) -> Result<Vec<OutboxRow>, Error> {
        self.ask("unsent", self.inner.unsent(shards, limit)).await
    }

    async fn sent(&self, leases: &[Lease], rows: &[(i64, i16)]) -> Result<(), Error> {
        self.ask("sent", self.inner.sent(leases, rows)).await
    }

    async fn rotate(&self) -> Result<bool, Error> {
        self.ask("rotate", self.inner.rotate()).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        self.ask("backlog", self.inner.backlog()).await
    }

    async fn waiting(&self, kind: &'static str, since: Duration, at_most: u64) -> Result<u64, Error> {
        self.ask("waiting", self.inner.waiting(kind, since, at_most)).await
    }

    async fn in_outbox(&self, keys: &[EffectKey]) -> Result<Vec<EffectKey>, Error> {
        self.ask("in outbox", self.inner.in_outbox(keys)).await
    }

    async fn due(&self, after: Option<(i64, Uuid)>, limit: usize) -> Result<Vec<(String, Uuid, i64)>, Error> {
        self.ask("due", self.inner.due(after, limit)).await
    }

    async fn released(&self, consumer: &str, limit: usize) -> Result<Vec<(Parked, ParkedAction)>, Error> {
        self.ask("released", self.inner.released(consumer, limit)).await
    }

    async fn held(&self, consumer: &str) -> Result<Waiting, Error> {
        self.ask("held", self.inner.held(consumer)).await
    }

    async fn sweep(&self) -> Result<u64, Error> {
        self.ask("sweep", self.inner.sweep()).await
    }
}

/// A transaction of one process. Its locks go with it, as with a connection that ends.
pub struct SimTx {
    inner: MemoryTx,
    store: SimStore,
}

impl Tx for SimTx {
    type Token = u64;

    async fn load(&mut self, consumer: &str, wanted: &Wanted) -> Result<Loaded, Error> {
        let reached = self.store.process.reach("load").await;
        self.store.present()?;
        reached.may_fail(self.store.process.world.faults.store_fails, "store fails")?;
        let loaded = self.inner.load(consumer, wanted).await;
        reached.travel("back").await;
        loaded
    }

    async fn commit(self, consumer: &str, changes: &Changes) -> Result<Committed, CommitError<u64>> {
        let Self { mut inner, store } = self;
        let faults = &store.process.world.faults;
        for (stream, before, after) in &changes.marks {
            if after.last_seq < before.last_seq {
                store.process.world.wrong(format!("inbox: the mark of {stream} goes back"));
            }
        }
        let reached = store.process.reach("commit").await;
        inner.number_outbox(changes);
        reached.travel("on").await;
        store.present().map_err(CommitError::Failed)?;
        if reached.fails(faults.commit_fails, "commit fails") {
            return Err(CommitError::Failed(Error::retry("commit", "simulated")));
        }
        if reached.fails(faults.commit_unheard, "commit unheard") {
            // Taken by this commit: nothing is awaited in between.
            store.inner.fail_next_commit(CommitFault::Unknown { took_effect: reached.choose("effect", 2) == 0 });
        }
        let committed = inner.commit(consumer, changes).await;
        reached.travel("back").await;
        committed
    }
}
