//! The sagas' commands: replies, events, repeats, undo before do, and what staff and customers ask for in between.

use super::*;
use schemas::{ids::ReturnId, text::Text};
use testkit::undo_ref;

fn text(s: &str) -> Text {
    Text::parse(s).unwrap()
}

async fn cancel(desk: &Desk, id: OrderId) -> Result<(), CallError> {
    desk.call(move |_, unit| handlers::cancel_order(unit, id, &text("too slow"), &text("customer"))).await
}

async fn ask_return(desk: &Desk, id: OrderId) -> Result<ReturnId, CallError> {
    desk.call(move |_, unit| handlers::request_return(unit, id, &text("broken"), &text("staff"))).await
}

#[tokio::test]
async fn an_order_goes_its_way_and_is_priced_anew_by_what_was_collected() {
    let desk = desk().await;
    let id = carried(&desk, OrderStatus::Completed).await;
    assert_eq!(desk.published::<wire::OrderApproved>().len(), 1);
    assert_eq!(desk.published::<wire::OrderShopping>().len(), 1);
    let ready = desk.published::<wire::OrderReady>().pop().unwrap();
    assert_eq!((ready.total, ready.bay, ready.missing), (eur(600), 4, vec![count(roses(), 2)]));
    assert_eq!(desk.published::<wire::OrderCompleted>(), [wire::OrderCompleted { order_id: id, total: eur(600) }]);
}

#[tokio::test]
async fn i7_a_repeated_command_is_answered_again_and_carried_out_once() {
    let desk = desk().await;
    let order_id = placed(&desk).await;
    let first = do_ref(order_id.into(), "approve-order");
    let again = message::SagaRef { attempt: 2, ..first.clone() };
    assert!(desk.ask(&first, wire::ApproveOrder { order_id }).await.is_ok());
    assert!(desk.ask(&again, wire::ApproveOrder { order_id }).await.is_ok());
    assert_eq!(desk.published::<wire::OrderApproved>().len(), 1);
}

#[tokio::test]
async fn i10_an_undo_before_its_do_bars_the_do() {
    let desk = desk().await;
    let order_id = placed(&desk).await;
    let (reason, saga) = ("no answer".to_owned(), Uuid::from(order_id));
    desk.ask(&undo_ref(saga, "approve-order"), wire::BeginCancel { order_id, reason }).await.unwrap();
    let late = do_ref(saga, "approve-order");
    desk.command(&late, wire::ApproveOrder { order_id }).await;
    assert_eq!(refused(&desk, &late), "platform.barred");
    assert_eq!(order(&desk, order_id).await.status, OrderStatus::Cancelling);
}

#[tokio::test]
async fn undoing_an_order_that_does_not_exist_is_fine_and_doing_is_refused() {
    let desk = desk().await;
    let (order_id, saga) = (OrderId::from(Uuid::from_u128(404)), Uuid::from_u128(404));
    let (code, reason) = ("payments.declined".to_owned(), "declined".to_owned());
    let close = wire::CloseOrder { order_id, code, reason: reason.clone(), cancelled: false };
    assert!(desk.ask(&undo_ref(saga, "order-placed"), close).await.is_ok());
    assert!(
        desk.ask(&undo_ref(saga, "approve-order"), wire::BeginCancel { order_id, reason: reason.clone() })
            .await
            .is_ok()
    );
    let return_id = Uuid::from_u128(1).into();
    assert!(desk.ask(&undo_ref(saga, "begin-return"), wire::AbortReturn { order_id, return_id, reason }).await.is_ok());
    let doing = do_ref(saga, "mark-shopping");
    desk.command(&doing, wire::MarkShopping { order_id }).await;
    assert_eq!(refused(&desk, &doing), "orders.unknown_order");
}

#[tokio::test]
async fn a_declined_order_is_rejected_with_its_reason() {
    let desk = desk().await;
    let order_id = placed(&desk).await;
    let (code, reason) = ("payments.declined".to_owned(), "the card was declined".to_owned());
    let close = wire::CloseOrder { order_id, code: code.clone(), reason: reason.clone(), cancelled: false };
    desk.ask(&undo_ref(order_id.into(), "order-placed"), close).await.unwrap();
    assert_eq!(order(&desk, order_id).await.code, code);
    assert_eq!(desk.published::<wire::OrderRejected>(), [wire::OrderRejected { order_id, code, reason }]);
}

