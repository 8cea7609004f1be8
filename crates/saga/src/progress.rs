//! How far a saga has come: a value that is saved as JSON, by step *name*, and is all that `decide` knows of the past.

use crate::{Cause, Kept, Timer, TimerKind};
use message::{Direction, EffectKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// One saga's state. It changes only through [`crate::decide`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub saga_id: Uuid,
    pub saga_type: String,
    /// Version of the definition it was started with and keeps to its end.
    pub version: u32,
    /// Unique among the sagas of its type.
    pub business_key: String,
    /// Record key of all its commands and replies.
    pub key: String,
    /// What the steps keep and build their commands from.
    pub data: Kept,
    pub course: Course,
    /// Why it is being, or was, undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The steps that were opened so far.
    pub steps: BTreeMap<String, StepProgress>,
    /// Events that came before the step that waits for them; at most one of each name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded: BTreeMap<String, Value>,
}

/// Where a saga is heading, or has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    Forward,
    Back,
    Completed,
    Compensated,
}

/// The state people see and filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Running,
    Compensating,
    /// At least one step waits for an operator.
    Stuck,
    Completed,
    Compensated,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Stuck => "stuck",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
        }
    }

    /// Terminal is final: no input changes a terminal saga.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated)
    }
}

/// One step's rounds, the first at index 0. A round follows another only after a recorded refusal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepProgress {
    pub rounds: Vec<Round>,
    /// Rounds begun by the retry policy since the step was opened or an operator last stepped in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// One round of a step: its do, and its undo once there is a reason for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    #[serde(rename = "do")]
    pub forward: Leg<DoState>,
    #[serde(rename = "undo", default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Leg<UndoState>>,
}

/// One direction of one round: everything sent under one effect key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leg<S> {
    pub state: S,
    /// Commands sent so far, which is the last attempt's number; 0 when none was. Most are answered at once, so that one
    /// is what is meant where nothing is stored.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub sent: u32,
    /// How many more may be sent before somebody has to look.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left: u32,
}

fn one() -> u32 {
    1
}

fn is_one(n: &u32) -> bool {
    *n == 1
}

/// What is known of a do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DoState {
    /// Sent (or, for a wait, opened), with a deadline.
    Waiting,
    /// A new round after a refusal, to be sent when its delay is over.
    RetryWait,
    /// Waits for an operator. An answer to what was sent still counts.
    Stuck,
    Done,
    Refused,
    /// Maybe it happened: it timed out, or the saga turned back before the answer came.
    InDoubt,
    /// It did not happen and will not.
    Skipped,
}

/// What is known of an undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndoState {
    Waiting,
    RetryWait,
    Stuck,
    Done,
    /// Left out by an operator.
    Skipped,
}

impl DoState {
    /// Behind us, when going forward.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }

    /// Its effect exists, or may.
    pub(crate) fn may_exist(self) -> bool {
        matches!(self, Self::Done | Self::InDoubt)
    }
}

impl UndoState {
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

/// A reason for a saga to go on. Every saga that is not terminal has at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    pub step: String,
    pub direction: Direction,
    pub round: u32,
    pub on: WakeOn,
}

/// What wakes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WakeOn {
    /// An answer or an event, and this deadline if neither comes.
    AnswerOrDeadline(Timer),
    /// The end of a retry's delay.
    RetryDue(Timer),
    /// A person.
    Operator,
}

impl Progress {
    /// The state people see, derived from the rest so that it cannot disagree with it.
    pub fn phase(&self) -> Phase {
        match self.course {
            Course::Completed => Phase::Completed,
            Course::Compensated => Phase::Compensated,
            Course::Forward | Course::Back if self.is_stuck() => Phase::Stuck,
            Course::Forward => Phase::Running,
            Course::Back => Phase::Compensating,
        }
    }

    /// Every reason this saga has to go on, in the order of the step's names. Empty exactly when it is terminal;
    /// anything else is an orphan, which the auditor reports.
    pub fn wakes(&self) -> Vec<Wake> {
        if self.phase().is_terminal() {
            return Vec::new();
        }
        self.all_rounds()
            .flat_map(|(step, round, r)| [wake_do(step, round, r), wake_undo(step, round, r)])
            .flatten()
            .collect()
    }

