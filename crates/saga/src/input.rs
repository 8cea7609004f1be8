//! Everything that can happen to a saga. Inputs are plain values that survive JSON, because histories are made of them.

use crate::Timer;
use message::{EffectKey, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened to a running saga. Any input may come at any time, twice, late or never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "input")]
pub enum Input {
    /// A participant answered a command.
    Reply(Reply),
    /// An event that some step waits for, now or later. `name` is its full name.
    Event { name: String, body: Value },
    /// A customer or a member of staff wants the saga undone.
    Cancel { reason: String, by: String },
    /// A timer that [`crate::Effect::SetTimer`] asked for is due.
    Timer(Timer),
    /// A person who operates the platform steps in.
    Operator { verb: Verb, reason: String, by: String },
    /// A child saga came to its end.
    ChildEnded { effect: EffectKey, end: ChildEnd },
}

/// An answer as it came from a participant, echoing the effect key and the attempt of the command it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    pub effect: EffectKey,
    pub attempt: u32,
    pub outcome: Outcome,
    /// Full name of the record in `body`.
    pub name: String,
    pub body: Value,
}

/// What an operator can do. All but `Cancel` act on stuck steps only; a verb that does not apply changes nothing and
/// is answered by [`crate::Effect::Rejected`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verb")]
pub enum Verb {
    /// Sends every stuck step once more, with a fresh budget.
    Retry,
    /// Undoes the saga, unless its pivot was sent.
    Cancel,
    /// The stuck step (or its undo) is left out: its effect does not exist, and nothing is done about it.
    Skip { step: String },
    /// The stuck step (or its undo) was carried out by hand.
    MarkDone { step: String },
    /// Every stuck step counts as carried out by hand, and the saga goes on forward. Refused while it is being undone.
    CompleteForward,
}

/// How a child saga ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum ChildEnd {
    Completed,
    Compensated { code: String, reason: String },
}
