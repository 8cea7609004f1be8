//! The words a definition's steps are written in: `started`, `call`, `wait_for`, `child` and `branch`. Each keeps its
//! message's type until it becomes part of a saga, so that a handler for another message does not compile.

use crate::{
    Cause, Kept, RetryPolicy, Unreadable,
    definition::{self as raw, Kind, Named, Nature, RawStep, Subscription, read_body},
};
use message::{Command, Event, Message, Outgoing, Refusal, short_name};
use serde::{Serialize, de::DeserializeOwned};
use std::marker::PhantomData;

/// What a saga keeps from step to step; saved as JSON.
pub trait Data: Serialize + DeserializeOwned + 'static {}
impl<D: Serialize + DeserializeOwned + 'static> Data for D {}

/// A step of a saga with data `D`. `K` says what kind it is, `U` whether it can be undone.
#[must_use]
pub struct Step<D, K, U = ForwardOnly> {
    raw: RawStep,
    types: PhantomData<Types<D, K, U>>,
}

/// The types a step carries without holding a value of them.
type Types<D, K, U> = fn() -> (D, K, U);

/// A step that has an undo: allowed before the pivot only.
pub struct Undoable;
/// A step without an undo.
pub struct ForwardOnly;
/// The kind of [`started`].
pub struct Started;
/// The kind of [`call`].
pub struct Calls<C>(PhantomData<C>);
/// The kind of [`wait_for`].
pub struct Awaits<E>(PhantomData<E>);
/// The kind of [`child`].
pub struct RunsChild;

/// The kinds of steps that have an effect which an undo can take back.
pub trait HasEffect {}
impl HasEffect for Started {}
impl<C> HasEffect for Calls<C> {}
impl HasEffect for RunsChild {}

/// The kinds of steps that are answered, and may be refused.
pub trait IsAnswered {}
impl<C> IsAnswered for Calls<C> {}
impl IsAnswered for RunsChild {}

/// Deadline of a step that does not name one.
const DEADLINE_MS: u64 = 30_000;
/// An undo is wanted for certain: ten more tries over about five minutes, then a person looks.
const UNDO_RETRY: RetryPolicy = RetryPolicy::Exponential { base_ms: 500, max_ms: 60_000, budget: 10 };

/// The step that the start event itself has done; it sends nothing and exists to be undone.
pub fn started<D: Data>(name: &str) -> Step<D, Started> {
    Step::new(name.to_owned(), Kind::Started)
}

/// Sends the command that `build` makes and waits for its reply. Named after the command unless [`Step::named`].
pub fn call<D: Data, C: Command>(build: impl Fn(&D) -> C + Send + Sync + 'static) -> Step<D, Calls<C>> {
    let call = raw::Call {
        command: C::NAME,
        reply: C::Reply::NAME,
        build: Box::new(move |data| Ok(Outgoing::new(build(&data.read()?)))),
        keep: Box::new(|_, body| read_body::<C::Reply>(body).map(drop)),
    };
    Step::new(kebab(short_name(C::NAME)), Kind::Call(call))
}

/// Waits for an event `E`; `key` reads from it the business key of the saga it belongs to. An event that comes before
/// the wait opens is kept until then.
pub fn wait_for<D: Data, E: Event>(
    name: &str,
    key: impl Fn(&E) -> String + Send + Sync + 'static,
) -> Step<D, Awaits<E>> {
    let wait = raw::Wait {
        on: Subscription { name: E::NAME, topic: E::TOPIC },
        key: Box::new(move |body| Ok(key(&read_body(body)?))),
        keep: Box::new(|_, body| read_body::<E>(body).map(drop)),
        unless: None,
        fails_when: None,
    };
    Step::new(name.to_owned(), Kind::Wait(wait))
}

