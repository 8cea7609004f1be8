//! What the sagas ask of an order, and the events that tell of it. The shell answers repeats and bars what was undone
//! before it came; here only the order's own state decides.

use super::requests::find;
use crate::{
    Orders,
    domain::{Order, OrderStatus},
};
use message::{Event, SagaRef};
use schemas::{ids::OrderId, orders as wire};
use transport::{Answer, Fold, Unit};

pub fn approve(
    _: &Orders,
    unit: &mut Unit,
    command: &wire::ApproveOrder,
    _: &SagaRef,
) -> Fold<Answer<wire::OrderApprovalDone>> {
    let order_id = command.order_id;
    let order = find(unit, order_id)?.approve(unit.now_ms())?;
    keep(unit, order_id, order, wire::OrderApproved { order_id })?;
    Ok(Answer::Now(wire::OrderApprovalDone::default()))
}

pub fn mark_shopping(
    _: &Orders,
    unit: &mut Unit,
    command: &wire::MarkShopping,
    _: &SagaRef,
) -> Fold<Answer<wire::MarkedShopping>> {
    let order_id = command.order_id;
    let order = find(unit, order_id)?.mark_shopping(unit.now_ms())?;
    keep(unit, order_id, order, wire::OrderShopping { order_id })?;
    Ok(Answer::Now(wire::MarkedShopping::default()))
}

pub fn mark_ready(
    _: &Orders,
    unit: &mut Unit,
    command: &wire::MarkReady,
    _: &SagaRef,
) -> Fold<Answer<wire::MarkedReady>> {
    let (order_id, bay) = (command.order_id, command.bay);
    let order = find(unit, order_id)?.mark_ready(&command.collected, bay, unit.now_ms())?;
    let (total, missing) = (order.total, order.missing.clone());
    keep(unit, order_id, order, wire::OrderReady { order_id, total, bay, missing })?;
    Ok(Answer::Now(wire::MarkedReady { total }))
}

pub fn complete(
    _: &Orders,
    unit: &mut Unit,
    command: &wire::CompleteOrder,
    _: &SagaRef,
) -> Fold<Answer<wire::OrderCompletionDone>> {
    let order_id = command.order_id;
    let order = find(unit, order_id)?.complete(unit.now_ms())?;
    let total = order.total;
    keep(unit, order_id, order, wire::OrderCompleted { order_id, total })?;
    Ok(Answer::Now(wire::OrderCompletionDone::default()))
}

pub fn begin_cancel(
    _: &Orders,
    unit: &mut Unit,
    command: &wire::BeginCancel,
    _: &SagaRef,
) -> Fold<Answer<wire::CancelBegun>> {
    let (order_id, reason) = (command.order_id, command.reason.clone());
    let now_ms = unit.now_ms();
    if let Some(order) = there(unit, order_id)?
        && let Some(order) = order.begin_cancel(&reason, now_ms)?
    {
        keep(unit, order_id, order, wire::OrderCancelling { order_id, reason })?;
    }
    Ok(Answer::Now(wire::CancelBegun::default()))
}

pub fn close(_: &Orders, unit: &mut Unit, command: &wire::CloseOrder, _: &SagaRef) -> Fold<Answer<wire::OrderClosed>> {
    let (order_id, now_ms) = (command.order_id, unit.now_ms());
    if let Some(order) = there(unit, order_id)?
        && let Some(order) = order.close(&command.code, &command.reason, command.cancelled, now_ms)?
    {
        let (code, reason) = (order.code.clone(), order.reason.clone());
        match order.status {
            OrderStatus::Rejected => {
                keep(unit, order_id, order, wire::OrderRejected { order_id, code, reason })?;
            }
            _ => keep(unit, order_id, order, wire::OrderCancelled { order_id, reason })?,
        }
    }
    Ok(Answer::Now(wire::OrderClosed::default()))
}

pub fn begin_return(
    _: &Orders,
    unit: &mut Unit,
    command: &wire::BeginReturn,
    _: &SagaRef,
) -> Fold<Answer<wire::ReturnBegun>> {
    let order_id = command.order_id;
    let order = find(unit, order_id)?.begin_return(command.return_id, unit.now_ms())?;
    let total = order.total;
    keep(unit, order_id, order, wire::OrderReturning { order_id })?;
    Ok(Answer::Now(wire::ReturnBegun { total }))
}

pub fn abort_return(
    _: &Orders,
    unit: &mut Unit,
    command: &wire::AbortReturn,
    _: &SagaRef,
) -> Fold<Answer<wire::ReturnAborted>> {
    let (order_id, now_ms) = (command.order_id, unit.now_ms());
    if let Some(order) = there(unit, order_id)?
        && let Some(order) = order.abort_return(command.return_id, now_ms)?
    {
        let reason = command.reason.clone();
        keep(unit, order_id, order, wire::OrderReturnFailed { order_id, reason })?;
    }
    Ok(Answer::Now(wire::ReturnAborted::default()))
}

pub fn mark_refunded(
    _: &Orders,
    unit: &mut Unit,
    command: &wire::MarkRefunded,
    _: &SagaRef,
) -> Fold<Answer<wire::RefundMarked>> {
    let order_id = command.order_id;
    let order = find(unit, order_id)?.mark_refunded(command.return_id, unit.now_ms())?;
    let total = order.total;
    keep(unit, order_id, order, wire::OrderRefunded { order_id, total })?;
    Ok(Answer::Now(wire::RefundMarked::default()))
}

/// For undo commands: what never happened is undone.
fn there(unit: &mut Unit, id: OrderId) -> Fold<Option<Order>> {
    unit.get::<Order>(id.into())
}

fn keep(unit: &mut Unit, id: OrderId, order: Order, event: impl Event) -> Fold<()> {
    unit.put(id.into(), order);
    unit.emit::<Order, _>(id.into(), event)
}
