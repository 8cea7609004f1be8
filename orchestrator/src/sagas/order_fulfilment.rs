//! Order fulfilment: the money is held, robots collect, the customer pays and takes the items away.
//!
//! Before the pivot, taking the money, every step can be undone; after it we only go forward.

use super::Deadlines;
use message::Refusal;
use saga::{Cause, RetryPolicy, Saga, branch, call, started, wait_for};
use schemas::{
    depot::{CancelShopping, PlanShopping, ReleaseItems, ShoppingChecked, ShoppingPlanReady, StartShopping},
    ids::OrderId,
    lines::{LineCount, OrderLine},
    money::Money,
    orders::{
        ApproveOrder, BeginCancel, CancelRequested, CloseOrder, CompleteOrder, MarkReady, MarkShopping, MarkedReady,
        OrderPlaced,
    },
    payments::{AuthorizePayment, CapturePayment, IssueInvoice, PaymentTaken, VoidPayment},
};
use serde::{Deserialize, Serialize};

/// The saga of one order. No robot moves for money that is not held: that is why the hold comes before the list.
pub fn order_fulfilment(within: &Deadlines) -> Saga<Fulfilment> {
    Saga::named("order-fulfilment", 1)
        .starts_on(placed)
        .key(|f: &Fulfilment| f.order_id.to_string())
        .signal("cancel", |e: &CancelRequested| (e.order_id.to_string(), e.reason.clone(), e.by.clone()))
        .step(started("order-placed").undo(close_order))
        .step(call(authorize_payment).retry(SOON).deadline_s(within.command_s).undo(void_payment))
        .step(
            call(plan_shopping)
                .keep(reserved)
                .retry(SOON)
                .deadline_s(within.command_s)
                .undo(cancel_shopping)
                .undo_deadline_s(within.shopping_s),
        )
        .step(call(approve_order).deadline_s(within.command_s).undo(begin_cancel))
        .step(call(start_shopping).deadline_s(within.command_s))
        .step(call(mark_shopping).deadline_s(within.command_s))
        .together([
            branch()
                .step(
                    wait_for("shopping-checked", |e: &ShoppingChecked| e.order_id.to_string())
                        .keep(collected)
                        .fails_when(nothing_collected)
                        .deadline_s(within.shopping_s),
                )
                .step(call(mark_ready).keep(priced).deadline_s(within.command_s)),
            branch().step(
                wait_for("payment-taken", |e: &PaymentTaken| e.order_id.to_string())
                    .unless(paid_at_checkout)
                    .deadline_s(within.pickup_s),
            ),
        ])
        .pivot(call(capture_payment).retry(PATIENT).deadline_s(within.command_s))
        .step(call(issue_invoice).retry(PATIENT).deadline_s(within.command_s))
        .step(call(release_items).retry(PATIENT).deadline_s(within.command_s))
        .step(call(complete_order).retry(PATIENT).deadline_s(within.command_s))
        .build()
}

/// A full bay or a busy provider: worth about ten seconds of a customer's time at the kiosk.
const SOON: RetryPolicy = RetryPolicy::Exponential { base_ms: 1_000, max_ms: 4_000, budget: 3 };
/// From the pivot on waiting is better than turning back: about five minutes.
const PATIENT: RetryPolicy = RetryPolicy::Exponential { base_ms: 2_000, max_ms: 60_000, budget: 9 };

/// What the saga knows of its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fulfilment {
    pub order_id: OrderId,
    pub lines: Vec<OrderLine>,
    /// What was ordered, and is held; from `mark-ready` on what was collected, and is captured.
    pub total: Money,
    pub volume_ml: i32,
    pub payment_token: String,
    pub pay_on_arrival: bool,
    pub customer_ref: String,
    /// Number of the bay; known once it is reserved.
    pub bay: Option<i32>,
    /// What is in the bay; empty until it was checked.
    pub collected: Vec<LineCount>,
}

