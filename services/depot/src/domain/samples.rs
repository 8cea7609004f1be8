//! Values that the domain's tests share.

use super::{
    list::ShoppingList,
    place::{DEPOT, StorePlace},
};
use schemas::{
    ids::{OrderId, ProductId, StoreId},
    lines::{LineCount, OrderLine},
    money::{Currency, Money},
    quantity::Quantity,
    stores::Location,
};
use std::collections::HashMap;
use uuid::Uuid;

pub fn order(n: u128) -> OrderId {
    OrderId::from(Uuid::from_u128(n))
}

pub fn store(n: u128) -> StoreId {
    StoreId::from(Uuid::from_u128(n))
}

pub fn product(n: u128) -> ProductId {
    ProductId::from(Uuid::from_u128(n))
}

pub fn quantity(n: i32) -> Quantity {
    Quantity::try_from(n).unwrap()
}

pub fn count(product_no: u128, n: i32) -> LineCount {
    LineCount { product_id: product(product_no), quantity: quantity(n) }
}

pub fn line(store_no: u128, product_no: u128, n: i32) -> OrderLine {
    OrderLine {
        product_id: product(product_no),
        store_id: store(store_no),
        name: format!("product {product_no}"),
        quantity: quantity(n),
        price: Money::new(100, Currency::EUR),
        volume_ml: 10,
    }
}

pub fn places(at: &[(u128, i32)]) -> HashMap<StoreId, StorePlace> {
    let place =
        |x| StorePlace { name: format!("at {x}"), location: Location { x, ..DEPOT }, version: 1, closed: false };
    at.iter().map(|(n, x)| (store(*n), place(*x))).collect()
}

/// Two stores: two of product 1 in store 1, one of product 2 in store 2.
pub fn planned(order_no: u128) -> ShoppingList {
    let lines = [line(1, 1, 2), line(2, 2, 1)];
    ShoppingList::plan(order(order_no), &lines, 30, &places(&[(1, 10), (2, 20)]), 1_000).unwrap()
}
