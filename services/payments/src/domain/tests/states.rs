//! Every state against every command and every answer, and what each leaves behind.

use super::*;

#[test]
fn all_ten_states_are_reached() {
    let mut names: Vec<_> = each_state().iter().map(|p| p.state.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 10);
}

#[test]
fn only_a_held_payment_is_captured() {
    let expired = [("expired", "payments.hold_expired")];
    let judged = codes(|p| p.capture(eur(80), cause("again")));
    assert_eq!(judged, expected(&["authorized"], &expired, "payments.wrong_state"));
}

#[test]
fn only_a_captured_payment_is_refunded() {
    let judged = codes(|p| p.refund(eur(80), cause("again")));
    assert_eq!(judged, expected(&["captured"], &[], "payments.wrong_state"));
}

#[test]
fn an_undo_is_refused_only_once_the_money_is_taken() {
    let judged = codes(|p| p.void(undo(2)));
    let ok = ["authorizing", "authorized", "declined", "capturing", "voiding", "voided", "expired"];
    assert_eq!(judged, expected(&ok, &[], "payments.already_captured"));
}

#[test]
fn a_customer_confirms_only_what_is_held_or_taken() {
    let judged = codes(|p| p.take("customer".into(), T0));
    assert_eq!(judged, expected(&["authorized", "capturing", "captured"], &[], "payments.not_authorized"));
}

#[test]
fn no_second_hold_is_asked_for_whatever_the_state() {
    for payment in each_state() {
        let refusal = payment.authorize_again();
        assert_eq!(refusal.code, "payments.wrong_state");
        assert!(refusal.message.contains(payment.state.name()) && refusal.message.contains("authorizing"));
    }
}

#[test]
fn an_answer_counts_only_in_the_unknown_state_that_waits_for_it() {
    for payment in each_state() {
        assert_eq!(payment.clone().heard(&cause("stranger").effect, done(), T0), None, "{}", payment.state.name());
        let key = cause("authorize").effect;
        let counts = payment.clone().heard(&key, done(), T0).is_some();
        assert_eq!(counts, payment.state.name() == "authorizing");
    }
}

#[test]
fn each_answer_leads_where_the_state_machine_says() {
    let all = [done(), no(false), Heard::HoldExpired, Heard::NotCarriedOut];
    for (unknown, ends) in [
        (authorizing(), ["authorized", "declined", "declined", "declined"]),
        (capturing(), ["captured", "authorized", "expired", "authorized"]),
        (refunding(), ["refunded", "captured", "captured", "captured"]),
    ] {
        let reached = all.clone().map(|heard| hear(unknown.clone(), heard).payment.state.name());
        assert_eq!(reached, ends, "from {}", unknown.state.name());
    }
    let key = undo(1).effect;
    assert_eq!(voiding().heard(&key, no(false), T0), None);
    for heard in [done(), Heard::HoldExpired, Heard::NotCarriedOut] {
        assert_eq!(hear(voiding(), heard).payment.state.name(), "voided");
    }
}

#[test]
fn every_answer_answers_the_command_once_with_what_happened() {
    let change = hear(authorizing(), done());
    let held = Reply::Held { provider_ref: "ref".into(), amount: eur(100) };
    assert_eq!(change.answers, [(cause("authorize").effect, Ok(held))]);
    assert_eq!(change.facts, [Fact::Authorized(eur(100))]);
    let change = hear(authorizing(), no(true));
    assert_eq!(change.answers[0].1.as_ref().unwrap_err().code, "payments.declined");
    assert!(change.answers[0].1.as_ref().unwrap_err().retryable);
    let change = hear(capturing(), done());
    assert_eq!(
        (change.answers[0].1.clone(), change.facts),
        (Ok(Reply::Collected(eur(80))), vec![Fact::Captured(eur(80))])
    );
    let change = hear(capturing(), Heard::HoldExpired);
    assert_eq!(change.answers[0].1.as_ref().unwrap_err().code, "payments.hold_expired");
    assert_eq!(change.facts, [Fact::Expired]);
    let change = hear(refunding(), done());
    assert_eq!(
        (change.answers[0].1.clone(), change.facts),
        (Ok(Reply::Refunded(eur(80))), vec![Fact::Refunded(eur(80))])
    );
}

#[test]
fn a_refused_capture_can_be_tried_again_under_a_new_key_and_a_refused_refund_too() {
    let change = hear(capturing(), no(true));
    let refusal = change.answers[0].1.clone().unwrap_err();
    assert_eq!((refusal.code.as_str(), refusal.retryable), ("payments.capture_refused", true));
    let again = Cause { effect: effect("capture", Direction::Do, 2), ..cause("capture") };
    let change = change.payment.capture(eur(80), again).unwrap();
    let keys: Vec<_> = change.payment.ledger.iter().map(|e| e.idempotency_key.clone()).collect();
    assert_eq!(keys.len(), 3);
    assert_ne!(keys[1], keys[2]);
    assert_eq!(hear(change.payment, done()).payment.state.name(), "captured");
    let change = hear(refunding(), no(true));
    assert_eq!(change.answers[0].1.clone().unwrap_err().code, "payments.refund_refused");
    assert!(change.payment.refund(eur(80), cause("refund-2")).is_ok());
}

