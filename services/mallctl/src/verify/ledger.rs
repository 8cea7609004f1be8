//! The two ledgers: that of payments in its one documented form, whoever implements payments, and the acquirer's.

use crate::output::Failure;
use schemas::grpc::payments::{self as pb, payments_client::PaymentsClient};
use serde_json::Value;
use std::collections::HashMap;

/// An operation that took effect at the provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub order: String,
    /// authorize, capture, void, refund; payments also knows `expire`.
    pub operation: String,
    /// In payments' ledger the effect key of the command, in the acquirer's the idempotency key it got.
    pub key: String,
    /// Minor units.
    pub amount: i64,
}

/// What a ledger says of one order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub authorized: bool,
    /// Voided, or given up by the provider.
    pub released: bool,
    pub captured: Option<i64>,
    pub refunded: Option<i64>,
}

impl Standing {
    /// Whether money of the customer is held, or was taken and not given back.
    pub fn keeps_money(&self) -> bool {
        let held = self.authorized && !self.released && self.captured.is_none();
        held || (self.captured.is_some() && self.refunded.is_none())
    }

    /// What is captured and was not given back.
    pub fn net(&self) -> i64 {
        self.captured.unwrap_or_default() - self.refunded.unwrap_or_default()
    }
}

/// Where each order stands.
pub fn standings(entries: &[Entry]) -> HashMap<&str, Standing> {
    let mut all: HashMap<&str, Standing> = HashMap::new();
    for entry in entries {
        let standing = all.entry(&entry.order).or_default();
        let added = |sum: Option<i64>| Some(sum.unwrap_or_default() + entry.amount);
        match entry.operation.as_str() {
            "authorize" => standing.authorized = true,
            "capture" => standing.captured = added(standing.captured),
            "refund" => standing.refunded = added(standing.refunded),
            // An operation that is not documented gives nothing free.
            "void" | "expire" => standing.released = true,
            _ => {}
        }
    }
    all
}

/// The ledger of payments: `Payments.ListLedger`, as `payments.proto` documents it.
pub async fn of_payments() -> Result<Vec<Entry>, Failure> {
    let url = service_kit::env_or("MALLBOTS_PAYMENTS_URL", "http://127.0.0.1:7103");
    let unreachable = |why: String| {
        Failure::Unreachable(format!(
            "payments does not offer its ledger at {url} (MALLBOTS_PAYMENTS_URL names it, Payments.ListLedger answers it): {why}"
        ))
    };
    let client = PaymentsClient::connect(url.clone()).await;
    let mut client = client.map_err(|e| unreachable(format!("{:#}", anyhow::Error::from(e))))?;
    let answer = client.list_ledger(pb::ListLedgerRequest::default()).await;
    let mut stream = answer.map_err(|s| unreachable(s.message().to_owned()))?.into_inner();
    let mut entries = Vec::new();
    while let Some(entry) = stream.message().await.map_err(|s| unreachable(s.message().to_owned()))? {
        let amount = entry.amount.map_or(0, |a| a.amount);
        entries.push(Entry { order: entry.order_id, operation: entry.operation, key: entry.effect_key, amount });
    }
    Ok(entries)
}

/// What the acquirer's own ledger says was done.
pub async fn of_acquirer(acquirer: &str) -> Result<Vec<Entry>, Failure> {
    let failed = |e: reqwest::Error| Failure::Unreachable(format!("acquirer: {e} (MALLBOTS_ACQUIRER_URL names it)"));
    let text = reqwest::get(format!("{acquirer}/v1/ledger")).await.map_err(failed)?.text().await.map_err(failed)?;
    let lines = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    Ok(lines.filter(|e| e["status"] == "done").filter_map(|e| done(&e)).collect())
}

fn done(entry: &Value) -> Option<Entry> {
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    let (order, operation, key) = (text("order_id")?, text("operation")?, text("idempotency_key")?);
    Some(Entry { order, operation, key, amount: entry["amount"].as_i64()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(operations: &[(&str, i64)]) -> Vec<Entry> {
        let entry = |(operation, amount): &(&str, i64)| Entry {
            order: "o".into(),
            operation: (*operation).to_owned(),
            key: String::new(),
            amount: *amount,
        };
        operations.iter().map(entry).collect()
    }

    #[test]
    fn money_is_kept_while_it_is_held_or_captured_and_not_given_back() {
        let keeps = |operations: &[(&str, i64)]| standings(&entries(operations))["o"].keeps_money();
        assert!(keeps(&[("authorize", 5)]));
        assert!(keeps(&[("authorize", 5), ("capture", 4)]));
        assert!(keeps(&[("authorize", 5), ("strange", 5)]));
        for end in ["void", "expire"] {
            assert!(!keeps(&[("authorize", 5), (end, 5)]), "{end}");
        }
        assert!(!keeps(&[("authorize", 5), ("capture", 4), ("refund", 4)]));
    }

    #[test]
    fn what_was_captured_twice_counts_twice() {
        let all = entries(&[("authorize", 5), ("capture", 4), ("capture", 4)]);
        assert_eq!(standings(&all)["o"].net(), 8);
    }
}
