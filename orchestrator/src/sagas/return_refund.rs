//! Return and refund: staff accepted a completed order's goods; a robot brings them back, and the money goes back too.
//!
//! The pivot is the goods' way back: what is in the stores again cannot be handed out anew, so that from there on the
//! customer gets the money. A refund refused for good leaves the saga stuck, for a person to pay it.

use super::Deadlines;
use saga::{Cause, RetryPolicy, Saga, call};
use schemas::{
    depot::ReturnItems,
    ids::{OrderId, ReturnId},
    money::Money,
    orders::{AbortReturn, BeginReturn, MarkRefunded, ReturnBegun, ReturnRequested},
    payments::RefundPayment,
};
use serde::{Deserialize, Serialize};

/// The saga of one return. It shares the order's partition key; its business key is the return, because a return that
/// failed may be asked for again.
pub fn return_refund(within: &Deadlines) -> Saga<Return> {
    Saga::named("return-refund", 2)
        .starts_on(requested)
        .key(|r: &Return| r.order_id.to_string())
        .business_key(|r| r.return_id.to_string())
        .step(call(begin_return).keep(to_refund).deadline_s(within.command_s).undo(abort_return))
        .pivot(call(return_items).retry(PATIENT).deadline_s(within.shopping_s))
        .step(call(refund_payment).retry(PATIENT).deadline_s(within.command_s))
        .step(call(mark_refunded).retry(PATIENT).deadline_s(within.command_s))
        .build()
}

/// From the pivot on waiting is better than turning back: about five minutes.
const PATIENT: RetryPolicy = RetryPolicy::Exponential { base_ms: 2_000, max_ms: 60_000, budget: 9 };

/// What the saga knows of its return.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Return {
    pub return_id: ReturnId,
    pub order_id: OrderId,
    /// What is given back: what was captured, as `orders` knows it.
    pub total: Money,
}

fn requested(e: &ReturnRequested) -> Return {
    Return { return_id: e.return_id, order_id: e.order_id, total: e.total }
}

fn begin_return(r: &Return) -> BeginReturn {
    BeginReturn { order_id: r.order_id, return_id: r.return_id }
}

fn to_refund(r: &mut Return, reply: ReturnBegun) {
    r.total = reply.total;
}

fn abort_return(r: &Return, cause: &Cause) -> AbortReturn {
    AbortReturn { order_id: r.order_id, return_id: r.return_id, reason: cause.reason.clone() }
}

/// Whole orders only: no lines means everything that was collected for the order, which the depot knows.
fn return_items(r: &Return) -> ReturnItems {
    ReturnItems { order_id: r.order_id, return_id: r.return_id, lines: Vec::new() }
}

fn refund_payment(r: &Return) -> RefundPayment {
    RefundPayment { order_id: r.order_id, return_id: r.return_id, amount: r.total }
}

fn mark_refunded(r: &Return) -> MarkRefunded {
    MarkRefunded { order_id: r.order_id, return_id: r.return_id }
}
