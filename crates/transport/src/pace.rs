//! How long to wait for more work before starting on what is there: not at all while little comes, and longer the more does,
//! so that under load the fixed cost of a step (round trips, a commit, a request) is shared by more inputs.
//!
//! The measure is the rate, not the size of batches: waiting makes batches larger, and would keep itself going.

use std::time::Duration;
use tokio::time::Instant;

/// How long inputs are counted for one figure; it holds for as long again.
const WINDOW: Duration = Duration::from_millis(250);

/// How long batches wait for more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linger {
    pub longest: Duration,
    /// Inputs per second up to which nothing waits; at twice as many the wait is the longest.
    pub from: f64,
}

impl Linger {
    /// From 800 inputs per second on.
    pub const fn under_load(longest: Duration) -> Self {
        Self { longest, from: 800.0 }
    }
}

/// The rate of recent inputs and the wait that follows from it.
pub(crate) struct Pace {
    linger: Linger,
    since: Instant,
    count: usize,
    rate: f64,
}

impl Pace {
    pub fn new(linger: Linger) -> Self {
        Self { linger, since: Instant::now(), count: 0, rate: 0.0 }
    }

    pub fn note(&mut self, now: Instant, inputs: usize) {
        let counted = now.saturating_duration_since(self.since);
        if counted >= WINDOW {
            self.rate = self.count as f64 / counted.as_secs_f64();
            (self.since, self.count) = (now, 0);
        }
        self.count += inputs;
    }

    /// How long a batch that has `inputs` of at most `most` inputs waits for more; `None`: it starts now.
    pub fn linger(&self, now: Instant, inputs: usize, most: usize) -> Option<Duration> {
        let Linger { longest, from } = self.linger;
        let recent = now.saturating_duration_since(self.since) < 2 * WINDOW + longest;
        let share = (self.rate / from - 1.0).clamp(0.0, 1.0);
        (recent && share > 0.0 && inputs < most / 2).then(|| longest.mul_f64(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(20);

    /// The wait after a second in which `inputs` came at a time, every `every` ms.
    fn after(inputs: usize, every: u64) -> Option<Duration> {
        let mut pace = Pace::new(Linger::under_load(LONGEST));
        let start = pace.since;
        (0..1_000 / every).for_each(|n| pace.note(start + Duration::from_millis(n * every), inputs));
        pace.linger(start + Duration::from_millis(1_000), 1, 500)
    }

    #[test]
    fn nothing_waits_while_little_comes_whether_singly_or_in_bunches() {
        assert_eq!(after(1, 1_000), None);
        assert_eq!(after(3, 10), None);
        assert_eq!(after(60, 100), None);
    }

    #[test]
    fn the_wait_grows_with_the_rate_to_its_bound() {
        let (some, more) = (after(10, 10).unwrap(), after(13, 10).unwrap());
        assert!(some < more && more < LONGEST, "{some:?} {more:?}");
        assert_eq!(after(100, 10), Some(LONGEST));
    }

    #[test]
    fn after_a_pause_nothing_waits() {
        let mut pace = Pace::new(Linger::under_load(LONGEST));
        let start = pace.since;
        (0..100).for_each(|n| pace.note(start + Duration::from_millis(n * 10), 100));
        assert!(pace.linger(start + Duration::from_millis(1_000), 1, 500).is_some());
        assert_eq!(pace.linger(start + Duration::from_millis(1_600), 1, 500), None);
    }

    #[test]
    fn a_batch_that_is_half_full_does_not_wait() {
        let mut pace = Pace::new(Linger::under_load(LONGEST));
        let start = pace.since;
        (0..100).for_each(|n| pace.note(start + Duration::from_millis(n * 10), 100));
        let now = start + Duration::from_millis(1_000);
        assert_eq!((pace.linger(now, 250, 500), pace.linger(now, 249, 500)), (None, Some(LONGEST)));
    }
}
