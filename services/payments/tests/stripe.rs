//! The Stripe adapter against a local stub that answers in Stripe's forms: what is sent, and how each answer is read.

use axum::{
    Json, Router,
    extract::{RawForm, RawQuery, State},
    http::{HeaderMap, Method, StatusCode, Uri},
};
use payments::{
    acquirer::{Acquirer, Error, NewHold, OnHold, StripeAcquirer},
    domain::KnownStatus,
};
use schemas::money::{Currency, Money};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

#[derive(Default)]
struct Stub {
    answer: Mutex<(u16, Value)>,
    /// (method and path, decoded query or form, idempotency key)
    seen: Mutex<Vec<(String, String, String)>>,
}

async fn answer(
    State(stub): State<Arc<Stub>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    RawForm(form): RawForm,
) -> (StatusCode, Json<Value>) {
    let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    assert_eq!(header("authorization"), "Bearer sk_test");
    assert!(!header("stripe-version").is_empty());
    let sent =
        if method == Method::POST { String::from_utf8(form.to_vec()).unwrap() } else { query.unwrap_or_default() };
    let call = (format!("{method} {}", uri.path()), sent, header("idempotency-key"));
    stub.seen.lock().unwrap().push(call);
    let (status, body) = stub.answer.lock().unwrap().clone();
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

async fn stripe() -> (StripeAcquirer, Arc<Stub>) {
    let stub = Arc::new(Stub::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer).with_state(stub.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (StripeAcquirer::new(&url, "sk_test", Duration::from_secs(5)).unwrap(), stub)
}

impl Stub {
    fn will(&self, status: u16, body: Value) {
        *self.answer.lock().unwrap() = (status, body);
    }

    fn last(&self) -> (String, String, String) {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }
}

fn hold() -> NewHold {
    let amount = Money::new(1234, Currency::EUR);
    NewHold { reference: "order-1".into(), amount, token: "pm_1".into(), idempotency_key: "s/a/do/1".into() }
}

fn on_hold() -> OnHold {
    let amount = Money::new(1000, Currency::EUR);
    OnHold { provider_ref: "pi_1".into(), amount, idempotency_key: "s/c/do/1".into() }
}

fn intent(status: &str) -> Value {
    json!({ "id": "pi_1", "object": "payment_intent", "status": status, "latest_charge": "ch_1" })
}

fn problem(kind: &str, code: &str, more: Value) -> Value {
    let mut error = json!({ "type": kind, "code": code, "message": "Your card was declined." });
    error.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "error": error })
}

#[tokio::test]
async fn a_hold_is_an_intent_that_is_confirmed_at_once_and_captured_by_hand() {
    let (stripe, stub) = stripe().await;
    stub.will(200, intent("requires_capture"));
    assert_eq!(stripe.authorize(&hold()).await, Ok("pi_1".into()));
    let (path, form, key) = stub.last();
    assert_eq!((path.as_str(), key.as_str()), ("POST /v1/payment_intents", "s/a/do/1"));
    for field in
        ["amount=1234", "currency=eur", "payment_method=pm_1", "capture_method=manual", "confirm=true", "order-1"]
    {
        assert!(form.contains(field), "{field} is not in {form}");
    }
}

#[tokio::test]
async fn captures_voids_and_refunds_name_the_intent_the_amount_and_the_key() {
    let (stripe, stub) = stripe().await;
    stub.will(200, intent("succeeded"));
    assert_eq!(stripe.capture(&on_hold()).await, Ok(()));
    let sent = |path: &str, form: &str| (format!("POST {path}"), form.to_owned(), "s/c/do/1".to_owned());
    assert_eq!(stub.last(), sent("/v1/payment_intents/pi_1/capture", "amount_to_capture=1000"));
    stub.will(200, intent("canceled"));
    assert_eq!(stripe.void(&on_hold()).await, Ok(()));
    assert_eq!(stub.last(), sent("/v1/payment_intents/pi_1/cancel", ""));
    stub.will(200, json!({ "id": "re_1", "status": "succeeded" }));
    assert_eq!(stripe.refund(&on_hold()).await, Ok(()));
    assert_eq!(stub.last(), sent("/v1/refunds", "payment_intent=pi_1&amount=1000"));
}

#[tokio::test]
async fn a_declined_card_is_a_refusal_with_stripes_sentence() {
    let (stripe, stub) = stripe().await;
    let declined = |retryable| Err(Error::Refused { reason: "Your card was declined.".into(), retryable });
    stub.will(402, problem("card_error", "card_declined", json!({ "decline_code": "insufficient_funds" })));
    assert_eq!(stripe.authorize(&hold()).await, declined(false));
    stub.will(402, problem("card_error", "card_declined", json!({ "decline_code": "issuer_not_available" })));
    assert_eq!(stripe.authorize(&hold()).await, declined(true));
    stub.will(402, problem("card_error", "processing_error", json!({})));
    assert_eq!(stripe.capture(&on_hold()).await.map(|()| String::new()), declined(true));
    let mut failed = intent("requires_payment_method");
    failed["last_payment_error"] = json!({ "type": "card_error", "message": "Your card was declined." });
    stub.will(200, failed);
    assert_eq!(stripe.authorize(&hold()).await, declined(false));
}

