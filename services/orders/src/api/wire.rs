//! The crossing between the API's messages and the domain's values. No error here repeats a phone number or a token.

use crate::{
    domain::{Order, Phone},
    handlers::{BasketView, Checkout},
};
use prost::Message;
use schemas::{
    grpc::{common, orders as pb},
    ids::{BasketId, OrderId, ProductId},
    text::Text,
};
use service_kit::grpc::{self, invalid};
use tonic::{Code, Status};
use transport::{Call, CallError, Idempotency, ports};
use uuid::Uuid;

/// Most characters of what the payment provider calls a token or a customer.
const MAX_TOKEN_CHARS: usize = 255;

pub fn basket_id(id: &str) -> Result<BasketId, Status> {
    BasketId::parse(id).map_err(|e| invalid("basket_id", e.to_string()))
}

pub fn order_id(id: &str) -> Result<OrderId, Status> {
    OrderId::parse(id).map_err(|e| invalid("order_id", e.to_string()))
}

pub fn product_id(id: &str) -> Result<ProductId, Status> {
    ProductId::parse(id).map_err(|e| invalid("product_id", e.to_string()))
}

pub fn text(field: &'static str, value: &str) -> Result<Text, Status> {
    Text::parse(value).map_err(|e| invalid(field, e.to_string()))
}

pub fn checkout(input: &pb::CheckoutRequest) -> Result<Checkout, Status> {
    Ok(Checkout {
        basket_id: basket_id(&input.basket_id)?,
        phone: Phone::parse(&input.phone).map_err(|e| invalid("phone", e.to_string()))?,
        payment_token: payment_token(&input.payment_token)?,
        pay_on_arrival: input.pay_on_arrival,
        customer_ref: customer_ref(&input.customer_ref)?,
    })
}

/// A provider's token. What looks like a card number is turned away at the door: none ever enters the platform.
fn payment_token(token: &str) -> Result<String, Status> {
    let shaped = (1..=MAX_TOKEN_CHARS).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    if !shaped {
        return Err(invalid("payment_token", "give the payment provider's token, 1 to 255 characters without spaces"));
    }
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    let card = (12..=19).contains(&digits) && token.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if card {
        return Err(invalid(
            "payment_token",
            "this looks like a card number; give the payment provider's token instead",
        ));
    }
    Ok(token.to_owned())
}

fn customer_ref(name: &str) -> Result<String, Status> {
    let name = name.trim();
    let fits = name.chars().count() <= MAX_TOKEN_CHARS;
    let too_long =
        || invalid("customer_ref", format!("the name is too long; use at most {MAX_TOKEN_CHARS} characters"));
    fits.then(|| name.to_owned()).ok_or_else(too_long)
}

pub fn basket(view: BasketView) -> pb::Basket {
    let total = view.total().map(Into::into);
    let lines = view.lines.into_iter().map(|line| match line.product {
        Some(product) => product.into(),
        // No longer in the catalogue: shown bare, so that the customer can take it out.
        None => common::OrderLine {
            product_id: line.item.product_id.to_string(),
            store_id: line.item.store_id.to_string(),
            name: String::new(),
            quantity: line.item.quantity.into(),
            price: None,
            volume_ml: 0,
        },
    });
    pb::Basket {
        basket_id: view.id.to_string(),
        status: view.basket.status.as_str().to_owned(),
        lines: lines.collect(),
        total,
        version: view.basket.version,
    }
}

pub fn order((id, order): (Uuid, Order)) -> pb::Order {
    pb::Order {
        order_id: id.to_string(),
        status: order.status.as_str().to_owned(),
        lines: order.lines.into_iter().map(Into::into).collect(),
        total: Some(order.total.into()),
        volume_ml: order.volume_ml,
        pay_on_arrival: order.pay_on_arrival,
        bay: order.bay.unwrap_or_default(),
        missing: order.missing.into_iter().map(Into::into).collect(),
        code: order.code,
        reason: order.reason,
        placed_at_ms: order.placed_at_ms,
        updated_at_ms: order.updated_at_ms,
        version: order.version,
    }
}

/// Makes a repeat of the request harmless when its caller gave it a key.
pub fn keyed(call: Call, key: &str, request: &impl Message) -> Result<Call, Status> {
    match key.chars().count() {
        0 => Ok(call),
        1..=255 => Ok(call.idempotent(Idempotency::new("grpc", key, &request.encode_to_vec()))),
        n => Err(invalid("idempotency_key", format!("the key has {n} characters; use at most 255"))),
    }
}

/// As [`grpc::status`], with NOT_FOUND for what does not exist.
pub fn status(error: CallError) -> Status {
    let status = grpc::status(error);
    let unknown = grpc::code(&status).is_some_and(|code| code.starts_with("orders.unknown_"));
    if unknown {
        return Status::with_metadata(Code::NotFound, status.message(), status.metadata().clone());
    }
    status
}

pub fn wanted(filter: &str) -> Option<String> {
    (!filter.is_empty()).then(|| filter.to_owned())
}

pub fn page(page: Option<common::Page>) -> Result<ports::Query, Status> {
    let page = page.unwrap_or_default();
    let before = wanted(&page.page_token).map(|token| token.parse::<Uuid>()).transpose();
    let before = before.map_err(|_| invalid("page.page_token", "give the token of the page before, unchanged"))?;
    Ok(ports::Query { before, limit: page.limit() as usize, ..ports::Query::default() })
}

/// Where the next page begins; empty when this one was not full.
pub fn next_token<A>(query: &ports::Query, found: &[(Uuid, A)]) -> String {
    let last = found.last().filter(|_| found.len() >= query.limit);
    last.map(|(id, _)| id.to_string()).unwrap_or_default()
}
