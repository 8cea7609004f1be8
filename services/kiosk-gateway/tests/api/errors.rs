//! Every way to be told no: the shape is the same, the code is stable, the field is named, nothing is repeated.

use crate::{
    fakes::{Answer, ID},
    kiosk::{Ask, Kiosk, ask, delete, get, millis, post, put},
};
use axum::http::Method;
use kiosk_gateway::Limits;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tonic::{Code, Status};

fn input() -> Value {
    json!({"phone": "+491701234567", "payment_token": "tok_visa", "pay": "now", "customer_ref": "cus_1"})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = input();
    body[field] = value;
    body
}

fn without(field: &str) -> Value {
    let mut body = input();
    body.as_object_mut().unwrap().remove(field);
    body
}

fn checkout() -> Ask {
    post(format!("/v1/baskets/{ID}/checkout")).header("idempotency-key", "key-1")
}

fn refused(code: Code, name: &str) -> Answer {
    let mut status = Status::new(code, "The card was declined.");
    status.metadata_mut().insert(service_kit::grpc::CODE, name.parse().unwrap());
    Answer::Refuse(status)
}

/// A well-formed request for each operation.
fn every_operation() -> Vec<Ask> {
    let item = format!("/v1/baskets/{ID}/items/{ID}");
    vec![
        get("/v1/stores"),
        get(format!("/v1/stores/{ID}/products")),
        post("/v1/baskets"),
        get(format!("/v1/baskets/{ID}")),
        put(&item).json(json!({"quantity": 1})),
        delete(&item),
        post(format!("/v1/baskets/{ID}/cancel")),
        checkout().json(input()),
        get(format!("/v1/orders/{ID}")),
        get(format!("/v1/orders/{ID}/events")),
        post(format!("/v1/orders/{ID}/cancel")).json(json!({"reason": "why not"})),
        post(format!("/v1/orders/{ID}/pay")),
    ]
}

#[tokio::test]
async fn a_refusal_of_a_service_reaches_the_kiosk_with_its_code_and_sentence() {
    let kiosk = Kiosk::open().await;
    for (code, name, http) in [
        (Code::FailedPrecondition, "payments.declined", 409),
        (Code::NotFound, "orders.unknown_order", 404),
        (Code::InvalidArgument, "platform.invalid_argument", 422),
        (Code::ResourceExhausted, "platform.busy", 503),
    ] {
        for ask in every_operation() {
            kiosk.services.answer(refused(code, name));
            let answer = kiosk.send(ask).await;
            assert_eq!(answer.code(), (http, name.to_owned()));
            assert_eq!(answer.problem()["detail"], "The card was declined.");
        }
    }
}

#[tokio::test]
async fn the_same_key_with_another_body_is_422() {
    let kiosk = Kiosk::open().await;
    kiosk.services.answer(refused(Code::AlreadyExists, "platform.idempotency_key_reused"));
    assert_eq!(kiosk.send(checkout().json(input())).await.code(), (422, "platform.idempotency_key_reused".into()));
}

#[tokio::test]
async fn services_that_are_away_are_a_503_on_every_route() {
    let kiosk = Kiosk::alone();
    for ask in every_operation() {
        let name = format!("{} {}", ask.method, ask.path);
        assert_eq!(kiosk.send(ask).await.code(), (503, "kiosk.unavailable".into()), "{name}");
    }
}

#[tokio::test]
async fn services_that_do_not_answer_are_a_504_on_every_route() {
    let kiosk = Kiosk::with(|limits| Limits { timeout: millis(20), ..limits }).await;
    kiosk.services.answer(Answer::Never);
    for ask in every_operation() {
        assert_eq!(kiosk.send(ask).await.code(), (504, "kiosk.timeout".into()));
    }
}

#[tokio::test]
async fn more_requests_than_places_are_told_to_come_back() {
    let kiosk = Kiosk::with(|limits| Limits { requests: 1, ..limits }).await;
    kiosk.services.answer(Answer::Never);
    let mut first = Box::pin(kiosk.send(get("/v1/stores")));
    assert!(futures::poll!(first.as_mut()).is_pending());
    assert_eq!(kiosk.send(get("/v1/stores")).await.code(), (503, "kiosk.overloaded".into()));
    drop(first);
    kiosk.services.answer(Answer::Well);
    assert_eq!(kiosk.send(get("/v1/stores")).await.status, 200);
}