    /// The timers that must exist for this progress: one for each wake that is not an operator.
    pub fn timers(&self) -> Vec<Timer> {
        self.wakes()
            .into_iter()
            .filter_map(|wake| match wake.on {
                WakeOn::AnswerOrDeadline(timer) | WakeOn::RetryDue(timer) => Some(timer),
                WakeOn::Operator => None,
            })
            .collect()
    }

    /// The key under which participants carry this effect out at most once.
    pub fn effect_key(&self, step: &str, direction: Direction, round: u32) -> EffectKey {
        EffectKey { saga_id: self.saga_id, step: step.to_owned(), direction, round }
    }

    /// The steps that wait for an operator, with the direction they are stuck in.
    pub fn stuck_steps(&self) -> Vec<(String, Direction)> {
        self.wakes().into_iter().filter(|w| w.on == WakeOn::Operator).map(|w| (w.step, w.direction)).collect()
    }

    fn is_stuck(&self) -> bool {
        self.all_rounds().any(|(_, _, r)| {
            r.forward.state == DoState::Stuck || r.back.as_ref().is_some_and(|b| b.state == UndoState::Stuck)
        })
    }

    /// (step, round, what is known), rounds counted from 1.
    pub(crate) fn all_rounds(&self) -> impl Iterator<Item = (&str, u32, &Round)> {
        self.steps.iter().flat_map(|(name, s)| (1..).zip(&s.rounds).map(move |(n, r)| (name.as_str(), n, r)))
    }

    pub(crate) fn round(&self, step: &str, round: u32) -> Option<&Round> {
        self.steps.get(step)?.rounds.get(index(round)?)
    }

    pub(crate) fn round_mut(&mut self, step: &str, round: u32) -> Option<&mut Round> {
        self.steps.get_mut(step)?.rounds.get_mut(index(round)?)
    }

    /// Number of rounds begun, which is also the last one's number.
    pub(crate) fn rounds(&self, step: &str) -> u32 {
        self.steps.get(step).map_or(0, |s| u32::try_from(s.rounds.len()).unwrap_or(u32::MAX))
    }

    /// The state of the last round's do.
    pub(crate) fn do_state(&self, step: &str) -> Option<DoState> {
        self.steps.get(step)?.rounds.last().map(|r| r.forward.state)
    }
}

fn index(round: u32) -> Option<usize> {
    usize::try_from(round.checked_sub(1)?).ok()
}

fn wake_do(step: &str, round: u32, r: &Round) -> Option<Wake> {
    let timer = |kind| timer(kind, step, Direction::Do, round, r.forward.sent);
    let on = match r.forward.state {
        DoState::Waiting => WakeOn::AnswerOrDeadline(timer(TimerKind::Deadline)),
        DoState::RetryWait => WakeOn::RetryDue(timer(TimerKind::Retry)),
        DoState::Stuck => WakeOn::Operator,
        DoState::Done | DoState::Refused | DoState::InDoubt | DoState::Skipped => return None,
    };
    Some(Wake { step: step.to_owned(), direction: Direction::Do, round, on })
}

fn wake_undo(step: &str, round: u32, r: &Round) -> Option<Wake> {
    let back = r.back.as_ref()?;
    let timer = |kind| timer(kind, step, Direction::Undo, round, back.sent);
    let on = match back.state {
        UndoState::Waiting => WakeOn::AnswerOrDeadline(timer(TimerKind::Deadline)),
        UndoState::RetryWait => WakeOn::RetryDue(timer(TimerKind::Retry)),
        UndoState::Stuck => WakeOn::Operator,
        UndoState::Done | UndoState::Skipped => return None,
    };
    Some(Wake { step: step.to_owned(), direction: Direction::Undo, round, on })
}

pub(crate) fn timer(kind: TimerKind, step: &str, direction: Direction, round: u32, attempt: u32) -> Timer {
    Timer { kind, step: step.to_owned(), direction, round, attempt }
}
