//! The tables, and what a commit does to them: all of it, or nothing after a check that fails.

use super::locks::Locks;
use super::parking::Parking;
use crate::{
    error::Error,
    ports::{Changes, ClaimRows, Committed, IdempotencyKey, JournalEntry, Mark, OutboxRow, Query, Row, StoredAnswer},
};
use message::{
    Stream,
    bugs::{Bug, has},
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(super) struct Held {
    pub owner: Uuid,
    pub epoch: i64,
    pub until_ms: i64,
}

/// Everything a store holds. Maps are ordered, so that a run repeats.
#[derive(Default)]
pub(super) struct State {
    pub kinds: BTreeMap<&'static str, BTreeMap<Uuid, Row>>,
    pub locks: Locks,
    pub marks: BTreeMap<(String, Stream), Mark>,
    /// By id; what one commit sends through one shard shares an id.
    pub outbox: BTreeMap<i64, Vec<OutboxRow>>,
    /// Which of the two outbox tables writers use.
    pub current: i16,
    last_outbox_id: i64,
    pub leases: BTreeMap<i16, Held>,
    pub timers: BTreeMap<(&'static str, Uuid), i64>,
    pub parking: Parking,
    /// With the time they were given, milliseconds.
    pub answers: BTreeMap<IdempotencyKey, (StoredAnswer, i64)>,
    pub journal: BTreeMap<(&'static str, Uuid, i64), JournalEntry>,
    /// Commits that took effect although their callers were not told.
    pub committed_unknown: BTreeSet<u64>,
}

impl State {
    pub fn new(kinds: impl Iterator<Item = &'static str>) -> Self {
        Self { kinds: kinds.map(|kind| (kind, BTreeMap::new())).collect(), ..Self::default() }
    }

    pub fn table(&self, kind: &str) -> Result<&BTreeMap<Uuid, Row>, Error> {
        self.kinds.get(kind).ok_or_else(|| Error::Fatal(format!("`{kind}` is not a kind of this context")))
    }

    /// Free rows that satisfy the claim, lowest rank first, locked for `tx`.
    pub fn claim(&mut self, claim: &ClaimRows, tx: u64) -> Result<Vec<Row>, Error> {
        let fits = |row: &&Row| row.status == claim.status && row.rank >= claim.min_rank;
        let mut rows: Vec<Row> = self.table(claim.kind)?.values().filter(fits).cloned().collect();
        rows.sort_by_key(|row| (row.rank, row.id));
        rows.retain({
            let mut left = claim.count;
            let locks = &mut self.locks;
            move |row| {
                let taken = left > 0 && locks.try_take((claim.kind, row.id), tx);
                left -= usize::from(taken);
                taken
            }
        });
        Ok(rows)
    }

    pub fn list(&self, kind: &str, query: &Query) -> Result<Vec<Row>, Error> {
        let newest_first = self.table(kind)?.values().rev();
        let found = newest_first
            .filter(|row| query.status.as_ref().is_none_or(|s| row.status == *s))
            .filter(|row| query.parent.is_none_or(|p| row.parent == Some(p)))
            .filter(|row| query.before.is_none_or(|b| row.id < b));
        Ok(found.take(query.limit.clamp(1, 500)).cloned().collect())
    }

    /// Applies everything, or nothing: [`Error::Retry`] when somebody was faster.
    pub fn commit(
        &mut self,
        consumer: &str,
        changes: &Changes,
        ids: &BTreeMap<i16, i64>,
        now_ms: i64,
    ) -> Result<Committed, Error> {
        let expected = changes.saves.iter().map(|save| (save.kind, save.row.id, save.expected));
        self.check_versions(expected.chain(changes.unchanged.iter().copied()))?;
        self.check_marks(consumer, changes)?;
        self.check_unique(changes)?;
        self.parking.check(&changes.unpark)?;
        self.apply_rows(changes);
        self.apply_timers(changes);
        for (stream, _, after) in &changes.marks {
            self.marks.insert((consumer.to_owned(), stream.clone()), *after);
        }
        self.parking.apply(consumer, changes);
        for (key, answer) in &changes.answers {
            self.answers.insert(key.clone(), (answer.clone(), now_ms));
        }
        for entry in &changes.journal {
            self.journal.insert((entry.kind, entry.id, entry.version), entry.clone());
        }
        Ok(Committed { outbox: self.append(&changes.outbox, ids) })
    }

    fn check_versions(&self, all: impl Iterator<Item = (&'static str, Uuid, i64)>) -> Result<(), Error> {
        for (kind, id, expected) in all {
            let found = self.table(kind)?.get(&id).map_or(0, |row| row.version);
            if found != expected && !has(Bug::NoVersionCheck) {
                return Err(Error::overtaken(format!("{kind} {id} has version {found}, expected {expected}")));
            }
        }
        Ok(())
    }

    fn check_marks(&self, consumer: &str, changes: &Changes) -> Result<(), Error> {
        for (stream, before, _) in &changes.marks {
            let found = self.marks.get(&(consumer.to_owned(), stream.clone()));
            // A mark that is all zero stands for one that does not exist yet.
            let expected = (*before != Mark::default()).then_some(before);
            if found != expected {
                return Err(Error::overtaken(format!("the mark of {stream} is {found:?}, expected {expected:?}")));
            }
        }
        Ok(())
    }

    fn check_unique(&self, changes: &Changes) -> Result<(), Error> {
        if let Some((key, _)) = changes.answers.iter().find(|(key, _)| self.answers.contains_key(key)) {
            return Err(Error::overtaken(format!("{} was answered already", key.route)));
        }
        let twice = changes.journal.iter().find(|j| self.journal.contains_key(&(j.kind, j.id, j.version)));
        match twice {
            Some(j) => Err(Error::overtaken(format!("{} {} has an entry of version {}", j.kind, j.id, j.version))),
            None => Ok(()),
        }
    }

    fn apply_rows(&mut self, changes: &Changes) {
        for save in &changes.saves {
            let row = Row { version: save.expected + 1, ..save.row.clone() };
            self.kinds.entry(save.kind).or_default().insert(row.id, row);
        }
    }

    fn apply_timers(&mut self, changes: &Changes) {
        for (kind, id, due_ms) in &changes.arm {
            self.timers.insert((kind, *id), *due_ms);
        }
        for (kind, id) in &changes.disarm {
            self.timers.remove(&(*kind, *id));
        }
    }

    /// An id for each shard of these rows, taken before the commit: who commits later may have lower ones.
    pub fn number(&mut self, rows: &[OutboxRow]) -> BTreeMap<i16, i64> {
        let mut ids = BTreeMap::new();
        for row in rows {
            ids.entry(row.shard).or_insert_with(|| {
                self.last_outbox_id += 1;
                self.last_outbox_id
            });
        }
        ids
    }

    fn append(&mut self, rows: &[OutboxRow], ids: &BTreeMap<i16, i64>) -> Vec<(i64, i16)> {
        let table = self.current;
        let mut append = |row: &OutboxRow| {
            let id = ids.get(&row.shard).copied().unwrap_or_default();
            self.outbox.entry(id).or_default().push(OutboxRow { id, table, ..row.clone() });
            (id, table)
        };
        rows.iter().map(&mut append).collect()
    }
}
