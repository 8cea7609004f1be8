//! A transaction in memory: reads what is committed, locks what it loads, writes everything at once at its end.

use super::{
    lock,
    locks::{Attempt, Key},
    state::State,
    store::{CommitFault, MemoryStore},
};
use crate::{
    error::Error,
    ports::{Changes, CommitError, Committed, Loaded, Row, Tx, Wanted},
};
use std::{collections::BTreeMap, sync::atomic::Ordering};
use uuid::Uuid;

/// Lets go of its locks when it is committed or dropped.
pub struct MemoryTx {
    pub(super) store: MemoryStore,
    pub(super) id: u64,
    /// Of its outbox rows, by shard; taken when the commit begins.
    pub(super) outbox_ids: Option<BTreeMap<i16, i64>>,
}

impl MemoryTx {
    /// Takes the ids of what it will put into the outbox; the commit does so where this was not called before. In between,
    /// others may commit with higher ids, as with any sequence.
    pub fn number_outbox(&mut self, changes: &Changes) {
        let ids = self.store.state(|s| s.number(&changes.outbox));
        self.outbox_ids = Some(ids);
    }

    /// Locks the row, waiting for its holder; a row that does not exist cannot be locked.
    async fn lock(&self, key: Key) -> Result<(), Error> {
        loop {
            // Listening starts before the look, so that no release in between is missed.
            let unlocked = self.store.shared.unlocked.notified();
            tokio::pin!(unlocked);
            unlocked.as_mut().enable();
            match self.store.state(|s| self.attempt(s, key))? {
                Attempt::Ours => return Ok(()),
                Attempt::Wait => unlocked.await,
                Attempt::Deadlock => return Err(Error::retry("lock", format!("deadlock at {} {}", key.0, key.1))),
            }
        }
    }

    fn attempt(&self, state: &mut State, key: Key) -> Result<Attempt, Error> {
        let exists = state.table(key.0)?.contains_key(&key.1);
        Ok(if exists { state.locks.take(key, self.id) } else { Attempt::Ours })
    }

    async fn lock_all(&self, wanted: &[(&'static str, Vec<Uuid>)]) -> Result<(), Error> {
        for (kind, ids) in wanted {
            let mut ids = ids.clone();
            ids.sort_unstable();
            for id in ids {
                self.lock((kind, id)).await?;
            }
        }
        Ok(())
    }

    fn read(&self, state: &mut State, consumer: &str, wanted: &Wanted) -> Result<Loaded, Error> {
        let mut loaded = Loaded { now_ms: self.store.clock().now(), ..Loaded::default() };
        loaded.rows = rows(state, &wanted.rows)?;
        loaded.peeks = rows(state, &wanted.peeks)?;
        for claim in &wanted.claims {
            loaded.claimed.extend(state.claim(claim, self.id)?.into_iter().map(|row| (claim.kind, row)));
        }
        for stream in &wanted.marks {
            let mark = state.marks.get(&(consumer.to_owned(), stream.clone()));
            loaded.marks.extend(mark.map(|mark| (stream.clone(), *mark)));
        }
        loaded.parked =
            wanted.parked.iter().filter_map(|at| Some((at.clone(), state.parking.at(consumer, at)?))).collect();
        loaded.held = wanted.held.iter().copied().filter(|id| state.parking.holds(*id)).collect();
        for key in &wanted.idempotency {
            loaded.answers.extend(state.answers.get(key).map(|(answer, _)| (key.clone(), answer.clone())));
        }
        Ok(loaded)
    }
}

fn rows(state: &State, wanted: &[(&'static str, Vec<Uuid>)]) -> Result<Vec<(&'static str, Row)>, Error> {
    let mut found = Vec::new();
    for (kind, ids) in wanted {
        let table = state.table(kind)?;
        found.extend(table.values().filter(|row| ids.contains(&row.id)).map(|row| (*kind, row.clone())));
    }
    Ok(found)
}

impl Tx for MemoryTx {
    type Token = u64;

    async fn load(&mut self, consumer: &str, wanted: &Wanted) -> Result<Loaded, Error> {
        self.lock_all(&wanted.rows).await?;
        let loaded = self.store.state(|s| self.read(s, consumer, wanted))?;
        self.store.shared.loads.fetch_add(loaded.rows.len() as u64, Ordering::Relaxed);
        Ok(loaded)
    }

    async fn commit(mut self, consumer: &str, changes: &Changes) -> Result<Committed, CommitError<u64>> {
        let fault = lock(&self.store.shared.faults).pop_front();
        match fault {
            Some(CommitFault::Failed) => {
                return Err(CommitError::Failed(Error::retry("commit", "it was made to fail")));
            }
            Some(CommitFault::Unknown { took_effect: false }) => return Err(CommitError::Unknown(self.id)),
            Some(CommitFault::Unknown { took_effect: true }) | None => {}
        }
        if self.outbox_ids.is_none() {
            self.number_outbox(changes);
        }
        let ids = self.outbox_ids.take().unwrap_or_default();
        let saved = changes.saves.iter().map(|save| (save.kind, save.row.id));
        for key in saved.chain(changes.unchanged.iter().map(|(kind, id, _)| (*kind, *id))) {
            self.lock(key).await.map_err(CommitError::Failed)?;
        }
        let now_ms = self.store.clock().now();
        let committed = self.store.state(|s| s.commit(consumer, changes, &ids, now_ms)).map_err(CommitError::Failed)?;
        if fault.is_some() {
            self.store.state(|s| s.committed_unknown.insert(self.id));
            return Err(CommitError::Unknown(self.id));
        }
        Ok(committed)
    }
}

impl Drop for MemoryTx {
    fn drop(&mut self) {
        self.store.state(|s| s.locks.release(self.id));
        self.store.shared.unlocked.notify_waiters();
    }
}