/// Runs another saga from the start event that `start` makes, and waits for its end. A child that is undone counts as
/// a refusal.
pub fn child<D: Data, S: Serialize>(
    name: &str,
    saga_type: &str,
    start: impl Fn(&D) -> S + Send + Sync + 'static,
) -> Step<D, RunsChild> {
    let child = raw::Child {
        saga_type: saga_type.to_owned(),
        start: Box::new(move |data| {
            serde_json::to_value(start(&data.read()?)).map_err(|e| Unreadable::Data(e.to_string()))
        }),
    };
    Step::new(name.to_owned(), Kind::Child(child))
}

/// One branch of a parallel group: its steps run in order, beside the other branches.
pub fn branch<D: Data>() -> Branch<D> {
    Branch { steps: Vec::new(), data: PhantomData }
}

/// See [`branch`].
#[must_use]
pub struct Branch<D> {
    pub(crate) steps: Vec<RawStep>,
    data: PhantomData<fn() -> D>,
}

impl<D: Data> Branch<D> {
    pub fn step<K, U>(mut self, step: Step<D, K, U>) -> Self {
        self.steps.push(step.raw);
        self
    }
}

impl<D: Data, K, U> Step<D, K, U> {
    fn new(name: String, kind: Kind) -> Self {
        let raw = RawStep {
            name,
            kind,
            nature: Nature::Compensable,
            undo: None,
            deadline_ms: DEADLINE_MS,
            sends: None,
            retry: RetryPolicy::None,
        };
        Self { raw, types: PhantomData }
    }

    pub(crate) fn into_raw(self, nature: Nature) -> RawStep {
        RawStep { nature, ..self.raw }
    }

    /// Replaces the name. Names are kebab-case and unique within a saga; progress is saved by them.
    pub fn named(mut self, name: &str) -> Self {
        self.raw.name = name.to_owned();
        self
    }

    /// How long to wait for the answer or the event, in seconds.
    pub fn deadline_s(self, seconds: u64) -> Self {
        self.deadline_ms(seconds.saturating_mul(1_000))
    }

    /// How long to wait for the answer or the event, in milliseconds.
    pub fn deadline_ms(mut self, ms: u64) -> Self {
        self.raw.deadline_ms = ms;
        self
    }
}

impl<D: Data, K: IsAnswered, U> Step<D, K, U> {
    /// What to do after a refusal that may turn out otherwise later: carry the step out anew, in a new round.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.raw.retry = policy;
        self
    }

    /// How often the same round is sent, one deadline apart, before it is in doubt; from the pivot on, before it is
    /// stuck. At least 1.
    pub fn sends(mut self, sends: u32) -> Self {
        self.raw.sends = Some(sends);
        self
    }
}

impl<D: Data, C: Command, U> Step<D, Calls<C>, U> {
    /// Keeps what later steps need of the reply.
    pub fn keep(mut self, keep: impl Fn(&mut D, C::Reply) + Send + Sync + 'static) -> Self {
        if let Kind::Call(call) = &mut self.raw.kind {
            call.keep = keeping(keep);
        }
        self
    }
}

impl<D: Data, E: Event> Step<D, Awaits<E>> {
    /// Keeps what later steps need of the event.
    pub fn keep(self, keep: impl Fn(&mut D, E) + Send + Sync + 'static) -> Self {
        self.with(|wait| wait.keep = keeping(keep))
    }

    /// Passes the wait by when the data says that there is nothing to wait for.
    pub fn unless<F: Fn(&D) -> bool + Send + Sync + 'static>(self, test: F) -> Self {
        let name = source_name::<F>();
        self.with(|wait| wait.unless = Some(Named { name, call: Box::new(move |data| Ok(test(&data.read()?))) }))
    }

    /// Judges the data after the event was kept: `Some` refuses the step, and the saga is undone.
    pub fn fails_when<F: Fn(&D) -> Option<Refusal> + Send + Sync + 'static>(self, judge: F) -> Self {
        let name = source_name::<F>();
        self.with(|wait| wait.fails_when = Some(Named { name, call: Box::new(move |data| Ok(judge(&data.read()?))) }))
    }

    fn with(mut self, change: impl FnOnce(&mut raw::Wait)) -> Self {
        if let Kind::Wait(wait) = &mut self.raw.kind {
            change(wait);
        }
        self
    }
}

