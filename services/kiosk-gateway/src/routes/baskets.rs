//! Filling a basket and checking it out.

use super::Problems;
use crate::{
    Gateway,
    extract::{self, IdempotencyKey, OptionalKey, id},
    guard::Caller,
    inputs::{CheckoutInput, ItemInput, Pay, phone, text},
    problem::Problem,
    views::{Basket, Order},
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use schemas::{
    grpc::orders::{
        CancelBasketRequest, CheckoutRequest, CreateBasketRequest, GetBasketRequest, PutItemRequest, RemoveItemRequest,
    },
    ids::{BasketId, ProductId},
};
use uuid::Uuid;

fn basket(text: &str) -> Result<String, Problem> {
    id::<BasketId>("basket_id", text).map(|id| id.to_string())
}

fn product(text: &str) -> Result<String, Problem> {
    id::<ProductId>("product_id", text).map(|id| id.to_string())
}

/// A request without a key is an intention of its own.
fn or_new(key: OptionalKey) -> String {
    key.0.unwrap_or_else(|| Uuid::now_v7().to_string())
}

/// Opens an empty basket.
#[utoipa::path(post, path = "/v1/baskets", tag = "baskets",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, the same for each repeat")),
    responses((status = 201, description = "The basket.", body = Basket), Problems))]
pub async fn create_basket(
    State(gateway): State<Gateway>,
    caller: Caller,
    key: OptionalKey,
) -> Result<(StatusCode, Json<Basket>), Problem> {
    let request = CreateBasketRequest { idempotency_key: or_new(key) };
    let made = gateway.backends.orders().create_basket(caller.ask(request)).await?;
    Ok((StatusCode::CREATED, Json(made.into_inner().into())))
}

/// The basket with the prices of now.
#[utoipa::path(get, path = "/v1/baskets/{basket_id}", tag = "baskets",
    params(("basket_id" = Uuid, Path, description = "The basket")),
    responses((status = 200, description = "The basket.", body = Basket), Problems))]
pub async fn get_basket(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(basket_id): Path<String>,
) -> Result<Json<Basket>, Problem> {
    let request = GetBasketRequest { basket_id: basket(&basket_id)? };
    let found = gateway.backends.orders().get_basket(caller.ask(request)).await?;
    Ok(Json(found.into_inner().into()))
}

/// Adds pieces of a product; those of the same product are summed. To repeat it safely, send an Idempotency-Key.
#[utoipa::path(put, path = "/v1/baskets/{basket_id}/items/{product_id}", tag = "baskets",
    params(("basket_id" = Uuid, Path, description = "The basket"),
           ("product_id" = Uuid, Path, description = "The product"),
           ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, the same for each repeat")),
    request_body = ItemInput,
    responses((status = 200, description = "The basket as it is now.", body = Basket), Problems))]
pub async fn put_item(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((basket_id, product_id)): Path<(String, String)>,
    key: OptionalKey,
    extract::Json(item): extract::Json<ItemInput>,
) -> Result<Json<Basket>, Problem> {
    let request = PutItemRequest {
        basket_id: basket(&basket_id)?,
        product_id: product(&product_id)?,
        quantity: item.quantity()?,
        idempotency_key: or_new(key),
    };
    let changed = gateway.backends.orders().put_item(caller.ask(request)).await?;
    Ok(Json(changed.into_inner().into()))
}

/// Takes all pieces of a product out.
#[utoipa::path(delete, path = "/v1/baskets/{basket_id}/items/{product_id}", tag = "baskets",
    params(("basket_id" = Uuid, Path, description = "The basket"),
           ("product_id" = Uuid, Path, description = "The product")),
    responses((status = 200, description = "The basket as it is now.", body = Basket), Problems))]
pub async fn remove_item(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((basket_id, product_id)): Path<(String, String)>,
) -> Result<Json<Basket>, Problem> {
    let request = RemoveItemRequest { basket_id: basket(&basket_id)?, product_id: product(&product_id)? };
    let changed = gateway.backends.orders().remove_item(caller.ask(request)).await?;
    Ok(Json(changed.into_inner().into()))
}

/// Drops the basket.
#[utoipa::path(post, path = "/v1/baskets/{basket_id}/cancel", tag = "baskets",
    params(("basket_id" = Uuid, Path, description = "The basket")),
    responses((status = 200, description = "The cancelled basket.", body = Basket), Problems))]
pub async fn cancel_basket(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(basket_id): Path<String>,
) -> Result<Json<Basket>, Problem> {
    let request = CancelBasketRequest { basket_id: basket(&basket_id)? };
    let changed = gateway.backends.orders().cancel_basket(caller.ask(request)).await?;
    Ok(Json(changed.into_inner().into()))
}

/// Makes the basket an order of the same id, with the prices of this moment.
#[utoipa::path(post, path = "/v1/baskets/{basket_id}/checkout", tag = "baskets",
    params(("basket_id" = Uuid, Path, description = "The basket"),
           ("Idempotency-Key" = String, Header, description = "1 to 255 characters, the same for each repeat")),
    request_body = CheckoutInput,
    responses((status = 201, description = "The order.", body = Order,
               headers(("Location" = String, description = "Where the order is"))), Problems))]
pub async fn checkout(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(basket_id): Path<String>,
    IdempotencyKey(key): IdempotencyKey,
    extract::Json(input): extract::Json<CheckoutInput>,
) -> Result<(StatusCode, [(&'static str, String); 1], Json<Order>), Problem> {
    let request = checkout_request(basket(&basket_id)?, key, &input)?;
    let order = gateway.backends.orders().checkout(caller.ask(request)).await?.into_inner();
    let location = [("location", format!("/v1/orders/{}", order.order_id))];
    Ok((StatusCode::CREATED, location, Json(order.into())))
}

fn checkout_request(basket_id: String, key: String, input: &CheckoutInput) -> Result<CheckoutRequest, Problem> {
    Ok(CheckoutRequest {
        basket_id,
        phone: phone(&input.phone)?,
        payment_token: text("payment_token", &input.payment_token)?,
        pay_on_arrival: input.pay == Pay::OnArrival,
        customer_ref: text("customer_ref", &input.customer_ref)?,
        idempotency_key: key,
    })
}
