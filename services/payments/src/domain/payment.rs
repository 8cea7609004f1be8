//! The payment: one an order. In an *unknown* state (authorizing, capturing, voiding, refunding) the provider may or may
//! not have acted; only its answer leads out of it (see `answers.rs`).

use super::{Ask, Cause, Change, Entry, EntryStatus, Fact, How, Operation, Reply, refusals};
use message::{EffectKey, Refusal};
use schemas::{ids::OrderId, money::Money};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// An unanswered question is put again after this, then after twice as long, and so on.
pub const ASK_AGAIN_MS: i64 = 10_000;
/// The longest pause between two questions.
pub const ASK_AGAIN_AT_MOST_MS: i64 = 300_000;
/// Providers forget idempotency keys after 24 h; from here on nothing is sent again blindly.
pub const RESEND_WITHIN_MS: i64 = 20 * 3_600_000;

/// What the mall allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The most one payment may be, minor units of whatever currency.
    pub limit: i64,
    /// Customers with a limit of their own.
    pub limits: HashMap<String, i64>,
    /// How long providers keep a hold.
    pub hold_ms: i64,
}

/// What a payment is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPayment {
    pub order_id: OrderId,
    pub amount: Money,
    pub token: String,
    pub customer_ref: String,
}

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    pub order_id: OrderId,
    pub customer_ref: String,
    /// What is, or was to be, held.
    pub amount: Money,
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<String>,
    /// Set when the customer confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Money>,
    /// What the provider said no to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// When the provider gives the hold up.
    pub expires_at_ms: i64,
    pub ledger: Vec<Entry>,
    pub updated_at_ms: i64,
    /// Rises with every change.
    pub version: i64,
}

/// Who confirmed, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub by: String,
    pub at_ms: i64,
}

/// Where the payment stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Authorizing(Open),
    Authorized,
    Declined,
    Capturing(Open),
    Captured,
    Voiding(Open),
    Voided,
    Refunding(Open),
    Refunded,
    Expired,
}

/// A question to the provider that is not answered yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// The command to answer; its text is the provider's idempotency key.
    pub effect: EffectKey,
    /// Undo commands that came meanwhile: carried out and answered once this is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voids: Vec<EffectKey>,
    pub amount: Money,
    /// Kept only while the hold is being asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub since_ms: i64,
    /// How often it was put since somebody last grew impatient.
    pub asked: u32,
    /// When it was put last.
    #[serde(default)]
    pub put_ms: i64,
    /// When it is put again by itself.
    pub next_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// How an undo was met.
#[derive(Debug, PartialEq)]
pub enum Voided {
    /// Nothing is held: answer at once.
    Already,
    /// It will be answered.
    Later(Box<Change>),
}

impl Open {
    fn may_send(&self, now_ms: i64) -> bool {
        now_ms - self.since_ms < RESEND_WITHIN_MS
    }

    /// From the `asked`-th time that the question is put to the next.
    fn pause_ms(asked: u32) -> i64 {
        ASK_AGAIN_MS.saturating_mul(1 << asked.saturating_sub(1).min(16)).min(ASK_AGAIN_AT_MOST_MS)
    }

    /// The earliest that it may be put again. Before it is asked for the first time what became of all that was sent, the
    /// last of that must have arrived, which may have waited for its turn: then the pause is the longest.
    fn again_ms(&self, now_ms: i64) -> i64 {
        self.put_ms + if self.may_send(now_ms) { ASK_AGAIN_MS } else { ASK_AGAIN_AT_MOST_MS }
    }
}

impl State {
    /// The state's name, as in the domain's state machine.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Authorizing(_) => "authorizing",
            Self::Authorized => "authorized",
            Self::Declined => "declined",
            Self::Capturing(_) => "capturing",
            Self::Captured => "captured",
            Self::Voiding(_) => "voiding",
            Self::Voided => "voided",
            Self::Refunding(_) => "refunding",
            Self::Refunded => "refunded",
            Self::Expired => "expired",
        }
    }

    /// The open question, with what it is about.
    pub fn open(&self) -> Option<(Operation, &Open)> {
        match self {
            Self::Authorizing(open) => Some((Operation::Authorize, open)),
            Self::Capturing(open) => Some((Operation::Capture, open)),
            Self::Voiding(open) => Some((Operation::Void, open)),
            Self::Refunding(open) => Some((Operation::Refund, open)),
            Self::Authorized | Self::Declined | Self::Captured | Self::Voided | Self::Refunded | Self::Expired => None,
        }
    }

    pub(super) fn unknown(operation: Operation, open: Open) -> Self {
        match operation {
            Operation::Authorize => Self::Authorizing(open),
            Operation::Capture => Self::Capturing(open),
            Operation::Void => Self::Voiding(open),
            Operation::Refund => Self::Refunding(open),
        }
    }
}