impl<D: Data, K: HasEffect> Step<D, K, ForwardOnly> {
    /// The command that takes this step back. `build` is a `fn(&D) -> C` or a `fn(&D, &Cause) -> C`, and must need
    /// only what the saga already knew when the step was sent.
    pub fn undo<C: Command, A>(self, build: impl UndoFn<D, C, A>) -> Step<D, K, Undoable> {
        let undo = raw::Undo {
            command: C::NAME,
            reply: C::Reply::NAME,
            build: Box::new(move |data, cause| Ok(Outgoing::new(build.build(&data.read()?, cause)))),
            retry: UNDO_RETRY,
            deadline_ms: DEADLINE_MS,
        };
        Step { raw: RawStep { undo: Some(undo), ..self.raw }, types: PhantomData }
    }
}

impl<D: Data, K> Step<D, K, Undoable> {
    /// How often, and after which delays, an undo that is refused or not answered is sent again before it is stuck.
    pub fn undo_retry(self, policy: RetryPolicy) -> Self {
        self.with_undo(|undo| undo.retry = policy)
    }

    /// How long to wait for the undo's answer, in seconds.
    pub fn undo_deadline_s(self, seconds: u64) -> Self {
        self.undo_deadline_ms(seconds.saturating_mul(1_000))
    }

    /// How long to wait for the undo's answer, in milliseconds.
    pub fn undo_deadline_ms(self, ms: u64) -> Self {
        self.with_undo(|undo| undo.deadline_ms = ms)
    }

    fn with_undo(mut self, change: impl FnOnce(&mut raw::Undo)) -> Self {
        if let Some(undo) = &mut self.raw.undo {
            change(undo);
        }
        self
    }
}

/// A function that builds an undo, with or without the [`Cause`]; `A` only tells the two forms apart.
pub trait UndoFn<D, C, A>: Send + Sync + 'static {
    fn build(&self, data: &D, cause: &Cause) -> C;
}

impl<D, C, F: Fn(&D) -> C + Send + Sync + 'static> UndoFn<D, C, (D,)> for F {
    fn build(&self, data: &D, _: &Cause) -> C {
        self(data)
    }
}

impl<D, C, F: Fn(&D, &Cause) -> C + Send + Sync + 'static> UndoFn<D, C, (D, Cause)> for F {
    fn build(&self, data: &D, cause: &Cause) -> C {
        self(data, cause)
    }
}

/// The handler with its types erased. Data changes only if the body can be read.
fn keeping<D: Data, M: Message>(keep: impl Fn(&mut D, M) + Send + Sync + 'static) -> raw::Keep {
    Box::new(move |data, body| {
        let message = read_body(body)?;
        let mut typed = data.read()?;
        keep(&mut typed, message);
        *data = Kept::of(&typed)?;
        Ok(())
    })
}

/// `plan-shopping` for `depot.PlanShopping`.
fn kebab(short_name: &str) -> String {
    let mut out = String::new();
    for c in short_name.rsplit('.').next().unwrap_or_default().chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// The name of a function item as it stands in the source; none for closures.
fn source_name<F>() -> Option<String> {
    let name = std::any::type_name::<F>().rsplit("::").next()?;
    name.chars().all(|c| c.is_alphanumeric() || c == '_').then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_after_its_command() {
        assert_eq!(kebab("depot.PlanShopping"), "plan-shopping");
        assert_eq!(kebab("Close"), "close");
    }

    #[test]
    fn functions_are_named_as_in_the_source_and_closures_are_not() {
        fn nothing_collected() {}
        fn name_of<F>(_: F) -> Option<String> {
            source_name::<F>()
        }
        assert_eq!(name_of(nothing_collected).as_deref(), Some("nothing_collected"));
        assert_eq!(name_of(|| ()), None);
    }
}
