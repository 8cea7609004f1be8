//! The command line of `mallbots robots`, and what it comes to.

use crate::faults::FaultOptions;
use anyhow::ensure;
use clap::{Args, ValueEnum};
use std::time::Duration;
use tonic::transport::Uri;
use uuid::Uuid;

/// Most robots of one process.
const MAX_COUNT: usize = 10_000;

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many robots
    #[arg(long, default_value_t = 4)]
    pub count: usize,
    /// Milliseconds that a robot takes for each stop and for the way to the depot; 0: everything at once
    #[arg(long, default_value_t = 1_000)]
    pub pace_ms: u64,
    /// Milliseconds after which a robot that said nothing else says that it is alive
    #[arg(long, default_value_t = 5_000)]
    pub beat_ms: u64,
    /// Share of list items that are not found, 0 to 1. Products named "(out of stock)" never are
    #[arg(long, default_value_t = 0.0)]
    pub missing_rate: f64,
    /// Decides, with the ids of order and product, which items those are
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Whether to play the staff too, who count what was delivered [default: on, unless the depot checks by itself]
    #[arg(long, value_enum)]
    pub check: Option<Check>,
    /// Whether the depot checks delivered lists by itself
    #[arg(long, env = "MALLBOTS_DEPOT_AUTO_CHECK", default_value_t = false, action = clap::ArgAction::Set)]
    pub depot_checks: bool,
    /// The robot gateway
    #[arg(long, env = "MALLBOTS_ROBOT_GATEWAY_URL", default_value = "http://127.0.0.1:7108")]
    pub mall_url: String,
    /// The depot's gRPC API, for the staff
    #[arg(long, env = "MALLBOTS_DEPOT_URL", default_value = "http://127.0.0.1:7104")]
    pub depot_url: String,
    #[command(flatten)]
    pub faults: FaultOptions,
    /// The robots' ids are derived from it: the same ones come back after a restart. Processes that run at the same time
    /// need different ones
    #[arg(long, default_value = "6f0b1d0e-5b0c-4c39-9d55-0a6f2f1b7c11")]
    pub base: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Check {
    On,
    Off,
}

/// What [`crate::run`] needs, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub count: usize,
    /// For each stop and for the way to the depot.
    pub pace: Duration,
    /// Longest silence of a robot.
    pub beat: Duration,
    /// Share of list items that are not found, 0 to 1.
    pub missing_rate: f64,
    pub seed: u64,
    /// Whether delivered lists are checked here.
    pub check: bool,
    /// Who signs the inventory.
    pub staff: String,
    /// The robot gateway.
    pub mall_url: Uri,
    /// For the staff.
    pub depot_url: Uri,
    pub faults: FaultOptions,
    pub base: Uuid,
}

impl Options {
    /// Fails for what makes no sense, naming the option.
    pub fn into_config(self) -> anyhow::Result<Config> {
        ensure!((1..=MAX_COUNT).contains(&self.count), "--count {}: give 1 to {MAX_COUNT}", self.count);
        ensure!((0.0..=1.0).contains(&self.missing_rate), "--missing-rate {}: give 0 to 1", self.missing_rate);
        ensure!((100..=60_000).contains(&self.beat_ms), "--beat-ms {}: give 100 to 60000", self.beat_ms);
        ensure!(self.pace_ms <= 3_600_000, "--pace-ms {}: give at most an hour", self.pace_ms);
        Ok(Config {
            count: self.count,
            pace: Duration::from_millis(self.pace_ms),
            beat: Duration::from_millis(self.beat_ms),
            missing_rate: self.missing_rate,
            seed: self.seed,
            check: self.check.map_or(!self.depot_checks, |check| check == Check::On),
            staff: "inventory".to_owned(),
            mall_url: url("MALLBOTS_ROBOT_GATEWAY_URL", &self.mall_url, 7108)?,
            depot_url: url("MALLBOTS_DEPOT_URL", &self.depot_url, 7104)?,
            faults: self.faults.check()?,
            base: self.base,
        })
    }
}

fn url(variable: &str, text: &str, port: u16) -> anyhow::Result<Uri> {
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some() && uri.authority().is_some());
    uri.ok_or_else(|| anyhow::anyhow!("{variable}: `{text}` is not an address such as http://127.0.0.1:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn config(arguments: &[&str]) -> anyhow::Result<Config> {
        Cli::try_parse_from(["robots"].iter().chain(arguments))?.options.into_config()
    }

    #[test]
    fn nothing_given_is_a_small_fleet_with_staff() {
        let config = config(&["--depot-checks", "false"]).unwrap();
        assert_eq!((config.count, config.pace, config.check), (4, Duration::from_secs(1), true));
    }

    #[test]
    fn staff_stay_away_where_the_depot_checks_unless_asked_for() {
        assert!(!config(&["--depot-checks", "true"]).unwrap().check);
        assert!(config(&["--depot-checks", "true", "--check", "on"]).unwrap().check);
        assert!(!config(&["--depot-checks", "false", "--check", "off"]).unwrap().check);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (option, value) in [
            ("--count", "0"),
            ("--missing-rate", "1.5"),
            ("--beat-ms", "1"),
            ("--pace-ms", "99999999"),
            ("--base", "robot"),
            ("--drop-rate", "2"),
            ("--late-ms", "99999999"),
        ] {
            let error = config(&[option, value]).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
        }
        for (option, variable) in [("--depot-url", "MALLBOTS_DEPOT_URL"), ("--mall-url", "MALLBOTS_ROBOT_GATEWAY_URL")]
        {
            let error = config(&[option, "/depot"]).unwrap_err().to_string();
            assert!(error.contains(variable), "{error}");
        }
    }
}
