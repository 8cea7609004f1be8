//! What happened to shopping lists, robots and bays: three kinds of aggregates, so three kinds of streams.

use crate::{
    ids::{BotId, OrderId, StoreId},
    lines::LineCount,
    registry::messages,
    topics,
};
use serde::{Deserialize, Serialize};

messages! {
    pub(crate) const EVENTS;
    Event "depot" topics::DEPOT_EVENTS:
    ShoppingPlanned,
    ShoppingAssigned,
    StopVisited,
    ShoppingDelivered,
    ShoppingChecked,
    ShoppingCancelled,
    ShoppingReturning,
    ShoppingReturned,
    ItemsReleased,
    BotOnline,
    BotIdle,
    BotBusy,
    BotLost,
    BotOffline,
    BayReserved,
    BayOccupied,
    BayFreed,
}

/// The order has a shopping list and a bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingPlanned {
    pub order_id: OrderId,
    pub bay: i32,
    pub stops: i32,
}

/// A robot was sent for the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingAssigned {
    pub order_id: OrderId,
    pub bot_id: BotId,
    /// Number of this assignment; a robot refuses a lower one.
    pub epoch: i64,
}

/// The robot is done at one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopVisited {
    pub order_id: OrderId,
    pub store_id: StoreId,
    pub picked: Vec<LineCount>,
    pub missing: Vec<LineCount>,
}

/// The robot put the items into the bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingDelivered {
    pub order_id: OrderId,
    pub bot_id: BotId,
}

/// Staff counted the items in the bay: the inventory that prices the order anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingChecked {
    pub order_id: OrderId,
    pub collected: Vec<LineCount>,
    pub missing: Vec<LineCount>,
    pub bay: i32,
}

/// The list was dropped with nothing to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingCancelled {
    pub order_id: OrderId,
}

/// Items of a dropped list are on their way back to the stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingReturning {
    pub order_id: OrderId,
}

/// The items are back in the stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingReturned {
    pub order_id: OrderId,
}

/// The customer may take the items out of the bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemsReleased {
    pub order_id: OrderId,
    pub bay: i32,
}

/// A robot connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotOnline {
    pub bot_id: BotId,
    pub name: String,
}

/// A robot waits for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotIdle {
    pub bot_id: BotId,
}

/// A robot works on a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotBusy {
    pub bot_id: BotId,
    pub order_id: OrderId,
}

/// A robot's heartbeat stopped; its list is planned again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotLost {
    pub bot_id: BotId,
    /// UUID of the order it was working on, if any.
    pub order_id: Option<OrderId>,
    /// What was in the robot when it was last heard of.
    pub carried: Vec<LineCount>,
}

/// A robot was taken out of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotOffline {
    pub bot_id: BotId,
}

/// A bay is kept for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BayReserved {
    pub bay: i32,
    pub order_id: OrderId,
}

/// An order's items are in the bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BayOccupied {
    pub bay: i32,
    pub order_id: OrderId,
}

/// The order no longer needs the bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BayFreed {
    pub bay: i32,
    pub order_id: OrderId,
}
