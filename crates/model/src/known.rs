//! Values that are compared by number. A state refers to what is large in it (a saga's row, a participant), each different
//! value of which is kept once: a run has millions of states, and a few hundred rows.

use serde::Serialize;
use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One of the different values of a [`Register`]. The same value has the same number.
pub struct Known<T>(Arc<(u32, T)>);

impl<T> Known<T> {
    pub fn number(&self) -> u32 {
        self.0.0
    }
}

impl<T> Deref for Known<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> PartialEq for Known<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl<T> Eq for Known<T> {}

impl<T> PartialOrd for Known<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Known<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number().cmp(&other.number())
    }
}

impl<T> Hash for Known<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number().hash(state);
    }
}

impl<T> fmt::Debug for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.number())
    }
}

/// Every different value so far, told apart by its JSON, in which it is stored outside of the model too.
pub struct Register<T>(Mutex<(HashMap<String, Known<T>>, Vec<Known<T>>)>);

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Serialize> Register<T> {
    pub fn know(&self, value: T) -> Known<T> {
        let json = serde_json::to_string(&value).unwrap_or_else(|e| panic!("cannot be written as JSON: {e}"));
        let (by_json, by_number) = &mut *lock(&self.0);
        let next = u32::try_from(by_number.len()).unwrap_or(u32::MAX);
        let known = by_json.entry(json).or_insert_with(|| Known(Arc::new((next, value))));
        if known.number() == next {
            by_number.push(known.clone());
        }
        known.clone()
    }

    pub fn get(&self, number: u32) -> Known<T> {
        lock(&self.0).1[number as usize].clone()
    }

    pub fn count(&self) -> usize {
        lock(&self.0).1.len()
    }
}

/// What was computed once is not computed again.
pub struct Memo<K, V>(Mutex<HashMap<K, Arc<[V]>>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V> Memo<K, V> {
    pub fn get(&self, key: K, compute: impl FnOnce() -> Vec<V>) -> Arc<[V]> {
        if let Some(known) = lock(&self.0).get(&key) {
            return known.clone();
        }
        let values: Arc<[V]> = compute().into();
        lock(&self.0).entry(key).or_insert(values).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A set of numbers below 128.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Set(u128);

impl Set {
    /// # Panics
    /// When `number` is 128 or more: the limits of the run are too large for this representation.
    pub fn insert(&mut self, number: u32) {
        assert!(number < 128, "more than 128 different messages");
        self.0 |= 1 << number;
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..128).filter(move |n| self.0 >> n & 1 == 1)
    }
}
