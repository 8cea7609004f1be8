//! The acquirer's books: holds, idempotency keys and the ledger. Pure: the time is an input, and what must outlive the
//! process is handed to the caller as a [`Line`].

use crate::{
    behaviour::{Behaviour, Orders, VOIDS_TURNED_AWAY},
    entry::{Entry, HoldStatus, HoldView, Operation, Status},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// How long an idempotency key is honoured: a promise of the protocol.
pub const KEY_KEEP_MS: i64 = 24 * 3_600_000;
/// Keys whose calls were turned away with 503; forgetting one only turns its calls away once more.
const MAX_TURNED_AWAY: usize = 10_000;

/// What was decided: `Done`, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Done,
    CardDeclined,
    CaptureRefused,
    CaptureTryAgain,
    HoldExpired,
    NotHeld,
    ExceedsHold,
    AlreadyCaptured,
    NotCaptured,
    ExceedsCapture,
}

impl Verdict {
    /// Stable code and a sentence, for refusals.
    pub fn refusal(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Done => return None,
            Self::CardDeclined => ("card_declined", "the card was declined"),
            Self::CaptureRefused => ("capture_refused", "the capture was refused by the issuer"),
            Self::CaptureTryAgain => ("capture_try_again", "the issuer could not decide, try again with a new key"),
            Self::HoldExpired => ("hold_expired", "the hold was given up because it got too old"),
            Self::NotHeld => ("not_held", "nothing is held under this reference"),
            Self::ExceedsHold => ("exceeds_hold", "the amount is more than is held"),
            Self::AlreadyCaptured => ("already_captured", "the money was captured; refund it instead"),
            Self::NotCaptured => ("not_captured", "nothing was captured that could be given back"),
            Self::ExceedsCapture => ("exceeds_capture", "the amount is more than is left of the capture"),
        })
    }

    pub fn retryable(self) -> bool {
        self == Self::CaptureTryAgain
    }
}

/// An operation asked for, with the idempotency key it came under.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub key: &'a str,
    /// Hash of the whole request: another one under the same key is a mistake.
    pub request_hash: u64,
    pub now_ms: i64,
}

/// What a new hold is made of.
#[derive(Debug, Clone, Deserialize)]
pub struct NewHold {
    pub reference: String,
    pub amount: i64,
    pub currency: String,
    pub token: String,
}

/// A line of the journal: what rebuilding the books needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    Decided(Decided),
    /// A call under this key was answered with 503.
    TurnedAway {
        turned_away: String,
    },
}

/// One decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Decided {
    #[serde(flatten)]
    pub entry: Entry,
    pub verdict: Verdict,
    pub request_hash: u64,
    pub behaviour: Behaviour,
}

/// How a call is to be answered.
#[derive(Debug)]
pub enum Answer {
    Decided {
        entry: Entry,
        verdict: Verdict,
    },
    /// The key came with another request before.
    KeyReused,
    UnknownHold,
    /// 503, and nothing was done.
    TurnedAway,
}

/// The answer, how it is spoiled on its way out, and what has to be written down first.
#[derive(Debug)]
pub struct Reaction {
    pub answer: Answer,
    pub spoil: Behaviour,
    pub line: Option<Line>,
}

struct Hold {
    reference: Arc<str>,
    currency: Arc<str>,
    at_ms: i64,
    amount: i64,
    captured: i64,
    refunded: i64,
    captures_tried: u32,
    status: HoldStatus,
    behaviour: Behaviour,
}

struct Decision {
    hold: u32,
    operation: Operation,
    verdict: Verdict,
    key: Arc<str>,
    amount: i64,
    at_ms: i64,
    request_hash: u64,
}

/// See the module's documentation.
pub struct Book {
    /// Part of every provider reference, so that those of another run are never taken for ours.
    run: String,
    hold_ms: i64,
    holds: Vec<Hold>,
    by_reference: HashMap<Arc<str>, u32>,
    ledger: Vec<Decision>,
    keys: HashMap<Arc<str>, u32>,
    keys_by_age: VecDeque<u32>,
    /// How often, by key.
    turned_away: HashMap<String, u32>,
    pub orders: Orders,
}

impl Book {
    /// Empty books; a hold expires after `hold_ms`.
    pub fn new(run: String, hold_ms: i64) -> Self {
        Self {
            run,
            hold_ms,
            holds: Vec::new(),
            by_reference: HashMap::new(),
            ledger: Vec::new(),
            keys: HashMap::new(),
            keys_by_age: VecDeque::new(),
            turned_away: HashMap::new(),
            orders: Orders::default(),
        }
    }

    pub fn authorize(&mut self, ask: Ask<'_>, new: &NewHold) -> Reaction {
        if let Some(answer) = self.repeated(ask) {
            return answer;
        }
        let of_token = self.orders.of_token(&new.token);
        let behaviour = self.orders.take_next().unwrap_or(of_token);
        if self.turns_away(ask.key, Operation::Authorize, behaviour) {
            return turned_away(ask.key);
        }
        let verdict = if behaviour == Behaviour::Declined { Verdict::CardDeclined } else { Verdict::Done };
        let hold = self.open(ask.now_ms, &new.reference, &new.currency, new.amount, of_token);
        self.decide(ask, hold, Operation::Authorize, new.amount, verdict, behaviour)
    }

