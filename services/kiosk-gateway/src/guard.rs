//! What every request passes first and every answer last: span, limits, deadline, and the final shape of errors.

use crate::{config::Limits, metric_names as names, problem::Problem};
use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderValue, Method, header::HeaderName, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use message::TraceContext;
use service_kit::grpc::set_trace;
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Instant};
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use transport::spans::{self, Ended, Kind, Span};
use uuid::Uuid;

const TRACEPARENT: HeaderName = HeaderName::from_static(message::headers::TRACEPARENT);

/// The limits with their counters.
#[derive(Debug, Clone)]
pub struct Guard {
    limits: Limits,
    places: Arc<Semaphore>,
    /// Those of them that a request may take which is about no order yet.
    door: Arc<Semaphore>,
    /// Those of the door that a request may take which begins a basket.
    entrance: Arc<Semaphore>,
}

impl Guard {
    pub fn new(limits: Limits) -> Self {
        let of = |quarters: usize| Arc::new(Semaphore::new((limits.requests * quarters / 4).max(1)));
        // Who has an order can pay, cancel and look however many are at the door, and who has begun a basket can fill it and
        // check it out however many want to begin one: what was spent on a basket that gets no further was spent in vain.
        let (places, door, entrance) = (Arc::new(Semaphore::new(limits.requests)), of(3), of(1));
        Self { limits, places, door, entrance }
    }

    /// The places that a request holds while it runs.
    fn take(&self, route: &str) -> Result<Vec<SemaphorePermit<'_>>, TryAcquireError> {
        let has_order = route.split_once(' ').is_some_and(|(_, path)| path.starts_with("/v1/orders/"));
        let of_these = match route {
            "POST /v1/baskets" => &[&self.entrance, &self.door, &self.places][..],
            _ if has_order => &[&self.places],
            _ => &[&self.door, &self.places],
        };
        of_these.iter().map(|places| places.try_acquire()).collect()
    }
}

/// The trace this request belongs to, for the calls a handler makes.
#[derive(Debug, Clone, Copy)]
pub struct Caller(TraceContext);

impl Caller {
    /// A gRPC request that goes on in this trace.
    pub fn ask<T>(self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        set_trace(request.metadata_mut(), Some(self.0));
        request
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_else(|| Self(unrecorded())))
    }
}

/// The outermost layer.
pub async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let (started, route) = (Instant::now(), route(&request));
    let span = open(&request, &route);
    let trace = span.as_ref().map_or_else(unrecorded, Span::context);
    request.extensions_mut().insert(Caller(trace));
    let response = run(&guard, &route, request, next).await;
    let code = response.extensions().get::<Problem>().map(|p| p.code.to_string());
    let mut response = Problem::finish(response, trace);
    close(span, &response, code);
    count(&route, &response, started);
    // Hexadecimal digits and dashes are always a header value.
    response.headers_mut().extend(HeaderValue::try_from(trace.to_string()).ok().map(|v| (TRACEPARENT, v)));
    response
}

async fn run(guard: &Guard, route: &str, request: Request, next: Next) -> Response {
    let Ok(_places) = guard.take(route) else { return Problem::overloaded().into_response() };
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(guard.limits.timeout, answer).await {
        Ok(Ok(response)) => response,
        // The panic hook has logged it.
        Ok(Err(_panic)) => Problem::internal().into_response(),
        Err(_elapsed) => Problem::timeout().into_response(),
    }
}

/// `GET /v1/orders/{id}`: few different values, and none of a customer's.
fn route(request: &Request) -> String {
    let path = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    format!("{} {path}", method(request))
}

/// The method, or `OTHER`: clients may invent methods, and each would be a new time series.
fn method(request: &Request) -> &str {
    match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH") => known,
        _ => "OTHER",
    }
}

