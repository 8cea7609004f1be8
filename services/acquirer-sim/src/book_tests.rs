//! Properties of the books: each operation once, keys honoured for a day, a reload that changes nothing.

use super::*;

const HOLD_MS: i64 = 1_000_000_000;

fn book() -> Book {
    Book::new("r".into(), HOLD_MS)
}

fn ask(key: &str, now_ms: i64) -> Ask<'_> {
    Ask { key, request_hash: 1, now_ms }
}

fn new(token: &str) -> NewHold {
    NewHold { reference: "order-1".into(), amount: 100, currency: "EUR".into(), token: token.into() }
}

fn verdict(reaction: &Reaction) -> Verdict {
    match &reaction.answer {
        Answer::Decided { verdict, .. } => *verdict,
        other => panic!("{other:?}"),
    }
}

fn held(book: &mut Book, token: &str) -> String {
    match book.authorize(ask("a", 0), &new(token)).answer {
        Answer::Decided { entry, verdict: Verdict::Done } => entry.provider_ref,
        other => panic!("{other:?}"),
    }
}

fn change(book: &mut Book, key: &str, at: &str, operation: Operation, amount: i64) -> Verdict {
    verdict(&book.change(ask(key, 1), at, operation, amount))
}

fn status(book: &Book, now_ms: i64) -> HoldStatus {
    book.by_reference("order-1", now_ms).unwrap().status
}

fn provider_ref(line: &Line) -> String {
    match line {
        Line::Decided(decided) => decided.entry.provider_ref.clone(),
        Line::TurnedAway { .. } => panic!("{line:?}"),
    }
}

/// What a restart makes of the journal.
fn rebuilt(lines: &[Line]) -> Book {
    let mut book = book();
    for line in lines {
        let text = serde_json::to_string(line).unwrap();
        book.replay(&serde_json::from_str(&text).unwrap()).unwrap();
    }
    book
}

#[test]
fn money_is_held_taken_and_given_back() {
    let mut book = book();
    let at = held(&mut book, "tok_ok");
    assert_eq!(status(&book, 1), HoldStatus::Held);
    assert_eq!(change(&mut book, "c", &at, Operation::Capture, 80), Verdict::Done);
    assert_eq!(change(&mut book, "v", &at, Operation::Void, 0), Verdict::AlreadyCaptured);
    assert_eq!(change(&mut book, "r1", &at, Operation::Refund, 81), Verdict::ExceedsCapture);
    assert_eq!(change(&mut book, "r2", &at, Operation::Refund, 80), Verdict::Done);
    assert_eq!(status(&book, 1), HoldStatus::Refunded);
    assert_eq!(book.ledger(0, 10).len(), 5);
}

#[test]
fn nothing_is_captured_that_is_not_held() {
    let mut book = book();
    let at = held(&mut book, "tok_ok");
    assert_eq!(change(&mut book, "c1", &at, Operation::Capture, 101), Verdict::ExceedsHold);
    assert_eq!(change(&mut book, "v", &at, Operation::Void, 0), Verdict::Done);
    assert_eq!(change(&mut book, "c2", &at, Operation::Capture, 1), Verdict::NotHeld);
    assert_eq!(change(&mut book, "r", &at, Operation::Refund, 1), Verdict::NotCaptured);
    assert_eq!(change(&mut book, "v2", &at, Operation::Void, 0), Verdict::Done);
}

#[test]
fn an_old_hold_cannot_be_captured_but_can_be_voided() {
    let mut book = book();
    let at = held(&mut book, "tok_ok");
    assert_eq!(status(&book, HOLD_MS), HoldStatus::Expired);
    let late = book.change(ask("c", HOLD_MS), &at, Operation::Capture, 1);
    assert_eq!(verdict(&late), Verdict::HoldExpired);
    assert_eq!(verdict(&book.change(ask("v", HOLD_MS), &at, Operation::Void, 0)), Verdict::Done);
}

#[test]
fn a_key_is_answered_alike_for_a_day_and_acts_again_after_it() {
    let mut book = book();
    held(&mut book, "tok_ok");
    let again = book.authorize(ask("a", KEY_KEEP_MS - 1), &new("tok_ok"));
    assert_eq!((verdict(&again), again.line.is_none()), (Verdict::Done, true));
    assert_eq!(book.ledger(0, 10).len(), 1);
    assert!(book.authorize(ask("a", KEY_KEEP_MS), &new("tok_ok")).line.is_some());
    assert_eq!(book.ledger(0, 10).len(), 2);
}

