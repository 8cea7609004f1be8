//! What the shells were busy with, from the platform's own metrics.

use crate::metrics::Metrics;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// Totals of one context since its process started.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Shell {
    pub batches: f64,
    pub inputs: f64,
    /// Time inside batches.
    pub seconds: f64,
    /// Batches that were tried again.
    pub retries: f64,
    pub sent: f64,
}

pub type Shells = BTreeMap<String, Shell>;

/// Reads `/metrics` of each address.
pub async fn read(addresses: &[String]) -> Result<Shells> {
    let mut shells = Shells::new();
    for http in addresses {
        let metrics = Metrics::read(http).await?;
        for (name, context, value) in metrics.lines().filter_map(sample) {
            let shell = shells.entry(context.to_owned()).or_default();
            match name {
                "mallbots_batch_seconds_sum" => shell.seconds += value,
                "mallbots_batch_seconds_count" => shell.batches += value,
                "mallbots_batch_inputs_sum" => shell.inputs += value,
                "mallbots_batch_retries_total" => shell.retries += value,
                "mallbots_relay_sent_total" => shell.sent += value,
                _ => {}
            }
        }
    }
    Ok(shells)
}

/// `name{…context="orders"…} value`.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.split_once("} ")?;
    let context = labels.split_once("context=\"")?.1.split_once('"')?.0;
    Some((name, context, value.parse().ok()?))
}

/// What happened between two readings.
pub fn between(earlier: &Shells, later: &Shells) -> Shells {
    let less = |name: &String, now: &Shell| {
        let then = earlier.get(name).copied().unwrap_or_default();
        Shell {
            batches: now.batches - then.batches,
            inputs: now.inputs - then.inputs,
            seconds: now.seconds - then.seconds,
            retries: now.retries - then.retries,
            sent: now.sent - then.sent,
        }
    };
    later.iter().map(|(name, now)| (name.clone(), less(name, now))).filter(|(_, s)| s.batches > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read_with_its_context_and_lines_without_one_are_passed_over() {
        let line = r#"mallbots_batch_retries_total{what="overtaken",context="depot"} 3"#;
        assert_eq!(sample(line), Some(("mallbots_batch_retries_total", "depot", 3.0)));
        assert_eq!(sample("# HELP x"), None);
        assert_eq!(sample("process_cpu_seconds_total 3"), None);
    }
}
