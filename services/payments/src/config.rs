//! How payments is set up: one struct, built from the environment at start.

use crate::domain::Policy;
use anyhow::{Context as _, bail};
use service_kit::{env_or, env_parse, env_required};
use std::{collections::HashMap, fmt, time::Duration};

/// What the mall allows, which provider it uses, how patiently.
#[derive(Debug, Clone)]
pub struct Config {
    pub policy: Policy,
    pub provider: Provider,
    pub worker: WorkerConfig,
}

/// The payment provider.
#[derive(Debug, Clone, PartialEq)]
pub enum Provider {
    /// `MALLBOTS_PAYMENTS_ACQUIRER=sim`, the default: `acquirer-sim`'s protocol at `MALLBOTS_PAYMENTS_ACQUIRER_URL`.
    Sim { url: String },
    /// `MALLBOTS_PAYMENTS_ACQUIRER=stripe`: at `MALLBOTS_PAYMENTS_STRIPE_URL`, with `MALLBOTS_PAYMENTS_STRIPE_KEY`.
    Stripe { url: String, key: Secret },
}

/// How the provider is asked.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// `MALLBOTS_PAYMENTS_CONCURRENCY`: calls to the provider at a time, default 64.
    pub concurrency: usize,
    /// `MALLBOTS_PAYMENTS_ACQUIRER_TIMEOUT_MS`: how long one call may take before it counts as unknown, default 3,000 ms.
    pub timeout: Duration,
    /// `MALLBOTS_PAYMENTS_TRIES`: how often an unanswered question is put before it is left to its durable timer, default 3.
    pub tries: u32,
    /// `MALLBOTS_PAYMENTS_PAUSE_MS`: the pause before the second try, doubled before each further one, default 200 ms.
    pub pause: Duration,
}

/// A value that is never printed.
#[derive(Clone, PartialEq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `MALLBOTS_PAYMENTS_LIMIT`: the most one payment may be, in minor units; 10,000.00 of most currencies.
const LIMIT: i64 = 1_000_000;
/// `MALLBOTS_PAYMENTS_HOLD_S`: how long the provider keeps a hold: 7 days.
const HOLD_S: i64 = 7 * 24 * 3_600;
const SIM_URL: &str = "http://127.0.0.1:8200";
const STRIPE_URL: &str = "https://api.stripe.com";

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy { limit: LIMIT, limits: HashMap::new(), hold_ms: HOLD_S * 1_000 },
            provider: Provider::Sim { url: SIM_URL.into() },
            worker: WorkerConfig::default(),
        }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        let (timeout, pause) = (Duration::from_secs(3), Duration::from_millis(200));
        Self { concurrency: 64, timeout, tries: 3, pause }
    }
}

impl Config {
    /// Reads the variables named here; the error names the one whose value is not usable.
    pub fn from_env() -> anyhow::Result<Self> {
        let policy = Policy {
            limit: env_parse("MALLBOTS_PAYMENTS_LIMIT", LIMIT)?,
            limits: limits(&env_or("MALLBOTS_PAYMENTS_LIMITS", "")).context("MALLBOTS_PAYMENTS_LIMITS")?,
            hold_ms: env_parse("MALLBOTS_PAYMENTS_HOLD_S", HOLD_S)?.saturating_mul(1_000),
        };
        Ok(Self { policy, provider: Provider::from_env()?, worker: WorkerConfig::from_env()? })
    }
}

impl Provider {
    fn from_env() -> anyhow::Result<Self> {
        match env_or("MALLBOTS_PAYMENTS_ACQUIRER", "sim").as_str() {
            "sim" => Ok(Self::Sim { url: env_or("MALLBOTS_PAYMENTS_ACQUIRER_URL", SIM_URL) }),
            "stripe" => Ok(Self::Stripe {
                url: env_or("MALLBOTS_PAYMENTS_STRIPE_URL", STRIPE_URL),
                key: Secret::new(env_required("MALLBOTS_PAYMENTS_STRIPE_KEY", "the secret key of the Stripe account")?),
            }),
            other => bail!("MALLBOTS_PAYMENTS_ACQUIRER is `{other}`, expected `sim` or `stripe`"),
        }
    }
}

impl WorkerConfig {
    fn from_env() -> anyhow::Result<Self> {
        let default = Self::default();
        let millis = |name, default: Duration| env_parse(name, default.as_millis() as u64).map(Duration::from_millis);
        Ok(Self {
            concurrency: env_parse("MALLBOTS_PAYMENTS_CONCURRENCY", default.concurrency)?.clamp(1, 1_024),
            timeout: millis("MALLBOTS_PAYMENTS_ACQUIRER_TIMEOUT_MS", default.timeout)?,
            tries: env_parse("MALLBOTS_PAYMENTS_TRIES", default.tries)?.clamp(1, 10),
            pause: millis("MALLBOTS_PAYMENTS_PAUSE_MS", default.pause)?,
        })
    }
}

/// `MALLBOTS_PAYMENTS_LIMITS`: customers with a limit of their own, `reference=minor units`, separated by commas.
fn limits(text: &str) -> anyhow::Result<HashMap<String, i64>> {
    text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(limit).collect()
}

fn limit(pair: &str) -> anyhow::Result<(String, i64)> {
    let (customer, limit) = pair.split_once('=').with_context(|| format!("`{pair}` is not reference=amount"))?;
    let limit = limit.trim().parse().with_context(|| format!("`{pair}` has no whole number after the ="))?;
    Ok((customer.trim().to_owned(), limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_single_customers_are_read_and_mistakes_shown() {
        let read = limits(" a=5 ,b=7,").unwrap();
        assert_eq!((read["a"], read["b"], read.len()), (5, 7, 2));
        assert!(limits("").unwrap().is_empty());
        for bad in ["a", "a=", "a=x"] {
            assert!(limits(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
    }

    #[test]
    fn the_secret_key_is_never_printed() {
        let provider = Provider::Stripe { url: "u".into(), key: Secret::new("sk_live_7") };
        assert!(!format!("{provider:?}").contains("sk_live_7"));
    }
}
