//! Configuration of the orchestrator, from the environment.

use crate::sagas::Deadlines;
use service_kit::env_parse;

/// How long sagas wait.
#[derive(Debug, Clone)]
pub struct Config {
    /// `MALLBOTS_SAGA_COMMAND_DEADLINE_S` (reply to a command), `MALLBOTS_SAGA_SHOPPING_DEADLINE_S`,
    /// `MALLBOTS_SAGA_PICKUP_DEADLINE_S`: seconds, at least 1.
    pub deadlines: Deadlines,
}

impl Config {
    pub fn from_env() -> anyhow::Result<Self> {
        let default = Deadlines::default();
        Ok(Self {
            deadlines: Deadlines {
                command_s: seconds("MALLBOTS_SAGA_COMMAND_DEADLINE_S", default.command_s)?,
                shopping_s: seconds("MALLBOTS_SAGA_SHOPPING_DEADLINE_S", default.shopping_s)?,
                pickup_s: seconds("MALLBOTS_SAGA_PICKUP_DEADLINE_S", default.pickup_s)?,
            },
        })
    }
}

fn seconds(name: &str, default: u64) -> anyhow::Result<u64> {
    let value = env_parse(name, default)?;
    anyhow::ensure!(value >= 1, "{name}={value} is not valid: at least 1 second");
    Ok(value)
}
