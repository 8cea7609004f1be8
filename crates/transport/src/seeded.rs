//! How the seeded bugs go about it ([`message::bugs`]), out of the way of the code that they spoil. Without the feature
//! `bugs` each of these hands back what it is given.

use crate::ports::{Lease, OutboxRow};
use message::bugs::{Bug, has, memory};
use uuid::Uuid;

/// A relay starts: the locks of one that died went with it.
#[inline(always)]
pub fn relay_starts(context: &str) {
    if has(Bug::SkipLocked) {
        memory(|m| m.retain(|key, _| key.0 != number(context)));
    }
}

/// The shards a relay takes for its own.
#[inline(always)]
pub fn leases(owner: Uuid, leases: Vec<Lease>) -> Vec<Lease> {
    if !has(Bug::SkipLocked) {
        return leases;
    }
    (0..crate::fold::SHARDS).map(|shard| Lease { shard, owner, epoch: 0 }).collect()
}

/// The rows that a relay's scan finds.
#[inline(always)]
pub fn unsent(context: &str, owner: Uuid, mut rows: Vec<OutboxRow>) -> Vec<OutboxRow> {
    if has(Bug::CursorOutbox) {
        let cursor = (owner.as_u128(), 0);
        let last = memory(|m| m.get(&cursor).copied().unwrap_or(0));
        rows.retain(|row| row.id as u128 > last);
        let read = rows.iter().map(|row| row.id as u128).max().unwrap_or(last);
        memory(|m| m.insert(cursor, read));
    }
    if has(Bug::SkipLocked) {
        let key = |row: &OutboxRow| (number(context), row.id as u128);
        rows.retain(|row| memory(|m| *m.entry(key(row)).or_insert(owner.as_u128()) == owner.as_u128()));
    }
    rows
}

/// What a relay's scan found was sent, or was not.
#[inline(always)]
pub fn scanned(owner: Uuid) {
    if has(Bug::SkipLocked) {
        memory(|m| m.retain(|_, holder| *holder != owner.as_u128()));
    }
}

/// The process that has `seed` for its ids armed these timers.
#[inline(always)]
pub fn armed(seed: Option<u64>, timers: &[(&'static str, Uuid, i64)]) {
    if has(Bug::TimersInMemory) {
        let process = u128::from(seed.unwrap_or_default());
        memory(|m| m.extend(timers.iter().map(|(_, id, _)| ((process, id.as_u128()), 1))));
    }
}

/// Of the due timers, those that the process knows of.
#[inline(always)]
pub fn due(seed: Option<u64>, mut due: Vec<(String, Uuid, i64)>) -> Vec<(String, Uuid, i64)> {
    if has(Bug::TimersInMemory) {
        let process = u128::from(seed.unwrap_or_default());
        due.retain(|(_, id, _)| memory(|m| m.contains_key(&(process, id.as_u128()))));
    }
    due
}

fn number(context: &str) -> u128 {
    context.bytes().fold(1, |sum, byte| sum * 257 + u128::from(byte)) | 1 << 127
}
