//! What `stores` tells the others: its events, and the compacted catalogue from which they keep their copies.
//!
//! Prices and versions are absolute, never deltas, so a copy that missed a record is right again with the next one.

use crate::{
    ids::{ProductId, StoreId},
    money::Money,
    registry::messages,
    topics,
};
use serde::{Deserialize, Serialize};

messages! {
    pub(crate) const EVENTS;
    Event "stores" topics::STORES_EVENTS:
    StoreCreated,
    ParticipationRequested,
    ParticipationApproved,
    ParticipationDenied,
    StoreSuspended,
    StoreResumed,
    StoreClosed,
    ProductAdded,
    ProductPriceChanged,
    ProductListed,
    ProductHidden,
    ProductRemoved,
}

messages! {
    pub(crate) const CATALOGUE;
    Catalogue "stores" topics::STORES_CATALOGUE:
    CatalogueProduct,
    CatalogueStore,
}

/// A place in the mall, on a grid whose origin is the depot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Floor, 0 at the ground.
    pub level: i32,
    /// Metres from the depot eastwards.
    pub x: i32,
    /// Metres from the depot northwards.
    pub y: i32,
}

/// A store was entered into the books; it does not sell yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCreated {
    pub store_id: StoreId,
    pub name: String,
    pub location: Location,
}

/// Its owner asked to take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipationRequested {
    pub store_id: StoreId,
}

/// Mall staff let the store take part: its listed products may be sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipationApproved {
    pub store_id: StoreId,
}

/// Mall staff said no; the store is a draft again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipationDenied {
    pub store_id: StoreId,
    pub reason: String,
}

/// Mall staff stopped the store's sales for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSuspended {
    pub store_id: StoreId,
    pub reason: String,
}

/// A suspended store sells again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreResumed {
    pub store_id: StoreId,
}

/// The store is gone for good, and its products with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreClosed {
    pub store_id: StoreId,
}

/// A store offers a new product; it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductAdded {
    pub product_id: ProductId,
    pub store_id: StoreId,
    pub name: String,
    /// Price of one piece, absolute.
    pub price: Money,
    /// Volume of one piece, in millilitres.
    pub volume_ml: i32,
    /// Rises by one with each change: of two records the newer has the larger.
    pub version: i64,
}

/// The product has a new price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductPriceChanged {
    pub product_id: ProductId,
    pub store_id: StoreId,
    /// Price of one piece, absolute.
    pub price: Money,
    /// Rises by one with each change: of two records the newer has the larger.
    pub version: i64,
}

/// A hidden product may be bought again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductListed {
    pub product_id: ProductId,
    pub store_id: StoreId,
    /// Rises by one with each change: of two records the newer has the larger.
    pub version: i64,
}

/// The product cannot be bought for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductHidden {
    pub product_id: ProductId,
    pub store_id: StoreId,
    /// Rises by one with each change: of two records the newer has the larger.
    pub version: i64,
}

/// The product is gone for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductRemoved {
    pub product_id: ProductId,
    pub store_id: StoreId,
    /// Rises by one with each change: of two records the newer has the larger.
    pub version: i64,
}

/// All that others keep of a product; the record's key is its id, a null value its removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueProduct {
    pub product_id: ProductId,
    pub store_id: StoreId,
    pub name: String,
    /// Price of one piece, absolute.
    pub price: Money,
    /// Volume of one piece, in millilitres.
    pub volume_ml: i32,
    pub listed: bool,
    /// Rises by one with each change: of two records the newer has the larger.
    pub version: i64,
}

/// All that others keep of a store; the record's key is its id, a null value its closing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueStore {
    pub store_id: StoreId,
    pub name: String,
    pub location: Location,
    pub participating: bool,
    /// Rises by one with each change: of two records the newer has the larger.
    pub version: i64,
}
