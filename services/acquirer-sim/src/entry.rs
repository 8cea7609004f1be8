//! What the acquirer shows of itself: ledger entries and holds, in the form that `mallctl verify` compares.

use serde::{Deserialize, Serialize};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    Authorize,
    Capture,
    Void,
    Refund,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Done,
    Refused,
}

/// One operation that was decided on: an entry of the ledger, and the answer to the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The merchant's reference of the hold, which for MallBots is the order's id.
    pub order_id: String,
    pub operation: Operation,
    pub idempotency_key: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    pub provider_ref: String,
    pub status: Status,
    /// Milliseconds since the Unix epoch, by the acquirer's clock.
    pub at_ms: i64,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldStatus {
    Held,
    Declined,
    Captured,
    Voided,
    Refunded,
    Expired,
}

/// What the acquirer knows under a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldView {
    pub provider_ref: String,
    pub reference: String,
    pub status: HoldStatus,
    /// What was asked to be held, minor units.
    pub amount: i64,
    pub captured: i64,
    pub refunded: i64,
    pub currency: String,
}
