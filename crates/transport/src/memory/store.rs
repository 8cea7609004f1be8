//! The store in memory: the same tables and the same locks, without a server.

use super::{
    SteppedClock, lock,
    state::{Held, State},
    tx::MemoryTx,
};
use crate::{
    error::Error,
    ports::{Backlog, JournalEntry, Lease, Mark, OutboxRow, Parked, ParkedAction, Query, Row, Store, Waiting},
};
use message::{
    EffectKey,
    bugs::{Bug, has},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use uuid::Uuid;

/// How long idempotency answers are kept, milliseconds: 24 h.
const KEEP_ANSWERS_MS: i64 = 24 * 60 * 60 * 1000;

/// What the next commit meets, when a test or the simulator says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// Nothing happens, and the caller is told so.
    Failed,
    /// The answer gets lost; `took_effect` says what [`Store::committed`] will find.
    Unknown { took_effect: bool },
}

/// A context's state in memory. Clones share it; it is gone with the last of them.
#[derive(Clone)]
pub struct MemoryStore {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub state: Mutex<State>,
    pub clock: SteppedClock,
    /// Notified whenever a transaction ends.
    pub unlocked: Notify,
    pub faults: Mutex<VecDeque<CommitFault>>,
    keep_sent: AtomicBool,
    transactions: AtomicU64,
    pub loads: AtomicU64,
}

impl MemoryStore {
    /// An empty store for `kinds`, the context's; [`crate::FENCE`] is added. Its clock is its own, see [`MemoryStore::clock`].
    pub fn new(kinds: crate::Kinds) -> Self {
        Self::with_clock(kinds, SteppedClock::default())
    }

    /// As [`MemoryStore::new`], on a clock that is shared with others.
    pub fn with_clock(kinds: crate::Kinds, clock: SteppedClock) -> Self {
        let kinds = kinds.iter().copied().chain([crate::FENCE]);
        let shared = Shared {
            state: Mutex::new(State::new(kinds)),
            clock,
            unlocked: Notify::new(),
            faults: Mutex::default(),
            keep_sent: AtomicBool::new(false),
            transactions: AtomicU64::new(0),
            loads: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The clock that timers, leases and answers are judged by.
    pub fn clock(&self) -> &SteppedClock {
        &self.shared.clock
    }

    /// The next commit meets this fault; several are met one after another.
    pub fn fail_next_commit(&self, fault: CommitFault) {
        lock(&self.shared.faults).push_back(fault);
    }

    /// The next deletion of rows that were sent fails.
    pub fn fail_next_deletion(&self) {
        self.shared.keep_sent.store(true, Ordering::Relaxed);
    }

    /// How many rows transactions have loaded and locked so far.
    pub fn loads(&self) -> u64 {
        self.shared.loads.load(Ordering::Relaxed)
    }

    /// Every parked record, of all consumers.
    pub fn parked(&self) -> Vec<Parked> {
        self.state(|s| s.parking.all())
    }

    /// Every row of a kind, in the order of their ids.
    pub fn rows(&self, kind: &str) -> Vec<Row> {
        self.state(|s| s.kinds.get(kind).into_iter().flat_map(|rows| rows.values().cloned()).collect())
    }

    /// Every message in the outbox, in the order of their ids.
    pub fn outbox(&self) -> Vec<OutboxRow> {
        self.state(|s| s.outbox.values().flatten().cloned().collect())
    }

    /// Every entry of every history, by aggregate and version.
    pub fn histories(&self) -> Vec<JournalEntry> {
        self.state(|s| s.journal.values().cloned().collect())
    }

    /// An operator's decision about a parked record; false when there is none with this id.
    pub fn decide(&self, id: i64, action: ParkedAction) -> bool {
        self.state(|s| s.parking.decide(id, action))
    }

    pub(super) fn state<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut lock(&self.shared.state))
    }
}

impl Store for MemoryStore {
    type Tx = MemoryTx;
    type Token = u64;

    async fn begin(&self) -> Result<MemoryTx, Error> {
        let id = self.shared.transactions.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(MemoryTx { store: self.clone(), id, outbox_ids: None })
    }

    async fn committed(&self, token: &u64) -> Result<bool, Error> {
        Ok(self.state(|s| s.committed_unknown.contains(token)))
    }

    async fn now_ms(&self) -> Result<i64, Error> {
        Ok(self.clock().now())
    }

    async fn get(&self, kind: &'static str, ids: &[Uuid]) -> Result<Vec<Row>, Error> {
        self.state(|s| {
            let table = s.table(kind)?;
            Ok(table.values().filter(|row| ids.contains(&row.id)).cloned().collect())
        })
    }

    async fn list(&self, kind: &'static str, query: &Query) -> Result<Vec<Row>, Error> {
        self.state(|s| s.list(kind, query))
    }

    async fn journal(&self, kind: &'static str, id: Uuid) -> Result<Vec<JournalEntry>, Error> {
        Ok(self
            .state(|s| s.journal.range((kind, id, i64::MIN)..=(kind, id, i64::MAX)).map(|(_, e)| e.clone()).collect()))
    }

