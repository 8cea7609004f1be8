//! Everything a saga can ask of the world around it. The shell carries these out in the transaction that saves the
//! progress; the engine itself does nothing.

use crate::{Cause, history::HistoryEntry};
use message::{Direction, Outgoing};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing for the shell to do, in the transaction that saves the progress.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Put `command` into the outbox under the effect key (saga, `step`, `direction`, `round`).
    Send { step: String, direction: Direction, round: u32, attempt: u32, command: Outgoing },
    /// Start a saga of `saga_type` from `start`, at most once per (this saga, `step`, `round`).
    StartChild { step: String, round: u32, attempt: u32, saga_type: String, start: Value },
    /// Feed `timer` back as an input once `after_ms` milliseconds have passed on the database's clock.
    SetTimer { timer: Timer, after_ms: u64 },
    /// `timer` is no longer wanted. Firing it all the same is harmless.
    CancelTimer(Timer),
    /// Publish a lifecycle event.
    Emit(Lifecycle),
    /// Append to the saga's immutable history.
    Record(HistoryEntry),
    /// Something that must not happen has happened: a person should look.
    Alarm { code: AlarmCode, detail: String },
    /// Something expected and harmless was ignored: count it.
    Count(Counted),
    /// The input does not belong to this saga: park the record.
    Park { reason: String },
    /// An operator's verb does not apply: nothing changed.
    Rejected { reason: String },
}

/// A timer of a saga. There is at most one for each (step, direction, round) at any time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timer {
    pub kind: TimerKind,
    pub step: String,
    pub direction: Direction,
    pub round: u32,
    /// The attempt whose answer is awaited, or the last one sent when it is time to send again.
    pub attempt: u32,
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerKind {
    /// The answer, or the event waited for, is overdue.
    Deadline,
    /// The delay before another try is over.
    Retry,
}

impl TimerKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Retry => "retry",
        }
    }
}

/// What other contexts may want to know about a saga; becomes an event of the orchestrator. Single steps are in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifecycle {
    Started,
    Compensating { cause: Cause },
    CancelTooLate { reason: String },
    Completed,
    Compensated { cause: Cause },
    Stuck { step: String, reason: String },
}

/// What is alarming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlarmCode {
    /// A step is stuck and waits for an operator (I4).
    Stuck,
    /// A reply names an effect this saga never asked for.
    UnknownEffect,
    /// A participant answers one effect in two ways.
    Contradiction,
    /// A reply does not fit how the saga ended.
    ReplyAfterEnd,
    /// A step succeeded in a saga that ended as compensated, and nothing undid it (I8).
    EffectNotUndone,
    /// A body is not what its name promises.
    UnreadableBody,
    /// The saga's own data no longer fits its definition.
    UnreadableData,
}

impl AlarmCode {
    /// Stable; names the page in the runbook.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stuck => "saga.stuck",
            Self::UnknownEffect => "saga.unknown_effect",
            Self::Contradiction => "saga.contradiction",
            Self::ReplyAfterEnd => "saga.reply_after_end",
            Self::EffectNotUndone => "saga.effect_not_undone",
            Self::UnreadableBody => "saga.unreadable_body",
            Self::UnreadableData => "saga.unreadable_data",
        }
    }
}

/// What was ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// The effect has this answer already.
    DuplicateReply,
    /// The answer no longer matters.
    LateReply,
    /// A timer of an attempt that is over.
    StaleTimer,
    /// An event nobody waits for any more.
    LateEvent,
    /// The saga is being undone already.
    RepeatedCancel,
}

impl Counted {
    /// Value of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DuplicateReply => "duplicate_reply",
            Self::LateReply => "late_reply",
            Self::StaleTimer => "stale_timer",
            Self::LateEvent => "late_event",
            Self::RepeatedCancel => "repeated_cancel",
        }
    }
}
