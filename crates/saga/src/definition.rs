//! A saga's definition with its types erased: what the engine runs and what `outline` prints. Only the builder makes
//! one, so every closure in here was type-checked against its message.

use crate::{Cause, Kept, RetryPolicy};
use message::{Outgoing, Refusal};
use serde_json::Value;

/// A value that is not what a definition expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The message is not what its name promises: its record belongs in the parking table.
    #[error("{name} cannot be read: {why}")]
    Body { name: &'static str, why: String },
    /// The saga's saved data no longer fits its definition: an older version of the definition is needed.
    #[error("the saga's data cannot be read: {0}")]
    Data(String),
}

/// The type-erased definition of a saga: steps in order, and which events concern it.
pub struct Definition {
    pub(crate) saga_type: String,
    pub(crate) version: u32,
    pub(crate) start: Start,
    pub(crate) key: ReadKey,
    pub(crate) business_key: ReadKey,
    pub(crate) signals: Vec<Signal>,
    pub(crate) nodes: Vec<Node>,
}

/// An event that concerns a saga type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subscription {
    /// Full name of the event.
    pub name: &'static str,
    pub topic: &'static str,
}

/// What an event means to a saga type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Start a saga, unless one of this business key exists.
    Start { business_key: String },
    /// Give it to the saga of this business key as [`crate::Input::Event`].
    Event { business_key: String },
    /// Give it to the saga of this business key as [`crate::Input::Cancel`].
    Cancel { business_key: String, reason: String, by: String },
}

/// What a signal says: whose saga is to be cancelled, why, and who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelSignal {
    pub business_key: String,
    pub reason: String,
    pub by: String,
}

impl From<(String, String)> for CancelSignal {
    fn from((business_key, reason): (String, String)) -> Self {
        Self { business_key, reason, by: "customer".to_owned() }
    }
}

impl From<(String, String, String)> for CancelSignal {
    fn from((business_key, reason, by): (String, String, String)) -> Self {
        Self { business_key, reason, by }
    }
}

/// The business key that an event names.
pub(crate) type ReadName = Box<dyn Fn(&Value) -> Result<String, Unreadable> + Send + Sync>;
pub(crate) type ReadKey = Box<dyn Fn(&Kept) -> Result<String, Unreadable> + Send + Sync>;
pub(crate) type Build = Box<dyn Fn(&Kept) -> Result<Outgoing, Unreadable> + Send + Sync>;
pub(crate) type BuildUndo = Box<dyn Fn(&Kept, &Cause) -> Result<Outgoing, Unreadable> + Send + Sync>;
pub(crate) type Begin = Box<dyn Fn(&Value) -> Result<Kept, Unreadable> + Send + Sync>;
pub(crate) type BuildValue = Box<dyn Fn(&Kept) -> Result<Value, Unreadable> + Send + Sync>;
pub(crate) type Keep = Box<dyn Fn(&mut Kept, &Value) -> Result<(), Unreadable> + Send + Sync>;
pub(crate) type Test = Box<dyn Fn(&Kept) -> Result<bool, Unreadable> + Send + Sync>;
pub(crate) type Judge = Box<dyn Fn(&Kept) -> Result<Option<Refusal>, Unreadable> + Send + Sync>;
pub(crate) type ReadSignal = Box<dyn Fn(&Value) -> Result<CancelSignal, Unreadable> + Send + Sync>;

pub(crate) struct Start {
    pub on: Subscription,
    pub data: Begin,
}

pub(crate) struct Signal {
    pub name: String,
    pub on: Subscription,
    pub read: ReadSignal,
}

/// Branches that run beside each other; a step on its own is a single branch of one step.
pub(crate) struct Node {
    pub branches: Vec<Vec<RawStep>>,
}

pub(crate) struct RawStep {
    pub name: String,
    pub kind: Kind,
    pub nature: Nature,
    pub undo: Option<Undo>,
    pub deadline_ms: u64,
    /// Sends within a round before it is in doubt (compensable) or stuck (pivot, retriable).
    pub sends: Option<u32>,
    /// For retryable refusals.
    pub retry: RetryPolicy,
}

