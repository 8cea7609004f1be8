//! How the simulated acquirer is set up: one struct, built from the environment at start.

use anyhow::{Context, bail};
use std::{env, path::PathBuf, str::FromStr, time::Duration};

/// Where it listens, what it keeps, how slow its slow answers are.
#[derive(Debug, Clone)]
pub struct Config {
    /// `MALLBOTS_ACQUIRER_LISTEN`, default `127.0.0.1:8200`.
    pub listen: String,
    /// `MALLBOTS_ACQUIRER_JOURNAL`: the file that the ledger is appended to and reloaded from; absent: memory only.
    pub journal: Option<PathBuf>,
    /// `MALLBOTS_ACQUIRER_TIMEOUT_MS`: how late an operation that "times out" is answered, default 60,000 ms.
    pub timeout: Duration,
    /// `MALLBOTS_ACQUIRER_SLOW_MS`: how late a "slow" operation is answered, default 1,500 ms.
    pub slow: Duration,
    /// `MALLBOTS_ACQUIRER_HOLD_S`: after this a hold that was not captured is given up, default 7 days.
    pub hold: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8200".into(),
            journal: None,
            timeout: Duration::from_secs(60),
            slow: Duration::from_millis(1_500),
            hold: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

impl Config {
    /// Reads the variables that the fields name; the error names the variable whose value is not usable.
    pub fn from_env() -> anyhow::Result<Self> {
        let default = Self::default();
        let millis = |d: Duration| d.as_millis() as u64;
        Ok(Self {
            listen: variable("MALLBOTS_ACQUIRER_LISTEN", default.listen)?,
            journal: env::var_os("MALLBOTS_ACQUIRER_JOURNAL").filter(|p| !p.is_empty()).map(PathBuf::from),
            timeout: Duration::from_millis(variable("MALLBOTS_ACQUIRER_TIMEOUT_MS", millis(default.timeout))?),
            slow: Duration::from_millis(variable("MALLBOTS_ACQUIRER_SLOW_MS", millis(default.slow))?),
            hold: Duration::from_secs(variable("MALLBOTS_ACQUIRER_HOLD_S", default.hold.as_secs())?),
        })
    }
}

fn variable<T: FromStr>(name: &str, default: T) -> anyhow::Result<T> {
    match env::var(name) {
        Err(env::VarError::NotPresent) => Ok(default),
        Err(e) => Err(e).with_context(|| name.to_owned()),
        Ok(text) => match text.trim().parse() {
            Ok(value) => Ok(value),
            Err(_) => bail!("{name} is `{text}`, which is not a {}", std::any::type_name::<T>()),
        },
    }
}