#[tokio::test]
async fn who_has_an_order_is_served_when_the_door_is_full() {
    let kiosk = Kiosk::with(|limits| Limits { requests: 4, ..limits }).await;
    kiosk.services.answer(Answer::Never);
    let mut at_the_door: Vec<_> = (0..3).map(|_| Box::pin(kiosk.send(get("/v1/stores")))).collect();
    for one in &mut at_the_door {
        assert!(futures::poll!(one.as_mut()).is_pending());
    }
    assert_eq!(kiosk.send(get("/v1/stores")).await.code(), (503, "kiosk.overloaded".into()));
    kiosk.services.answer(Answer::Well);
    let order = format!("/v1/orders/{}", uuid::Uuid::from_u128(1));
    assert_eq!(kiosk.send(get(&order)).await.status, 200);
}

#[tokio::test]
async fn unknown_addresses_are_404() {
    let kiosk = Kiosk::open().await;
    for path in ["/", "/v1", "/v2/stores", "/v1/stores/", "/v1/orders", "/docs/none.js", "/v1/baskets/a/b/c/d"] {
        assert_eq!(kiosk.send(get(path)).await.code(), (404, "kiosk.no_such_route".into()), "{path}");
    }
}

#[tokio::test]
async fn methods_that_an_address_does_not_take_are_405_and_those_it_takes_are_listed() {
    let kiosk = Kiosk::open().await;
    let answer = kiosk.send(delete("/v1/stores")).await;
    assert_eq!(answer.code(), (405, "kiosk.method_not_allowed".into()));
    assert!(answer.header("allow").unwrap().contains("GET"));
    let invented = ask(Method::from_bytes(b"BREW").unwrap(), "/v1/stores");
    assert_eq!(kiosk.send(invented).await.code().0, 405);
}

#[tokio::test]
async fn a_checkout_needs_one_idempotency_key_of_1_to_255_characters() {
    let kiosk = Kiosk::open().await;
    let bare = || post(format!("/v1/baskets/{ID}/checkout")).json(input());
    let answer = kiosk.send(bare()).await;
    assert_eq!(answer.code(), (400, "kiosk.idempotency_key_required".into()));
    assert_eq!(answer.field().1, "Idempotency-Key");
    for bad in ["", &"k".repeat(256), "clé"] {
        assert_eq!(kiosk.send(bare().header("idempotency-key", bad)).await.field(), (422, "Idempotency-Key".into()));
    }
    let twice = bare().header("idempotency-key", "a").header("idempotency-key", "b");
    assert_eq!(kiosk.send(twice).await.field(), (422, "Idempotency-Key".into()));
    assert_eq!(kiosk.send(bare().header("idempotency-key", "k".repeat(255))).await.status, 201);
}

#[tokio::test]
async fn every_field_of_a_checkout_is_checked_by_name() {
    let kiosk = Kiosk::open().await;
    let mut bad = Vec::new();
    for field in ["phone", "payment_token", "pay", "customer_ref"] {
        bad.push((field, without(field)));
        bad.extend(
            [json!(""), json!(7), json!(null), json!([]), json!("x".repeat(201))].map(|v| (field, with(field, v))),
        );
    }
    bad.push(("phone", with("phone", json!("+49 170 CALL-ME"))));
    bad.push(("pay", with("pay", json!("later"))));
    for (field, body) in bad {
        let answer = kiosk.send(checkout().json(body.clone())).await;
        assert_eq!(answer.field(), (422, field.to_owned()), "{body}");
        assert_eq!(answer.code().1, "kiosk.invalid");
    }
    assert!(kiosk.services.asked().is_empty(), "nothing of this reached a service");
}

#[tokio::test]
async fn fields_that_are_not_known_are_refused() {
    let kiosk = Kiosk::open().await;
    assert_eq!(
        kiosk.send(checkout().json(with("card_number", json!("4111")))).await.code(),
        (422, "kiosk.invalid".into())
    );
}

#[tokio::test]
async fn i11_what_was_sent_is_never_repeated_in_an_error() {
    let kiosk = Kiosk::open().await;
    let secret = "491701234567";
    let bodies = [
        with("phone", json!(format!("+{secret}x"))),
        with("phone", json!(491_701_234_567_i64)),
        with("pay", json!(secret)),
        with(secret, json!(1)),
        with("payment_token", json!({secret: secret})),
        json!(secret),
        json!([secret]),
    ];
    for body in bodies {
        let answer = kiosk.send(checkout().json(body.clone())).await;
        assert!(answer.status.is_client_error() && !answer.text.contains(secret), "{body} gave {answer:?}");
        answer.problem();
    }
}

