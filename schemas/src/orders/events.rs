//! What happened to baskets and orders. Basket and order share an id and are two aggregates, so two streams.

use crate::{
    ids::{BasketId, OrderId, ProductId, ReturnId},
    lines::{LineCount, OrderLine},
    money::Money,
    quantity::Quantity,
    registry::messages,
    topics,
};
use serde::{Deserialize, Serialize};

messages! {
    pub(crate) const EVENTS;
    Event "orders" topics::ORDERS_EVENTS:
    BasketOpened,
    BasketItemPut,
    BasketItemRemoved,
    BasketCheckedOut,
    BasketCancelled,
    BasketAbandoned,
    CustomerContactGiven,
    OrderPlaced,
    OrderApproved,
    OrderShopping,
    OrderReady,
    OrderCompleted,
    OrderCancelling,
    OrderCancelled,
    OrderRejected,
    CancelRequested,
    ReturnRequested,
    OrderReturning,
    OrderReturnFailed,
    OrderRefunded,
}

/// A customer began to shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketOpened {
    pub basket_id: BasketId,
}

/// A product was put into the basket, or its quantity changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketItemPut {
    pub basket_id: BasketId,
    pub product_id: ProductId,
    /// Pieces now in the basket, absolute, 1..=999.
    pub quantity: Quantity,
}

/// A product was taken out of the basket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketItemRemoved {
    pub basket_id: BasketId,
    pub product_id: ProductId,
}

/// The basket became an order of the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketCheckedOut {
    pub basket_id: BasketId,
}

/// The customer dropped the basket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketCancelled {
    pub basket_id: BasketId,
}

/// Nobody touched the basket for long enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketAbandoned {
    pub basket_id: BasketId,
}

/// Where the customer of this order can be told about it; read by notifications only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerContactGiven {
    pub order_id: OrderId,
    /// Personal data: never logged, never copied into headers.
    pub phone: String,
}

/// A basket was checked out. Starts the order's fulfilment; prices and volumes are fixed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    pub order_id: OrderId,
    pub lines: Vec<OrderLine>,
    pub total: Money,
    /// Volume of all lines together, in millilitres.
    pub volume_ml: i32,
    /// The provider's token; no card data.
    pub payment_token: String,
    /// True when the customer confirms the payment later, at the depot or the kiosk.
    pub pay_on_arrival: bool,
    /// The payment provider's name for the customer; no personal data.
    pub customer_ref: String,
}

/// Money is held and a bay is reserved: the order will be collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderApproved {
    pub order_id: OrderId,
}

/// Robots are collecting the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderShopping {
    pub order_id: OrderId,
}

/// Everything that could be found waits in the bay, priced anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReady {
    pub order_id: OrderId,
    /// The re-priced total: what was collected.
    pub total: Money,
    pub bay: i32,
    pub missing: Vec<LineCount>,
}

/// Paid and handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCompleted {
    pub order_id: OrderId,
    /// What was captured.
    pub total: Money,
}

/// The order is being undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelling {
    pub order_id: OrderId,
    pub reason: String,
}

/// The order was undone; nothing is held, reserved or owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    pub order_id: OrderId,
    pub reason: String,
}

/// The order could not be taken; nothing is held, reserved or owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRejected {
    pub order_id: OrderId,
    pub code: String,
    pub reason: String,
}

/// Somebody asked to cancel; the saga decides whether it is still possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    pub order_id: OrderId,
    pub reason: String,
    pub by: String,
}

/// Staff accepted returned goods. Starts the return and the refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnRequested {
    pub return_id: ReturnId,
    pub order_id: OrderId,
    pub reason: String,
    /// What is to be refunded.
    pub total: Money,
}

/// A completed order is being returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReturning {
    pub order_id: OrderId,
}

/// The return could not be carried out; the order is completed as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReturnFailed {
    pub order_id: OrderId,
    pub reason: String,
}

/// The goods went back and the money too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRefunded {
    pub order_id: OrderId,
    /// What was refunded.
    pub total: Money,
}