/// What may become of a step that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Compensable,
    Pivot,
    Retriable,
}

pub(crate) enum Kind {
    /// Done by the event that started the saga.
    Started,
    Call(Call),
    Wait(Wait),
    Child(Child),
}

pub(crate) struct Call {
    pub command: &'static str,
    pub reply: &'static str,
    pub build: Build,
    pub keep: Keep,
}

pub(crate) struct Wait {
    pub on: Subscription,
    pub key: ReadName,
    pub keep: Keep,
    pub unless: Option<Named<Test>>,
    pub fails_when: Option<Named<Judge>>,
}

pub(crate) struct Child {
    pub saga_type: String,
    pub start: BuildValue,
}

pub(crate) struct Undo {
    pub command: &'static str,
    pub reply: &'static str,
    pub build: BuildUndo,
    pub retry: RetryPolicy,
    pub deadline_ms: u64,
}

/// A function with the name it has in the source, for the outline.
pub(crate) struct Named<F> {
    pub name: Option<String>,
    pub call: F,
}

/// Sends of a pivot or retriable step before it is stuck: ten minutes at the default deadline.
const FORWARD_SENDS: u32 = 20;

impl RawStep {
    /// Whether its do reaches out to somebody, so that it may have happened unseen.
    pub fn acts(&self) -> bool {
        matches!(self.kind, Kind::Call(_) | Kind::Child(_))
    }

    pub fn sends(&self) -> u32 {
        self.sends.unwrap_or(if self.nature == Nature::Compensable { 1 } else { FORWARD_SENDS })
    }
}

impl Definition {
    pub fn saga_type(&self) -> &str {
        &self.saga_type
    }

    pub fn version(&self) -> u32 {
        self.version
    }

    /// Full name of the event that starts it.
    pub fn start_event(&self) -> &'static str {
        self.start.on.name
    }

    /// Every event that concerns sagas of this type, each once.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let waits = self.steps().filter_map(|s| match &s.kind {
            Kind::Wait(wait) => Some(wait.on),
            Kind::Started | Kind::Call(_) | Kind::Child(_) => None,
        });
        let mut all: Vec<_> =
            [self.start.on].into_iter().chain(self.signals.iter().map(|s| s.on)).chain(waits).collect();
        all.sort();
        all.dedup();
        all
    }

    /// What the event called `name` means to this saga type; `None` when it does not concern it.
    pub fn route(&self, name: &str, body: &Value) -> Result<Option<Route>, Unreadable> {
        if name == self.start.on.name {
            return Ok(Some(Route::Start { business_key: self.business_key_of(body)? }));
        }
        if let Some(signal) = self.signals.iter().find(|s| s.on.name == name) {
            let CancelSignal { business_key, reason, by } = (signal.read)(body)?;
            return Ok(Some(Route::Cancel { business_key, reason, by }));
        }
        let wait = self.wait_for(name);
        wait.map(|(_, wait)| Ok(Route::Event { business_key: (wait.key)(body)? })).transpose()
    }

    /// The business key of the saga that the start event `body` would start.
    pub fn business_key_of(&self, body: &Value) -> Result<String, Unreadable> {
        (self.business_key)(&(self.start.data)(body)?)
    }

    /// Names of the steps, in order.
    pub fn step_names(&self) -> impl Iterator<Item = &str> {
        self.steps().map(|s| s.name.as_str())
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &RawStep> {
        self.nodes.iter().flat_map(|node| node.branches.iter().flatten())
    }

    pub(crate) fn step(&self, name: &str) -> Option<&RawStep> {
        self.steps().find(|s| s.name == name)
    }

    pub(crate) fn wait_for(&self, event: &str) -> Option<(&RawStep, &Wait)> {
        self.steps().find_map(|step| match &step.kind {
            Kind::Wait(wait) if wait.on.name == event => Some((step, wait)),
            Kind::Wait(_) | Kind::Started | Kind::Call(_) | Kind::Child(_) => None,
        })
    }
}

pub(crate) fn read_body<M: message::Message>(body: &Value) -> Result<M, Unreadable> {
    M::deserialize(body).map_err(|e| Unreadable::Body { name: M::NAME, why: e.to_string() })
}
