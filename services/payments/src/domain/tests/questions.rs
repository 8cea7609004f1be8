//! Time passing: questions that are put again, keys that grow too old, holds that expire, queries that settle.

use super::*;

#[test]
fn an_unanswered_question_is_put_again_ever_more_slowly_and_asks_before_it_sends() {
    let mut payment = authorizing();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let due = payment.wake_at_ms().unwrap();
        assert_eq!(payment.clone().wake(due - 1), None);
        let change = payment.wake(due).unwrap();
        assert_eq!(change.ask.unwrap().how, How::QueryThenSend);
        payment = change.payment;
        pauses.push((payment.wake_at_ms().unwrap() - due) / 1_000);
    }
    assert_eq!(pauses, [20, 40, 80, 160, 300, 300, 300, 300]);
    assert_eq!(payment.ledger.len(), 1);
}

#[test]
fn a_question_that_somebody_waits_for_is_put_again_but_not_just_after_it_was_put() {
    let mut payment = authorizing();
    for _ in 0..4 {
        let due = payment.wake_at_ms().unwrap();
        payment = payment.wake(due).unwrap().payment;
    }
    let put = payment.wake_at_ms().unwrap() - 160_000;
    for (at, asks, next) in [(9_999, None, 10_000), (10_000, Some(How::QueryThenSend), 20_000)] {
        let change = payment.clone().asked_again(put + at).unwrap();
        assert_eq!(change.ask.map(|ask| ask.how), asks);
        assert_eq!(change.payment.wake_at_ms(), Some(put + next), "the pauses begin anew");
        assert_eq!(change.payment.ledger.len(), 1);
    }
    assert!(authorized().asked_again(i64::MAX).is_none());
}

#[test]
fn between_the_last_that_is_sent_and_the_question_what_became_of_it_is_the_longest_pause() {
    let old = T0 + 20 * 3_600_000;
    // However long before the keys' end it was sent last, whether the timers are late, and whether somebody is impatient.
    for (last, late, impatient) in
        (0..400).flat_map(|s| [(s, 0, true), (s, 0, false), (s, 250, false), (s, 20_000, true)])
    {
        let mut payment = authorizing().asked_again(old - 1 - last * 1_000).unwrap().payment;
        let mut sent_ms = old - 1 - last * 1_000;
        let mut now = sent_ms;
        loop {
            now = if impatient { now + 7_000 } else { payment.wake_at_ms().unwrap() } + late;
            let woken = payment.clone().wake(now);
            let Some(change) = woken.or_else(|| payment.clone().asked_again(now)) else {
                panic!("it waits for nothing")
            };
            payment = change.payment;
            match change.ask.map(|ask| ask.how) {
                Some(How::QueryOnly) => break,
                Some(_) => sent_ms = now,
                None => {}
            }
        }
        assert!(sent_ms < old && now >= old && now - sent_ms >= 300_000, "{now} after {sent_ms}");
    }
}

#[test]
fn another_attempt_to_undo_is_an_impatient_question_too() {
    let late = |effect: &Cause| Cause { now_ms: T0 + 10_005, ..effect.clone() };
    let change = later(voiding().void(late(&undo(2))));
    assert_eq!(change.ask.map(|ask| (ask.operation, ask.effect)), Some((Operation::Void, undo(1).effect)));
    let soon = later(voiding().void(undo(2)));
    assert_eq!(soon.ask, None);
    for payment in [change.payment, soon.payment] {
        assert_eq!(payment.state.open().unwrap().1.voids, [undo(2).effect]);
    }
}

#[test]
fn nothing_is_sent_again_blindly_once_the_provider_may_have_forgotten_the_key() {
    for unknown in [authorizing(), capturing(), refunding()] {
        let how = |at| unknown.clone().wake(at).unwrap().ask.unwrap().how;
        assert_eq!(how(T0 + 20 * 3_600_000 - 1), How::QueryThenSend);
        assert_eq!(how(T0 + 20 * 3_600_000), How::QueryOnly);
    }
}

#[test]
fn a_hold_expires_by_itself_and_not_while_a_capture_is_open() {
    let change = authorized().wake(T0 + HOLD_MS).unwrap();
    assert_eq!((change.payment.state.name(), change.facts), ("expired", vec![Fact::Expired]));
    assert_eq!(authorized().wake(T0 + HOLD_MS - 1), None);
    let late = Cause { now_ms: T0 + HOLD_MS, ..cause("capture") };
    assert_eq!(authorized().capture(eur(1), late).unwrap_err().code, "payments.hold_expired");
    assert_eq!(capturing().wake(T0 + HOLD_MS).unwrap().payment.state.name(), "capturing");
    for settled in each_state().into_iter().filter(|p| p.wake_at_ms().is_none()) {
        assert_eq!(settled.wake(i64::MAX), None);
    }
}

#[test]
fn a_query_settles_each_operation_or_says_that_it_was_not_done() {
    use KnownStatus as K;
    let all = [K::Held, K::Declined, K::Captured, K::Voided, K::Refunded, K::Expired];
    let read = |operation| {
        let known = all.map(|status| Some(Known { provider_ref: "ref".into(), status })).into_iter().chain([None]);
        let short = |settled| match settled {
            Settled::NotDone => '-',
            Settled::Heard(Heard::Done { .. }) => 'd',
            Settled::Heard(Heard::Refused { .. }) => 'r',
            Settled::Heard(Heard::HoldExpired) => 'x',
            Settled::Heard(Heard::NotCarriedOut) => '?',
        };
        known.map(|k| short(settle(operation, k.as_ref()))).collect::<String>()
    };
    // held, declined, captured, voided, refunded, expired, unknown
    assert_eq!(read(Operation::Authorize), "drdrdr-");
    assert_eq!(read(Operation::Capture), "-rdrdx-");
    assert_eq!(read(Operation::Void), "-xrdrxx");
    assert_eq!(read(Operation::Refund), "rr-rdr-");
}
