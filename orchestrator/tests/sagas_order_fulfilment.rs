//! Order fulfilment as transcripts, and through the harness that every saga passes.

mod sagas_support;

use orchestrator::sagas::{
    Deadlines,
    order_fulfilment::{Fulfilment, order_fulfilment},
};
use saga::{
    Phase, Saga,
    harness::check,
    transcript::{Transcript, given},
};
use sagas_support::*;
use schemas::{
    depot::{
        CancelShopping, ItemsReleaseDone, PlanShopping, ShoppingCancelDone, ShoppingChecked, ShoppingPlanReady,
        ShoppingStarted,
    },
    orders::{
        BeginCancel, CancelBegun, CloseOrder, MarkReady, MarkedReady, MarkedShopping, OrderApprovalDone, OrderClosed,
        OrderCompletionDone, OrderPlaced,
    },
    payments::{AuthorizePayment, CapturePayment, InvoiceReady, IssueInvoice, PaymentCollected, PaymentReleased},
};

fn saga() -> Saga<Fulfilment> {
    order_fulfilment(&Deadlines::default())
}

fn planned(saga: &Saga<Fulfilment>, order: OrderPlaced) -> Transcript<'_> {
    given(saga, order)
        .sends_exactly(AuthorizePayment {
            order_id: order_id(),
            amount: eur(750),
            token: "tok-1".into(),
            customer_ref: "kiosk-3".into(),
        })
        .accepted(held())
        .sends_exactly(PlanShopping { order_id: order_id(), lines: vec![line(1, 2), line(2, 1)], volume_ml: 1_500 })
}

fn shopping(saga: &Saga<Fulfilment>, order: OrderPlaced) -> Transcript<'_> {
    planned(saga, order)
        .accepted(ShoppingPlanReady { bay: BAY })
        .sends("orders.ApproveOrder")
        .accepted(OrderApprovalDone::default())
        .sends("depot.StartShopping")
        .accepted(ShoppingStarted::default())
        .sends("orders.MarkShopping")
        .accepted(MarkedShopping::default())
        .waits_at("shopping-checked")
}

fn ready(saga: &Saga<Fulfilment>, order: OrderPlaced) -> Transcript<'_> {
    shopping(saga, order)
        .event(checked())
        .sends_exactly(MarkReady { order_id: order_id(), collected: vec![count(1, 2), count(2, 1)], bay: BAY })
        .accepted(MarkedReady { total: eur(750) })
}

fn completes(t: Transcript<'_>) {
    t.sends("payments.IssueInvoice")
        .accepted(InvoiceReady { invoice_id: invoice_id() })
        .sends("depot.ReleaseItems")
        .accepted(ItemsReleaseDone { bay: BAY })
        .sends("orders.CompleteOrder")
        .accepted(OrderCompletionDone::default())
        .ends_completed();
}

/// Everything from the approval back is undone, the customer's view first, then the list, the money, the order.
fn is_undone(t: Transcript<'_>, code: &str, cancelled: bool) {
    let reason = t.progress().cause.as_ref().map(|c| c.reason.clone()).unwrap();
    t.sends_exactly(BeginCancel { order_id: order_id(), reason: reason.clone() })
        .accepted(CancelBegun::default())
        .sends_exactly(CancelShopping { order_id: order_id(), reason: reason.clone() })
        .accepted(ShoppingCancelDone::default())
        .sends("payments.VoidPayment")
        .accepted(PaymentReleased::default())
        .sends_exactly(CloseOrder { order_id: order_id(), code: code.into(), reason, cancelled })
        .accepted(OrderClosed::default())
        .ends_compensated(code);
}

#[test]
fn an_order_paid_at_checkout_goes_through() {
    let saga = saga();
    completes(ready(&saga, placed()).sends("payments.CapturePayment").accepted(PaymentCollected { amount: eur(750) }));
}

#[test]
fn an_order_paid_on_arrival_waits_for_both_goods_and_customer() {
    let saga = saga();
    let t = ready(&saga, placed_on_arrival()).sends_nothing().waits_at("payment-taken").event(taken());
    completes(t.sends("payments.CapturePayment").accepted(PaymentCollected { amount: eur(750) }));
}

#[test]
fn a_customer_who_pays_before_the_goods_are_there_is_not_asked_again() {
    let saga = saga();
    let t = planned(&saga, placed_on_arrival()).event(taken()).accepted(ShoppingPlanReady { bay: BAY });
    let t = t.sends("orders.ApproveOrder").accepted(OrderApprovalDone::default());
    let t = t.sends("depot.StartShopping").accepted(ShoppingStarted::default());
    let t = t.sends("orders.MarkShopping").accepted(MarkedShopping::default()).event(checked());
    let t = t.sends("orders.MarkReady").accepted(MarkedReady { total: eur(750) });
    completes(t.sends("payments.CapturePayment").accepted(PaymentCollected { amount: eur(750) }));
}

