//! The list of all messages with their Avro schemas, carried by every binary.
//!
//! `mallctl` registers and checks them, the transport encodes by them, and the generated documents are made from them.

use crate::{depot, orchestrator, orders, payments, stores, topics};
use apache_avro::reader::datum::GenericDatumReader;
use message::{Message, Outgoing, Refusal};
use std::{collections::HashMap, sync::LazyLock};

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Event,
    Command,
    Reply,
    /// The latest state of something, on a compacted topic.
    Catalogue,
}

/// One message of the platform: its contract, and how to make one from JSON or Avro without knowing its type.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Full name of the record, also the registry's subject and `ce_type`.
    pub name: &'static str,
    pub topic: &'static str,
    pub kind: Kind,
    /// For a command, the name of its successful reply.
    pub reply: Option<&'static str>,
    /// The text of the `.avsc` file.
    pub avsc: &'static str,
    /// Reads the message from the JSON that [`Outgoing::to_json`] writes.
    pub from_json: fn(serde_json::Value) -> Result<Outgoing, serde_json::Error>,
    /// Reads the message from an Avro body that was written with the given schema; the slice is moved past what was read.
    pub from_avro: fn(&apache_avro::Schema, &mut &[u8]) -> Result<Outgoing, apache_avro::Error>,
}

/// Every message, in the order of their definition.
pub fn all() -> &'static [Schema] {
    &ALL
}

/// The message of that full name.
pub fn find(name: &str) -> Option<&'static Schema> {
    BY_NAME.get(name).map(|index| &ALL[*index])
}

static ALL: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    [
        stores::EVENTS,
        stores::CATALOGUE,
        orders::events::EVENTS,
        orders::commands::COMMANDS,
        payments::EVENTS,
        payments::COMMANDS,
        depot::events::EVENTS,
        depot::commands::COMMANDS,
        orchestrator::EVENTS,
        &[Schema::of::<Refusal>(Kind::Reply, None, include_str!("../avro/Refused.avsc"))],
    ]
    .concat()
});

static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| ALL.iter().enumerate().map(|(index, schema)| (schema.name, index)).collect());

impl Schema {
    pub(crate) const fn of<M: Message>(kind: Kind, reply: Option<&'static str>, avsc: &'static str) -> Self {
        Self { name: M::NAME, topic: M::TOPIC, kind, reply, avsc, from_json: from_json::<M>, from_avro: from_avro::<M> }
    }
}

fn from_json<M: Message>(json: serde_json::Value) -> Result<Outgoing, serde_json::Error> {
    serde_json::from_value::<M>(json).map(Outgoing::new)
}

fn from_avro<M: Message>(written: &apache_avro::Schema, body: &mut &[u8]) -> Result<Outgoing, apache_avro::Error> {
    let reader = GenericDatumReader::builder(written).build()?;
    reader.read_deser::<M>(body).map(Outgoing::new)
}

/// The topic on which every command is answered.
pub(crate) const REPLIES: &str = topics::ORCHESTRATOR_REPLIES;

/// Makes types messages: gives them name, topic and schema, and lists them.
macro_rules! messages {
    (@one $context:literal $topic:path, $name:ident) => {
        impl ::message::Message for $name {
            const NAME: &'static str = concat!("mallbots.", $context, ".", stringify!($name));
            const TOPIC: &'static str = $topic;
        }
    };
    (@schema $kind:ident $context:literal $name:ident $reply:expr) => {
        $crate::registry::Schema::of::<$name>(
            $crate::registry::Kind::$kind,
            $reply,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/avro/", $context, "/", stringify!($name), ".avsc")),
        )
    };
    (pub(crate) const $list:ident; Command $context:literal $topic:path: $($name:ident => $reply:ident,)+) => {
        $(
            messages!(@one $context $topic, $name);
            messages!(@one $context $crate::registry::REPLIES, $reply);
            impl ::message::Command for $name {
                type Reply = $reply;
            }
            impl ::message::Reply for $reply {}
        )+
        pub(crate) const $list: &[$crate::registry::Schema] = &[$(
            messages!(@schema Command $context $name Some(<$reply as ::message::Message>::NAME)),
            messages!(@schema Reply $context $reply None),
        )+];
    };
    (pub(crate) const $list:ident; Event $context:literal $topic:path: $($name:ident,)+) => {
        $(impl ::message::Event for $name {})+
        messages!(@list $list Event $context $topic: $($name,)+);
    };
    (pub(crate) const $list:ident; Catalogue $context:literal $topic:path: $($name:ident,)+) => {
        // A state that is published whenever it changes is an event to those who keep a copy of it.
        $(impl ::message::Event for $name {})+
        messages!(@list $list Catalogue $context $topic: $($name,)+);
    };
    (@list $list:ident $kind:ident $context:literal $topic:path: $($name:ident,)+) => {
        $(messages!(@one $context $topic, $name);)+
        pub(crate) const $list: &[$crate::registry::Schema] = &[$(messages!(@schema $kind $context $name None),)+];
    };
}
pub(crate) use messages;
