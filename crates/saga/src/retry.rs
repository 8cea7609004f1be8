//! How long to wait before trying again, and how often. The jitter is drawn from the saga's own identity, so that a
//! replay waits exactly as long as the run it repeats, while a thousand sagas that fail together do not return together.

use serde::{Deserialize, Serialize};

/// How often something is tried again after its first try, and after which delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryPolicy {
    /// Never again.
    None,
    /// Always after `ms`.
    Fixed { ms: u64, budget: u32 },
    /// After `base_ms`, then twice as long each time up to `max_ms`; each delay is shortened by up to a half, at random.
    Exponential { base_ms: u64, max_ms: u64, budget: u32 },
}

impl RetryPolicy {
    /// How many tries are allowed after the first.
    pub fn budget(&self) -> u32 {
        match *self {
            Self::None => 0,
            Self::Fixed { budget, .. } | Self::Exponential { budget, .. } => budget,
        }
    }

    /// Milliseconds to wait before the `nth` further try, from 1. `seed` decides the jitter and nothing else.
    pub fn delay_ms(&self, nth: u32, seed: u64) -> u64 {
        match *self {
            Self::None => 0,
            Self::Fixed { ms, .. } => ms,
            Self::Exponential { base_ms, max_ms, .. } => {
                let doubled = base_ms.saturating_mul(1 << nth.saturating_sub(1).min(32)).min(max_ms);
                doubled - mix(seed) % (doubled / 2 + 1)
            }
        }
    }
}

/// SplitMix64's finaliser: neighbouring seeds give unrelated values.
pub(crate) fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a, for seeding from a name.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPONENTIAL: RetryPolicy = RetryPolicy::Exponential { base_ms: 100, max_ms: 1_000, budget: 9 };

    #[test]
    fn exponential_delays_lie_between_half_and_all_of_the_doubled_base_and_never_above_the_maximum() {
        for (nth, full) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (40, 1_000), (u32::MAX, 1_000)] {
            for seed in 0..200 {
                let delay = EXPONENTIAL.delay_ms(nth, seed);
                assert!((full / 2..=full).contains(&delay), "retry {nth} waits {delay} ms of {full}");
            }
        }
    }

    /// Histories hold the delays, so whatever changes one stops the sagas in flight from being replayed.
    #[test]
    fn delays_stay_what_they_were() {
        let delays: Vec<_> = (1..=5).map(|nth| EXPONENTIAL.delay_ms(nth, u64::from(nth))).collect();
        assert_eq!(delays, [56, 157, 328, 403, 836]);
        assert_eq!(RetryPolicy::Fixed { ms: 70, budget: 2 }.delay_ms(2, 9), 70);
        assert_eq!(RetryPolicy::None.delay_ms(1, 9), 0);
    }

    /// The published test vectors of both.
    #[test]
    fn seeds_are_mixed_by_split_mix_64_and_names_hashed_by_fnv_1a() {
        assert_eq!([mix(0), mix(0x9e37_79b9_7f4a_7c15)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        assert_eq!(
            [hash(""), hash("a"), hash("foobar")].map(|h| format!("{h:x}")),
            ["cbf29ce484222325", "af63dc4c8601ec8c", "85944171f73967e8"]
        );
    }

    #[test]
    fn a_policys_budget_is_the_number_of_tries_after_the_first() {
        assert_eq!(
            [RetryPolicy::None, RetryPolicy::Fixed { ms: 1, budget: 3 }, EXPONENTIAL].map(|p| p.budget()),
            [0, 3, 9]
        );
    }

    #[test]
    fn the_seed_alone_decides_the_jitter() {
        let delays: std::collections::BTreeSet<_> = (0..50).map(|seed| EXPONENTIAL.delay_ms(4, seed)).collect();
        assert!(delays.len() > 25, "only {} different delays for 50 seeds", delays.len());
        assert_eq!(EXPONENTIAL.delay_ms(4, 7), EXPONENTIAL.delay_ms(4, 7));
    }

    #[test]
    fn no_policy_overflows() {
        let huge = RetryPolicy::Exponential { base_ms: u64::MAX, max_ms: u64::MAX, budget: 1 };
        assert!(huge.delay_ms(u32::MAX, 1) >= u64::MAX / 2);
    }
}
