//! The state machines of payment and invoice: every state against every event, and what each says no to.

mod invoice;
mod questions;
mod states;

use super::*;
use message::{Direction, EffectKey};
use schemas::{
    ids::OrderId,
    lines::OrderLine,
    money::{Currency, Money},
    quantity::Quantity,
};
use std::collections::HashMap;
use uuid::Uuid;

const T0: i64 = 1_000_000;
const HOLD_MS: i64 = 7 * 24 * 3_600_000;

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn policy() -> Policy {
    Policy { limit: 10_000, limits: HashMap::from([("poor".into(), 10)]), hold_ms: HOLD_MS }
}

fn effect(step: &str, direction: Direction, round: u32) -> EffectKey {
    EffectKey { saga_id: Uuid::from_u128(9), step: step.into(), direction, round }
}

fn cause(step: &str) -> Cause {
    Cause { effect: effect(step, Direction::Do, 1), trace: Some("trace".into()), now_ms: T0 }
}

fn undo(round: u32) -> Cause {
    Cause { effect: effect("authorize", Direction::Undo, round), trace: None, now_ms: T0 + 5 }
}

fn new(amount: i64) -> NewPayment {
    NewPayment {
        order_id: OrderId::from(Uuid::from_u128(1)),
        amount: eur(amount),
        token: "tok_ok".into(),
        customer_ref: "c".into(),
    }
}

fn authorizing() -> Payment {
    Payment::authorize(&policy(), new(100), cause("authorize")).unwrap().payment
}

fn done() -> Heard {
    Heard::Done { provider_ref: "ref".into() }
}

fn no(retryable: bool) -> Heard {
    Heard::Refused { reason: "because".into(), retryable }
}

/// The payment's open question answered.
fn hear(payment: Payment, heard: Heard) -> Change {
    let key = payment.state.open().expect("an unknown state").1.effect.clone();
    payment.heard(&key, heard, T0 + 7).expect("an answer that counts")
}

fn authorized() -> Payment {
    hear(authorizing(), done()).payment
}

fn capturing() -> Payment {
    authorized().capture(eur(80), cause("capture")).unwrap().payment
}

fn captured() -> Payment {
    hear(capturing(), done()).payment
}

fn refunding() -> Payment {
    captured().refund(eur(80), cause("refund")).unwrap().payment
}

fn later(voided: Result<Voided, message::Refusal>) -> Change {
    match voided {
        Ok(Voided::Later(change)) => *change,
        other => panic!("{other:?}"),
    }
}

fn voiding() -> Payment {
    later(authorized().void(undo(1))).payment
}

fn each_state() -> Vec<Payment> {
    vec![
        authorizing(),
        authorized(),
        hear(authorizing(), no(false)).payment,
        capturing(),
        captured(),
        voiding(),
        hear(voiding(), done()).payment,
        refunding(),
        hear(refunding(), done()).payment,
        authorized().wake(T0 + HOLD_MS).unwrap().payment,
    ]
}

fn codes<T: std::fmt::Debug>(outcome: impl Fn(Payment) -> Result<T, message::Refusal>) -> Vec<(&'static str, String)> {
    let judge = |p: Payment| (p.state.name(), outcome(p).map_or_else(|r| r.code, |_| "ok".to_owned()));
    each_state().into_iter().map(judge).collect()
}

fn expected(ok: &[&'static str], refusals: &[(&'static str, &str)], otherwise: &str) -> Vec<(&'static str, String)> {
    let code = |state: &'static str| {
        let listed = refusals.iter().find(|(s, _)| *s == state).map(|(_, code)| *code);
        if ok.contains(&state) { "ok" } else { listed.unwrap_or(otherwise) }
    };
    each_state().iter().map(|p| p.state.name()).map(|s| (s, code(s).to_owned())).collect()
}
