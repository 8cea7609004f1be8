//! Every error the gateway answers with: RFC 9457 `application/problem+json` with a stable code and a sentence to read.
//!
//! A [`Problem`] rides in the response's extensions until the outermost layer writes it, because only there the trace id
//! is known, and so that answers that are not ours (a router's 404, a panic) leave in the same shape.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use message::TraceContext;
use serde::Serialize;
use std::{borrow::Cow, time::Duration};
use utoipa::ToSchema;

/// The media type of every error.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Stable name of the reason: `<context>.<reason>`.
    pub code: Cow<'static, str>,
    /// What went wrong and what to do, a sentence for people.
    pub detail: Cow<'static, str>,
    /// The field, parameter or header that is not acceptable.
    pub field: Option<String>,
    /// Seconds after which a repeat may succeed; the `Retry-After` header.
    pub retry_after: Option<u64>,
}

/// Why a request was not done (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Written<'a> {
    /// Identifies the kind of problem; ends with `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:mallbots:problem:orders.basket_empty")]
    kind: String,
    /// The HTTP status in words.
    #[schema(example = "Conflict")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What went wrong and what to do, for people.
    #[schema(example = "The basket is empty; put something into it first.")]
    detail: &'a str,
    /// Stable name of the reason, for programs: `<context>.<reason>`.
    #[schema(example = "orders.basket_empty")]
    code: &'a str,
    /// The field, parameter or header that is not acceptable.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// Names the request in logs and traces; tell it to support.
    #[schema(example = "0af7651916cd43dd8448eb211c80319c")]
    trace_id: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status: status.as_u16(), code: code.into(), detail: detail.into(), field: None, retry_after: None }
    }

    /// A value that is not acceptable; `detail` says what is, and never repeats the value (it may be personal).
    pub fn invalid(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::unacceptable(detail).about(field)
    }

    /// As [`Problem::invalid`], where no single field is to blame.
    pub fn unacceptable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "kiosk.invalid", detail)
    }

    pub fn about(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait.as_secs().max(1)), ..self }
    }

    pub fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "kiosk.overloaded", "Too many requests are in progress; try again.")
            .retry_after(Duration::from_secs(1))
    }

    pub fn timeout() -> Self {
        let detail =
            "The answer took too long. It may have been done all the same: repeat with the same Idempotency-Key.";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "kiosk.timeout", detail)
    }

    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "kiosk.internal", "Something went wrong on our side.")
    }

    pub fn no_such_route() -> Self {
        Self::of_status(StatusCode::NOT_FOUND)
    }

    /// For an error response that did not come from us: says what its status says.
    fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("kiosk.no_such_route", "There is nothing at this address; see /docs."),
            StatusCode::METHOD_NOT_ALLOWED => (
                "kiosk.method_not_allowed",
                "This address does not take this method; the Allow header lists those it takes.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => ("kiosk.body_too_large", "The body is too large; send at most 64 KiB."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("kiosk.unsupported_media_type", "Send JSON with content-type application/json.")
            }
            status if status.is_client_error() => ("kiosk.bad_request", "The request cannot be read; see /docs."),
            _ => return Self { status: status.as_u16(), ..Self::internal() },
        };
        Self::new(status, code, detail)
    }

    /// Gives the response its final form: a problem when it is an error, else as it is.
    pub fn finish(mut response: Response, trace: TraceContext) -> Response {
        let known = response.extensions_mut().remove::<Self>();
        if known.is_none() && !is_error(response.status()) {
            return response;
        }
        known.unwrap_or_else(|| Self::of_status(response.status())).write(response, trace)
    }

    fn write(self, mut response: Response, trace: TraceContext) -> Response {
        *response.status_mut() = self.status();
        // Nothing in a problem fails to serialise: texts and a number.
        *response.body_mut() = Body::from(serde_json::to_vec(&self.written(trace)).unwrap_or_default());
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        response
    }

    fn written(&self, trace: TraceContext) -> Written<'_> {
        Written {
            kind: format!("urn:mallbots:problem:{}", self.code),
            title: self.status().canonical_reason().unwrap_or("Error"),
            status: self.status,
            detail: &self.detail,
            code: &self.code,
            field: self.field.as_deref(),
            trace_id: format!("{:032x}", trace.trace_id),
        }
    }

    /// Every status comes from a [`StatusCode`].
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