#[tokio::test]
async fn what_does_not_decide_stays_unknown() {
    let (stripe, stub) = stripe().await;
    for (status, body) in [
        (500, problem("api_error", "x", json!({}))),
        (409, problem("invalid_request_error", "idempotency_key_in_use", json!({}))),
        (429, problem("invalid_request_error", "rate_limit", json!({}))),
        (401, problem("invalid_request_error", "x", json!({}))),
        (400, problem("idempotency_error", "x", json!({}))),
        (400, json!("not in Stripe's form")),
        (200, intent("processing")),
        (200, json!({})),
    ] {
        stub.will(status, body);
        let answer = stripe.authorize(&hold()).await;
        assert!(matches!(answer, Err(Error::Unknown(_))), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn a_hold_that_stripe_gave_up_has_expired_for_a_capture_and_is_free_for_a_void() {
    let (stripe, stub) = stripe().await;
    let gone = json!({ "payment_intent": intent("canceled") });
    stub.will(400, problem("invalid_request_error", "payment_intent_unexpected_state", gone));
    assert_eq!(stripe.capture(&on_hold()).await, Err(Error::HoldExpired));
    assert_eq!(stripe.void(&on_hold()).await, Ok(()));
    stub.will(400, problem("invalid_request_error", "charge_expired_for_capture", json!({})));
    assert_eq!(stripe.capture(&on_hold()).await, Err(Error::HoldExpired));
    let taken = json!({ "payment_intent": intent("succeeded") });
    stub.will(400, problem("invalid_request_error", "payment_intent_unexpected_state", taken));
    assert!(matches!(stripe.void(&on_hold()).await, Err(Error::Refused { .. })));
}

#[tokio::test]
async fn a_failed_refund_may_be_tried_again() {
    let (stripe, stub) = stripe().await;
    stub.will(200, json!({ "id": "re_1", "status": "failed", "failure_reason": "lost_or_stolen_card" }));
    let refused = Error::Refused { reason: "lost_or_stolen_card".into(), retryable: true };
    assert_eq!(stripe.refund(&on_hold()).await, Err(refused));
    stub.will(200, json!({ "id": "re_1", "status": "pending" }));
    assert_eq!(stripe.refund(&on_hold()).await, Ok(()));
}

#[tokio::test]
async fn each_state_of_an_intent_is_read_as_ours() {
    let (stripe, stub) = stripe().await;
    let refunded = json!({ "id": "ch_1", "amount_refunded": 1000, "refunded": true });
    for (status, extra, expected) in [
        ("requires_capture", json!({}), Some(KnownStatus::Held)),
        ("succeeded", json!({}), Some(KnownStatus::Captured)),
        ("succeeded", json!({ "latest_charge": refunded }), Some(KnownStatus::Refunded)),
        ("canceled", json!({ "cancellation_reason": "requested_by_customer" }), Some(KnownStatus::Voided)),
        ("canceled", json!({ "cancellation_reason": "automatic" }), Some(KnownStatus::Expired)),
        ("requires_payment_method", json!({}), Some(KnownStatus::Declined)),
        ("requires_action", json!({}), Some(KnownStatus::Declined)),
        ("processing", json!({}), None),
    ] {
        let mut body = intent(status);
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        stub.will(200, body);
        let known = stripe.query_by_reference("order-1", Some("pi_1")).await;
        assert_eq!(known.ok().flatten().map(|k| k.status), expected, "{status}");
    }
    let (path, query, _) = stub.last();
    assert_eq!((path.as_str(), query.as_str()), ("GET /v1/payment_intents/pi_1", "expand%5B%5D=latest_charge"));
}

#[tokio::test]
async fn without_the_intents_id_it_is_searched_by_our_reference() {
    let (stripe, stub) = stripe().await;
    stub.will(200, json!({ "object": "search_result", "data": [intent("requires_capture")] }));
    let known = stripe.query_by_reference("order-1", None).await.unwrap().unwrap();
    assert_eq!((known.provider_ref.as_str(), known.status), ("pi_1", KnownStatus::Held));
    let (path, query, _) = stub.last();
    assert_eq!(path, "GET /v1/payment_intents/search");
    assert!(query.contains("metadata") && query.contains("order-1"), "{query}");
    stub.will(200, json!({ "object": "search_result", "data": [] }));
    assert_eq!(stripe.query_by_reference("order-1", None).await, Ok(None));
    stub.will(404, problem("invalid_request_error", "resource_missing", json!({})));
    assert_eq!(stripe.query_by_reference("order-1", Some("pi_1")).await, Ok(None));
    stub.will(401, problem("invalid_request_error", "x", json!({})));
    assert!(matches!(stripe.query_by_reference("order-1", None).await, Err(Error::Unknown(_))));
}
