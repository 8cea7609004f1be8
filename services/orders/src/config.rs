//! What an installation may set for orders.

use std::env;

/// Read from the environment once, at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// `MALLBOTS_ORDERS_BASKET_IDLE_S`: seconds after which a basket that nobody touches is abandoned; 1800 unless told.
    pub basket_idle_s: i64,
}

const BASKET_IDLE: &str = "MALLBOTS_ORDERS_BASKET_IDLE_S";

impl Default for Config {
    fn default() -> Self {
        Self { basket_idle_s: 1_800 }
    }
}

impl Config {
    /// A value that makes no sense is an error that names its variable.
    pub fn from_env() -> anyhow::Result<Self> {
        Self::from_vars(|name| env::var(name).ok())
    }

    /// From any source of variables: tests need not touch the process's.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let Some(text) = var(BASKET_IDLE) else { return Ok(Self::default()) };
        let seconds = text.trim().parse().ok().filter(|s| (1..=31_536_000).contains(s));
        let basket_idle_s =
            seconds.ok_or_else(|| anyhow::anyhow!("{BASKET_IDLE} is `{text}`; give seconds, at least 1"))?;
        Ok(Self { basket_idle_s })
    }

    pub(crate) fn basket_idle_ms(&self) -> i64 {
        self.basket_idle_s * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> anyhow::Result<Config> {
        Config::from_vars(|name| (name == BASKET_IDLE).then(|| value.to_owned()))
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_by_the_variables_name() {
        for bad in ["", "soon", "0", "-5", "99999999999999999999"] {
            assert!(with(bad).unwrap_err().to_string().contains(BASKET_IDLE), "{bad} was accepted");
        }
        assert_eq!(with(" 60 ").unwrap().basket_idle_s, 60);
        assert_eq!(Config::from_vars(|_| None).unwrap(), Config::default());
    }
}
