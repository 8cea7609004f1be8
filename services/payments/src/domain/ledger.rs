//! Our side of the ledger that `mallctl verify` compares with the provider's: one entry for each operation asked for.

use super::Operation;
use schemas::money::Money;
use serde::{Deserialize, Serialize};

/// What became of an operation, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryStatus {
    /// Asked for, not answered yet: the provider may or may not have acted.
    Unknown,
    Done,
    Refused,
}

impl EntryStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// One operation on an order's hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub operation: Operation,
    /// The effect key of the command that caused it: what the provider got as idempotency key.
    pub idempotency_key: String,
    pub amount: Money,
    pub status: EntryStatus,
    /// When its status was learnt, by our database's clock.
    pub at_ms: i64,
}
