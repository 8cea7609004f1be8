//! What the orchestrator asks of orders, and the answers. A refusal is always [`message::Refusal`].

use crate::{
    done::Done,
    ids::{OrderId, ReturnId},
    lines::LineCount,
    money::Money,
    registry::messages,
    topics,
};
use serde::{Deserialize, Serialize};

messages! {
    pub(crate) const COMMANDS;
    Command "orders" topics::ORDERS_COMMANDS:
    ApproveOrder => OrderApprovalDone,
    MarkShopping => MarkedShopping,
    MarkReady => MarkedReady,
    CompleteOrder => OrderCompletionDone,
    BeginCancel => CancelBegun,
    CloseOrder => OrderClosed,
    BeginReturn => ReturnBegun,
    AbortReturn => ReturnAborted,
    MarkRefunded => RefundMarked,
}

/// Tell the customer that the order is accepted: pending → approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproveOrder {
    pub order_id: OrderId,
}

/// The order is approved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderApprovalDone {
    pub done: Done,
}

/// Approved → shopping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkShopping {
    pub order_id: OrderId,
}

/// The order is shopping.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MarkedShopping {
    pub done: Done,
}

/// Shopping → ready, priced anew by what was collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkReady {
    pub order_id: OrderId,
    pub collected: Vec<LineCount>,
    pub bay: i32,
}

/// The order is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedReady {
    /// The re-priced total: what was collected.
    pub total: Money,
}

/// Ready → completed, after the money was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteOrder {
    pub order_id: OrderId,
}

/// The order is completed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderCompletionDone {
    pub done: Done,
}

/// Pending, approved or later → cancelling; ok if the order was never approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginCancel {
    pub order_id: OrderId,
    pub reason: String,
}

/// The order is cancelling, or never was more than pending.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CancelBegun {
    pub done: Done,
}

/// End an order that was undone: pending → rejected or cancelled, cancelling → cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseOrder {
    pub order_id: OrderId,
    pub code: String,
    pub reason: String,
    /// True when the order ends cancelled, false when it ends rejected.
    pub cancelled: bool,
}

/// The order is rejected or cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderClosed {
    pub done: Done,
}

/// Completed → returning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginReturn {
    pub order_id: OrderId,
    pub return_id: ReturnId,
}

/// The order is returning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnBegun {
    /// What is to be refunded.
    pub total: Money,
}

/// Returning → completed: the undo of `BeginReturn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortReturn {
    pub order_id: OrderId,
    pub return_id: ReturnId,
    pub reason: String,
}

/// The order is completed, as before the return.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReturnAborted {
    pub done: Done,
}

/// Returning → refunded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRefunded {
    pub order_id: OrderId,
    pub return_id: ReturnId,
}

/// The order is refunded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RefundMarked {
    pub done: Done,
}
