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
