//! What each route asks the services and answers when all is well.

use crate::{
    fakes::ID,
    kiosk::{Ask, Kiosk, delete, get, post, put},
};
use serde_json::{Value, json};

fn checkout(pay: &str) -> Ask {
    let body = json!({"phone": "+49 170 1234567", "payment_token": " tok_visa ", "pay": pay, "customer_ref": "cus_1"});
    post(format!("/v1/baskets/{ID}/checkout")).header("idempotency-key", "key-1").json(body)
}

/// Sends it and answers status, body, and what the one service that was called was asked.
async fn done(ask: Ask) -> (u16, Value, String) {
    let kiosk = Kiosk::open().await;
    let answer = kiosk.send(ask).await;
    let asked = kiosk.services.asked();
    assert_eq!(asked.len(), 1, "{answer:?}");
    let body = if answer.text.is_empty() { Value::Null } else { answer.json() };
    (answer.status.as_u16(), body, asked[0].request.clone())
}

#[tokio::test]
async fn only_stores_that_take_orders_are_shown() {
    let (status, body, asked) = done(get("/v1/stores?page_size=7&page_token=abc")).await;
    assert!(
        asked.contains("\"participating\"") && asked.contains("page_size: 7") && asked.contains("\"abc\""),
        "{asked}"
    );
    assert_eq!((status, &body["stores"][0]["name"]), (200, &json!("Tea & Co")));
    assert_eq!(body["next_page_token"], "more");
}

#[tokio::test]
async fn only_products_that_can_be_ordered_are_shown() {
    let (status, body, _) = done(get(format!("/v1/stores/{ID}/products"))).await;
    let names: Vec<_> = body["products"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!((status, names), (200, vec!["listed"]));
    assert_eq!(body["products"][0]["price"], json!({"amount": 1299, "currency": "EUR"}));
    assert!(body.get("next_page_token").is_none());
}

#[tokio::test]
async fn baskets_are_opened_filled_emptied_shown_and_cancelled() {
    let item = format!("/v1/baskets/{ID}/items/{ID}");
    for (ask, status, name) in [
        (post("/v1/baskets"), 201, "CreateBasketRequest"),
        (get(format!("/v1/baskets/{ID}")), 200, "GetBasketRequest"),
        (put(&item).json(json!({"quantity": 3})), 200, "PutItemRequest"),
        (delete(&item), 200, "RemoveItemRequest"),
        (post(format!("/v1/baskets/{ID}/cancel")), 200, "CancelBasketRequest"),
    ] {
        let (got, body, asked) = done(ask).await;
        assert_eq!((got, &body["basket_id"], &body["total"]["amount"]), (status, &json!(ID), &json!(1299)), "{name}");
        assert!(asked.starts_with(name), "{asked}");
    }
}

#[tokio::test]
async fn the_idempotency_key_goes_on_to_the_service_and_is_made_up_where_none_was_sent() {
    let (_, _, asked) = done(post("/v1/baskets").header("idempotency-key", "mine")).await;
    assert!(asked.contains("idempotency_key: \"mine\""), "{asked}");
    let (_, _, one) = done(post("/v1/baskets")).await;
    let (_, _, other) = done(post("/v1/baskets")).await;
    assert!(one != other && !one.contains("\"\""), "{one} {other}");
}

#[tokio::test]
async fn a_checkout_makes_an_order_and_says_where_it_is() {
    let kiosk = Kiosk::open().await;
    let answer = kiosk.send(checkout("on_arrival")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (201, Some(&*format!("/v1/orders/{ID}"))));
    assert_eq!(answer.json()["status"], "approved");
    let asked = &kiosk.services.asked()[0].request;
    for part in ["\"+491701234567\"", "\"tok_visa\"", "pay_on_arrival: true", "\"cus_1\"", "\"key-1\""] {
        assert!(asked.contains(part), "{part} is missing: {asked}");
    }
}

#[tokio::test]
async fn pay_now_does_not_wait_for_the_arrival() {
    let (_, _, asked) = done(checkout("now")).await;
    assert!(asked.contains("pay_on_arrival: false"), "{asked}");
}

#[tokio::test]
async fn an_order_is_shown_without_what_is_not_known_yet() {
    let (status, body, _) = done(get(format!("/v1/orders/{ID}"))).await;
    assert_eq!((status, &body["order_id"], &body["missing"]), (200, &json!(ID), &json!([])));
    assert!(["bay", "code", "reason"].iter().all(|absent| body.get(absent).is_none()), "{body}");
}

#[tokio::test]
async fn cancelling_is_asked_for_in_the_customers_name() {
    let ask = post(format!("/v1/orders/{ID}/cancel")).json(json!({"reason": " changed my mind "}));
    let (status, body, asked) = done(ask).await;
    assert_eq!((status, body), (202, Value::Null));
    assert!(asked.contains("reason: \"changed my mind\"") && asked.contains("by: \"customer\""), "{asked}");
}

#[tokio::test]
async fn paying_on_arrival_confirms_the_payment() {
    let (status, body, asked) = done(post(format!("/v1/orders/{ID}/pay"))).await;
    assert_eq!((status, &body["confirmed"]), (200, &json!(true)));
    assert!(asked.starts_with("TakePaymentRequest") && asked.contains("by: \"customer\""), "{asked}");
}

#[tokio::test]
async fn a_sent_trace_goes_on_through_the_service_and_back() {
    let kiosk = Kiosk::open().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let ask = get(format!("/v1/orders/{ID}")).header("traceparent", format!("00-{trace}-b7ad6b7169203331-00"));
    let answer = kiosk.send(ask).await;
    assert!(answer.header("traceparent").unwrap().contains(trace));
    assert!(kiosk.services.asked()[0].traceparent.as_ref().unwrap().contains(trace));
}

#[tokio::test]
async fn a_request_without_a_trace_gets_one_and_nonsense_is_no_trace() {
    let kiosk = Kiosk::open().await;
    for ask in [get("/v1/stores"), get("/v1/stores").header("traceparent", "nonsense")] {
        let answer = kiosk.send(ask).await;
        let trace = answer.header("traceparent").unwrap();
        assert!(trace.parse::<message::TraceContext>().is_ok(), "{trace}");
        assert_eq!(kiosk.services.asked().last().unwrap().traceparent.as_deref(), Some(trace));
    }
}
