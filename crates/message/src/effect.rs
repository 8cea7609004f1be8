//! The key under which an effect is carried out at most once, and what became of it.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Whether a step is being carried out or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Do,
    Undo,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::Undo => "undo",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Direction {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "do" => Ok(Self::Do),
            "undo" => Ok(Self::Undo),
            other => Err(format!("direction is `{other}`, expected `do` or `undo`")),
        }
    }
}

/// (saga, step, direction, round): a participant applies each key at most once, whatever number of times it is sent.
/// `round` rises only when a step is carried out anew after a recorded refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EffectKey {
    pub saga_id: Uuid,
    pub step: String,
    pub direction: Direction,
    pub round: u32,
}

impl EffectKey {
    /// The same step and round in the other direction.
    pub fn counterpart(&self) -> Self {
        let direction = match self.direction {
            Direction::Do => Direction::Undo,
            Direction::Undo => Direction::Do,
        };
        Self { direction, ..self.clone() }
    }
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.saga_id, self.step, self.direction, self.round)
    }
}

/// Whose command it is and where the answer goes; carried by commands and echoed by replies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaRef {
    pub saga_type: String,
    pub effect: EffectKey,
    /// Counts the sends within a round, from 1.
    pub attempt: u32,
    /// The topic replies go to.
    pub reply_to: String,
    /// The saga's partition key: the record key of its commands and replies, constant for its life.
    pub key: String,
}

/// How a participant answered; the `outcome` header of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    Refused,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
        }
    }
}

impl FromStr for Outcome {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "ok" => Ok(Self::Ok),
            "refused" => Ok(Self::Refused),
            other => Err(format!("outcome is `{other}`, expected `ok` or `refused`")),
        }
    }
}

/// A business "no": a normal answer with a stable code and a sentence a person can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
// The record's name on the wire: a typed Avro reader compares it with the type's.
#[serde(rename = "Refused")]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Stable, `<context>.<reason>`, for example `payments.declined`.
    pub code: String,
    pub message: String,
    /// True when the same request may succeed later, so a retry policy may carry the step out anew.
    pub retryable: bool,
}

impl Refusal {
    /// The code of a command that an operator gave up: nothing was done, and nothing will be under its effect key.
    pub const SKIPPED: &'static str = "platform.skipped";

    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false }
    }

    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(code, message) }
    }
}

impl crate::Message for Refusal {
    const NAME: &'static str = "mallbots.Refused";
    const TOPIC: &'static str = "mallbots.orchestrator.replies";
}
