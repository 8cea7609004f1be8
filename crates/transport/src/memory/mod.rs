//! The ports in memory: for handler tests and the simulator, which drive the production shell on them.
//!
//! They keep the promises of [`crate::ports`] and are as unkind as the real ones may be: rows are locked and deadlock, offsets of
//! lost partitions are refused, a commit can fail or leave its outcome open when a test says so. Nothing depends on real time
//! or on chance, so a run repeats.

mod clock;
mod group;
mod locks;
mod log;
mod parking;
mod state;
mod store;
mod tx;

pub use clock::SteppedClock;
pub use log::{MemoryConsumer, MemoryLog};
pub use store::{CommitFault, MemoryStore};
pub use tx::MemoryTx;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic while a lock is held belongs to a failing test; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
