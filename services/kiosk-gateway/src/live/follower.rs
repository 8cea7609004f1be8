//! Feeds the hub from the event topics. A record that cannot be read is counted and passed over: a live view may miss a
//! line, it must never stop.

use super::{
    Live,
    story::{self, Reader},
};
use crate::metric_names as names;
use message::Envelope;
use schemas::ids::OrderId;
use std::sync::Arc;
use transport::{
    codec::{Codec, Wire},
    ports::Record,
};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nobody watches its order, or it says nothing to customers.
    Ignored,
    Published,
    /// Somebody waits for it, but its schema is not known yet: let the codec learn this id and give the record again.
    UnknownSchema(u32),
    /// It cannot be read.
    Unreadable,
}

/// Reads records of [`Follower::topics`] into the hub.
#[derive(Clone)]
pub struct Follower {
    live: Live,
    codec: Arc<Codec>,
}

impl Follower {
    pub fn new(live: Live, codec: Arc<Codec>) -> Self {
        Self { live, codec }
    }

    /// What to read, from the end on: what happened before is in the snapshot that each view begins with.
    pub fn topics() -> &'static [&'static str] {
        story::TOPICS
    }

    /// Takes one record. Cheap for orders that nobody watches: their headers are read and no more.
    pub fn on_record(&self, record: &Record) -> Seen {
        let seen = self.see(record).unwrap_or(Seen::Unreadable);
        if seen == Seen::Unreadable {
            metrics::counter!(names::UNREADABLE).increment(1);
        }
        seen
    }

    fn see(&self, record: &Record) -> Option<Seen> {
        let Some(value) = record.value.as_deref() else { return Some(Seen::Ignored) };
        let headers = record.headers.iter();
        let envelope = Envelope::from_headers(&record.topic, record.key.as_deref(), headers).ok()?;
        if !self.may_matter(&envelope) {
            return Some(Seen::Ignored);
        }
        let wire = Wire::parse(value).ok()?;
        if !self.codec.knows(wire.schema_id) {
            return Some(Seen::UnknownSchema(wire.schema_id));
        }
        self.publish(&envelope, value)
    }

    fn may_matter(&self, envelope: &Envelope) -> bool {
        let order = OrderId::parse(envelope.stream.aggregate_id());
        story::names_order_in_body(&envelope.name) || order.is_ok_and(|order| self.live.is_watched(order))
    }

    fn publish(&self, envelope: &Envelope, value: &[u8]) -> Option<Seen> {
        let told = story::story(&envelope.name, &Reader { codec: &self.codec, value }).ok()?;
        let Some(mut told) = told.filter(|told| self.live.is_watched(told.order)) else { return Some(Seen::Ignored) };
        told.event.id = envelope.id;
        told.event.at_ms = envelope.time_ms;
        self.live.publish(told.order, told.event);
        Some(Seen::Published)
    }
}