    async fn lease(&self, owner: Uuid, shards: i16, ttl: Duration) -> Result<Vec<Lease>, Error> {
        let now_ms = self.clock().now();
        let until_ms = now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        Ok(self.state(|s| {
            (0..shards)
                .filter_map(|shard| {
                    let held = s.leases.entry(shard).or_insert(Held { owner, epoch: 1, until_ms });
                    take_lease(held, owner, now_ms, until_ms).then_some(Lease { shard, owner, epoch: held.epoch })
                })
                .collect()
        }))
    }

    async fn release(&self, owner: Uuid) -> Result<(), Error> {
        let expired = self.clock().now() - 1;
        self.state(|s| {
            s.leases.values_mut().filter(|held| held.owner == owner).for_each(|held| held.until_ms = expired)
        });
        Ok(())
    }

    async fn unsent(&self, shards: &[i16], limit: usize) -> Result<Vec<OutboxRow>, Error> {
        Ok(self.state(|s| {
            let mut found = Vec::new();
            for rows in s.outbox.values().filter(|rows| rows.iter().any(|row| shards.contains(&row.shard))) {
                if found.len() >= limit {
                    break;
                }
                found.extend(rows.iter().cloned());
            }
            found
        }))
    }

    async fn sent(&self, leases: &[Lease], rows: &[(i64, i16)]) -> Result<(), Error> {
        if self.shared.keep_sent.swap(false, Ordering::Relaxed) {
            return Err(Error::retry("delete", "it was made to fail"));
        }
        self.state(|s| {
            for (id, table) in rows {
                let Some(row) = s.outbox.get(id).and_then(|rows| rows.first()) else { continue };
                if row.table != *table {
                    continue;
                }
                let held = s.leases.get(&row.shard);
                let is = |l: &Lease| held.is_some_and(|h| (l.shard, l.owner, l.epoch) == (row.shard, h.owner, h.epoch));
                if leases.iter().any(is) || has(Bug::SkipLocked) {
                    s.outbox.remove(id);
                }
            }
        });
        Ok(())
    }

    async fn rotate(&self) -> Result<bool, Error> {
        Ok(self.state(|s| {
            let other = 1 - s.current;
            let drained = s.outbox.values().flatten().all(|row| row.table != other);
            if drained {
                s.current = other;
            }
            drained
        }))
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        let now_ms = self.clock().now();
        Ok(self.state(|s| {
            let oldest = s.outbox.values().flatten().map(|row| row.created_ms).min().unwrap_or(now_ms);
            Backlog { rows: s.outbox.values().flatten().count() as u64, oldest_ms: (now_ms - oldest).max(0) }
        }))
    }

    async fn waiting(&self, kind: &'static str, since: Duration, at_most: u64) -> Result<u64, Error> {
        let after = (self.clock().now() - since.as_millis() as i64).max(0);
        let waiting = self.state(|s| Ok(s.table(kind)?.values().filter(|row| row.rank > after).count()))?;
        Ok(at_most.min(waiting as u64))
    }

    async fn in_outbox(&self, keys: &[EffectKey]) -> Result<Vec<EffectKey>, Error> {
        let waits = |s: &State, key: &EffectKey| s.outbox.values().flatten().any(|row| row.record.headers.names(key));
        Ok(self.state(|s| keys.iter().filter(|key| waits(s, key)).cloned().collect()))
    }

    async fn due(&self, after: Option<(i64, Uuid)>, limit: usize) -> Result<Vec<(String, Uuid, i64)>, Error> {
        let now_ms = self.clock().now();
        let mut due: Vec<_> = self.state(|s| {
            let due = s.timers.iter().filter(|(_, due_ms)| **due_ms <= now_ms);
            due.map(|((kind, id), due_ms)| ((*kind).to_owned(), *id, *due_ms)).collect()
        });
        due.retain(|(_, id, due_ms)| after.is_none_or(|after| (*due_ms, *id) > after));
        due.sort_by_key(|(_, id, due_ms)| (*due_ms, *id));
        due.truncate(limit);
        Ok(due)
    }

    async fn released(&self, consumer: &str, limit: usize) -> Result<Vec<(Parked, ParkedAction)>, Error> {
        Ok(self.state(|s| {
            let mark = |stream: &message::Stream| -> Mark {
                s.marks.get(&(consumer.to_owned(), stream.clone())).copied().unwrap_or_default()
            };
            s.parking.released(consumer, limit, mark)
        }))
    }

    async fn held(&self, consumer: &str) -> Result<Waiting, Error> {
        let now_ms = self.clock().now();
        Ok(self.state(|s| s.parking.held(consumer, now_ms)))
    }

    async fn sweep(&self) -> Result<u64, Error> {
        let oldest = self.clock().now() - KEEP_ANSWERS_MS;
        Ok(self.state(|s| {
            let before = s.answers.len();
            s.answers.retain(|_, (_, given_ms)| *given_ms >= oldest);
            (before - s.answers.len()) as u64
        }))
    }
}

/// A lease is taken when it is free, expired or ours; the epoch rises when the owner changes.
fn take_lease(held: &mut Held, owner: Uuid, now_ms: i64, until_ms: i64) -> bool {
    let ours = held.owner == owner;
    if !ours && held.until_ms >= now_ms {
        return false;
    }
    let epoch = held.epoch + i64::from(!ours);
    *held = Held { owner, epoch, until_ms };
    true
}
