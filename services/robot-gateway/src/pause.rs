//! The gateway's patience with a depot that does not answer.

use std::{future::Future, time::Duration};
use tokio::time::Instant;

/// Silence after the first failure; it doubles with each that follows.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);

/// Silence after failures.
#[derive(Debug, Default)]
pub struct Pause {
    until: Option<Instant>,
    failures: u32,
}

impl Pause {
    pub fn is_on(&self) -> bool {
        self.until.is_some_and(|until| until > Instant::now())
    }

    /// Resolves when it is over.
    pub fn over(&self) -> impl Future<Output = ()> + use<> {
        tokio::time::sleep_until(self.until.unwrap_or_else(Instant::now))
    }

    /// Answers whether this failure is the first in a row. Calls that fail during a pause were begun before it.
    pub fn begin(&mut self) -> bool {
        if self.is_on() {
            return false;
        }
        let pause = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        (self.until, self.failures) = (Some(Instant::now() + pause), self.failures.saturating_add(1));
        self.failures == 1
    }

    pub fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_make_longer_pauses_up_to_a_bound_and_an_answer_ends_them() {
        let (mut pause, mut lengths) = (Pause::default(), Vec::new());
        for _ in 0..8 {
            let begun = Instant::now();
            pause.begin();
            pause.over().await;
            lengths.push(begun.elapsed().as_millis());
        }
        assert_eq!(lengths, [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
        pause.end();
        assert!(!pause.is_on());
        assert!(pause.begin());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_fail_together_count_once() {
        let mut pause = Pause::default();
        assert!(pause.begin());
        assert!(!pause.begin());
        assert_eq!(pause.failures, 1);
    }
}
