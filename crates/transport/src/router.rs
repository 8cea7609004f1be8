//! A context's table of contents: one line per message it takes.

use crate::{
    codec::Codec,
    context::{Aggregate, Context},
    error::{Error, Stop},
    unit::{Fold, Unit},
};
use message::{Command, Envelope, Event, Message, Outgoing, SagaRef};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// How a participant answers a command.
#[derive(Debug)]
pub enum Answer<R> {
    /// Done: the reply leaves in this transaction.
    Now(R),
    /// An outside call is under way: [`Unit::answer`] replies in a later transaction.
    Later,
}

/// What a message is to its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    First,
    /// A command that is repeated while its answer is awaited.
    WhileAwaited,
}

/// A decoded message with the code that folds it. It can be folded any number of times: folds are pure.
pub(crate) type Handler<C> = Arc<dyn Fn(&C, &mut Unit, &Envelope, Delivery) -> Fold<Option<Outgoing>> + Send + Sync>;
type Decode<C> = Arc<dyn Fn(&Codec, &[u8]) -> Result<Handler<C>, Error> + Send + Sync>;
type Wake<C> = Arc<dyn Fn(&C, &mut Unit, Uuid) -> Fold<()> + Send + Sync>;

pub(crate) struct Route<C> {
    pub topic: &'static str,
    pub command: bool,
    pub decode: Decode<C>,
    pub tombstone: Option<Wake<C>>,
}

/// Routes by message name and by kind of aggregate that wakes.
pub struct Router<C: Context> {
    pub(crate) routes: BTreeMap<&'static str, Route<C>>,
    pub(crate) wakes: BTreeMap<&'static str, Wake<C>>,
    pub(crate) replies: Option<ReplyRoute<C>>,
}

/// Takes every reply, whatever its type (the orchestrator's door).
pub(crate) struct ReplyRoute<C> {
    pub topic: &'static str,
    pub fold: Arc<dyn Fn(&C, &mut Unit, &Envelope, &serde_json::Value) -> Fold<()> + Send + Sync>,
}

impl<C: Context> Default for Router<C> {
    fn default() -> Self {
        Self { routes: BTreeMap::new(), wakes: BTreeMap::new(), replies: None }
    }
}

impl<C: Context> Router<C> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes command `M`. The shell admits it by its stream, fences it by its effect key and sends the reply.
    pub fn command<M: Command>(self, handle: fn(&C, &mut Unit, &M, &SagaRef) -> Fold<Answer<M::Reply>>) -> Self {
        self.slow_command(handle, |_, _, _| Ok(()))
    }

    /// As [`Router::command`], for what is answered [later](Answer::Later): `again` is called when the command is repeated
    /// while its answer is awaited, since an orchestrator or an operator grew impatient. It answers nothing: what it refuses
    /// changes nothing.
    pub fn slow_command<M: Command>(
        mut self,
        handle: fn(&C, &mut Unit, &M, &SagaRef) -> Fold<Answer<M::Reply>>,
        again: fn(&C, &mut Unit, &M) -> Fold<()>,
    ) -> Self {
        let decode: Decode<C> = Arc::new(move |codec, bytes| {
            let command: M = codec.decode(bytes)?;
            Ok(Arc::new(move |context: &C, unit: &mut Unit, envelope: &Envelope, delivery: Delivery| {
                if delivery == Delivery::WhileAwaited {
                    return again(context, unit, &command).map(|()| None);
                }
                let saga =
                    envelope.saga.as_ref().ok_or_else(|| Stop::Poison("a command without saga headers".into()))?;
                Ok(match handle(context, unit, &command, saga)? {
                    Answer::Now(reply) => Some(Outgoing::new(reply)),
                    Answer::Later => None,
                })
            }))
        });
        self.routes.insert(M::NAME, Route { topic: M::TOPIC, command: true, decode, tombstone: None });
        self
    }

    /// Takes event `M`, at most once per position of its stream.
    pub fn event<M: Event>(mut self, handle: fn(&C, &mut Unit, &Envelope, &M) -> Fold<()>) -> Self {
        let decode: Decode<C> = Arc::new(move |codec, bytes| {
            let event: M = codec.decode(bytes)?;
            Ok(Arc::new(move |context: &C, unit: &mut Unit, envelope: &Envelope, _: Delivery| {
                handle(context, unit, envelope, &event).map(|()| None)
            }))
        });
        self.routes.insert(M::NAME, Route { topic: M::TOPIC, command: false, decode, tombstone: None });
        self
    }

    /// Called for a null value under the name of event `M` (a compacted topic's deletion), with the stream's aggregate id.
    pub fn tombstone<M: Message>(mut self, handle: fn(&C, &mut Unit, Uuid) -> Fold<()>) -> Self {
        if let Some(route) = self.routes.get_mut(M::NAME) {
            route.tombstone = Some(Arc::new(handle));
        }
        self
    }

    /// Takes event `M` as JSON, for code that serves many types (sagas).
    pub fn event_json<M: Event>(
        mut self,
        handle: fn(&C, &mut Unit, &Envelope, &serde_json::Value) -> Fold<()>,
    ) -> Self {
        let decode: Decode<C> = Arc::new(move |codec, bytes| {
            let json = to_json(&codec.decode::<M>(bytes)?)?;
            Ok(Arc::new(move |context: &C, unit: &mut Unit, envelope: &Envelope, _: Delivery| {
                handle(context, unit, envelope, &json).map(|()| None)
            }))
        });
        self.routes.insert(M::NAME, Route { topic: M::TOPIC, command: false, decode, tombstone: None });
        self
    }

    /// Takes every reply that arrives on `topic` as JSON. Replies are not gated by sequence: the handler judges by effect key.
    pub fn replies(
        mut self,
        topic: &'static str,
        handle: fn(&C, &mut Unit, &Envelope, &serde_json::Value) -> Fold<()>,
    ) -> Self {
        self.replies = Some(ReplyRoute { topic, fold: Arc::new(handle) });
        self
    }

    /// Called when the time of [`Aggregate::wake_at_ms`] has come for an aggregate of kind `A`.
    pub fn wake<A: Aggregate>(mut self, handle: fn(&C, &mut Unit, Uuid) -> Fold<()>) -> Self {
        self.wakes.insert(A::KIND, Arc::new(handle));
        self
    }

    /// Whether a record of this name on this topic is for this context. Everything on a topic of replies or commands is: an
    /// unknown command must not vanish.
    pub(crate) fn wants(&self, topic: &str, name: &str) -> bool {
        self.routes.get(name).is_some_and(|route| route.topic == topic)
            || self.takes_replies(topic)
            || self.takes_commands(topic)
    }

    pub(crate) fn takes_replies(&self, topic: &str) -> bool {
        self.replies.as_ref().is_some_and(|route| route.topic == topic)
    }

    pub(crate) fn takes_commands(&self, topic: &str) -> bool {
        self.routes.values().any(|route| route.command && route.topic == topic)
    }

    /// The topics this context reads, each once.
    pub fn topics(&self) -> Vec<&'static str> {
        let mut topics: Vec<_> = self.routes.values().map(|r| r.topic).collect();
        topics.extend(self.replies.as_ref().map(|r| r.topic));
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

fn to_json<M: Message>(message: &M) -> Result<serde_json::Value, Error> {
    serde_json::to_value(message).map_err(|e| Error::Poison(e.to_string()))
}