impl Payment {
    /// Asks for a hold: a new payment, authorizing.
    pub fn authorize(policy: &Policy, new: NewPayment, cause: Cause) -> Result<Change, Refusal> {
        let limit = policy.limits.get(&new.customer_ref).copied().unwrap_or(policy.limit);
        if new.amount.amount < 0 {
            return Err(refusals::bad_amount(new.amount));
        }
        if new.amount.amount > limit {
            return Err(refusals::limit_exceeded(new.amount, limit));
        }
        let payment = Self {
            order_id: new.order_id,
            customer_ref: new.customer_ref,
            amount: new.amount,
            // Replaced by `open`.
            state: State::Declined,
            provider_ref: None,
            taken: None,
            captured: None,
            refunded: None,
            refused: None,
            expires_at_ms: cause.now_ms + policy.hold_ms,
            ledger: Vec::with_capacity(2),
            updated_at_ms: cause.now_ms,
            version: 0,
        };
        Ok(payment.open(Operation::Authorize, new.amount, Some(new.token), cause))
    }

    /// A second hold for the same order is never asked for.
    pub fn authorize_again(&self) -> Refusal {
        self.cannot_become("authorizing")
    }

    /// Gives the hold up. While the provider's answer to a hold or a capture is awaited, the undo is noted, and the question
    /// [put again](Payment::asked_again).
    pub fn void(mut self, cause: Cause) -> Result<Voided, Refusal> {
        match &mut self.state {
            State::Authorized => {
                let amount = self.amount;
                Ok(Voided::Later(Box::new(self.open(Operation::Void, amount, None, cause))))
            }
            State::Authorizing(open) | State::Capturing(open) | State::Voiding(open) => {
                if open.effect != cause.effect && !open.voids.contains(&cause.effect) {
                    open.voids.push(cause.effect);
                }
                let noted = Change::to(self.clone().changed(cause.now_ms));
                Ok(Voided::Later(Box::new(self.asked_again(cause.now_ms).unwrap_or(noted))))
            }
            State::Declined | State::Voided | State::Expired => Ok(Voided::Already),
            State::Captured | State::Refunding(_) | State::Refunded => Err(refusals::already_captured()),
        }
    }

    /// Takes `amount` of the hold.
    pub fn capture(self, amount: Money, cause: Cause) -> Result<Change, Refusal> {
        match self.state {
            State::Expired => return Err(refusals::hold_expired()),
            State::Authorized if cause.now_ms >= self.expires_at_ms => return Err(refusals::hold_expired()),
            State::Authorized => {}
            _ => return Err(self.cannot_become("capturing")),
        }
        if amount.amount < 0 {
            return Err(refusals::bad_amount(amount));
        }
        if amount.currency != self.amount.currency || amount.amount > self.amount.amount {
            return Err(refusals::exceeds_hold(amount, self.amount));
        }
        Ok(self.open(Operation::Capture, amount, None, cause))
    }

    /// Gives all that was taken back.
    pub fn refund(self, amount: Money, cause: Cause) -> Result<Change, Refusal> {
        match (&self.state, self.captured) {
            (State::Captured, Some(captured)) if captured == amount => {
                Ok(self.open(Operation::Refund, amount, None, cause))
            }
            (State::Captured, Some(captured)) => Err(refusals::refund_differs(amount, captured)),
            _ => Err(self.cannot_become("refunding")),
        }
    }