    /// Captures, voids or refunds; `amount` is ignored for a void, which always frees all.
    pub fn change(&mut self, ask: Ask<'_>, provider_ref: &str, operation: Operation, amount: i64) -> Reaction {
        if let Some(answer) = self.repeated(ask) {
            return answer;
        }
        let Some(at) = self.find(provider_ref) else { return plain(Answer::UnknownHold) };
        let of_hold = self.holds[at as usize].behaviour;
        let behaviour = self.orders.take_next().unwrap_or(of_hold);
        if self.turns_away(ask.key, operation, behaviour) {
            return turned_away(ask.key);
        }
        let hold = &self.holds[at as usize];
        let amount = if operation == Operation::Void { hold.amount } else { amount };
        let verdict = hold.judge(operation, amount, behaviour, self.hold_ms, ask.now_ms);
        self.decide(ask, at, operation, amount, verdict, behaviour)
    }

    /// What is known under the merchant's reference: its latest hold.
    pub fn by_reference(&self, reference: &str, now_ms: i64) -> Option<HoldView> {
        let at = *self.by_reference.get(reference)?;
        let hold = &self.holds[at as usize];
        Some(HoldView {
            provider_ref: self.provider_ref(at),
            reference: hold.reference.to_string(),
            status: hold.status_at(self.hold_ms, now_ms),
            amount: hold.amount,
            captured: hold.captured,
            refunded: hold.refunded,
            currency: hold.currency.to_string(),
        })
    }

    /// Up to `limit` ledger entries from number `from` (0 is the oldest).
    pub fn ledger(&self, from: usize, limit: usize) -> Vec<Entry> {
        self.ledger.iter().skip(from).take(limit).map(|d| self.entry(d)).collect()
    }

    /// Takes in a line of the journal: the same changes again, without deciding anew.
    pub fn replay(&mut self, line: &Line) -> Result<(), String> {
        let line = match line {
            Line::Decided(line) => line,
            Line::TurnedAway { turned_away } => {
                self.count_turned_away(turned_away);
                return Ok(());
            }
        };
        let entry = &line.entry;
        let at = match entry.operation {
            Operation::Authorize => {
                self.open(entry.at_ms, &entry.order_id, &entry.currency, entry.amount, line.behaviour)
            }
            _ => self.find(&entry.provider_ref).ok_or_else(|| format!("hold {} is missing", entry.provider_ref))?,
        };
        let ask = Ask { key: &entry.idempotency_key, request_hash: line.request_hash, now_ms: entry.at_ms };
        self.enter(ask, at, entry.operation, entry.amount, line.verdict);
        Ok(())
    }

    fn repeated(&mut self, ask: Ask<'_>) -> Option<Reaction> {
        self.forget_old_keys(ask.now_ms);
        let decision = &self.ledger[*self.keys.get(ask.key)? as usize];
        let (verdict, same) = (decision.verdict, decision.request_hash == ask.request_hash);
        let first = || Answer::Decided { entry: self.entry(decision), verdict };
        Some(plain(if same { first() } else { Answer::KeyReused }))
    }

    fn forget_old_keys(&mut self, now_ms: i64) {
        while let Some(at) = self.keys_by_age.front() {
            let decision = &self.ledger[*at as usize];
            if decision.at_ms + KEY_KEEP_MS > now_ms {
                return;
            }
            self.keys.remove(&decision.key);
            self.keys_by_age.pop_front();
        }
    }

    fn turns_away(&mut self, key: &str, operation: Operation, behaviour: Behaviour) -> bool {
        let often = match behaviour {
            Behaviour::Unavailable => 1,
            Behaviour::VoidUnavailable if operation == Operation::Void => VOIDS_TURNED_AWAY,
            _ => return false,
        };
        if self.turned_away.get(key).is_some_and(|times| *times >= often) {
            return false;
        }
        self.count_turned_away(key);
        true
    }

    fn count_turned_away(&mut self, key: &str) {
        if self.turned_away.len() > MAX_TURNED_AWAY {
            self.turned_away.clear();
        }
        *self.turned_away.entry(key.to_owned()).or_default() += 1;
    }

    fn decide(
        &mut self,
        ask: Ask<'_>,
        hold: u32,
        operation: Operation,
        amount: i64,
        verdict: Verdict,
        spoil: Behaviour,
    ) -> Reaction {
        let entry = self.enter(ask, hold, operation, amount, verdict);
        let behaviour = self.holds[hold as usize].behaviour;
        let line = Decided { entry: entry.clone(), verdict, request_hash: ask.request_hash, behaviour };
        Reaction { answer: Answer::Decided { entry, verdict }, spoil, line: Some(Line::Decided(line)) }
    }

