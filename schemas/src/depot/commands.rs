//! What the orchestrator asks of the depot, and the answers. A refusal is always [`message::Refusal`].

use crate::{
    done::Done,
    ids::{OrderId, ReturnId},
    lines::{LineCount, OrderLine},
    registry::messages,
    topics,
};
use serde::{Deserialize, Serialize};

messages! {
    pub(crate) const COMMANDS;
    Command "depot" topics::DEPOT_COMMANDS:
    PlanShopping => ShoppingPlanReady,
    CancelShopping => ShoppingCancelDone,
    StartShopping => ShoppingStarted,
    ReleaseItems => ItemsReleaseDone,
    ReturnItems => ItemsReturnDone,
    CancelReturn => ReturnCancelDone,
}

/// Make a shopping list and reserve a bay of at least that volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanShopping {
    pub order_id: OrderId,
    pub lines: Vec<OrderLine>,
    /// Volume of all lines together, in millilitres.
    pub volume_ml: i32,
}

/// The list is planned and the bay reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingPlanReady {
    pub bay: i32,
}

/// Drop the list: the undo of `PlanShopping`; answered when the list is cancelled or returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelShopping {
    pub order_id: OrderId,
    pub reason: String,
}

/// The list is cancelled or returned, the bay free.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShoppingCancelDone {
    pub done: Done,
}

/// Let the robots have the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartShopping {
    pub order_id: OrderId,
}

/// The list waits for a robot, or has one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShoppingStarted {
    pub done: Done,
}

/// Let the customer take the items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseItems {
    pub order_id: OrderId,
}

/// The items may be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemsReleaseDone {
    pub bay: i32,
}

/// Bring returned goods back to their stores; answered when they are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnItems {
    pub order_id: OrderId,
    pub return_id: ReturnId,
    /// What goes back to the stores; empty for everything that was collected.
    pub lines: Vec<LineCount>,
}

/// The goods are back in the stores.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ItemsReturnDone {
    pub done: Done,
}

/// Drop a return job: the undo of `ReturnItems`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelReturn {
    pub order_id: OrderId,
    pub return_id: ReturnId,
}

/// There is no such return job any more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReturnCancelDone {
    pub done: Done,
}
