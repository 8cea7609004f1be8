//! Waiting on a condition: the one place in tests where time passes by itself.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Looks until `look` finds something, and answers it. Panics at the caller's line when `deadline` passes first.
#[track_caller]
pub fn eventually<T, F, L>(deadline: Duration, look: F) -> impl Future<Output = T>
where
    F: FnMut() -> L,
    L: Future<Output = Option<T>>,
{
    poll(deadline, look, Location::caller())
}

async fn poll<T, F, L>(deadline: Duration, mut look: F, caller: &Location<'_>) -> T
where
    F: FnMut() -> L,
    L: Future<Output = Option<T>>,
{
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
