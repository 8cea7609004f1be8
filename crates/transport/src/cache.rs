//! Rows and marks as this process last committed them, so that the next batch need not load them again.
//!
//! Optimistic: nothing is locked between batches. A batch that uses a cached row saves it, which compares its version, or
//! has the version compared at its commit ([`crate::ports::Changes::unchanged`]); a cached mark is compared when it moves,
//! and one that is behind only makes a batch try to move it. A process that was overtaken finds out at its commit, forgets
//! what the batch touched, and loads it anew.

use crate::{
    ports::Mark,
    unit::{Key, Slot},
};
use message::Stream;
use std::{collections::HashMap, hash::Hash};

/// Rows in one generation. All contexts of a loaded platform together were seen to take 40 to 100 MiB more for them.
const MOST_ROWS: usize = 4_096;
/// Marks in one generation.
const MOST_MARKS: usize = 16_384;
/// Batches without a cache after one was overtaken, at first and at most. Where several processes work on the same rows
/// all the time, loading them at once is cheaper than finding out at the end.
const FIRST_PAUSE: u32 = 4;
const LONGEST_PAUSE: u32 = 1_024;

pub(crate) struct RowCache {
    rows: Generations<Key, Slot>,
    marks: Generations<Stream, Mark>,
    /// Batches that still go without.
    paused: u32,
    pause: u32,
}

impl Default for RowCache {
    fn default() -> Self {
        let (rows, marks) = (Generations::new(MOST_ROWS), Generations::new(MOST_MARKS));
        Self { rows, marks, paused: 0, pause: FIRST_PAUSE }
    }
}

impl RowCache {
    /// The row, no longer cached: it is put back when the batch that takes it has committed.
    pub fn take_row(&mut self, key: &Key) -> Option<Slot> {
        self.rows.take(key)
    }

    pub fn has_row(&self, key: &Key) -> bool {
        self.rows.young.contains_key(key) || self.rows.old.contains_key(key)
    }

    pub fn put_row(&mut self, key: Key, slot: Slot) {
        if self.paused == 0 {
            self.rows.put(key, slot);
        }
    }

    pub fn take_mark(&mut self, stream: &Stream) -> Option<Mark> {
        self.marks.take(stream)
    }

    /// Marks of streams with parked records are not kept: what is parked may be given up without its mark moving.
    pub fn put_mark(&mut self, stream: Stream, mark: Mark) {
        if self.paused == 0 && mark.parked == 0 {
            self.marks.put(stream, mark);
        }
    }

    /// A batch has committed; `used`: with rows from here.
    pub fn succeeded(&mut self, used: bool) {
        self.paused = self.paused.saturating_sub(1);
        if used {
            self.pause = (self.pause / 2).max(FIRST_PAUSE);
        }
    }

    /// A batch that used rows from here has failed, most likely because another process has changed one.
    pub fn overtaken(&mut self) {
        self.rows.clear();
        self.marks.clear();
        self.paused = self.pause;
        self.pause = (self.pause * 4).min(LONGEST_PAUSE);
    }
}

/// A bounded map that forgets what has not been used for long: when the young are full, the old are forgotten.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    most: usize,
}

impl<K: Hash + Eq, V> Generations<K, V> {
    fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most }
    }

    fn take(&mut self, key: &K) -> Option<V> {
        let older = self.old.remove(key);
        self.young.remove(key).or(older)
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_used_for_long_is_forgotten() {
        let mut map = Generations::new(4);
        for n in 0..100 {
            map.put(n, n);
            if let Some(first) = map.take(&0) {
                map.put(0, first);
            }
        }
        assert_eq!(map.take(&0), Some(0));
        assert_eq!(map.take(&1), None);
        assert!(map.young.len() + map.old.len() <= 8);
    }

    #[test]
    fn processes_that_overtake_each_other_go_without_for_longer_and_longer() {
        let mut cache = RowCache::default();
        let stream = Stream::new("s", "a", "1", "t");
        let mut batches_without = Vec::new();
        for _ in 0..6 {
            cache.overtaken();
            let mut without = 0;
            loop {
                cache.put_mark(stream.clone(), Mark::default());
                if cache.take_mark(&stream).is_some() {
                    break;
                }
                cache.succeeded(false);
                without += 1;
            }
            batches_without.push(without);
        }
        assert_eq!(batches_without, [4, 16, 64, 256, 1_024, 1_024]);
    }
}
