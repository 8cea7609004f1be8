//! A clock that moves only when it is told to.

use crate::{error::Error, ports::Clock};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Where a stepped clock starts: some moment, the same in each run.
const START_MS: i64 = 1_700_000_000_000;

/// Stands still until it is stepped. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct SteppedClock {
    now: Arc<watch::Sender<i64>>,
}

impl Default for SteppedClock {
    fn default() -> Self {
        Self::new(START_MS)
    }
}

impl SteppedClock {
    /// A clock that shows `now_ms`, milliseconds since the Unix epoch.
    pub fn new(now_ms: i64) -> Self {
        Self { now: Arc::new(watch::channel(now_ms).0) }
    }

    /// What it shows now.
    pub fn now(&self) -> i64 {
        *self.now.borrow()
    }

    /// Moves it on by `ms` and wakes everyone whose time has come.
    pub fn step(&self, ms: i64) {
        self.now.send_modify(|now| *now += ms);
    }
}

impl Clock for SteppedClock {
    async fn now_ms(&self) -> Result<i64, Error> {
        Ok(self.now())
    }

    async fn sleep(&self, time: Duration) {
        let wake_at = self.now().saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        // Cannot fail: `self` keeps the sender.
        let _ = self.now.subscribe().wait_for(|now| *now >= wake_at).await;
    }
}
