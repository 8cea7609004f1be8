//! What a message is: traits for commands, events and replies, the effect key, the envelope and its headers.
//!
//! This crate stands at the bottom: it knows no transport, no schema and no clock, so that everything above can
//! agree on it without depending on each other.

pub mod bugs;
mod effect;
mod envelope;
pub mod headers;
mod stream;
mod trace;

pub use effect::{Direction, EffectKey, Outcome, Refusal, SagaRef};
pub use envelope::{Envelope, HeaderError};
pub use headers::Headers;
pub use stream::Stream;
pub use trace::TraceContext;

use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc};

/// A value that travels on a topic. Its serde shape is the Avro record of the same name under `schemas/avro`.
pub trait Message: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// Full name of the Avro record, for example `mallbots.payments.AuthorizePayment`: also `ce_type` and the registry's subject.
    const NAME: &'static str;
    /// The topic it is published on.
    const TOPIC: &'static str;
}

/// Something that happened to an aggregate of the publishing context.
pub trait Event: Message {}

/// A request to a participant. Its type names its reply's type, so a handler for another reply does not compile.
pub trait Command: Message {
    /// What the participant answers when it did as asked. A refusal is always [`Refusal`].
    type Reply: Reply;
}

/// The successful answer to a [`Command`].
pub trait Reply: Message {}

/// A message on its way out, with its type erased: the transport encodes it by `name`.
#[derive(Clone)]
pub struct Outgoing {
    pub name: &'static str,
    pub topic: &'static str,
    body: Arc<dyn Body>,
}

trait Body: erased_serde::Serialize + Send + Sync {}
impl<T: Message> Body for T {}

impl Outgoing {
    /// Erases the type of `message`.
    pub fn new<M: Message>(message: M) -> Self {
        Self { name: M::NAME, topic: M::TOPIC, body: Arc::new(message) }
    }

    /// The body for any serde serializer.
    pub fn body(&self) -> &dyn erased_serde::Serialize {
        &*self.body
    }

    /// The body as JSON: for histories, tests and people. `Null` for a body that JSON cannot hold.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.body()).unwrap_or_default()
    }

    /// `payments.AuthorizePayment` for `mallbots.payments.AuthorizePayment`.
    pub fn short_name(&self) -> &'static str {
        short_name(self.name)
    }
}

/// The name without the platform's prefix: what people read.
pub fn short_name(name: &str) -> &str {
    name.strip_prefix("mallbots.").unwrap_or(name)
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.short_name(), self.to_json())
    }
}

impl PartialEq for Outgoing {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.to_json() == other.to_json()
    }
}
