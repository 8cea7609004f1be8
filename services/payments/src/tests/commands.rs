//! Each command with its answers and events, from hold to refund.

use super::*;

#[tokio::test]
async fn a_payment_is_held_captured_invoiced_and_refunded() {
    let mut desk = held("tok_ok").await;
    desk.send("capture", DO, 1, capture(80)).await;
    assert_eq!(desk.status().await, "capturing");
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.published().await, ["PaymentCaptured", "capture/do/1 -> PaymentCollected"]);
    let line = OrderLine {
        product_id: Uuid::from_u128(3).into(),
        store_id: Uuid::from_u128(4).into(),
        name: "Tea".into(),
        quantity: Quantity::try_from(2).unwrap(),
        price: eur(40),
        volume_ml: 1,
    };
    let issue = wire::IssueInvoice { order_id: order(), lines: vec![line], total: eur(80) };
    desk.send("invoice", DO, 1, issue.clone()).await;
    desk.send("invoice", DO, 2, issue).await;
    assert_eq!(
        desk.published().await,
        ["InvoiceIssued", "invoice/do/1 -> InvoiceReady", "invoice/do/2 -> InvoiceReady"]
    );
    let refund = wire::RefundPayment { order_id: order(), return_id: Uuid::from_u128(5).into(), amount: eur(80) };
    desk.send("refund", DO, 1, refund).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentRefunded", "InvoiceCredited", "refund/do/1 -> RefundDone"]);
    let invoice = desk.shell.get::<Invoice>(order().into()).await.unwrap().unwrap();
    assert_eq!(invoice.status.name(), "credited");
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn i7_a_repeated_command_is_carried_out_once_and_answered_alike() {
    let mut desk = Desk::new();
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    let published = desk.published().await;
    let answer = "authorize/do/1 -> PaymentHeld";
    assert_eq!(published, ["PaymentAuthorized", answer, answer]);
    assert_eq!(desk.acquirer.ledger().len(), 1);
}

#[tokio::test]
async fn refusals_are_answers_and_leave_nothing_behind() {
    let mut desk = Desk::new();
    let dear = wire::AuthorizePayment { amount: eur(100_000_000), ..authorize("tok_ok") };
    desk.send("authorize", DO, 1, dear).await;
    assert_eq!(desk.work().await, []);
    assert_eq!(desk.published().await, ["authorize/do/1 -> payments.limit_exceeded"]);
    assert_eq!(desk.shell.get::<Payment>(order().into()).await.unwrap(), None);
    desk.send("capture", DO, 1, capture(1)).await;
    desk.send("authorize", UNDO, 1, void()).await;
    let refusal = "capture/do/1 -> payments.unknown_payment";
    assert_eq!(desk.published().await, [refusal, "authorize/undo/1 -> PaymentReleased"]);
}

#[tokio::test]
async fn a_declined_card_is_refused_and_its_undo_is_ok() {
    let mut desk = Desk::new();
    desk.send("authorize", DO, 1, authorize("tok_declined")).await;
    desk.work().await;
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(
        desk.published().await,
        ["PaymentDeclined", "authorize/do/1 -> payments.declined", "authorize/undo/1 -> PaymentReleased"]
    );
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn i10_an_undo_before_its_do_bars_the_do() {
    let mut desk = Desk::new();
    desk.send("authorize", UNDO, 1, void()).await;
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    assert_eq!(desk.work().await, []);
    let barred = "authorize/do/1 -> platform.barred";
    assert_eq!(desk.published().await, ["authorize/undo/1 -> PaymentReleased", barred]);
}

#[tokio::test]
async fn an_undo_that_meets_an_open_hold_is_carried_out_when_the_provider_has_answered() {
    let mut desk = Desk::new();
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(desk.published().await, [] as [&str; 0]);
    assert_eq!(desk.work().await, [Outcome::Answered, Outcome::Answered]);
    assert_eq!(
        desk.published().await,
        ["PaymentAuthorized", "authorize/do/1 -> PaymentHeld", "PaymentVoided", "authorize/undo/1 -> PaymentReleased"]
    );
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn a_flaky_capture_is_refused_and_works_in_the_next_round() {
    let mut desk = held("tok_capture_flaky").await;
    desk.send("capture", DO, 1, capture(100)).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["capture/do/1 -> payments.capture_refused"]);
    desk.send("capture", DO, 2, capture(100)).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentCaptured", "capture/do/2 -> PaymentCollected"]);
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn a_capture_refused_for_good_can_be_undone() {
    let mut desk = held("tok_capture_refused").await;
    desk.send("capture", DO, 1, capture(100)).await;
    desk.work().await;
    desk.send("authorize", UNDO, 1, void()).await;
    desk.work().await;
    assert_eq!(
        desk.published().await,
        ["capture/do/1 -> payments.capture_refused", "PaymentVoided", "authorize/undo/1 -> PaymentReleased"]
    );
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn an_undo_of_taken_money_is_refused() {
    let mut desk = held("tok_ok").await;
    desk.send("capture", DO, 1, capture(100)).await;
    desk.send("authorize", UNDO, 1, void()).await;
    desk.work().await;
    let refused = "authorize/undo/1 -> payments.already_captured";
    assert_eq!(desk.published().await, ["PaymentCaptured", "capture/do/1 -> PaymentCollected", refused]);
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(desk.published().await, [refused]);
}

#[tokio::test]
async fn a_hold_expires_after_its_time_and_its_capture_is_refused() {
    let mut desk = held("tok_ok").await;
    // The timer of the question fires first, and finds nothing to do.
    desk.later(10_000).await;
    assert_eq!((desk.status().await, desk.published().await.len()), ("authorized", 0));
    desk.later(7 * 24 * 3_600_000).await;
    desk.send("capture", DO, 1, capture(100)).await;
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(
        desk.published().await,
        ["PaymentExpired", "capture/do/1 -> payments.hold_expired", "authorize/undo/1 -> PaymentReleased"]
    );
}

#[tokio::test]
async fn a_hold_that_the_provider_gave_up_early_is_expired_by_its_answer() {
    let mut desk = held("tok_ok").await;
    desk.acquirer.expire(&order().to_string());
    desk.send("capture", DO, 1, capture(100)).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentExpired", "capture/do/1 -> payments.hold_expired"]);
    assert_eq!(desk.status().await, "expired");
}
