//! Waiting on a condition: the one place in tests where time passes by itself.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Looks until `look` finds something, and answers it. Panics at the caller's line when `deadline` passes first.
#[track_caller]
pub fn eventually<T>(deadline: Duration, look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    poll(deadline, look, Location::caller())
}

async fn poll<T>(deadline: Duration, mut look: impl AsyncFnMut() -> Option<T>, caller: &Location<'_>) -> T {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < deadline, "{caller}: not so after {deadline:?}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
