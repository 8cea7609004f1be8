//! Manners of the gRPC APIs: the trace and the idempotency key come in metadata or request, refusals and bad arguments go
//! out as a status with a stable code in its metadata.

use message::{Refusal, TraceContext};
use std::time::Duration;
use tonic::{
    Code, Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::{Endpoint, Uri},
};
use transport::{Call, CallError};

/// Metadata key of the stable code, for example `orders.basket_empty`.
pub const CODE: &str = "mallbots-code";
/// Metadata key of the field that is wrong.
pub const FIELD: &str = "mallbots-field";
/// Metadata key of the seconds to wait before trying again.
pub const RETRY_AFTER: &str = "retry-after";
/// Set to `true` on a refusal that may pass later.
pub const RETRYABLE: &str = "mallbots-retryable";

/// Longest wait for a connection to a service; a request in the meantime is unavailable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an idle connection is proved alive.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How a service is connected to.
pub fn endpoint(uri: &Uri) -> Endpoint {
    Endpoint::from(uri.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
}

/// Asks a service that is told how long it has, and not waited for longer: not every connection gives up by itself. After
/// that the outcome is unknown.
pub async fn ask<M, A, F>(message: M, within: Duration, call: impl FnOnce(Request<M>) -> F) -> Result<A, Status>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let mut request = Request::new(message);
    request.set_timeout(within);
    match tokio::time::timeout(within, call(request)).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_elapsed) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

/// The caller's trace context; a malformed one is ignored.
pub fn trace(metadata: &MetadataMap) -> Option<TraceContext> {
    metadata.get(message::headers::TRACEPARENT)?.to_str().ok()?.parse().ok()
}

/// Puts the trace context into an outgoing request's metadata.
pub fn set_trace(metadata: &mut MetadataMap, trace: Option<TraceContext>) {
    if let Some(value) = trace.and_then(|t| MetadataValue::try_from(t.to_string()).ok()) {
        metadata.insert(message::headers::TRACEPARENT, value);
    }
}

/// A call of the shell on behalf of `request`.
pub fn call<T>(request: &Request<T>, name: &'static str) -> Call {
    Call::new(name).trace(trace(request.metadata()))
}

/// An argument is wrong; `message` says what would be right.
pub fn invalid(field: &str, message: impl Into<String>) -> Status {
    let mut status = coded(Code::InvalidArgument, "platform.invalid_argument", message);
    put(&mut status, FIELD, field);
    status
}

/// There is no such thing.
pub fn not_found(what: &str, id: impl std::fmt::Display) -> Status {
    coded(Code::NotFound, "platform.not_found", format!("there is no {what} {id}"))
}

/// A status with a stable code.
pub fn coded(code: Code, stable: &'static str, message: impl Into<String>) -> Status {
    let mut status = Status::new(code, message.into());
    put(&mut status, CODE, stable);
    status
}

/// The business says no.
pub fn refused(refusal: &Refusal) -> Status {
    let mut status = Status::new(Code::FailedPrecondition, refusal.message.clone());
    put(&mut status, CODE, &refusal.code);
    if refusal.retryable {
        put(&mut status, RETRYABLE, "true");
    }
    status
}

/// What the caller of a shell is told.
pub fn status(error: CallError) -> Status {
    match error {
        CallError::Refused(refusal) => refused(&refusal),
        CallError::KeyReused => {
            let mut status = Status::new(Code::AlreadyExists, error.to_string());
            put(&mut status, CODE, "platform.idempotency_key_reused");
            put(&mut status, FIELD, "Idempotency-Key");
            status
        }
        CallError::Overloaded { retry_after } => {
            let mut status = Status::new(Code::Unavailable, error.to_string());
            put(&mut status, CODE, "platform.overloaded");
            put(&mut status, RETRY_AFTER, &retry_after.as_secs().max(1).to_string());
            status
        }
        CallError::Unknown(_) => {
            let mut status = Status::new(Code::Unavailable, error.to_string());
            put(&mut status, CODE, "platform.no_answer");
            put(&mut status, RETRY_AFTER, "1");
            status
        }
        CallError::Internal(_) => Status::new(Code::Internal, "an internal error; it has been logged"),
    }
}

/// The stable code that a status carries.
pub fn code(status: &Status) -> Option<&str> {
    status.metadata().get(CODE)?.to_str().ok()
}

fn put(status: &mut Status, name: &'static str, value: &str) {
    if let Ok(value) = MetadataValue::try_from(value) {
        status.metadata_mut().insert(name, value);
    }
}
