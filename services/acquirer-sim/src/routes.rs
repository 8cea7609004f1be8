//! The HTTP side: requests to questions for the books, answers with the misbehaviour that was asked for.

use crate::{
    behaviour::{Behaviour, Orders},
    book::{Answer, Ask, Book, NewHold, Reaction, Verdict},
    config::Config,
    entry::Operation,
    journal::Journal,
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::stream;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// No request of the protocol is near it.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Ledger entries a chunk: the books are locked only for so long.
const LEDGER_CHUNK: usize = 1_000;
const MAX_KEY_CHARS: usize = 255;

struct Office {
    books: Mutex<(Book, Journal)>,
    timeout: Duration,
    slow: Duration,
}

type Shared = State<Arc<Office>>;

/// The provider as a router; reads the journal when one is configured.
pub fn app(config: Config) -> anyhow::Result<Router> {
    let (run, hold_ms) = (format!("{:x}", now_ms()), config.hold.as_millis() as i64);
    let (journal, book) = match &config.journal {
        Some(path) => Journal::open(path, run, hold_ms)?,
        None => (Journal::none(), Book::new(run, hold_ms)),
    };
    let office = Office { books: Mutex::new((book, journal)), timeout: config.timeout, slow: config.slow };
    Ok(Router::new()
        .route("/v1/holds", post(authorize))
        .route("/v1/holds/{provider_ref}/{operation}", post(change))
        .route("/v1/by-reference/{reference}", get(by_reference))
        .route("/v1/ledger", get(ledger))
        .route("/v1/behaviour", post(behave).delete(behave_well))
        .route("/health/live", get(|| async { "ok" }))
        .route("/health/ready", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(office)))
}

async fn authorize(State(office): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let new: NewHold = match parse(&body) {
        Ok(new) => new,
        Err(response) => return *response,
    };
    if new.amount < 0 || new.reference.is_empty() || new.currency.len() != 3 {
        return error(StatusCode::BAD_REQUEST, "invalid", "give reference, currency and an amount of at least 0");
    }
    let hash = fnv([b"authorize".as_slice(), &body]);
    office.answer(&headers, hash, |book, ask| book.authorize(ask, &new)).await
}

#[derive(Deserialize)]
struct Amount {
    #[serde(default)]
    amount: i64,
}

async fn change(
    State(office): Shared,
    Path((provider_ref, operation)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let what = match operation.as_str() {
        "capture" => Operation::Capture,
        "void" => Operation::Void,
        "refund" => Operation::Refund,
        _ => return error(StatusCode::NOT_FOUND, "unknown_operation", "capture, void or refund a hold"),
    };
    let amount: Amount = match parse(&body) {
        Ok(amount) => amount,
        Err(response) => return *response,
    };
    if amount.amount < 0 {
        return error(StatusCode::BAD_REQUEST, "invalid", "give an amount of at least 0");
    }
    let hash = fnv([operation.as_bytes(), provider_ref.as_bytes(), &body]);
    office.answer(&headers, hash, |book, ask| book.change(ask, &provider_ref, what, amount.amount)).await
}

async fn by_reference(State(office): Shared, Path(reference): Path<String>) -> Response {
    let known = office.books().0.by_reference(&reference, now_ms());
    match known {
        Some(view) => Json(view).into_response(),
        None => error(StatusCode::NOT_FOUND, "unknown_reference", "no hold was asked for under this reference"),
    }
}

async fn ledger(State(office): Shared) -> Response {
    let chunks = stream::unfold((office, 0), |(office, from)| async move {
        let entries = office.books().0.ledger(from, LEDGER_CHUNK);
        if entries.is_empty() {
            return None;
        }
        let lines: String = entries.iter().map(|e| json!(e).to_string() + "\n").collect();
        Some((Ok::<_, Infallible>(lines), (office, from + entries.len())))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(chunks)).into_response()
}

#[derive(Deserialize)]
struct Order {
    behaviour: Behaviour,
    token_prefix: Option<String>,
    next: Option<u32>,
}

async fn behave(State(office): Shared, body: Bytes) -> Response {
    let order: Order = match parse(&body) {
        Ok(order) => order,
        Err(response) => return *response,
    };
    let orders = &mut office.books().0.orders;
    match (order.token_prefix, order.next) {
        (Some(prefix), None) => orders.for_prefix(prefix, order.behaviour),
        (None, Some(times)) => orders.for_next(times, order.behaviour),
        _ => return error(StatusCode::BAD_REQUEST, "invalid", "give either token_prefix or next"),
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn behave_well(State(office): Shared) -> StatusCode {
    office.books().0.orders = Orders::default();
    StatusCode::NO_CONTENT
}

impl Office {
    fn books(&self) -> MutexGuard<'_, (Book, Journal)> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(
        &self,
        headers: &HeaderMap,
        request_hash: u64,
        act: impl FnOnce(&mut Book, Ask<'_>) -> Reaction,
    ) -> Response {
        let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if key.is_empty() || key.len() > MAX_KEY_CHARS {
            let message = "send an Idempotency-Key of 1 to 255 characters";
            return error(StatusCode::BAD_REQUEST, "idempotency_key_missing", message);
        }
        let reaction = match self.act_and_note(|book| act(book, Ask { key, request_hash, now_ms: now_ms() })) {
            Ok(reaction) => reaction,
            Err(e) => {
                tracing::error!(error = %e, "the journal cannot be written");
                return error(StatusCode::INTERNAL_SERVER_ERROR, "journal", "the journal cannot be written");
            }
        };
        self.spoil(reaction).await
    }

    fn act_and_note(&self, act: impl FnOnce(&mut Book) -> Reaction) -> std::io::Result<Reaction> {
        let mut books = self.books();
        let reaction = act(&mut books.0);
        if let Some(line) = &reaction.line {
            books.1.append(line)?;
        }
        Ok(reaction)
    }

    async fn spoil(&self, reaction: Reaction) -> Response {
        match reaction.spoil {
            Behaviour::Timeout => tokio::time::sleep(self.timeout).await,
            Behaviour::Slow => tokio::time::sleep(self.slow).await,
            Behaviour::Error500 => {
                return error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong");
            }
            Behaviour::Ok
            | Behaviour::Declined
            | Behaviour::CaptureRefused
            | Behaviour::CaptureFlaky
            | Behaviour::Unavailable
            | Behaviour::VoidUnavailable => {}
        }
        respond(reaction.answer)
    }
}

fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Decided { entry, verdict: Verdict::Done } => Json(entry).into_response(),
        Answer::Decided { verdict, .. } => refused(verdict),
        Answer::KeyReused => {
            let message = "this key came with another request before";
            error(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message)
        }
        Answer::UnknownHold => error(StatusCode::NOT_FOUND, "unknown_hold", "there is no such hold"),
        Answer::TurnedAway => error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "nothing was done, try again"),
    }
}

fn refused(verdict: Verdict) -> Response {
    let (code, message) = verdict.refusal().unwrap_or_default();
    let body = json!({ "error": { "code": code, "message": message, "retryable": verdict.retryable() } });
    (StatusCode::PAYMENT_REQUIRED, Json(body)).into_response()
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message, "retryable": false } }))).into_response()
}

// Boxed: a `Response` is large and this is the rare side.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Response>> {
    let invalid = |e: serde_json::Error| Box::new(error(StatusCode::BAD_REQUEST, "invalid", &e.to_string()));
    serde_json::from_slice(body).map_err(invalid)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// FNV-1a over length-separated parts: stable over restarts, since the journal keeps it.
fn fnv<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let byte = |hash: u64, b: &u8| (hash ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
    parts.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, part| {
        part.iter().fold(part.len().to_le_bytes().iter().fold(hash, byte), byte)
    })
}