fn open(request: &Request, route: &str) -> Option<Span> {
    let parent = request.headers().get(&TRACEPARENT).and_then(|v| v.to_str().ok()?.parse().ok());
    // Looking at an order changes nothing: a kiosk that asks every second must not fill the order's trace.
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let span = match order_id(request.uri().path()).filter(|_| changes) {
        Some(id) => spans::start_for("kiosk-gateway", route.to_owned(), Kind::Server, parent, &id.to_string()),
        None => spans::start("kiosk-gateway", route.to_owned(), Kind::Server, parent, &[]),
    };
    Some(span?.with("http.request.method", method(request)).with("http.route", route))
}

/// Baskets share their order's id, so the trace of an order begins with its basket.
fn order_id(path: &str) -> Option<Uuid> {
    let rest = path.strip_prefix("/v1/orders/").or_else(|| path.strip_prefix("/v1/baskets/"))?;
    Uuid::try_parse(rest.split('/').next()?).ok()
}

fn close(span: Option<Span>, response: &Response, code: Option<String>) {
    let (Some(span), status) = (span, response.status()) else { return };
    let span = span.with("http.response.status_code", status.as_str());
    span.end(match code {
        Some(code) if status.is_server_error() => Ended::Error(code),
        None if status.is_server_error() => Ended::Error(status.to_string()),
        Some(code) => Ended::Refused(code),
        None => Ended::Ok,
    });
}

fn count(route: &str, response: &Response, started: Instant) {
    let labels = [("route", route.to_owned()), ("status", response.status().as_str().to_owned())];
    metrics::counter!(names::REQUESTS, &labels).increment(1);
    metrics::histogram!(names::REQUEST_SECONDS, "route" => route.to_owned()).record(started.elapsed().as_secs_f64());
}

/// A trace that nobody records, so that an error still has a number to name.
fn unrecorded() -> TraceContext {
    let id = Uuid::now_v7().as_u128();
    // The lower half of a version 7 UUID is random.
    TraceContext { trace_id: id, span_id: (id as u64).max(1), sampled: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt;

    fn broken() -> Response {
        panic!("a defect")
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_and_its_place_is_given_back() {
        let guarded = Guard::new(Limits { requests: 1, ..Limits::default() });
        let app: Router = Router::new()
            .route("/", get(async || broken()))
            .layer(middleware::from_fn_with_state(guarded.clone(), guard));
        for _ in 0..3 {
            let response = app.clone().oneshot(Request::new(Body::empty())).await.unwrap();
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
        assert_eq!(guarded.places.available_permits(), 1);
    }

    #[test]
    fn however_many_begin_baskets_those_begun_get_on_and_whoever_has_an_order_before_them() {
        let routes =
            ["POST /v1/baskets", "PUT /v1/baskets/{basket_id}/items/{product_id}", "POST /v1/orders/{order_id}/cancel"];
        for (requests, expected) in [(8, [2, 4, 2]), (2, [1, 0, 1]), (1, [1, 0, 0])] {
            let guard = Guard::new(Limits { requests, ..Limits::default() });
            let mut held = Vec::new();
            // Each crowd in turn takes all that it is given.
            let got = routes
                .map(|route| std::iter::from_fn(|| guard.take(route).ok()).map(|places| held.push(places)).count());
            assert_eq!(got, expected, "of {requests}");
            drop(held);
            assert_eq!(guard.places.available_permits(), requests, "a place was not given back");
        }
    }

    #[test]
    fn an_orders_trace_is_found_by_its_id_from_the_basket_on() {
        let id = Uuid::from_u128(7);
        for path in
            [format!("/v1/orders/{id}"), format!("/v1/baskets/{id}/checkout"), format!("/v1/orders/{id}/events")]
        {
            assert_eq!(order_id(&path), Some(id), "{path}");
        }
        for path in ["/v1/orders/", "/v1/orders/x", "/v1/stores", &format!("/v1/stores/{id}/products")] {
            assert_eq!(order_id(path), None, "{path}");
        }
    }
}