#[tokio::test]
async fn an_approved_order_is_cancelled_in_two_steps() {
    let desk = desk().await;
    let order_id = carried(&desk, OrderStatus::Ready).await;
    let (saga, reason) = (Uuid::from(order_id), "too slow".to_owned());
    desk.ask(&undo_ref(saga, "approve-order"), wire::BeginCancel { order_id, reason: reason.clone() }).await.unwrap();
    assert_eq!(order(&desk, order_id).await.status, OrderStatus::Cancelling);
    let code = "orders.cancelled".to_owned();
    let close = wire::CloseOrder { order_id, code, reason: reason.clone(), cancelled: true };
    desk.ask(&undo_ref(saga, "order-placed"), close).await.unwrap();
    assert_eq!(order(&desk, order_id).await.status, OrderStatus::Cancelled);
    assert_eq!(desk.published::<wire::OrderCancelled>(), [wire::OrderCancelled { order_id, reason }]);
}

#[tokio::test]
async fn asking_to_cancel_tells_the_saga_once_and_changes_no_state() {
    let desk = desk().await;
    let id = placed(&desk).await;
    cancel(&desk, id).await.unwrap();
    cancel(&desk, id).await.unwrap();
    let asked = desk.published::<wire::CancelRequested>();
    assert_eq!(asked, [wire::CancelRequested { order_id: id, reason: "too slow".into(), by: "customer".into() }]);
    assert_eq!(order(&desk, id).await.status, OrderStatus::Pending);
}

#[tokio::test]
async fn an_order_at_its_end_cannot_be_cancelled() {
    let desk = desk().await;
    let id = carried(&desk, OrderStatus::Completed).await;
    assert_eq!(code(cancel(&desk, id).await), "orders.already_terminal");
    assert_eq!(code(cancel(&desk, Uuid::from_u128(404).into()).await), "orders.unknown_order");
    assert!(desk.published::<wire::CancelRequested>().is_empty());
}

#[tokio::test]
async fn a_completed_order_is_returned_and_refunded() {
    let desk = desk().await;
    let order_id = carried(&desk, OrderStatus::Completed).await;
    let return_id = ask_return(&desk, order_id).await.unwrap();
    let asked = desk.published::<wire::ReturnRequested>();
    assert_eq!((asked[0].return_id, asked[0].total), (return_id, eur(600)));
    let saga = Uuid::from(return_id);
    let begun = desk.ask(&do_ref(saga, "begin-return"), wire::BeginReturn { order_id, return_id }).await.unwrap();
    assert_eq!(begun.total, eur(600));
    desk.ask(&do_ref(saga, "mark-refunded"), wire::MarkRefunded { order_id, return_id }).await.unwrap();
    assert_eq!(desk.published::<wire::OrderRefunded>(), [wire::OrderRefunded { order_id, total: eur(600) }]);
}

#[tokio::test]
async fn an_order_is_returned_once_at_a_time_and_again_after_a_failure() {
    let desk = desk().await;
    let order_id = carried(&desk, OrderStatus::Completed).await;
    let return_id = ask_return(&desk, order_id).await.unwrap();
    assert_eq!(code(ask_return(&desk, order_id).await), "orders.return_under_way");
    let saga = Uuid::from(return_id);
    desk.ask(&do_ref(saga, "begin-return"), wire::BeginReturn { order_id, return_id }).await.unwrap();
    let abort = wire::AbortReturn { order_id, return_id, reason: "no robot".into() };
    desk.ask(&undo_ref(saga, "begin-return"), abort).await.unwrap();
    assert_eq!(order(&desk, order_id).await.status, OrderStatus::Completed);
    assert_eq!(desk.published::<wire::OrderReturnFailed>().len(), 1);
    assert!(ask_return(&desk, order_id).await.is_ok());
}

#[tokio::test]
async fn only_a_completed_order_can_be_returned() {
    let desk = desk().await;
    let id = placed(&desk).await;
    assert_eq!(code(ask_return(&desk, id).await), "orders.wrong_state");
    assert!(desk.published::<wire::ReturnRequested>().is_empty());
}
