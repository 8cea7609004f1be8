//! Why a saga is being undone. Undo functions read it, so that an order which was refused and one which was cancelled
//! can be closed differently.

use message::Refusal;
use serde::{Deserialize, Serialize};

/// What kind of thing started the compensation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// A participant said no.
    Refused,
    /// A deadline passed: whatever was asked for may or may not have happened.
    TimedOut,
    /// The customer or a member of staff asked for it by a signal.
    Cancelled,
    /// An operator asked for it.
    Operator,
}

/// Why a saga is being undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub kind: CauseKind,
    /// Stable, `<context>.<reason>`.
    pub code: String,
    /// A sentence a person can read.
    pub reason: String,
    /// The step at which it happened; a cancellation belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

impl Cause {
    /// Code of a cause whose kind is [`CauseKind::TimedOut`].
    pub const TIMED_OUT: &'static str = "platform.timed_out";
    /// Code of a cause whose kind is [`CauseKind::Cancelled`].
    pub const CANCELLED: &'static str = "platform.cancelled";
    /// Code of a cause whose kind is [`CauseKind::Operator`].
    pub const OPERATOR: &'static str = "platform.cancelled_by_operator";
    /// Code under which the stray effect of a round that had been refused is undone.
    pub const SUPERSEDED: &'static str = "platform.superseded_round";

    /// True when a person asked for it, rather than a participant or a deadline.
    pub fn is_cancellation(&self) -> bool {
        matches!(self.kind, CauseKind::Cancelled | CauseKind::Operator)
    }

    pub(crate) fn refused(step: &str, refusal: &Refusal) -> Self {
        Self {
            kind: CauseKind::Refused,
            code: refusal.code.clone(),
            reason: refusal.message.clone(),
            step: Some(step.to_owned()),
        }
    }

    pub(crate) fn timed_out(step: &str, deadline_ms: u64) -> Self {
        Self {
            kind: CauseKind::TimedOut,
            code: Self::TIMED_OUT.to_owned(),
            reason: format!("{step} was not answered within {deadline_ms} ms"),
            step: Some(step.to_owned()),
        }
    }

    pub(crate) fn cancelled(reason: &str) -> Self {
        Self { kind: CauseKind::Cancelled, code: Self::CANCELLED.to_owned(), reason: reason.to_owned(), step: None }
    }

    pub(crate) fn operator(reason: &str) -> Self {
        Self { kind: CauseKind::Operator, code: Self::OPERATOR.to_owned(), reason: reason.to_owned(), step: None }
    }

    pub(crate) fn superseded(step: &str, round: u32) -> Self {
        Self {
            kind: CauseKind::Refused,
            code: Self::SUPERSEDED.to_owned(),
            reason: format!("{step} succeeded in round {round} although that round had been refused"),
            step: Some(step.to_owned()),
        }
    }
}