    fn open(&mut self, at_ms: i64, reference: &str, currency: &str, amount: i64, behaviour: Behaviour) -> u32 {
        let (at, reference) = (self.holds.len() as u32, Arc::<str>::from(reference));
        let same = self.holds.last().map(|h| &h.currency).filter(|c| &***c == currency);
        let currency = same.cloned().unwrap_or_else(|| Arc::from(currency));
        self.by_reference.insert(reference.clone(), at);
        let (captured, refunded, captures_tried, status) = (0, 0, 0, HoldStatus::Held);
        self.holds.push(Hold {
            reference,
            currency,
            at_ms,
            amount,
            captured,
            refunded,
            captures_tried,
            status,
            behaviour,
        });
        at
    }

    fn enter(&mut self, ask: Ask<'_>, hold: u32, operation: Operation, amount: i64, verdict: Verdict) -> Entry {
        self.holds[hold as usize].apply(operation, amount, verdict);
        let (at, key) = (self.ledger.len() as u32, Arc::<str>::from(ask.key));
        self.keys.insert(key.clone(), at);
        self.keys_by_age.push_back(at);
        let (at_ms, request_hash) = (ask.now_ms, ask.request_hash);
        let decision = Decision { hold, operation, verdict, key, amount, at_ms, request_hash };
        let entry = self.entry(&decision);
        self.ledger.push(decision);
        entry
    }

    fn entry(&self, decision: &Decision) -> Entry {
        let hold = &self.holds[decision.hold as usize];
        let refusal = decision.verdict.refusal();
        Entry {
            order_id: hold.reference.to_string(),
            operation: decision.operation,
            idempotency_key: decision.key.to_string(),
            amount: decision.amount,
            currency: hold.currency.to_string(),
            provider_ref: self.provider_ref(decision.hold),
            status: if refusal.is_none() { Status::Done } else { Status::Refused },
            at_ms: decision.at_ms,
            code: refusal.map(|(code, _)| code.to_owned()),
        }
    }

    fn provider_ref(&self, hold: u32) -> String {
        format!("hold_{}_{hold}", self.run)
    }

    fn find(&self, provider_ref: &str) -> Option<u32> {
        let number = provider_ref.strip_prefix("hold_")?.strip_prefix(self.run.as_str())?.strip_prefix('_')?;
        number.parse().ok().filter(|at| (*at as usize) < self.holds.len())
    }
}

impl Hold {
    fn status_at(&self, hold_ms: i64, now_ms: i64) -> HoldStatus {
        let old = self.status == HoldStatus::Held && now_ms >= self.at_ms + hold_ms;
        if old { HoldStatus::Expired } else { self.status }
    }

    fn judge(&self, operation: Operation, amount: i64, behaviour: Behaviour, hold_ms: i64, now_ms: i64) -> Verdict {
        use HoldStatus as S;
        match (operation, self.status_at(hold_ms, now_ms)) {
            (Operation::Capture, S::Held) => self.judge_capture(amount, behaviour),
            (Operation::Capture, S::Expired) => Verdict::HoldExpired,
            (Operation::Capture | Operation::Authorize, S::Captured | S::Refunded) => Verdict::AlreadyCaptured,
            (Operation::Capture | Operation::Authorize, _) => Verdict::NotHeld,
            (Operation::Void, S::Captured | S::Refunded) => Verdict::AlreadyCaptured,
            (Operation::Void, S::Held | S::Declined | S::Voided | S::Expired) => Verdict::Done,
            (Operation::Refund, S::Captured) if amount <= self.captured - self.refunded => Verdict::Done,
            (Operation::Refund, S::Captured | S::Refunded) => Verdict::ExceedsCapture,
            (Operation::Refund, _) => Verdict::NotCaptured,
        }
    }

    fn judge_capture(&self, amount: i64, behaviour: Behaviour) -> Verdict {
        match behaviour {
            _ if amount > self.amount => Verdict::ExceedsHold,
            Behaviour::CaptureRefused => Verdict::CaptureRefused,
            Behaviour::CaptureFlaky if self.captures_tried == 0 => Verdict::CaptureTryAgain,
            _ => Verdict::Done,
        }
    }

    fn apply(&mut self, operation: Operation, amount: i64, verdict: Verdict) {
        match (operation, verdict) {
            (Operation::Authorize, Verdict::Done) => self.status = HoldStatus::Held,
            (Operation::Authorize, _) => self.status = HoldStatus::Declined,
            (Operation::Capture, Verdict::Done) => (self.status, self.captured) = (HoldStatus::Captured, amount),
            (Operation::Capture, _) => self.captures_tried += 1,
            (Operation::Void, Verdict::Done) if self.status == HoldStatus::Held => self.status = HoldStatus::Voided,
            (Operation::Refund, Verdict::Done) => self.give_back(amount),
            (Operation::Void | Operation::Refund, _) => {}
        }
    }

    fn give_back(&mut self, amount: i64) {
        self.refunded += amount;
        if self.refunded >= self.captured {
            self.status = HoldStatus::Refunded;
        }
    }
}

fn turned_away(key: &str) -> Reaction {
    Reaction { line: Some(Line::TurnedAway { turned_away: key.to_owned() }), ..plain(Answer::TurnedAway) }
}

fn plain(answer: Answer) -> Reaction {
    Reaction { answer, spoil: Behaviour::Ok, line: None }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