#[test]
fn a_key_with_another_request_is_refused() {
    let mut book = book();
    held(&mut book, "tok_ok");
    let other = book.authorize(Ask { key: "a", request_hash: 2, now_ms: 1 }, &new("tok_ok"));
    assert!(matches!(other.answer, Answer::KeyReused));
}

#[test]
fn a_flaky_capture_works_with_a_new_key_and_a_refused_one_never_does() {
    let mut book = book();
    let at = held(&mut book, "tok_capture_flaky");
    assert_eq!(change(&mut book, "c1", &at, Operation::Capture, 1), Verdict::CaptureTryAgain);
    assert_eq!(change(&mut book, "c1", &at, Operation::Capture, 1), Verdict::CaptureTryAgain);
    assert_eq!(change(&mut book, "c2", &at, Operation::Capture, 1), Verdict::Done);
    let mut book = self::book();
    let at = held(&mut book, "tok_capture_refused");
    assert_eq!(change(&mut book, "c1", &at, Operation::Capture, 1), Verdict::CaptureRefused);
    assert_eq!(change(&mut book, "c2", &at, Operation::Capture, 1), Verdict::CaptureRefused);
    assert_eq!(change(&mut book, "v", &at, Operation::Void, 0), Verdict::Done);
}

#[test]
fn a_decline_holds_nothing_and_is_known_by_its_reference() {
    let mut book = book();
    assert_eq!(verdict(&book.authorize(ask("a", 0), &new("tok_declined"))), Verdict::CardDeclined);
    assert_eq!(status(&book, 1), HoldStatus::Declined);
}

#[test]
fn an_unavailable_acquirer_does_not_act_and_does_so_when_asked_again() {
    let mut book = book();
    let away = book.authorize(ask("a", 0), &new("tok_unavailable"));
    assert!(matches!(away.answer, Answer::TurnedAway));
    assert_eq!(book.by_reference("order-1", 0), None);
    assert_eq!(verdict(&book.authorize(ask("a", 0), &new("tok_unavailable"))), Verdict::Done);
}

#[test]
fn a_hold_that_the_acquirer_does_not_give_up_stands_until_it_was_asked_often() {
    let mut book = book();
    let at = held(&mut book, "tok_void_unavailable");
    for _ in 0..VOIDS_TURNED_AWAY {
        assert!(matches!(book.change(ask("v", 1), &at, Operation::Void, 0).answer, Answer::TurnedAway));
        assert_eq!(status(&book, 1), HoldStatus::Held);
    }
    assert_eq!(change(&mut book, "v", &at, Operation::Void, 0), Verdict::Done);
    assert_eq!(status(&book, 1), HoldStatus::Voided);
}

#[test]
fn a_restart_does_not_forget_how_often_a_call_was_turned_away() {
    let mut book = book();
    let opened = book.authorize(ask("a", 0), &new("tok_void_unavailable")).line.unwrap();
    let (at, mut lines) = (provider_ref(&opened), vec![opened]);
    for _ in 0..VOIDS_TURNED_AWAY {
        let mut book = rebuilt(&lines);
        let reaction = book.change(ask("v", 1), &at, Operation::Void, 0);
        assert!(matches!(reaction.answer, Answer::TurnedAway));
        lines.extend(reaction.line);
    }
    assert_eq!(change(&mut rebuilt(&lines), "v", &at, Operation::Void, 0), Verdict::Done);
}

#[test]
fn references_of_another_run_are_unknown() {
    let mut book = book();
    held(&mut book, "tok_ok");
    for stranger in ["hold_x_0", "hold_r_1", "hold_r0", "r_0", ""] {
        let answer = book.change(ask("c", 1), stranger, Operation::Capture, 1).answer;
        assert!(matches!(answer, Answer::UnknownHold), "{stranger}");
    }
}

#[test]
fn books_rebuilt_from_their_lines_are_the_same() {
    let mut book = book();
    let mut lines = Vec::new();
    lines.extend(book.authorize(ask("a", 0), &new("tok_capture_flaky")).line);
    let at = provider_ref(&lines[0]);
    lines.extend(book.change(ask("c1", 1), &at, Operation::Capture, 90).line);
    lines.extend(book.change(ask("c2", 2), &at, Operation::Capture, 90).line);
    let mut again = rebuilt(&lines);
    assert_eq!(again.ledger(0, 10), book.ledger(0, 10));
    assert_eq!(again.by_reference("order-1", 3), book.by_reference("order-1", 3));
    assert!(again.change(ask("c2", 3), &at, Operation::Capture, 90).line.is_none());
    assert_eq!(change(&mut again, "r", &at, Operation::Refund, 90), Verdict::Done);
}
