//! Names of the record headers: CloudEvents 1.0 Kafka binding in binary mode, W3C trace context, and ours.

pub const CE_ID: &str = "ce_id";
pub const CE_SPECVERSION: &str = "ce_specversion";
pub const CE_TYPE: &str = "ce_type";
pub const CE_SOURCE: &str = "ce_source";
pub const CE_SUBJECT: &str = "ce_subject";
pub const CE_TIME: &str = "ce_time";
pub const CE_SEQUENCE: &str = "ce_sequence";
pub const CONTENT_TYPE: &str = "content-type";
pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";
pub const CORRELATION_ID: &str = "correlation_id";
pub const CAUSATION_ID: &str = "causation_id";
pub const SAGA_ID: &str = "saga_id";
pub const SAGA_TYPE: &str = "saga_type";
pub const SAGA_STEP: &str = "saga_step";
pub const SAGA_DIRECTION: &str = "saga_direction";
pub const SAGA_ROUND: &str = "saga_round";
pub const SAGA_ATTEMPT: &str = "saga_attempt";
pub const REPLY_TO: &str = "reply_to";
pub const OUTCOME: &str = "outcome";
/// Which relay sent the record, for diagnosis only: consumers judge by `ce_sequence`.
pub const RELAY_EPOCH: &str = "relay_epoch";
