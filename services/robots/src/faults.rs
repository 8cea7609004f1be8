//! What a robot does wrong on demand, drawn from its seed: the same each time.

use anyhow::ensure;
use clap::Args;
use schemas::ids::BotId;
use uuid::Uuid;

/// Shares are from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Args)]
pub struct FaultOptions {
    /// Share of the mall's messages after which a robot drops its line, and opens another
    #[arg(long, default_value_t = 0.0)]
    pub drop_rate: f64,
    /// Share of assignments at which a robot falls silent
    #[arg(long, default_value_t = 0.0)]
    pub silent_rate: f64,
    /// Milliseconds for which it then says nothing; longer than the depot waits, and it is given up
    #[arg(long, default_value_t = 60_000)]
    pub silent_ms: u64,
    /// A robot answers up to so many milliseconds late
    #[arg(long, default_value_t = 0)]
    pub late_ms: u64,
}

impl FaultOptions {
    pub fn check(self) -> anyhow::Result<Self> {
        for (name, share) in [("--drop-rate", self.drop_rate), ("--silent-rate", self.silent_rate)] {
            ensure!((0.0..=1.0).contains(&share), "{name} {share}: give 0 to 1");
        }
        for (name, ms) in [("--silent-ms", self.silent_ms), ("--late-ms", self.late_ms)] {
            ensure!(ms <= 3_600_000, "{name} {ms}: give at most an hour");
        }
        Ok(self)
    }

    /// Of one robot.
    pub fn of(self, seed: u64, robot: BotId) -> Faults {
        Faults { options: self, seed, robot, drawn: 0 }
    }
}

/// The faults of one robot, one after the other.
#[derive(Debug, Clone)]
pub struct Faults {
    options: FaultOptions,
    seed: u64,
    robot: BotId,
    drawn: u64,
}

impl Faults {
    pub fn drops_the_line(&mut self) -> bool {
        let rate = self.options.drop_rate;
        rate > 0.0 && self.draw() < rate
    }

    /// For so many milliseconds.
    pub fn falls_silent(&mut self) -> Option<u64> {
        let rate = self.options.silent_rate;
        (rate > 0.0 && self.draw() < rate).then_some(self.options.silent_ms)
    }

    /// By so many milliseconds.
    pub fn is_late(&mut self) -> Option<u64> {
        let most = self.options.late_ms;
        (most > 0).then(|| (self.draw() * most as f64) as u64)
    }

    /// From 0 to below 1.
    fn draw(&mut self) -> f64 {
        self.drawn += 1;
        let name: Vec<u8> = self.seed.to_be_bytes().into_iter().chain(self.drawn.to_be_bytes()).collect();
        let drawn = Uuid::new_v5(&self.robot.as_uuid(), &name).into_bytes();
        f64::from(u32::from_be_bytes([drawn[0], drawn[1], drawn[2], drawn[3]])) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: FaultOptions, robot: u128) -> Faults {
        options.of(7, Uuid::from_u128(robot).into())
    }

    #[test]
    fn shares_are_as_asked_the_same_each_time_and_each_robots_own() {
        let options = FaultOptions { drop_rate: 0.25, ..FaultOptions::default() };
        let drops = |robot| -> Vec<bool> {
            let mut faults = of(options, robot);
            (0..4_000).map(|_| faults.drops_the_line()).collect()
        };
        let count = drops(1).iter().filter(|dropped| **dropped).count();
        assert!((900..1_100).contains(&count), "{count}");
        assert_eq!(drops(1), drops(1));
        assert_ne!(drops(1), drops(2));
    }

    #[test]
    fn nothing_asked_for_is_nothing_done() {
        let mut faults = of(FaultOptions::default(), 1);
        assert_eq!((faults.drops_the_line(), faults.falls_silent(), faults.is_late()), (false, None, None));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let odd = FaultOptions { silent_rate: 1.5, ..FaultOptions::default() };
        assert!(odd.check().unwrap_err().to_string().contains("--silent-rate"));
    }
}
