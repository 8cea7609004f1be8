//! How a saga is put together: before the pivot any step, after it only steps without an undo. The stage is a type, so
//! the compiler keeps the order.

use crate::{
    Kept,
    definition::{
        CancelSignal, Definition, Kind, Nature, Node, RawStep, ReadKey, Signal, Start, Subscription, read_body,
    },
    step::{Branch, Calls, Data, ForwardOnly, Step},
};
use message::{Command, Event};
use std::{collections::BTreeSet, fmt, marker::PhantomData, ops::Deref, sync::Arc};

/// A finished definition of a saga that keeps `D` from step to step. Cheap to clone.
pub struct Saga<D> {
    definition: Arc<Definition>,
    data: PhantomData<fn() -> D>,
}

impl<D: Data> Saga<D> {
    /// Begins the definition of `saga_type`. Raise `version` with every change that a running saga could notice.
    pub fn named(saga_type: &str, version: u32) -> Builder<D, BeforePivot> {
        let parts = Parts { saga_type: saga_type.to_owned(), version, ..Parts::default() };
        Builder { parts, types: PhantomData }
    }

    /// The definition without its data's type, for the engine.
    pub fn erase(&self) -> Arc<Definition> {
        self.definition.clone()
    }
}

impl<D> Clone for Saga<D> {
    fn clone(&self) -> Self {
        Self { definition: self.definition.clone(), data: PhantomData }
    }
}

impl<D> Deref for Saga<D> {
    type Target = Definition;
    fn deref(&self) -> &Definition {
        &self.definition
    }
}

/// Stage of a [`Builder`]: everything so far can be undone.
pub struct BeforePivot;
/// Stage of a [`Builder`]: from here only forward.
pub struct AfterPivot;

/// A definition in the making.
#[must_use]
pub struct Builder<D, Stage> {
    parts: Parts,
    types: PhantomData<fn() -> (D, Stage)>,
}

#[derive(Default)]
struct Parts {
    saga_type: String,
    version: u32,
    start: Option<Start>,
    key: Option<ReadKey>,
    business_key: Option<ReadKey>,
    signals: Vec<Signal>,
    nodes: Vec<Node>,
}

impl<D: Data> Builder<D, BeforePivot> {
    /// The event that starts a saga, and the data it starts with.
    pub fn starts_on<E: Event>(mut self, data: impl Fn(&E) -> D + Send + Sync + 'static) -> Self {
        let on = Subscription { name: E::NAME, topic: E::TOPIC };
        let data = Box::new(move |body: &_| Kept::of(&data(&read_body(body)?)));
        self.parts.start = Some(Start { on, data });
        self
    }

    /// The partition key, constant for the saga's life; also its business key unless [`Builder::business_key`].
    pub fn key(mut self, key: impl Fn(&D) -> String + Send + Sync + Clone + 'static) -> Self {
        let business_key = reading(key.clone());
        self.parts.key = Some(reading(key));
        self.parts.business_key.get_or_insert(business_key);
        self
    }

    /// The key that is unique among sagas of this type, and by which events find their saga.
    pub fn business_key(mut self, key: impl Fn(&D) -> String + Send + Sync + 'static) -> Self {
        self.parts.business_key = Some(reading(key));
        self
    }

    /// An event by which people cancel: `read` gives the business key, the reason and, as a third, who asked.
    pub fn signal<E: Event, S: Into<CancelSignal>>(
        mut self,
        name: &str,
        read: impl Fn(&E) -> S + Send + Sync + 'static,
    ) -> Self {
        let on = Subscription { name: E::NAME, topic: E::TOPIC };
        let read = Box::new(move |body: &_| Ok(read(&read_body(body)?).into()));
        self.parts.signals.push(Signal { name: name.to_owned(), on, read });
        self
    }

    /// The next step. Until the pivot it is undone, when it has an undo, whenever a later one fails.
    pub fn step<K, U>(mut self, step: Step<D, K, U>) -> Self {
        self.parts.nodes.push(alone(step.into_raw(Nature::Compensable)));
        self
    }

    /// Branches that run beside each other; the saga goes on when all have ended.
    pub fn together<const N: usize>(mut self, branches: [Branch<D>; N]) -> Self {
        self.parts.nodes.push(Node { branches: branches.into_iter().map(|b| b.steps).collect() });
        self
    }

    /// The step that decides: refused, everything before it is undone; done, the saga only goes forward.
    pub fn pivot<C: Command>(mut self, step: Step<D, Calls<C>, ForwardOnly>) -> Builder<D, AfterPivot> {
        self.parts.nodes.push(alone(step.into_raw(Nature::Pivot)));
        Builder { parts: self.parts, types: PhantomData }
    }
}

impl<D: Data> Builder<D, AfterPivot> {
    /// The next step. It is repeated until it succeeds, and waits for an operator when that takes too long.
    pub fn step<K>(mut self, step: Step<D, K, ForwardOnly>) -> Self {
        self.parts.nodes.push(alone(step.into_raw(Nature::Retriable)));
        self
    }
}

