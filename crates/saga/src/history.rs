//! The history of a saga: one entry for each input that mattered and for each thing that followed from it. Timelines
//! are printed from it, and a saga can be replayed from it, also against a newer definition.

use crate::{ChildEnd, Input, Reply, Timer, TimerKind, Verb};
use message::{Direction, EffectKey, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// One line of a saga's timeline. The shell adds when, which message and which trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub kind: HistoryKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Full name of the message that came or went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What else is needed to repeat it; the body of a message that came.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an entry tells of: first the inputs, then what followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryKind {
    Started,
    Accepted,
    Refused,
    Event,
    CancelAsked,
    TimedOut,
    RetryDue,
    Operator,
    ChildCompleted,
    ChildCompensated,
    Sent,
    StepDone,
    StepSkipped,
    RetryPlanned,
    CancelTooLate,
    Compensating,
    Undone,
    Stuck,
    Completed,
    Compensated,
}

impl HistoryKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Event => "event",
            Self::CancelAsked => "cancel-asked",
            Self::TimedOut => "timed-out",
            Self::RetryDue => "retry-due",
            Self::Operator => "operator",
            Self::ChildCompleted => "child-completed",
            Self::ChildCompensated => "child-compensated",
            Self::Sent => "sent",
            Self::StepDone => "step-done",
            Self::StepSkipped => "step-skipped",
            Self::RetryPlanned => "retry-planned",
            Self::CancelTooLate => "cancel-too-late",
            Self::Compensating => "compensating",
            Self::Undone => "undone",
            Self::Stuck => "stuck",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
        }
    }
}

impl HistoryEntry {
    pub(crate) fn of(kind: HistoryKind) -> Self {
        Self {
            kind,
            step: None,
            direction: None,
            round: None,
            attempt: None,
            message: None,
            detail: Value::Null,
            who: None,
            reason: None,
        }
    }

    pub(crate) fn step(mut self, step: &str) -> Self {
        self.step = Some(step.to_owned());
        self
    }

    pub(crate) fn at(mut self, step: &str, direction: Direction, round: u32, attempt: u32) -> Self {
        (self.direction, self.round, self.attempt) = (Some(direction), Some(round), Some(attempt));
        self.step(step)
    }

    pub(crate) fn message(mut self, name: impl Into<String>) -> Self {
        self.message = Some(name.into());
        self
    }

    pub(crate) fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(crate) fn by(mut self, who: impl Into<String>) -> Self {
        self.who = Some(who.into());
        self
    }

    /// The entry under which `input` is remembered.
    pub(crate) fn of_input(input: &Input) -> Self {
        use HistoryKind as K;
        match input {
            Input::Reply(r) => {
                let kind = if r.outcome == Outcome::Ok { K::Accepted } else { K::Refused };
                Self::of(kind).effect(&r.effect, r.attempt).message(r.name.clone()).detail(r.body.clone())
            }
            Input::Event { name, body } => Self::of(K::Event).message(name.clone()).detail(body.clone()),
            Input::Cancel { reason, by } => Self::of(K::CancelAsked).because(reason).by(by),
            Input::Timer(t) => {
                let kind = if t.kind == TimerKind::Deadline { K::TimedOut } else { K::RetryDue };
                Self::of(kind).at(&t.step, t.direction, t.round, t.attempt)
            }
            Input::Operator { verb, reason, by } => Self::of(K::Operator).detail(json!(verb)).because(reason).by(by),
            Input::ChildEnded { effect, end: ChildEnd::Completed } => Self::of(K::ChildCompleted).effect(effect, 1),
            Input::ChildEnded { effect, end: end @ ChildEnd::Compensated { .. } } => {
                Self::of(K::ChildCompensated).effect(effect, 1).detail(json!(end))
            }
        }
    }

    fn effect(self, key: &EffectKey, attempt: u32) -> Self {
        self.at(&key.step, key.direction, key.round, attempt)
    }

    /// The input this entry remembers, if it remembers one.
    pub fn to_input(&self, saga_id: Uuid) -> Option<Input> {
        use HistoryKind as K;
        let by = || Some((self.reason.clone()?, self.who.clone()?));
        Some(match self.kind {
            K::Accepted => Input::Reply(self.to_reply(saga_id, Outcome::Ok)?),
            K::Refused => Input::Reply(self.to_reply(saga_id, Outcome::Refused)?),
            K::Event => Input::Event { name: self.message.clone()?, body: self.detail.clone() },
            K::CancelAsked => by().map(|(reason, by)| Input::Cancel { reason, by })?,
            K::TimedOut => Input::Timer(self.to_timer(TimerKind::Deadline)?),
            K::RetryDue => Input::Timer(self.to_timer(TimerKind::Retry)?),
            K::Operator => {
                let verb: Verb = serde_json::from_value(self.detail.clone()).ok()?;
                by().map(|(reason, by)| Input::Operator { verb, reason, by })?
            }
            K::ChildCompleted => Input::ChildEnded { effect: self.to_effect(saga_id)?, end: ChildEnd::Completed },
            K::ChildCompensated => {
                let end = serde_json::from_value(self.detail.clone()).ok()?;
                Input::ChildEnded { effect: self.to_effect(saga_id)?, end }
            }
            K::Started | K::Sent | K::StepDone | K::StepSkipped | K::RetryPlanned | K::CancelTooLate => return None,
            K::Compensating | K::Undone | K::Stuck | K::Completed | K::Compensated => return None,
        })
    }

    fn to_effect(&self, saga_id: Uuid) -> Option<EffectKey> {
        Some(EffectKey { saga_id, step: self.step.clone()?, direction: self.direction?, round: self.round? })
    }

    fn to_reply(&self, saga_id: Uuid, outcome: Outcome) -> Option<Reply> {
        Some(Reply {
            effect: self.to_effect(saga_id)?,
            attempt: self.attempt?,
            outcome,
            name: self.message.clone()?,
            body: self.detail.clone(),
        })
    }

    fn to_timer(&self, kind: TimerKind) -> Option<Timer> {
        Some(Timer {
            kind,
            step: self.step.clone()?,
            direction: self.direction?,
            round: self.round?,
            attempt: self.attempt?,
        })
    }
}
