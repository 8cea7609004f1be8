//! What an installation may decide, read from the environment once, at the start.

use anyhow::{Context as _, bail};
use std::str::FromStr;

/// Every field names its variable; a value that cannot be read fails the start, naming it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepotConfig {
    /// `MALLBOTS_DEPOT_BAY_WAIT_S`: how long a list waits for a free bay before the order is refused. Default 20; below the
    /// saga's reply deadline of 30.
    pub bay_wait_ms: i64,
    /// `MALLBOTS_DEPOT_BOT_LOST_S`: a robot silent for so long is given up. Default 30; robots beat every 5.
    pub bot_lost_ms: i64,
    /// `MALLBOTS_DEPOT_AUTO_CHECK`: `true` where bays count the items themselves, so that a delivered list is checked at once
    /// and with nothing missing. Default `false`: staff check.
    pub auto_check: bool,
}

impl Default for DepotConfig {
    fn default() -> Self {
        Self { bay_wait_ms: 20_000, bot_lost_ms: 30_000, auto_check: false }
    }
}

impl DepotConfig {
    pub fn from_env() -> anyhow::Result<Self> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// From any source of variables: tests need not touch the process's.
    pub fn read(var: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let default = Self::default();
        Ok(Self {
            bay_wait_ms: seconds(&var, "MALLBOTS_DEPOT_BAY_WAIT_S")?.unwrap_or(default.bay_wait_ms),
            bot_lost_ms: seconds(&var, "MALLBOTS_DEPOT_BOT_LOST_S")?.unwrap_or(default.bot_lost_ms),
            auto_check: parse(&var, "MALLBOTS_DEPOT_AUTO_CHECK")?.unwrap_or(default.auto_check),
        })
    }
}

/// Longest time that makes sense here: a day.
const MAX_SECONDS: i64 = 86_400;

fn seconds(var: impl Fn(&str) -> Option<String>, name: &str) -> anyhow::Result<Option<i64>> {
    match parse::<i64>(var, name)? {
        Some(s) if !(1..=MAX_SECONDS).contains(&s) => bail!("{name} is {s}, expected 1 to {MAX_SECONDS} seconds"),
        seconds => Ok(seconds.map(|s| s * 1000)),
    }
}

fn parse<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    var: impl Fn(&str) -> Option<String>,
    name: &str,
) -> anyhow::Result<Option<T>> {
    var(name).map(|text| text.trim().parse().with_context(|| format!("{name} is `{text}`"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> anyhow::Result<DepotConfig> {
        DepotConfig::read(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn nothing_set_is_the_default_and_each_variable_counts() {
        assert_eq!(DepotConfig::read(|_| None).unwrap(), DepotConfig::default());
        assert_eq!(with("MALLBOTS_DEPOT_BAY_WAIT_S", "3").unwrap().bay_wait_ms, 3_000);
        assert_eq!(with("MALLBOTS_DEPOT_BOT_LOST_S", "4").unwrap().bot_lost_ms, 4_000);
        assert!(with("MALLBOTS_DEPOT_AUTO_CHECK", "true").unwrap().auto_check);
    }

    #[test]
    fn a_bad_value_fails_naming_its_variable() {
        for (name, value) in [
            ("MALLBOTS_DEPOT_BAY_WAIT_S", "soon"),
            ("MALLBOTS_DEPOT_BOT_LOST_S", "0"),
            ("MALLBOTS_DEPOT_AUTO_CHECK", "maybe"),
        ] {
            let error = with(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
