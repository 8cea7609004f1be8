//! Feeds parked records back: those an operator released or gave up, and those whose missing predecessor has arrived.

use crate::{
    context::Context,
    error::Error,
    metric_names as m,
    ports::Store,
    shell::{Input, Shell},
};
use std::time::Duration;
use tokio::time::Instant;

/// Most records fed back in one step: at most one of each stream, the lowest.
const MAX_RELEASES: usize = 200;
const TICK: Duration = Duration::from_millis(500);
/// Between looks at how much is parked.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// The parking of one context.
pub struct Parking<C: Context, S: Store> {
    shell: Shell<C, S>,
}

impl<C: Context, S: Store> Parking<C, S> {
    pub fn new(shell: Shell<C, S>) -> Self {
        Self { shell }
    }

    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut pause = TICK;
        let mut watch_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = tokio::time::sleep(pause) => {}
            }
            if Instant::now() >= watch_at {
                watch_at = Instant::now() + WATCH_EVERY;
                self.watch().await;
            }
            pause = match self.run_once().await {
                // A queue of successors empties one by one: look again as soon as this one is through.
                Ok(1..) => Duration::from_millis(20),
                Ok(0) => TICK,
                Err(error) => {
                    tracing::debug!(context = C::NAME, %error, "parking");
                    TICK
                }
            };
        }
    }

    async fn watch(&self) {
        if let Ok(held) = self.shell.store().held(C::NAME).await {
            metrics::gauge!(m::PARKED_KEYS, "context" => C::NAME).set(held.streams as f64);
            metrics::gauge!(m::PARKED_OLDEST_SECONDS, "context" => C::NAME).set(held.oldest_ms as f64 / 1000.0);
        }
    }

    /// Feeds back what may go; answers how many that were.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let released = self.shell.store().released(C::NAME, MAX_RELEASES).await?;
        let count = released.len();
        for (parked, action) in released {
            self.shell.enqueue(Input::Parked(parked, action)).await?;
        }
        Ok(count)
    }
}
