//! The contract of the acquirer port, the same for each implementation: in memory, and over HTTP against `acquirer-sim`.

use payments::{
    acquirer::{Acquirer, Error, HttpAcquirer, MemoryAcquirer, NewHold, OnHold},
    domain::KnownStatus,
};
use schemas::money::{Currency, Money};
use std::time::Duration;
use tokio::net::TcpListener;

fn hold(reference: &str, token: &str) -> NewHold {
    NewHold {
        reference: reference.into(),
        amount: Money::new(500, Currency::EUR),
        token: token.into(),
        idempotency_key: format!("{reference}/authorize/do/1"),
    }
}

fn on(provider_ref: &str, amount: i64, key: &str) -> OnHold {
    let (provider_ref, idempotency_key) = (provider_ref.to_owned(), format!("{provider_ref}/{key}"));
    OnHold { provider_ref, amount: Money::new(amount, Currency::EUR), idempotency_key }
}

async fn status(acquirer: &impl Acquirer, reference: &str) -> Option<KnownStatus> {
    acquirer.query_by_reference(reference, None).await.unwrap().map(|known| known.status)
}

fn refused(answer: Result<impl std::fmt::Debug, Error>) -> bool {
    match answer {
        Err(Error::Refused { reason, retryable }) => {
            assert!(!reason.is_empty());
            retryable
        }
        other => panic!("{other:?}"),
    }
}

async fn money_is_held_taken_and_given_back(acquirer: &impl Acquirer) {
    let at = acquirer.authorize(&hold("whole", "tok_ok")).await.unwrap();
    assert_eq!(status(acquirer, "whole").await, Some(KnownStatus::Held));
    assert!(!refused(acquirer.capture(&on(&at, 501, "c1")).await));
    assert!(!refused(acquirer.refund(&on(&at, 1, "r1")).await));
    acquirer.capture(&on(&at, 400, "c2")).await.unwrap();
    assert_eq!(status(acquirer, "whole").await, Some(KnownStatus::Captured));
    assert!(!refused(acquirer.void(&on(&at, 500, "v1")).await));
    assert!(!refused(acquirer.capture(&on(&at, 1, "c3")).await));
    assert!(!refused(acquirer.refund(&on(&at, 401, "r2")).await));
    acquirer.refund(&on(&at, 400, "r3")).await.unwrap();
    assert_eq!(status(acquirer, "whole").await, Some(KnownStatus::Refunded));
    let known = acquirer.query_by_reference("whole", Some(&at)).await.unwrap().unwrap();
    assert_eq!(known.provider_ref, at);
}

async fn a_void_frees_the_hold_and_may_be_repeated(acquirer: &impl Acquirer) {
    let at = acquirer.authorize(&hold("void", "tok_ok")).await.unwrap();
    for key in ["v1", "v1", "v2"] {
        acquirer.void(&on(&at, 500, key)).await.unwrap();
    }
    assert_eq!(status(acquirer, "void").await, Some(KnownStatus::Voided));
    assert!(!refused(acquirer.capture(&on(&at, 1, "c")).await));
}

async fn the_same_key_acts_once_and_is_answered_alike(acquirer: &impl Acquirer) {
    let at = acquirer.authorize(&hold("twice", "tok_ok")).await.unwrap();
    assert_eq!(acquirer.authorize(&hold("twice", "tok_ok")).await.unwrap(), at);
    acquirer.capture(&on(&at, 400, "c")).await.unwrap();
    acquirer.capture(&on(&at, 400, "c")).await.unwrap();
    acquirer.refund(&on(&at, 400, "r")).await.unwrap();
    acquirer.refund(&on(&at, 400, "r")).await.unwrap();
    assert_eq!(acquirer.authorize(&hold("twice", "tok_ok")).await.unwrap(), at);
    assert_eq!(status(acquirer, "twice").await, Some(KnownStatus::Refunded));
}

async fn a_decline_is_final_and_can_be_queried(acquirer: &impl Acquirer) {
    assert!(!refused(acquirer.authorize(&hold("poor", "tok_declined_1")).await));
    assert!(!refused(acquirer.authorize(&hold("poor", "tok_declined_1")).await));
    assert_eq!(status(acquirer, "poor").await, Some(KnownStatus::Declined));
}

async fn a_refused_capture_says_whether_a_new_key_may_work(acquirer: &impl Acquirer) {
    let never = acquirer.authorize(&hold("never", "tok_capture_refused")).await.unwrap();
    assert!(!refused(acquirer.capture(&on(&never, 1, "c1")).await));
    assert!(!refused(acquirer.capture(&on(&never, 1, "c2")).await));
    let flaky = acquirer.authorize(&hold("flaky", "tok_capture_flaky")).await.unwrap();
    assert!(refused(acquirer.capture(&on(&flaky, 1, "c1")).await));
    assert!(refused(acquirer.capture(&on(&flaky, 1, "c1")).await));
    assert_eq!(status(acquirer, "flaky").await, Some(KnownStatus::Held));
    acquirer.capture(&on(&flaky, 1, "c2")).await.unwrap();
}

