//! What a transition gives: the payment as it is now, what happened, whom to answer, and what to ask the provider.

use super::{Ask, Payment};
use message::{EffectKey, Refusal};
use schemas::money::Money;

/// Why and when something is asked of a payment.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The command's effect key: answered when the outcome is known, and the provider's idempotency key.
    pub effect: EffectKey,
    /// W3C traceparent, so that what follows the provider's answer stays in the trace.
    pub trace: Option<String>,
    pub now_ms: i64,
}

/// Something that happened to a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Authorized(Money),
    Declined { code: String, reason: String },
    Taken { by: String },
    Captured(Money),
    Voided,
    Refunded(Money),
    Expired,
}

/// A command's successful answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Held { provider_ref: String, amount: Money },
    Released,
    Collected(Money),
    Refunded(Money),
}

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub payment: Payment,
    pub facts: Vec<Fact>,
    pub answers: Vec<(EffectKey, Result<Reply, Refusal>)>,
    pub ask: Option<Ask>,
}

impl Change {
    pub(super) fn to(payment: Payment) -> Self {
        Self { payment, facts: Vec::new(), answers: Vec::new(), ask: None }
    }

    pub(super) fn fact(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    pub(super) fn answer(mut self, effect: EffectKey, answer: Result<Reply, Refusal>) -> Self {
        self.answers.push((effect, answer));
        self
    }

    pub(super) fn answer_all(self, effects: Vec<EffectKey>, answer: &Result<Reply, Refusal>) -> Self {
        effects.into_iter().fold(self, |change, effect| change.answer(effect, answer.clone()))
    }
}
