//! The ways out of the unknown states: what the provider's answer makes of a payment, and of the undo that waited for it.

use super::{Cause, Change, EntryStatus, Fact, Heard, Open, Operation, Payment, Reply, State, refusals};
use message::{EffectKey, Refusal};

impl Payment {
    /// Takes in what was learnt about the question that this command asked. `None`: nobody waits for it any more, since
    /// it was answered before. For an undo that the provider refuses, the state stays as it is.
    pub fn heard(self, effect: &EffectKey, heard: Heard, now_ms: i64) -> Option<Change> {
        let (operation, open) = self.state.open()?;
        if open.effect != *effect {
            return None;
        }
        let open = open.clone();
        match operation {
            Operation::Authorize => Some(self.heard_of_hold(open, heard, now_ms)),
            Operation::Capture => Some(self.heard_of_capture(open, heard, now_ms)),
            Operation::Void => self.heard_of_void(open, heard, now_ms),
            Operation::Refund => Some(self.heard_of_refund(open, heard, now_ms)),
        }
    }

    fn heard_of_hold(mut self, open: Open, heard: Heard, now_ms: i64) -> Change {
        let refusal = match heard {
            Heard::Done { provider_ref } => {
                self.provider_ref = Some(provider_ref);
                self.state = State::Authorized;
                let payment = self.noted(&open, EntryStatus::Done, now_ms);
                let (amount, reply) = (payment.amount, Reply::held(&payment));
                let change = Change::to(payment).fact(Fact::Authorized(amount)).answer(open.effect, Ok(reply));
                return change.void_next(open.voids, open.trace, now_ms);
            }
            Heard::Refused { reason, retryable } => Refusal { retryable, ..refusals::declined(&reason) },
            Heard::HoldExpired => refusals::hold_expired(),
            Heard::NotCarriedOut => refusals::not_carried_out(Operation::Authorize),
        };
        self.state = State::Declined;
        let declined = Fact::Declined { code: refusal.code.clone(), reason: refusal.message.clone() };
        let change = Change::to(self.refused(&open, &refusal, now_ms)).fact(declined);
        change.answer(open.effect, Err(refusal)).answer_all(open.voids, &Ok(Reply::Released))
    }

    fn heard_of_capture(mut self, open: Open, heard: Heard, now_ms: i64) -> Change {
        let refusal = match heard {
            Heard::Done { .. } => {
                self.captured = Some(open.amount);
                self.state = State::Captured;
                let change = Change::to(self.noted(&open, EntryStatus::Done, now_ms));
                let change = change.fact(Fact::Captured(open.amount));
                let change = change.answer(open.effect, Ok(Reply::Collected(open.amount)));
                return change.answer_all(open.voids, &Err(refusals::already_captured()));
            }
            Heard::HoldExpired => {
                let refusal = refusals::hold_expired();
                let change = self.refused(&open, &refusal, now_ms).expire(now_ms);
                let change = change.answer(open.effect, Err(refusal));
                return change.answer_all(open.voids, &Ok(Reply::Released));
            }
            Heard::Refused { reason, retryable } => refusals::capture_refused(&reason, retryable),
            Heard::NotCarriedOut => refusals::not_carried_out(Operation::Capture),
        };
        self.state = State::Authorized;
        let change = Change::to(self.refused(&open, &refusal, now_ms)).answer(open.effect, Err(refusal));
        change.void_next(open.voids, open.trace, now_ms)
    }

    fn heard_of_void(mut self, open: Open, heard: Heard, now_ms: i64) -> Option<Change> {
        let status = match heard {
            Heard::Done { .. } => EntryStatus::Done,
            // Nothing was held, so the provider's ledger has no such operation.
            Heard::HoldExpired | Heard::NotCarriedOut => EntryStatus::Refused,
            // The provider says that it took money which we never asked for: nothing we could say would be true, so the
            // question stays open, is put again, and its saga's undo runs into the limit that calls a person.
            Heard::Refused { .. } => return None,
        };
        self.state = State::Voided;
        let change = Change::to(self.noted(&open, status, now_ms)).fact(Fact::Voided);
        let change = change.answer(open.effect, Ok(Reply::Released));
        Some(change.answer_all(open.voids, &Ok(Reply::Released)))
    }

    fn heard_of_refund(mut self, open: Open, heard: Heard, now_ms: i64) -> Change {
        let refusal = match heard {
            Heard::Done { .. } => {
                self.refunded = Some(open.amount);
                self.state = State::Refunded;
                let change = Change::to(self.noted(&open, EntryStatus::Done, now_ms));
                let change = change.fact(Fact::Refunded(open.amount));
                return change.answer(open.effect, Ok(Reply::Refunded(open.amount)));
            }
            Heard::Refused { reason, retryable } => refusals::refund_refused(&reason, retryable),
            Heard::HoldExpired => refusals::refund_refused("the provider knows no such payment any more", false),
            Heard::NotCarriedOut => refusals::not_carried_out(Operation::Refund),
        };
        self.state = State::Captured;
        Change::to(self.refused(&open, &refusal, now_ms)).answer(open.effect, Err(refusal))
    }

    fn refused(mut self, open: &Open, refusal: &Refusal, now_ms: i64) -> Self {
        self.refused = Some(refusal.clone());
        self.noted(open, EntryStatus::Refused, now_ms)
    }

    fn noted(mut self, open: &Open, status: EntryStatus, now_ms: i64) -> Self {
        let key = open.effect.to_string();
        if let Some(entry) = self.ledger.iter_mut().find(|e| e.idempotency_key == key) {
            (entry.status, entry.at_ms) = (status, now_ms);
        }
        self.changed(now_ms)
    }
}

impl Change {
    /// Carries out the undo that waited for this answer: the first one asks the provider, the others wait with it.
    fn void_next(self, mut voids: Vec<EffectKey>, trace: Option<String>, now_ms: i64) -> Self {
        if voids.is_empty() {
            return self;
        }
        let effect = voids.remove(0);
        let (amount, cause) = (self.payment.amount, Cause { effect, trace, now_ms });
        let Self { mut payment, ask, .. } = self.payment.open(Operation::Void, amount, None, cause);
        if let State::Voiding(open) = &mut payment.state {
            open.voids = voids;
        }
        Self { payment, ask, facts: self.facts, answers: self.answers }
    }
}
