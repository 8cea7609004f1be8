//! Spans of the message path, after the OpenTelemetry messaging conventions
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/>). An unsampled trace costs nothing but its context.

use crate::{
    fold::Fnv,
    ports::{NewRecord, Record},
    unit::mix,
};
use message::{Envelope, TraceContext, short_name};
use opentelemetry::{
    Context, KeyValue,
    global::{BoxedSpan, BoxedTracer},
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    },
};
use std::{
    cell::Cell,
    collections::HashMap,
    hash::Hasher,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

static TRACERS: OnceLock<HashMap<&'static str, BoxedTracer>> = OnceLock::new();

/// Gives each service its tracer, so that one process can show its roles as services of their own. Without it no span is
/// recorded. Only the first call counts.
pub fn install(tracers: HashMap<&'static str, BoxedTracer>) {
    let _ = TRACERS.set(tracers);
}

/// The role a span plays in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Server,
    Client,
    Producer,
    Consumer,
    Internal,
}

/// How a span ended.
pub enum Ended {
    Ok,
    Note(&'static str),
    /// A business "no" with its code: not an error.
    Refused(String),
    Error(String),
}

/// A span under way. Its context is what messages carry on.
pub struct Span {
    context: TraceContext,
    recording: Option<Box<BoxedSpan>>,
}

/// Starts a child of `parent`; a root where there is none. `None` when nothing is recorded and nothing needs to travel.
pub fn start(
    service: &'static str,
    name: String,
    kind: Kind,
    parent: Option<TraceContext>,
    attributes: &[(&'static str, &str)],
) -> Option<Span> {
    start_at(service, name, kind, parent, attributes, None)
}

/// As [`start`], for what is about an order: a root goes into the trace of that order ([`trace_of`]), so that whatever the
/// customer does later, paying or cancelling, is found in the one trace that the checkout began.
pub fn start_for(
    service: &'static str,
    name: String,
    kind: Kind,
    parent: Option<TraceContext>,
    order: &str,
) -> Option<Span> {
    WANTED.set(parent.is_none().then(|| trace_of(order)));
    let span = start(service, name, kind, parent, &[("order.id", order)]);
    WANTED.set(None);
    span
}

thread_local! {
    /// The id that the next root of this thread takes. Starting a span is synchronous, so nobody comes in between.
    static WANTED: Cell<Option<u128>> = const { Cell::new(None) };
}

/// The id for a new root, where [`start_for`] wants a certain one: for the program's id generator.
pub fn wanted_trace_id() -> Option<u128> {
    WANTED.get()
}

/// The trace that everything about an order belongs to. It is derived from the order's id, and so is whether it is sampled.
pub fn trace_of(order: &str) -> u128 {
    let half = |salt: u64| {
        let mut hash = Fnv::default();
        hash.write_u64(salt);
        hash.write(order.as_bytes());
        mix(hash.finish())
    };
    (u128::from(half(1)) << 64) | u128::from(half(2).max(1))
}

fn start_at(
    service: &'static str,
    name: String,
    kind: Kind,
    parent: Option<TraceContext>,
    attributes: &[(&'static str, &str)],
    at: Option<SystemTime>,
) -> Option<Span> {
    if let Some(parent) = parent.filter(|p| !p.sampled) {
        return Some(Span { context: parent, recording: None });
    }
    let tracers = TRACERS.get()?;
    let tracer = tracers.get(service).or_else(|| tracers.values().next())?;
    let attributes = attributes.iter().map(|(k, v)| KeyValue::new(*k, (*v).to_owned()));
    let mut builder = tracer.span_builder(name).with_kind(kind.into()).with_attributes(attributes);
    if let Some(at) = at {
        builder = builder.with_start_time(at);
    }
    let parent = parent.map(|p| Context::new().with_remote_span_context(remote(p))).unwrap_or_default();
    let span = tracer.build_with_context(builder, &parent);
    let made = span.span_context().clone();
    made.is_valid().then(|| Span {
        context: TraceContext {
            trace_id: u128::from_be_bytes(made.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(made.span_id().to_bytes()),
            sampled: made.is_sampled(),
        },
        recording: made.is_sampled().then(|| Box::new(span)),
    })
}

impl Span {
    pub fn context(&self) -> TraceContext {
        self.context
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Some(span) = &mut self.recording {
            span.set_attribute(KeyValue::new(name, value.into()));
        }
        self
    }

    pub fn end(mut self, how: Ended) {
        let Some(span) = &mut self.recording else { return };
        match how {
            Ended::Ok => {}
            Ended::Note(note) => span.set_attribute(KeyValue::new("mallbots.note", note)),
            Ended::Refused(code) => span.set_attribute(KeyValue::new("mallbots.refused", code)),
            Ended::Error(reason) => span.set_status(Status::error(reason)),
        }
        span.end();
    }
}

/// The span of a record being processed by `context`: child of the producer span that its headers name.
pub fn consumed(context: &'static str, record: &Record, envelope: &Envelope) -> Option<Span> {
    let parent = envelope.trace.filter(|t| t.sampled);
    let Some(parent) = parent else { return envelope.trace.map(|context| Span { context, recording: None }) };
    let name = format!("{context} process {}", short_name(&envelope.name));
    let attributes = [("messaging.system", "kafka"), ("messaging.operation.type", "process")];
    let mut span = start(context, name, Kind::Consumer, Some(parent), &attributes)?
        .with("messaging.destination.name", record.topic.clone())
        .with("messaging.destination.partition.id", record.partition.to_string())
        .with("messaging.kafka.offset", record.offset.to_string())
        .with("messaging.consumer.group.name", context);
    for (name, value) in saga_attributes(envelope) {
        span = span.with(name, value);
    }
    Some(span)
}

/// The span of an outbox row being published: from `created_ms` (the commit) to the acknowledgement, so that the time in
/// the outbox is visible; answers the span and the header value that replaces `traceparent`.
pub fn published(context: &'static str, record: &NewRecord, created_ms: i64, parent: TraceContext) -> Option<Span> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(created_ms.max(0) as u64);
    let header = |name: &str| record.headers.get(name).map(String::from_utf8_lossy);
    let name = header(message::headers::CE_TYPE).map(|n| short_name(&n).to_owned()).unwrap_or_default();
    let attributes = [("messaging.system", "kafka"), ("messaging.operation.type", "publish")];
    let mut span =
        start_at(context, format!("{context} publish {name}"), Kind::Producer, Some(parent), &attributes, Some(at))?
            .with("messaging.destination.name", record.topic.clone());
    let dwell = SystemTime::now().duration_since(at).unwrap_or_default();
    span = span.with("mallbots.outbox.dwell_ms", dwell.as_millis().to_string());
    for (attribute, from) in [
        ("saga.id", message::headers::SAGA_ID),
        ("saga.type", message::headers::SAGA_TYPE),
        ("saga.step", message::headers::SAGA_STEP),
        ("saga.direction", message::headers::SAGA_DIRECTION),
        ("order.id", message::headers::CORRELATION_ID),
    ] {
        if let Some(value) = header(from) {
            span = span.with(attribute, value.into_owned());
        }
    }
    Some(span)
}

fn saga_attributes(envelope: &Envelope) -> Vec<(&'static str, String)> {
    let mut out: Vec<_> = envelope.correlation_id.iter().map(|id| ("order.id", id.clone())).collect();
    if let Some(saga) = &envelope.saga {
        out.extend([
            ("saga.id", saga.effect.saga_id.to_string()),
            ("saga.type", saga.saga_type.clone()),
            ("saga.step", saga.effect.step.clone()),
            ("saga.direction", saga.effect.direction.to_string()),
        ]);
    }
    out
}

fn remote(context: TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace_id.to_be_bytes()),
        SpanId::from_bytes(context.span_id.to_be_bytes()),
        if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
        true,
        TraceState::NONE,
    )
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Producer => Self::Producer,
            Kind::Consumer => Self::Consumer,
            Kind::Internal => Self::Internal,
        }
    }
}
