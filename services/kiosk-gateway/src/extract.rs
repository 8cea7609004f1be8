//! What handlers take from a request, read strictly: every mistake becomes a [`Problem`] that names the field.
//!
//! Values sent by the client are never repeated in an error: a phone number in the wrong place must not end in a log.

use crate::problem::Problem;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use schemas::grpc::common::Page;
use serde::{Deserialize, de::DeserializeOwned};
use std::str::FromStr;
use utoipa::IntoParams;

/// Largest body that is read, bytes: the largest request of the API is under 2 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Name of the header that makes a checkout repeatable.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MAX_KEY_CHARS: usize = 255;

/// A JSON body of at most [`MAX_BODY_BYTES`] (the limit itself is set on the router).
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_is_json(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|e| unreadable(e.status()))?;
        parse(&bytes).map(Self)
    }
}

fn check_is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = sent.split(';').next().unwrap_or_default().trim();
    let json = media.eq_ignore_ascii_case("application/json");
    json.then_some(()).ok_or_else(|| {
        let detail = "Send JSON with content-type application/json.";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "kiosk.unsupported_media_type", detail)
    })
}

fn unreadable(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("The body is too large; send at most {} KiB.", MAX_BODY_BYTES / 1024);
        return Problem::new(status, "kiosk.body_too_large", detail);
    }
    Problem::new(StatusCode::BAD_REQUEST, "kiosk.bad_request", "The body did not arrive whole; send it again.")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // In two steps, because only then it is certain whether the JSON or what it says is wrong.
    let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| malformed(&e))?;
    serde_path_to_error::deserialize(json).map_err(|e| explain(&e))
}

/// Only what serde says about *our* names is passed on; it also quotes values, which stay here.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (message, path) = (error.inner().to_string(), error.path().to_string());
    match named(&message, "missing field `") {
        Some(field) => Problem::invalid(field, format!("`{field}` is missing.")),
        None if message.starts_with("unknown field") => {
            let detail = "The body has a field that is not known here; see /docs for those that are.";
            Problem::unacceptable(detail)
        }
        None if path == "." => Problem::unacceptable("The body must be a JSON object; see /docs."),
        None => Problem::invalid(&path, format!("`{path}` does not have the type or a value that /docs lists.")),
    }
}

fn named<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}

fn malformed(error: &serde_json::Error) -> Problem {
    let detail = format!("The body is not valid JSON (line {}, column {}).", error.line(), error.column());
    Problem::new(StatusCode::BAD_REQUEST, "kiosk.malformed_json", detail)
}

/// The `Idempotency-Key` header: 1..=255 visible ASCII characters.
#[derive(Debug)]
pub struct IdempotencyKey(pub String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        idempotency_key(&parts.headers)?.map(Self).ok_or_else(|| {
            let detail = "Give an Idempotency-Key header, the same for each repeat of this request (a UUID will do).";
            Problem::new(StatusCode::BAD_REQUEST, "kiosk.idempotency_key_required", detail).about("Idempotency-Key")
        })
    }
}

/// The key where one was sent.
#[derive(Debug)]
pub struct OptionalKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for OptionalKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        idempotency_key(&parts.headers).map(Self)
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let fits = (1..=MAX_KEY_CHARS).contains(&key.len()) && sent.next().is_none();
    fits.then(|| Some(key.to_owned())).ok_or_else(|| {
        Problem::invalid("Idempotency-Key", "Give one Idempotency-Key of 1 to 255 visible ASCII characters.")
    })
}

/// An id out of the path.
pub fn id<T: FromStr>(field: &'static str, text: &str) -> Result<T, Problem> {
    let detail = "This is not a UUID; give one such as 01890a5d-ac96-774b-bcce-b302099a8057.";
    text.parse().map_err(|_| Problem::invalid(field, detail))
}

/// Which page of a listing is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Entries to return, 1..=500; 50 when absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    page_size: Option<String>,
    /// `next_page_token` of the page before; absent for the first.
    page_token: Option<String>,
}

/// The checked [`PageQuery`].
#[derive(Debug)]
pub struct Paging(pub Page);

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bad =
            |_| Problem::new(StatusCode::BAD_REQUEST, "kiosk.bad_request", "The query cannot be read; see /docs.");
        let Query(asked) = Query::<PageQuery>::from_request_parts(parts, state).await.map_err(bad)?;
        let page_size = asked.page_size.as_deref().map_or(Ok(0), page_size)?;
        Ok(Self(Page { page_size, page_token: asked.page_token.unwrap_or_default() }))
    }
}

fn page_size(text: &str) -> Result<u32, Problem> {
    let size = text.parse().ok().filter(|size| (1..=500).contains(size));
    size.ok_or_else(|| Problem::invalid("page_size", "Give a page_size from 1 to 500."))
}
