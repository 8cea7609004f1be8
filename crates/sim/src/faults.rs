//! Which faults a run has, and how often: each seed draws its own mixture, so that rare ones are not drowned by common ones.

use crate::dice::{Dice, number_of};

/// Every kind, by the name under which it is counted.
pub const KINDS: [&str; 25] = [
    "slow",
    "slow answer",
    "store fails",
    "store unheard",
    "commit fails",
    "commit unheard",
    "append fails",
    "append loses one",
    "poll fails",
    "offsets linger",
    "ends fail",
    "acquirer unheard",
    "dies before",
    "dies after",
    "crash",
    "pause",
    "twin",
    "clock",
    "rebalance",
    "robots",
    "gateway",
    "acquirer",
    "log",
    "database",
    "poison",
];

/// Shares of operations that meet a fault, and mean pauses between the larger ones in milliseconds (0: never).
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// Operations that take up to seconds.
    pub slow: f64,
    /// The database refuses.
    pub store_fails: f64,
    /// What the database did is not heard.
    pub store_unheard: f64,
    pub commit_fails: f64,
    /// The answer to a commit gets lost; half of those took effect.
    pub commit_unheard: f64,
    /// Appends fail for some of their records.
    pub append_fails: f64,
    /// Appends lose one record in the middle.
    pub append_loses: f64,
    pub poll_fails: f64,
    /// Processed offsets are not committed for a while.
    pub offsets_linger: f64,
    /// The log does not tell where partitions end.
    pub ends_fail: f64,
    /// The acquirer does not answer; half of those it carried out.
    pub acquirer_unheard: f64,
    /// A process dies in the middle of an operation, before or after it took effect.
    pub dies: f64,
    pub crash_ms: u64,
    pub pause_ms: u64,
    /// A second process of a context, for a while.
    pub twin_ms: u64,
    pub clock_ms: u64,
    /// Partitions move to another member of the group, which does nothing, and back.
    pub rebalance_ms: u64,
    pub robots_ms: u64,
    /// The robots' gateway dies, and another one takes its place.
    pub gateway_ms: u64,
    /// The acquirer, the log, a database is away for a while.
    pub acquirer_ms: u64,
    pub log_ms: u64,
    pub database_ms: u64,
    /// Records that nobody can read.
    pub poison_ms: u64,
}

impl Faults {
    /// About half of the kinds, each rare or frequent.
    pub fn draw(dice: &Dice) -> Self {
        let share = |name: &str, most: f64| {
            let mut roll = dice.roll(&[number_of("faults"), number_of(name)]);
            match roll.below(4) {
                0 | 1 => 0.0,
                2 => most / 8.0,
                _ => most,
            }
        };
        let every = |name: &str, least_ms: u64| {
            let mut roll = dice.roll(&[number_of("faults"), number_of(name)]);
            match roll.below(4) {
                0 | 1 => 0,
                2 => least_ms * 5,
                _ => least_ms,
            }
        };
        Self {
            slow: share("slow", 0.02),
            store_fails: share("store_fails", 0.08),
            store_unheard: share("store_unheard", 0.08),
            commit_fails: share("commit_fails", 0.15),
            commit_unheard: share("commit_unheard", 0.15),
            append_fails: share("append_fails", 0.25),
            append_loses: share("append_loses", 0.25),
            poll_fails: share("poll_fails", 0.05),
            offsets_linger: share("offsets_linger", 0.9),
            ends_fail: share("ends_fail", 0.2),
            acquirer_unheard: share("acquirer_unheard", 0.4),
            dies: share("dies", 0.004),
            crash_ms: every("crash", 1_500),
            pause_ms: every("pause", 4_000),
            twin_ms: every("twin", 4_000),
            clock_ms: every("clock", 8_000),
            rebalance_ms: every("rebalance", 3_000),
            robots_ms: every("robots", 8_000),
            gateway_ms: every("gateway", 4_000),
            acquirer_ms: every("acquirer", 6_000),
            log_ms: every("log", 8_000),
            database_ms: every("database", 6_000),
            poison_ms: every("poison", 4_000),
        }
    }
}