impl<D: Data, Stage> Builder<D, Stage> {
    /// Finishes the definition.
    ///
    /// # Panics
    /// With every [`Defect`] in its message. Definitions are built when a program starts, where this is what one wants;
    /// [`Builder::try_build`] does not panic.
    pub fn build(self) -> Saga<D> {
        let name = self.parts.saga_type.clone();
        self.try_build().unwrap_or_else(|defects| {
            let list: Vec<_> = defects.iter().map(ToString::to_string).collect();
            panic!("the definition of saga `{name}` is not sound: {}", list.join("; "))
        })
    }

    /// Finishes the definition, or says everything that is wrong with it.
    pub fn try_build(self) -> Result<Saga<D>, Vec<Defect>> {
        let defects = defects(&self.parts);
        let Parts { saga_type, version, start, key, business_key, signals, nodes } = self.parts;
        match (start, key, business_key) {
            (Some(start), Some(key), Some(business_key)) if defects.is_empty() => {
                let definition = Definition { saga_type, version, start, key, business_key, signals, nodes };
                Ok(Saga { definition: Arc::new(definition), data: PhantomData })
            }
            _ => Err(defects),
        }
    }
}

fn reading<D: Data>(key: impl Fn(&D) -> String + Send + Sync + 'static) -> ReadKey {
    Box::new(move |data| Ok(key(&data.read()?)))
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    NoStart,
    NoKey,
    NoSteps,
    EmptyBranch,
    /// Names are kebab-case: lower-case letters, digits, single dashes.
    BadName(String),
    DuplicateStep(String),
    /// Two things listen to one event, so it could not be told for which it came.
    DuplicateEvent(&'static str),
    NoDeadline(String),
    NoSends(String),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStart => write!(f, "nothing starts it: add .starts_on(…)"),
            Self::NoKey => write!(f, "it has no partition key: add .key(…)"),
            Self::NoSteps => write!(f, "it has no steps"),
            Self::EmptyBranch => write!(f, "a branch of a parallel group has no steps"),
            Self::BadName(name) => write!(f, "the name `{name}` is not kebab-case"),
            Self::DuplicateStep(name) => write!(f, "two steps are called `{name}`: use .named(…)"),
            Self::DuplicateEvent(name) => write!(f, "the event {name} is listened to twice"),
            Self::NoDeadline(name) => write!(f, "step `{name}` has a deadline of 0"),
            Self::NoSends(name) => write!(f, "step `{name}` may never be sent"),
        }
    }
}

fn defects(parts: &Parts) -> Vec<Defect> {
    let steps: Vec<&RawStep> = parts.nodes.iter().flat_map(|n| n.branches.iter().flatten()).collect();
    let mut out = Vec::new();
    out.extend(parts.start.is_none().then_some(Defect::NoStart));
    out.extend(parts.key.is_none().then_some(Defect::NoKey));
    out.extend(steps.is_empty().then_some(Defect::NoSteps));
    out.extend(parts.nodes.iter().any(has_empty_branch).then_some(Defect::EmptyBranch));
    let names = [&parts.saga_type].into_iter().chain(steps.iter().map(|s| &s.name));
    out.extend(names.filter(|n| !is_kebab(n)).cloned().map(Defect::BadName));
    out.extend(repeated(steps.iter().map(|s| s.name.clone())).map(Defect::DuplicateStep));
    out.extend(repeated(events(parts, &steps)).map(Defect::DuplicateEvent));
    out.extend(steps.iter().filter(|s| has_no_deadline(s)).map(|s| Defect::NoDeadline(s.name.clone())));
    out.extend(steps.iter().filter(|s| s.sends() == 0).map(|s| Defect::NoSends(s.name.clone())));
    out
}

fn alone(step: RawStep) -> Node {
    Node { branches: vec![vec![step]] }
}

fn has_empty_branch(node: &Node) -> bool {
    node.branches.is_empty() || node.branches.iter().any(Vec::is_empty)
}

fn has_no_deadline(step: &RawStep) -> bool {
    step.deadline_ms == 0 || step.undo.as_ref().is_some_and(|u| u.deadline_ms == 0)
}

fn is_kebab(name: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.split('-').all(word)
}

fn events(parts: &Parts, steps: &[&RawStep]) -> Vec<&'static str> {
    let waits = steps.iter().filter_map(|s| match &s.kind {
        Kind::Wait(wait) => Some(wait.on.name),
        Kind::Started | Kind::Call(_) | Kind::Child(_) => None,
    });
    let start = parts.start.iter().map(|s| s.on.name);
    start.chain(parts.signals.iter().map(|s| s.on.name)).chain(waits).collect()
}

fn repeated<T: Ord + Clone>(all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    let mut seen = BTreeSet::new();
    let again: BTreeSet<T> = all.into_iter().filter(|x| !seen.insert(x.clone())).collect();
    again.into_iter()
}
