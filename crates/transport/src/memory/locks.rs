//! Row locks: who holds which row, who waits for which, and whether waiting would never end.

use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) type Key = (&'static str, Uuid);
pub(super) type TxId = u64;

/// Each row is held by at most one transaction, and each transaction waits for at most one row.
#[derive(Default)]
pub(super) struct Locks {
    held: BTreeMap<Key, TxId>,
    waiting: BTreeMap<TxId, Key>,
}

/// How an attempt to lock a row ended.
#[derive(Debug, PartialEq)]
pub(super) enum Attempt {
    Ours,
    Wait,
    /// Those who would have to let go first wait for us.
    Deadlock,
}

impl Locks {
    /// Takes the row when nobody else has it.
    pub fn try_take(&mut self, key: Key, tx: TxId) -> bool {
        *self.held.entry(key).or_insert(tx) == tx
    }

    /// Takes the row, or notes that `tx` waits for it.
    pub fn take(&mut self, key: Key, tx: TxId) -> Attempt {
        self.waiting.remove(&tx);
        if self.try_take(key, tx) {
            return Attempt::Ours;
        }
        if self.waits_for(key, tx) {
            return Attempt::Deadlock;
        }
        self.waiting.insert(tx, key);
        Attempt::Wait
    }

    /// Whether the holder of `key` waits, over any number of others, for `tx`.
    fn waits_for(&self, key: Key, tx: TxId) -> bool {
        let mut holder = self.held.get(&key);
        while let Some(at) = holder {
            if *at == tx {
                return true;
            }
            holder = self.waiting.get(at).and_then(|next| self.held.get(next));
        }
        false
    }

    /// Lets go of everything the transaction holds or waits for.
    pub fn release(&mut self, tx: TxId) {
        self.held.retain(|_, holder| *holder != tx);
        self.waiting.remove(&tx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = ("a", Uuid::nil());
    const B: Key = ("b", Uuid::nil());
    const C: Key = ("c", Uuid::nil());

    #[test]
    fn a_ring_of_three_is_found_by_the_one_who_would_close_it() {
        let mut locks = Locks::default();
        for (key, tx) in [(A, 1), (B, 2), (C, 3)] {
            assert_eq!(locks.take(key, tx), Attempt::Ours);
        }
        assert_eq!(locks.take(B, 1), Attempt::Wait);
        assert_eq!(locks.take(C, 2), Attempt::Wait);
        assert_eq!(locks.take(A, 3), Attempt::Deadlock);
        locks.release(3);
        assert_eq!(locks.take(C, 2), Attempt::Ours);
    }

    #[test]
    fn what_one_has_one_gets_again() {
        let mut locks = Locks::default();
        assert_eq!(locks.take(A, 1), Attempt::Ours);
        assert_eq!(locks.take(A, 1), Attempt::Ours);
    }
}