#[test]
fn only_what_was_collected_is_captured_and_billed() {
    let saga = saga();
    let partly = ShoppingChecked { collected: vec![count(1, 1)], missing: vec![count(1, 1), count(2, 1)], ..checked() };
    let t = shopping(&saga, placed()).event(partly).sends("orders.MarkReady").accepted(MarkedReady { total: eur(250) });
    t.sends_exactly(CapturePayment { order_id: order_id(), amount: eur(250) })
        .accepted(PaymentCollected { amount: eur(250) })
        .sends_exactly(IssueInvoice { order_id: order_id(), lines: vec![line(1, 1)], total: eur(250) })
        .accepted(InvoiceReady { invoice_id: invoice_id() })
        .sends("depot.ReleaseItems")
        .accepted(ItemsReleaseDone { bay: BAY })
        .sends("orders.CompleteOrder")
        .accepted(OrderCompletionDone::default())
        .ends_completed();
}

#[test]
fn a_declined_card_rejects_the_order_and_moves_no_robot() {
    given(&saga(), placed())
        .sends("payments.AuthorizePayment")
        .refused("payments.declined")
        .sends_exactly(CloseOrder {
            order_id: order_id(),
            code: "payments.declined".into(),
            reason: "no".into(),
            cancelled: false,
        })
        .accepted(OrderClosed::default())
        .ends_compensated("payments.declined");
}

#[test]
fn no_bay_gives_the_money_back() {
    let saga = saga();
    planned(&saga, placed())
        .refused("depot.no_bay")
        .sends("payments.VoidPayment")
        .accepted(PaymentReleased::default())
        .sends("orders.CloseOrder")
        .accepted(OrderClosed::default())
        .ends_compensated("depot.no_bay");
}

#[test]
fn a_bay_that_is_not_free_yet_is_asked_for_again() {
    let saga = saga();
    let t = planned(&saga, placed()).refused_for_now("depot.no_bay").sends_nothing().retry_is_due();
    let t = t.sends("depot.PlanShopping").accepted(ShoppingPlanReady { bay: BAY }).sends("orders.ApproveOrder");
    assert_eq!(t.progress().phase(), Phase::Running);
}

#[test]
fn an_authorization_that_is_not_answered_may_have_happened_and_is_voided() {
    let saga = saga();
    let t = given(&saga, placed()).sends("payments.AuthorizePayment").times_out().sends("payments.VoidPayment");
    t.late_reply("payments.AuthorizePayment", held())
        .to("payments.VoidPayment")
        .accepted(PaymentReleased::default())
        .sends("orders.CloseOrder")
        .accepted(OrderClosed::default())
        .ends_compensated("platform.timed_out");
}

#[test]
fn nothing_collected_undoes_the_order() {
    let saga = saga();
    let nothing = ShoppingChecked { collected: vec![], missing: vec![count(1, 2), count(2, 1)], ..checked() };
    is_undone(shopping(&saga, placed()).event(nothing), "depot.nothing_collected", false);
}

#[test]
fn robots_that_do_not_come_back_undo_the_order() {
    let saga = saga();
    is_undone(shopping(&saga, placed()).wait_times_out("shopping-checked"), "platform.timed_out", false);
}

#[test]
fn a_customer_who_never_comes_undoes_the_order() {
    let saga = saga();
    is_undone(ready(&saga, placed_on_arrival()).wait_times_out("payment-taken"), "platform.timed_out", false);
}

#[test]
fn a_customer_may_cancel_while_robots_are_collecting() {
    let saga = saga();
    is_undone(shopping(&saga, placed()).signal_cancel("changed my mind"), "platform.cancelled", true);
}

#[test]
fn a_customer_may_cancel_when_the_goods_are_ready() {
    let saga = saga();
    is_undone(ready(&saga, placed_on_arrival()).signal_cancel("too slow"), "platform.cancelled", true);
}

#[test]
fn it_is_too_late_to_cancel_once_the_money_was_asked_for() {
    let saga = saga();
    let t = ready(&saga, placed()).sends("payments.CapturePayment").signal_cancel("too late").tells_too_late();
    completes(t.accepted(PaymentCollected { amount: eur(750) }));
}

#[test]
fn a_capture_refused_for_now_is_tried_again_and_one_refused_for_good_undoes_the_order() {
    let saga = saga();
    let t = ready(&saga, placed()).sends("payments.CapturePayment").refused_for_now("payments.provider_busy");
    let t = t.retry_is_due().sends("payments.CapturePayment").refused("payments.hold_expired");
    is_undone(t, "payments.hold_expired", false);
}

#[test]
fn a_capture_that_is_not_answered_is_asked_for_again_and_never_undone() {
    let saga = saga();
    let t = ready(&saga, placed()).sends("payments.CapturePayment");
    let t = (1..20).fold(t, |t, _| t.times_out().sends("payments.CapturePayment"));
    let t = t.times_out().is_stuck_at("capture-payment").sends_nothing();
    completes(t.late_reply("payments.CapturePayment", PaymentCollected { amount: eur(750) }));
}

#[test]
fn every_scenario_of_an_order_paid_at_checkout_ends_with_a_clean_slate() {
    assert!(check(&saga(), &placed(), &script()) > 200);
}

#[test]
fn every_scenario_of_an_order_paid_on_arrival_ends_with_a_clean_slate() {
    assert!(check(&saga(), &placed_on_arrival(), &script()) > 200);
}
