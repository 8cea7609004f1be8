//! A provider that does not answer, and a process that dies while it waits: asked again, acted on once.

use super::*;

#[tokio::test]
async fn a_lost_answer_is_asked_for_and_the_provider_acts_once() {
    for token in ["tok_timeout", "tok_500", "tok_unavailable"] {
        let mut desk = Desk::new();
        desk.send("authorize", DO, 1, authorize(token)).await;
        assert_eq!(desk.work().await, [Outcome::Unanswered]);
        assert_eq!((desk.status().await, desk.later(9_999).await), ("authorizing", 0));
        assert_eq!(desk.later(1).await, 1);
        assert_eq!(desk.work().await, [Outcome::Answered], "{token}");
        assert_eq!(desk.status().await, "authorized");
        assert_eq!(desk.acquirer.ledger().len(), 1);
        desk.ledgers_agree().await;
    }
}

#[tokio::test]
async fn an_answer_that_gets_lost_is_asked_for_at_once_before_the_timer_is_needed() {
    let mut desk = Desk::over(MemoryStore::new(Payments::KINDS), MemoryAcquirer::new(), 3);
    desk.acquirer.next_unknown(1, true);
    desk.acquirer.next_unknown(1, false);
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    desk.send("capture", DO, 1, capture(100)).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.status().await, "captured");
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn the_workers_loop_serves_what_comes_until_it_is_stopped() {
    let mut desk = Desk::new();
    let worker = desk.worker.take().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ran = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    let mut commits = desk.shell.commits();
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    while desk.status().await != "authorized" {
        commits.changed().await.unwrap();
    }
    stop.send(()).unwrap();
    ran.await.unwrap();
}

#[tokio::test]
async fn a_provider_that_stays_silent_is_asked_until_it_speaks() {
    let mut desk = Desk::new();
    desk.acquirer.next_unknown(5, false);
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    assert_eq!(desk.work().await, [Outcome::Unanswered]);
    for _ in 0..4 {
        desk.later(300_000).await;
        assert_eq!(desk.work().await, [Outcome::Unanswered]);
    }
    desk.later(300_000).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.published().await, ["PaymentAuthorized", "authorize/do/1 -> PaymentHeld"]);
}

/// Sends a command that the provider does not answer five times. It is back then; by itself payments would ask 160 seconds
/// after it did last, and half a minute later it has not.
async fn unanswered<C: Command>(desk: &mut Desk, step: &str, direction: Direction, command: C) {
    desk.acquirer.next_unknown(5, false);
    desk.send(step, direction, 1, command).await;
    assert_eq!(desk.work().await, [Outcome::Unanswered]);
    for _ in 0..4 {
        desk.later(300_000).await;
        assert_eq!(desk.work().await, [Outcome::Unanswered]);
    }
    desk.later(30_000).await;
    assert_eq!(desk.work().await, []);
}

/// What is published when the command is sent once more.
async fn repeated<C: Command + Clone>(desk: &mut Desk, step: &str, direction: Direction, command: C) -> Vec<String> {
    unanswered(desk, step, direction, command.clone()).await;
    desk.send(step, direction, 1, command).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    desk.published().await
}

#[tokio::test]
async fn a_command_that_is_repeated_makes_its_question_be_put_again() {
    let mut desk = Desk::new();
    let held = repeated(&mut desk, "authorize", DO, authorize("tok_ok")).await;
    assert_eq!(held, ["PaymentAuthorized", "authorize/do/1 -> PaymentHeld"]);
    let taken = repeated(&mut desk, "capture", DO, capture(100)).await;
    assert_eq!(taken, ["PaymentCaptured", "capture/do/1 -> PaymentCollected"]);
    let refund = wire::RefundPayment { order_id: order(), return_id: Uuid::from_u128(5).into(), amount: eur(100) };
    let given_back = repeated(&mut desk, "refund", DO, refund).await;
    assert_eq!(given_back, ["PaymentRefunded", "refund/do/1 -> RefundDone"]);
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn an_undo_that_is_repeated_or_finds_its_hold_unknown_makes_the_question_be_put_again() {
    let mut desk = held("tok_ok").await;
    let voided = repeated(&mut desk, "authorize", UNDO, void()).await;
    assert_eq!(voided, ["PaymentVoided", "authorize/undo/1 -> PaymentReleased"]);

    let mut desk = Desk::new();
    unanswered(&mut desk, "authorize", DO, authorize("tok_ok")).await;
    desk.send("authorize", UNDO, 1, void()).await;
    assert_eq!(desk.work().await, [Outcome::Answered, Outcome::Answered]);
    assert_eq!(desk.status().await, "voided");
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn after_20_hours_nothing_is_sent_again_that_the_provider_does_not_know() {
    let mut desk = Desk::new();
    desk.acquirer.next_unknown(1, false);
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    desk.work().await;
    desk.later(20 * 3_600_000).await;
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.published().await, ["PaymentDeclined", "authorize/do/1 -> payments.not_carried_out"]);
    assert!(desk.acquirer.ledger().is_empty());
}

#[tokio::test]
async fn after_20_hours_what_the_provider_did_counts() {
    let mut desk = held("tok_ok").await;
    desk.acquirer.next_unknown(1, true);
    desk.send("capture", DO, 1, capture(100)).await;
    desk.work().await;
    desk.later(21 * 3_600_000).await;
    desk.work().await;
    assert_eq!(desk.published().await, ["PaymentCaptured", "capture/do/1 -> PaymentCollected"]);
    desk.ledgers_agree().await;
}

#[tokio::test]
async fn a_process_that_dies_with_its_questions_leaves_them_to_the_next() {
    let mut dead = Desk::new();
    dead.send("authorize", DO, 1, authorize("tok_ok")).await;
    let mut desk = Desk::over(dead.store().clone(), dead.acquirer.clone(), 1);
    assert_eq!(desk.work().await, []);
    assert_eq!(desk.later(10_000).await, 1);
    assert_eq!(desk.work().await, [Outcome::Answered]);
    assert_eq!(desk.published().await, ["PaymentAuthorized", "authorize/do/1 -> PaymentHeld"]);
    // The answer to the question of the dead one comes late, and again.
    assert_eq!(dead.work().await, [Outcome::Stale]);
    assert_eq!(desk.published().await, [] as [&str; 0]);
    assert_eq!(desk.acquirer.ledger().len(), 1);
}