fn placed(e: &OrderPlaced) -> Fulfilment {
    Fulfilment {
        order_id: e.order_id,
        lines: e.lines.clone(),
        total: e.total,
        volume_ml: e.volume_ml,
        payment_token: e.payment_token.clone(),
        pay_on_arrival: e.pay_on_arrival,
        customer_ref: e.customer_ref.clone(),
        bay: None,
        collected: Vec::new(),
    }
}

fn close_order(f: &Fulfilment, cause: &Cause) -> CloseOrder {
    let (code, reason) = (cause.code.clone(), cause.reason.clone());
    CloseOrder { order_id: f.order_id, code, reason, cancelled: cause.is_cancellation() }
}

fn authorize_payment(f: &Fulfilment) -> AuthorizePayment {
    let (token, customer_ref) = (f.payment_token.clone(), f.customer_ref.clone());
    AuthorizePayment { order_id: f.order_id, amount: f.total, token, customer_ref }
}

fn void_payment(f: &Fulfilment) -> VoidPayment {
    VoidPayment { order_id: f.order_id }
}

fn plan_shopping(f: &Fulfilment) -> PlanShopping {
    PlanShopping { order_id: f.order_id, lines: f.lines.clone(), volume_ml: f.volume_ml }
}

fn reserved(f: &mut Fulfilment, reply: ShoppingPlanReady) {
    f.bay = Some(reply.bay);
}

fn cancel_shopping(f: &Fulfilment, cause: &Cause) -> CancelShopping {
    CancelShopping { order_id: f.order_id, reason: cause.reason.clone() }
}

fn approve_order(f: &Fulfilment) -> ApproveOrder {
    ApproveOrder { order_id: f.order_id }
}

fn begin_cancel(f: &Fulfilment, cause: &Cause) -> BeginCancel {
    BeginCancel { order_id: f.order_id, reason: cause.reason.clone() }
}

fn start_shopping(f: &Fulfilment) -> StartShopping {
    StartShopping { order_id: f.order_id }
}

fn mark_shopping(f: &Fulfilment) -> MarkShopping {
    MarkShopping { order_id: f.order_id }
}

fn collected(f: &mut Fulfilment, e: ShoppingChecked) {
    f.collected = e.collected;
    f.bay = Some(e.bay);
}

fn nothing_collected(f: &Fulfilment) -> Option<Refusal> {
    f.collected.is_empty().then(|| Refusal::new("depot.nothing_collected", "none of the items could be found"))
}

/// The bay is known here: the wait before has set it.
fn mark_ready(f: &Fulfilment) -> MarkReady {
    MarkReady { order_id: f.order_id, collected: f.collected.clone(), bay: f.bay.unwrap_or_default() }
}

fn priced(f: &mut Fulfilment, reply: MarkedReady) {
    f.total = reply.total;
}

fn paid_at_checkout(f: &Fulfilment) -> bool {
    !f.pay_on_arrival
}

fn capture_payment(f: &Fulfilment) -> CapturePayment {
    CapturePayment { order_id: f.order_id, amount: f.total }
}

fn issue_invoice(f: &Fulfilment) -> IssueInvoice {
    IssueInvoice { order_id: f.order_id, lines: collected_lines(f), total: f.total }
}

fn release_items(f: &Fulfilment) -> ReleaseItems {
    ReleaseItems { order_id: f.order_id }
}

fn complete_order(f: &Fulfilment) -> CompleteOrder {
    CompleteOrder { order_id: f.order_id }
}

/// The lines of the order with the quantities that were collected, without those of which nothing was.
fn collected_lines(f: &Fulfilment) -> Vec<OrderLine> {
    let found = |line: &OrderLine| f.collected.iter().find(|c| c.product_id == line.product_id);
    let lines = f.lines.iter().filter_map(|line| Some((line, found(line)?)));
    lines.map(|(line, count)| OrderLine { quantity: count.quantity, ..line.clone() }).collect()
}
