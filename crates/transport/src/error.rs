//! Errors by reaction: what the caller does next decides the variant.

use message::Refusal;
use std::time::Duration;

/// What can go wrong below a fold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Infrastructure: back off and do the same again (conflict, connection, timeout, broker or registry away).
    #[error("{what}: {why}")]
    Retry { what: &'static str, why: String },
    /// The same input fails the same way each time: bisect the batch, park the one record.
    #[error("{0}")]
    Poison(String),
    /// Wrong configuration or environment: stop the role with this sentence.
    #[error("{0}")]
    Fatal(String),
}

impl Error {
    pub fn retry(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Retry { what, why: why.to_string() }
    }

    /// Another process has changed what this one was about to save, or relied on.
    pub(crate) fn overtaken(why: impl std::fmt::Display) -> Self {
        Self::retry("overtaken", why)
    }
}

/// Why a fold did not finish.
#[derive(Debug, PartialEq)]
pub enum Stop {
    /// A row it needs has not been loaded yet: the shell loads it and folds again.
    Need,
    /// The business says no; nothing of this fold is kept.
    Refused(Refusal),
    /// The input cannot be processed, now or later: it is parked.
    Poison(String),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a caller of the shell (a gRPC method) is told instead of an answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    #[error("{0}")]
    Refused(Refusal),
    /// The same idempotency key came with another request.
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    /// The outbox is over its limit: new work waits.
    #[error("too much work is waiting, try again in {} s", retry_after.as_secs())]
    Overloaded { retry_after: Duration },
    /// Not answered in time, or the role is stopping: the effect may or may not have happened.
    #[error("no answer: {0}")]
    Unknown(String),
    /// A defect of ours; it has been logged.
    #[error("internal error: {0}")]
    Internal(String),
}