async fn a_lost_answer_is_found_by_reference(acquirer: &impl Acquirer) {
    for token in ["tok_timeout", "tok_500"] {
        let lost = acquirer.authorize(&hold(token, token)).await;
        assert!(matches!(lost, Err(Error::Unknown(_))), "{token}: {lost:?}");
        let known = acquirer.query_by_reference(token, None).await.unwrap().unwrap();
        assert_eq!(known.status, KnownStatus::Held);
        assert_eq!(acquirer.authorize(&hold(token, token)).await.unwrap(), known.provider_ref);
        let lost = acquirer.capture(&on(&known.provider_ref, 5, "c")).await;
        assert!(matches!(lost, Err(Error::Unknown(_))), "{token}: {lost:?}");
        assert_eq!(status(acquirer, token).await, Some(KnownStatus::Captured));
    }
}

async fn what_was_not_carried_out_is_unknown_and_can_be_sent_again(acquirer: &impl Acquirer) {
    let away = acquirer.authorize(&hold("away", "tok_unavailable")).await;
    assert!(matches!(away, Err(Error::Unknown(_))), "{away:?}");
    assert_eq!(status(acquirer, "away").await, None);
    acquirer.authorize(&hold("away", "tok_unavailable")).await.unwrap();
    assert_eq!(status(acquirer, "away").await, Some(KnownStatus::Held));
}

async fn strangers_are_unknown(acquirer: &impl Acquirer) {
    assert_eq!(status(acquirer, "stranger").await, None);
    let stranger = acquirer.capture(&on("hold_of_nobody", 1, "c")).await;
    assert!(matches!(stranger, Err(Error::Unknown(_))), "{stranger:?}");
}

async fn contract(acquirer: &impl Acquirer) {
    money_is_held_taken_and_given_back(acquirer).await;
    a_void_frees_the_hold_and_may_be_repeated(acquirer).await;
    the_same_key_acts_once_and_is_answered_alike(acquirer).await;
    a_decline_is_final_and_can_be_queried(acquirer).await;
    a_refused_capture_says_whether_a_new_key_may_work(acquirer).await;
    a_lost_answer_is_found_by_reference(acquirer).await;
    what_was_not_carried_out_is_unknown_and_can_be_sent_again(acquirer).await;
    strangers_are_unknown(acquirer).await;
}

#[tokio::test]
async fn the_acquirer_in_memory_keeps_the_contract() {
    contract(&MemoryAcquirer::new()).await;
}

/// Serves a simulated acquirer until the test ends.
async fn sim(config: acquirer_sim::Config) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(acquirer_sim::serve(listener, config, std::future::pending()));
    url
}

#[tokio::test]
async fn the_acquirer_over_http_keeps_the_contract() {
    let url = sim(acquirer_sim::Config { timeout: Duration::from_secs(3_600), ..Default::default() }).await;
    contract(&HttpAcquirer::new(&url, Duration::from_millis(500)).unwrap()).await;
}

#[tokio::test]
async fn an_expired_hold_is_told_from_a_refusal_over_http() {
    let url = sim(acquirer_sim::Config { hold: Duration::ZERO, ..Default::default() }).await;
    let acquirer = HttpAcquirer::new(&url, Duration::from_secs(5)).unwrap();
    let at = acquirer.authorize(&hold("old", "tok_ok")).await.unwrap();
    assert_eq!(status(&acquirer, "old").await, Some(KnownStatus::Expired));
    assert_eq!(acquirer.capture(&on(&at, 1, "c")).await, Err(Error::HoldExpired));
    assert_eq!(acquirer.void(&on(&at, 500, "v")).await, Ok(()));
}

#[tokio::test]
async fn an_expired_hold_is_told_from_a_refusal_in_memory() {
    let acquirer = MemoryAcquirer::new();
    let at = acquirer.authorize(&hold("old", "tok_ok")).await.unwrap();
    acquirer.expire("old");
    assert_eq!(acquirer.capture(&on(&at, 1, "c")).await, Err(Error::HoldExpired));
    assert_eq!(acquirer.void(&on(&at, 500, "v")).await, Ok(()));
}

#[tokio::test]
async fn a_404_of_somebody_else_is_not_taken_for_the_acquirers_word() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
    let acquirer = HttpAcquirer::new(&url, Duration::from_secs(5)).unwrap();
    assert!(matches!(acquirer.query_by_reference("o", None).await, Err(Error::Unknown(_))));
    assert!(matches!(acquirer.authorize(&hold("o", "tok_ok")).await, Err(Error::Unknown(_))));
}
