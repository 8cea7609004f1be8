//! Lines: products with quantities, as orders, payments and depot hand them to each other.

use crate::{
    ids::{ProductId, StoreId},
    money::Money,
    quantity::Quantity,
};
use serde::{Deserialize, Serialize};

/// One product of an order, as it was when the order was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub product_id: ProductId,
    pub store_id: StoreId,
    pub name: String,
    pub quantity: Quantity,
    /// Price of one piece.
    pub price: Money,
    /// Volume of one piece, in millilitres.
    pub volume_ml: i32,
}

/// Some pieces of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineCount {
    pub product_id: ProductId,
    pub quantity: Quantity,
}
