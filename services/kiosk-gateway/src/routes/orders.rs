//! An order after the checkout: looking at it, cancelling it, confirming the payment on arrival.

use super::Problems;
use crate::{
    Gateway,
    extract::{self, id},
    guard::Caller,
    inputs::{CancelInput, text},
    problem::Problem,
    views::{Order, Payment},
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use schemas::{
    grpc::{
        orders::{CancelOrderRequest, GetOrderRequest},
        payments::TakePaymentRequest,
    },
    ids::OrderId,
};

/// In whose name a kiosk asks.
const CUSTOMER: &str = "customer";

/// The order as it is now.
#[utoipa::path(get, path = "/v1/orders/{order_id}", tag = "orders",
    params(("order_id" = uuid::Uuid, Path, description = "The order")),
    responses((status = 200, description = "The order.", body = Order), Problems))]
pub async fn get_order(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(order_id): Path<String>,
) -> Result<Json<Order>, Problem> {
    fetch(&gateway, caller, id("order_id", &order_id)?).await.map(Json)
}

pub(super) async fn fetch(gateway: &Gateway, caller: Caller, order: OrderId) -> Result<Order, Problem> {
    let request = GetOrderRequest { order_id: order.to_string() };
    let found = gateway.backends.orders().get_order(caller.ask(request)).await?;
    Ok(found.into_inner().into())
}

/// Asks to cancel. The answer means "asked": the order's live view tells whether it was possible or too late.
#[utoipa::path(post, path = "/v1/orders/{order_id}/cancel", tag = "orders",
    params(("order_id" = uuid::Uuid, Path, description = "The order")),
    request_body = CancelInput,
    responses((status = 202, description = "Asked."), Problems))]
pub async fn cancel_order(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(order_id): Path<String>,
    extract::Json(input): extract::Json<CancelInput>,
) -> Result<StatusCode, Problem> {
    let request = CancelOrderRequest {
        order_id: id::<OrderId>("order_id", &order_id)?.to_string(),
        reason: text("reason", &input.reason)?,
        by: CUSTOMER.into(),
    };
    gateway.backends.orders().cancel_order(caller.ask(request)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Confirms the payment of an order that is paid on arrival. A repeat changes nothing.
#[utoipa::path(post, path = "/v1/orders/{order_id}/pay", tag = "orders",
    params(("order_id" = uuid::Uuid, Path, description = "The order")),
    responses((status = 200, description = "The payment.", body = Payment), Problems))]
pub async fn pay(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(order_id): Path<String>,
) -> Result<Json<Payment>, Problem> {
    let order_id = id::<OrderId>("order_id", &order_id)?.to_string();
    let request = TakePaymentRequest { order_id, by: CUSTOMER.into() };
    let payment = gateway.backends.payments().take_payment(caller.ask(request)).await?;
    Ok(Json(payment.into_inner().into()))
}
