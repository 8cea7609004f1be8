//! Return and refund as transcripts, and through the harness that every saga passes.

mod sagas_support;

use orchestrator::sagas::{
    Deadlines,
    return_refund::{Return, return_refund},
};
use saga::{Saga, harness::check, transcript::given};
use sagas_support::*;
use schemas::{
    depot::ItemsReturnDone,
    orders::{AbortReturn, BeginReturn, MarkRefunded, RefundMarked, ReturnAborted, ReturnBegun},
    payments::{RefundDone, RefundPayment},
};

fn saga() -> Saga<Return> {
    return_refund(&Deadlines::default())
}

#[test]
fn goods_go_back_and_what_was_captured_is_refunded() {
    given(&saga(), returned())
        .sends_exactly(BeginReturn { order_id: order_id(), return_id: return_id() })
        .accepted(ReturnBegun { total: eur(500) })
        .sends("depot.ReturnItems")
        .accepted(ItemsReturnDone::default())
        .sends_exactly(RefundPayment { order_id: order_id(), return_id: return_id(), amount: eur(500) })
        .accepted(RefundDone { amount: eur(500) })
        .sends_exactly(MarkRefunded { order_id: order_id(), return_id: return_id() })
        .accepted(RefundMarked::default())
        .ends_completed();
}

#[test]
fn an_order_that_cannot_be_returned_stays_as_it_is() {
    given(&saga(), returned())
        .sends("orders.BeginReturn")
        .refused("orders.wrong_state")
        .ends_compensated("orders.wrong_state");
}

#[test]
fn a_return_that_the_depot_refuses_leaves_the_order_completed() {
    given(&saga(), returned())
        .sends("orders.BeginReturn")
        .accepted(ReturnBegun { total: eur(750) })
        .sends("depot.ReturnItems")
        .refused("depot.wrong_state")
        .sends_exactly(AbortReturn { order_id: order_id(), return_id: return_id(), reason: "no".into() })
        .accepted(ReturnAborted::default())
        .ends_compensated("depot.wrong_state");
}

#[test]
fn robots_that_take_long_to_bring_goods_back_cost_the_customer_nothing() {
    given(&saga(), returned())
        .sends("orders.BeginReturn")
        .accepted(ReturnBegun { total: eur(750) })
        .sends("depot.ReturnItems")
        .times_out()
        .sends("depot.ReturnItems")
        .accepted(ItemsReturnDone::default())
        .sends("payments.RefundPayment")
        .accepted(RefundDone { amount: eur(750) })
        .sends("orders.MarkRefunded")
        .accepted(RefundMarked::default())
        .ends_completed();
}

#[test]
fn a_refund_that_is_refused_when_the_goods_are_back_waits_for_a_person() {
    let _stuck = given(&saga(), returned())
        .sends("orders.BeginReturn")
        .accepted(ReturnBegun { total: eur(750) })
        .sends("depot.ReturnItems")
        .accepted(ItemsReturnDone::default())
        .sends("payments.RefundPayment")
        .refused("payments.refund_refused")
        .is_stuck_at("refund-payment");
}

#[test]
fn a_return_shares_its_orders_partition_but_not_its_business_key() {
    let saga = saga();
    let t = given(&saga, returned());
    let keys = (t.progress().key.clone(), t.progress().business_key.clone());
    assert_eq!(keys, (order_id().to_string(), return_id().to_string()));
}

#[test]
fn every_scenario_of_a_return_ends_with_a_clean_slate() {
    assert!(check(&saga(), &returned(), &script()) > 50);
}
