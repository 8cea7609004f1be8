//! Everything payments says no to: stable codes, and sentences a person can read.

use super::Operation;
use message::Refusal;
use schemas::money::Money;

pub fn declined(reason: &str) -> Refusal {
    Refusal::new("payments.declined", format!("the payment was declined: {reason}"))
}

pub fn hold_expired() -> Refusal {
    Refusal::new("payments.hold_expired", "the money was held for too long and has been given free")
}

pub fn limit_exceeded(amount: Money, limit: i64) -> Refusal {
    let limit = Money::new(limit, amount.currency);
    Refusal::new("payments.limit_exceeded", format!("{amount} is above this customer's limit of {limit}"))
}

pub fn capture_refused(reason: &str, retryable: bool) -> Refusal {
    Refusal {
        retryable,
        ..Refusal::new("payments.capture_refused", format!("the money was not handed over: {reason}"))
    }
}

pub fn refund_refused(reason: &str, retryable: bool) -> Refusal {
    Refusal { retryable, ..Refusal::new("payments.refund_refused", format!("the money was not given back: {reason}")) }
}

/// The provider does not know of the operation, and too much time has passed to send it again under the same key.
pub fn not_carried_out(operation: Operation) -> Refusal {
    let message = format!("the payment provider knows of no {} and it is too late to repeat it", operation.as_str());
    Refusal::retryable("payments.not_carried_out", message)
}

pub fn already_captured() -> Refusal {
    Refusal::new("payments.already_captured", "the money was taken already; it can only be refunded")
}

pub fn not_authorized(status: &str) -> Refusal {
    Refusal::new("payments.not_authorized", format!("no money is held: the payment is {status}"))
}

pub fn exceeds_hold(amount: Money, held: Money) -> Refusal {
    Refusal::new("payments.exceeds_hold", format!("{amount} cannot be taken, {held} is held"))
}

pub fn refund_differs(amount: Money, captured: Money) -> Refusal {
    let message = format!("{amount} cannot be refunded: only whole orders are, and {captured} was taken");
    Refusal::new("payments.refund_differs", message)
}

pub fn bad_amount(amount: Money) -> Refusal {
    Refusal::new("payments.bad_amount", format!("{amount} is not an amount that can be paid"))
}

/// A transition that the state machine does not list.
pub fn wrong_state(what: &str, from: &str, to: &str) -> Refusal {
    Refusal::new("payments.wrong_state", format!("the {what} is {from} and cannot become {to}"))
}

pub fn unknown_payment() -> Refusal {
    Refusal::new("payments.unknown_payment", "no payment was asked for under this order")
}

pub fn invoice_differs(total: Money, expected: Money) -> Refusal {
    Refusal::new("payments.invoice_differs", format!("an invoice over {total} does not fit, it should be {expected}"))
}
