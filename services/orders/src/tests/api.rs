//! The gRPC door: what is turned away there, what a repeat gets, and what answers look like.

use super::*;
use crate::api::Api;
use schemas::grpc::{common, orders as pb, orders::orders_server::Orders as _};
use service_kit::grpc;
use tonic::{Code, Request, Status};
use transport::memory::MemoryStore;

fn api(desk: &Desk) -> Api<MemoryStore> {
    Api { shell: desk.shell.clone() }
}

fn checkout(basket: BasketId, key: &str) -> pb::CheckoutRequest {
    pb::CheckoutRequest {
        basket_id: basket.to_string(),
        phone: PHONE.into(),
        payment_token: "tok_ok".into(),
        pay_on_arrival: false,
        customer_ref: "customer-7".into(),
        idempotency_key: key.into(),
    }
}

async fn send(desk: &Desk, request: pb::CheckoutRequest) -> Result<pb::Order, Status> {
    let api = api(desk);
    desk.drive(api.checkout(Request::new(request))).await.map(tonic::Response::into_inner)
}

fn field(status: &Status) -> &str {
    assert_eq!((status.code(), grpc::code(status)), (Code::InvalidArgument, Some("platform.invalid_argument")));
    status.metadata().get(grpc::FIELD).unwrap().to_str().unwrap()
}

#[tokio::test]
async fn a_repeated_checkout_with_its_key_gets_the_first_answer_and_another_body_is_refused() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    let first = send(&desk, checkout(basket, "k1")).await.unwrap();
    assert_eq!(send(&desk, checkout(basket, "k1")).await.unwrap(), first);
    let other = pb::CheckoutRequest { pay_on_arrival: true, ..checkout(basket, "k1") };
    assert_eq!(grpc::code(&send(&desk, other).await.unwrap_err()), Some("platform.idempotency_key_reused"));
    assert_eq!(desk.published::<wire::OrderPlaced>().len(), 1);
    assert_eq!((first.status.as_str(), first.order_id), ("pending", basket.to_string()));
}

#[tokio::test]
async fn wrong_fields_are_named_and_nothing_secret_is_repeated() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    let good = || checkout(basket, "k");
    for (expected, request) in [
        ("basket_id", pb::CheckoutRequest { basket_id: "7".into(), ..good() }),
        ("phone", pb::CheckoutRequest { phone: "0170-5551234".into(), ..good() }),
        ("payment_token", pb::CheckoutRequest { payment_token: String::new(), ..good() }),
        ("payment_token", pb::CheckoutRequest { payment_token: "tok 5551234".into(), ..good() }),
        ("payment_token", pb::CheckoutRequest { payment_token: "4111555123411111".into(), ..good() }),
        ("customer_ref", pb::CheckoutRequest { customer_ref: "x".repeat(256), ..good() }),
        ("idempotency_key", pb::CheckoutRequest { idempotency_key: String::new(), ..good() }),
        ("idempotency_key", pb::CheckoutRequest { idempotency_key: "k".repeat(256), ..good() }),
    ] {
        let status = send(&desk, request).await.unwrap_err();
        assert_eq!(field(&status), expected);
        assert!(!status.message().contains("5551234"), "{}", status.message());
    }
    assert!(desk.published::<wire::OrderPlaced>().is_empty());
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let desk = desk().await;
    let id = Uuid::from_u128(404).to_string();
    let order = api(&desk).get_order(Request::new(pb::GetOrderRequest { order_id: id.clone() })).await.unwrap_err();
    assert_eq!((order.code(), grpc::code(&order)), (Code::NotFound, Some("orders.unknown_order")));
    let basket = api(&desk).get_basket(Request::new(pb::GetBasketRequest { basket_id: id })).await.unwrap_err();
    assert_eq!((basket.code(), grpc::code(&basket)), (Code::NotFound, Some("orders.unknown_basket")));
}

#[tokio::test]
async fn a_basket_shows_bare_what_the_catalogue_no_longer_has() {
    let desk = desk().await;
    let id = basket(&desk).await;
    desk.tombstone::<schemas::stores::CatalogueProduct>("product", bread().into()).await;
    let request = Request::new(pb::GetBasketRequest { basket_id: id.to_string() });
    let basket = api(&desk).get_basket(request).await.unwrap().into_inner();
    assert_eq!(basket.lines.iter().map(|l| l.price.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(basket.total, Some(eur(300).into()));
}

#[tokio::test]
async fn orders_are_listed_by_state_page_by_page() {
    let desk = desk().await;
    let (first, second) = (placed(&desk).await, placed(&desk).await);
    carried(&desk, OrderStatus::Ready).await;
    let list = async |token: String| {
        let page = Some(common::Page { page_size: 1, page_token: token });
        let request = pb::ListOrdersRequest { status: "pending".into(), page };
        api(&desk).list_orders(Request::new(request)).await.unwrap().into_inner()
    };
    let (one, two) = (list(String::new()).await, list(first.max(second).to_string()).await);
    assert_eq!(one.next_page_token, first.max(second).to_string());
    let ids: Vec<_> = [one, two].iter().flat_map(|page| page.orders.iter().map(|o| o.order_id.clone())).collect();
    assert_eq!(ids, [first.max(second).to_string(), first.min(second).to_string()]);
}

#[tokio::test]
async fn an_unknown_state_or_a_foreign_page_token_is_refused() {
    let desk = desk().await;
    let list = async |status: &str, token: &str| {
        let page = Some(common::Page { page_size: 0, page_token: token.into() });
        let request = pb::ListOrdersRequest { status: status.into(), page };
        api(&desk).list_orders(Request::new(request)).await.unwrap_err()
    };
    assert_eq!(field(&list("lost", "").await), "status");
    assert_eq!(field(&list("", "7").await), "page.page_token");
}
