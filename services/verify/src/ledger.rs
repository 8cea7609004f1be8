//! The form that both ledgers are compared in, that of payments and the acquirer's, and what they say of an order.

use schemas::grpc::payments::LedgerEntry;
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

impl From<LedgerEntry> for Entry {
    fn from(entry: LedgerEntry) -> Self {
        let amount = entry.amount.map_or(0, |a| a.amount);
        Self { order: entry.order_id, operation: entry.operation, key: entry.effect_key, amount }
    }
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