#[test]
fn amounts_are_checked_before_the_provider_is_asked() {
    let code = |r: Result<Change, message::Refusal>| r.unwrap_err().code;
    assert_eq!(code(Payment::authorize(&policy(), new(10_001), cause("a"))), "payments.limit_exceeded");
    assert_eq!(code(Payment::authorize(&policy(), new(-1), cause("a"))), "payments.bad_amount");
    let poor = NewPayment { customer_ref: "poor".into(), ..new(11) };
    assert_eq!(code(Payment::authorize(&policy(), poor, cause("a"))), "payments.limit_exceeded");
    assert_eq!(code(authorized().capture(eur(101), cause("c"))), "payments.exceeds_hold");
    assert_eq!(code(authorized().capture(eur(-1), cause("c"))), "payments.bad_amount");
    let usd = Money::new(1, Currency::parse("USD").unwrap());
    assert_eq!(code(authorized().capture(usd, cause("c"))), "payments.exceeds_hold");
    assert_eq!(code(captured().refund(eur(79), cause("r"))), "payments.refund_differs");
    assert!(authorized().capture(eur(100), cause("c")).is_ok());
}

#[test]
fn an_undo_that_meets_an_open_hold_is_carried_out_and_answered_when_it_resolves() {
    let payment = later(authorizing().void(undo(1))).payment;
    let payment = later(payment.void(undo(1))).payment;
    let change = hear(payment.clone(), done());
    assert_eq!(change.payment.state.name(), "voiding");
    assert_eq!(change.answers.len(), 1);
    assert!(matches!(change.answers[0].1, Ok(Reply::Held { .. })));
    let ask = change.ask.clone().unwrap();
    assert_eq!((ask.operation, ask.effect), (Operation::Void, undo(1).effect));
    let ended = hear(change.payment, done());
    assert_eq!(ended.answers, [(undo(1).effect, Ok(Reply::Released))]);
    assert_eq!(ended.facts, [Fact::Voided]);

    let declined = hear(payment, no(false));
    assert_eq!(declined.payment.state.name(), "declined");
    assert_eq!(declined.answers[1], (undo(1).effect, Ok(Reply::Released)));
}

#[test]
fn an_undo_that_meets_an_open_capture_waits_for_what_it_turns_out_to_be() {
    let payment = later(capturing().void(undo(1))).payment;
    let taken = hear(payment.clone(), done());
    assert_eq!(taken.answers[1].1.clone().unwrap_err().code, "payments.already_captured");
    let refused = hear(payment.clone(), no(false));
    assert_eq!(refused.payment.state.name(), "voiding");
    assert_eq!(refused.ask.unwrap().operation, Operation::Void);
    let expired = hear(payment, Heard::HoldExpired);
    assert_eq!(expired.answers[1], (undo(1).effect, Ok(Reply::Released)));
}

#[test]
fn every_undo_that_waited_is_answered() {
    let payment = later(authorizing().void(undo(1))).payment;
    let payment = later(payment.void(undo(2))).payment;
    let change = hear(payment, done());
    let payment = later(change.payment.void(undo(3))).payment;
    let answered: Vec<_> = hear(payment, done()).answers.into_iter().map(|(effect, _)| effect.round).collect();
    assert_eq!(answered, [1, 2, 3]);
}

#[test]
fn a_confirmation_counts_once() {
    let change = authorized().take("customer".into(), T0).unwrap().unwrap();
    assert_eq!(change.facts, [Fact::Taken { by: "customer".into() }]);
    assert_eq!(change.payment.take("staff".into(), T0), Ok(None));
}

#[test]
fn the_ledger_says_what_is_known_of_each_operation() {
    let statuses = |p: Payment| p.ledger.iter().map(|e| (e.operation.as_str(), e.status.as_str())).collect::<Vec<_>>();
    assert_eq!(statuses(authorizing()), [("authorize", "unknown")]);
    assert_eq!(statuses(hear(authorizing(), no(false)).payment), [("authorize", "refused")]);
    let all = [("authorize", "done"), ("capture", "done"), ("refund", "done")];
    assert_eq!(statuses(hear(refunding(), done()).payment), all);
    let gone = hear(voiding(), Heard::HoldExpired).payment;
    assert_eq!(statuses(gone), [("authorize", "done"), ("void", "refused")]);
}

#[test]
fn the_token_is_kept_only_while_it_is_needed() {
    let json = |p: &Payment| serde_json::to_string(p).unwrap();
    assert!(json(&authorizing()).contains("tok_ok"));
    for payment in each_state().into_iter().filter(|p| p.state.name() != "authorizing") {
        assert!(!json(&payment).contains("tok_ok"), "{}", payment.state.name());
        assert_eq!(serde_json::from_str::<Payment>(&json(&payment)).unwrap(), payment);
    }
}