    /// The customer confirms. `None`: it was confirmed before.
    pub fn take(mut self, by: String, now_ms: i64) -> Result<Option<Change>, Refusal> {
        if self.taken.is_some() {
            return Ok(None);
        }
        match self.state {
            State::Authorized | State::Capturing(_) | State::Captured => {
                self.taken = Some(Taken { by: by.clone(), at_ms: now_ms });
                Ok(Some(Change::to(self.changed(now_ms)).fact(Fact::Taken { by })))
            }
            State::Authorizing(_)
            | State::Declined
            | State::Voiding(_)
            | State::Voided
            | State::Refunding(_)
            | State::Refunded
            | State::Expired => Err(refusals::not_authorized(self.state.name())),
        }
    }

    /// The time of [`Payment::wake_at_ms`] may have come: a hold expires, an unanswered question is put again.
    pub fn wake(self, now_ms: i64) -> Option<Change> {
        if self.wake_at_ms().is_none_or(|due| now_ms < due) {
            return None;
        }
        let Some((operation, open)) = self.state.open() else { return Some(self.expire(now_ms)) };
        let open = Open { asked: open.asked.saturating_add(1), ..open.clone() };
        Some(self.put_again(operation, open, now_ms))
    }

    /// Somebody waits for the answer to a question and says so: it is put as soon as it may be, and the pauses begin anew.
    /// Otherwise a provider that was away for long would be asked only as long after it is back.
    pub fn asked_again(self, now_ms: i64) -> Option<Change> {
        let (operation, open) = self.state.open()?;
        let open = Open { asked: 1, ..open.clone() };
        Some(self.put_again(operation, open, now_ms))
    }

    /// Puts the question once more, now or when it may be.
    fn put_again(mut self, operation: Operation, open: Open, now_ms: i64) -> Change {
        let again_ms = open.again_ms(now_ms);
        if now_ms < again_ms {
            self.state = State::unknown(operation, Open { next_ms: again_ms, ..open });
            return Change::to(self.changed(now_ms));
        }
        let how = if open.may_send(now_ms) { How::QueryThenSend } else { How::QueryOnly };
        let next_ms = now_ms + Open::pause_ms(open.asked);
        self.state = State::unknown(operation, Open { put_ms: now_ms, next_ms, ..open });
        let ask = self.ask(how);
        Change { ask, ..Change::to(self.changed(now_ms)) }
    }

    /// When [`Payment::wake`] has something to do, if nothing happens before.
    pub fn wake_at_ms(&self) -> Option<i64> {
        match &self.state {
            State::Authorized => Some(self.expires_at_ms),
            state => state.open().map(|(_, open)| open.next_ms),
        }
    }

    /// Enters the unknown state of `operation` and puts the question for the first time.
    pub(super) fn open(mut self, operation: Operation, amount: Money, token: Option<String>, cause: Cause) -> Change {
        let Cause { effect, trace, now_ms } = cause;
        let (idempotency_key, status) = (effect.to_string(), EntryStatus::Unknown);
        self.ledger.push(Entry { operation, idempotency_key, amount, status, at_ms: now_ms });
        let (since_ms, put_ms, next_ms) = (now_ms, now_ms, now_ms + ASK_AGAIN_MS);
        let open = Open { effect, voids: Vec::new(), amount, token, since_ms, asked: 1, put_ms, next_ms, trace };
        self.state = State::unknown(operation, open);
        let ask = self.ask(How::Send);
        Change { ask, ..Change::to(self.changed(now_ms)) }
    }

    fn ask(&self, how: How) -> Option<Ask> {
        let (operation, open) = self.state.open()?;
        Some(Ask {
            order_id: self.order_id,
            operation,
            amount: open.amount,
            token: open.token.clone(),
            provider_ref: self.provider_ref.clone(),
            effect: open.effect.clone(),
            how,
            trace: open.trace.clone(),
        })
    }

    pub(super) fn expire(mut self, now_ms: i64) -> Change {
        self.state = State::Expired;
        Change::to(self.changed(now_ms)).fact(Fact::Expired)
    }

    pub(super) fn changed(mut self, now_ms: i64) -> Self {
        self.updated_at_ms = now_ms;
        self.version += 1;
        self
    }

    fn cannot_become(&self, to: &str) -> Refusal {
        refusals::wrong_state("payment", self.state.name(), to)
    }
}

impl Reply {
    pub(super) fn held(payment: &Payment) -> Self {
        Self::Held { provider_ref: payment.provider_ref.clone().unwrap_or_default(), amount: payment.amount }
    }
}