#[tokio::test]
async fn quantities_reasons_and_page_sizes_are_checked() {
    let kiosk = Kiosk::open().await;
    for quantity in [json!(0), json!(1000), json!(-1), json!(1.5), json!("3"), json!(null), json!(u64::MAX)] {
        let ask = put(format!("/v1/baskets/{ID}/items/{ID}")).json(json!({"quantity": quantity}));
        assert_eq!(kiosk.send(ask).await.field(), (422, "quantity".into()), "{quantity}");
    }
    for reason in [json!(""), json!("  "), json!("x".repeat(201)), json!("a\u{0}b"), json!(null)] {
        let ask = post(format!("/v1/orders/{ID}/cancel")).json(json!({"reason": reason}));
        assert_eq!(kiosk.send(ask).await.field(), (422, "reason".into()), "{reason}");
    }
    for size in ["0", "501", "-1", "x", "", "1e2"] {
        assert_eq!(kiosk.send(get(format!("/v1/stores?page_size={size}"))).await.field(), (422, "page_size".into()));
    }
    assert_eq!(kiosk.send(get("/v1/stores?page_size=1&page_size=2")).await.code(), (400, "kiosk.bad_request".into()));
}

#[tokio::test]
async fn ids_must_be_uuids_on_every_route() {
    let kiosk = Kiosk::open().await;
    for ask in every_operation() {
        if !ask.path.contains(ID) {
            continue;
        }
        let path = ask.path.replace(ID, "not-a-uuid");
        let (status, field) = kiosk.send(Ask { path, ..ask }).await.field();
        assert!(status == 422 && field.ends_with("_id"), "{status} {field}");
    }
    assert_eq!(kiosk.send(get("/v1/orders/%ff")).await.code(), (400, "kiosk.bad_request".into()));
    assert!(kiosk.services.asked().is_empty());
}

#[tokio::test]
async fn a_body_must_be_json_and_say_so() {
    let kiosk = Kiosk::open().await;
    for (media, text) in [(None, "{}"), (Some("text/plain"), "{}"), (Some("application/jsonp"), "{}")] {
        let mut ask = Ask { body: text.into(), ..checkout() };
        ask.headers.extend(media.map(|m| ("content-type", m.to_owned())));
        assert_eq!(kiosk.send(ask).await.code(), (415, "kiosk.unsupported_media_type".into()), "{media:?}");
    }
    for text in ["", "{", "nonsense", "{\"phone\": }", "{} {}", "\u{feff}{}"] {
        let answer = kiosk.send(checkout().text(text)).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{text} gave {answer:?}");
        answer.problem();
    }
    assert_eq!(kiosk.send(checkout().text("{\"phone\":")).await.code(), (400, "kiosk.malformed_json".into()));
    assert_eq!(kiosk.send(Ask { body: b"\"\xff\xfe\"".into(), ..checkout().text("") }).await.status.as_u16() / 100, 4);
    let ask = Ask { body: input().to_string().into(), ..checkout() };
    assert_eq!(kiosk.send(ask.header("content-type", "Application/JSON; charset=utf-8")).await.status, 201);
}

#[tokio::test]
async fn deep_nesting_is_an_error_and_no_crash() {
    let kiosk = Kiosk::open().await;
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let body = format!("{{\"phone\": {deep}}}");
    assert_eq!(kiosk.send(checkout().text(&body)).await.status.as_u16() / 100, 4);
}

#[tokio::test]
async fn bodies_over_64_kib_are_413_and_those_below_are_read() {
    let kiosk = Kiosk::open().await;
    let padded = |bytes: usize| format!("{}{}", input(), " ".repeat(bytes - input().to_string().len()));
    assert_eq!(kiosk.send(checkout().text(&padded(64 * 1024))).await.status, 201);
    let answer = kiosk.send(checkout().text(&padded(64 * 1024 + 1))).await;
    assert_eq!(answer.code(), (413, "kiosk.body_too_large".into()));
}

/// The property behind all of the above: no error leaves without being a problem, whatever was asked and whatever the
/// services say.
#[tokio::test]
async fn no_error_leaves_without_being_a_problem() {
    let kiosk = Kiosk::open().await;
    let paths: BTreeSet<_> =
        every_operation().into_iter().map(|a| a.path).chain(["/x".into(), "/docs/x".into()]).collect();
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
    let codes = (1..=16).map(|n| Some(Code::from_i32(n))).chain([None]);
    let mut errors = 0;
    for code in codes {
        kiosk.services.answer(code.map_or(Answer::Well, |code| Answer::Refuse(Status::new(code, "Inside."))));
        for (method, path) in methods.iter().flat_map(|m| paths.iter().map(move |p| (m, p))) {
            let response = kiosk.respond(ask(method.clone(), path).json(json!({"quantity": 1}))).await;
            let status = response.status();
            if status.is_success() || status.is_redirection() {
                continue;
            }
            errors += 1;
            let media = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(media.as_deref(), Some("application/problem+json"), "{method} {path} {code:?} {status}");
        }
    }
    assert!(errors > 500, "only {errors} errors were provoked");
}
