//! The acquirer in memory: for tests and the simulator. It behaves as `acquirer-sim` does, by the same tokens, but never
//! waits: where that answers late or with a 500, this answers [`Error::Unknown`] at once, having acted.

use super::{Acquirer, Error, NewHold, OnHold, unknown};
use crate::domain::{EntryStatus, Known, KnownStatus, Operation};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// See the module's documentation; clones share the books.
#[derive(Clone, Default)]
pub struct MemoryAcquirer {
    books: Arc<Mutex<Books>>,
}

/// One operation the acquirer decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub reference: String,
    pub operation: Operation,
    pub idempotency_key: String,
    pub amount: i64,
    pub status: EntryStatus,
}

#[derive(Default)]
struct Books {
    holds: Vec<Hold>,
    keys: HashMap<String, Result<String, Error>>,
    hushed: HashSet<String>,
    next_unknown: VecDeque<bool>,
    ledger: Vec<Decided>,
}

struct Hold {
    reference: String,
    token: String,
    amount: i64,
    captured: i64,
    refunded: i64,
    captures: u32,
    status: KnownStatus,
}

impl MemoryAcquirer {
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `times` operations get no answer; whether they are carried out all the same is `acts`.
    pub fn next_unknown(&self, times: usize, acts: bool) {
        self.books().next_unknown.extend(std::iter::repeat_n(acts, times));
    }

    /// Gives the hold under this reference up, as providers do with old ones.
    pub fn expire(&self, reference: &str) {
        if let Some(hold) = self.books().holds.iter_mut().rfind(|h| h.reference == reference) {
            hold.status = KnownStatus::Expired;
        }
    }

    /// Everything decided so far, oldest first.
    pub fn ledger(&self) -> Vec<Decided> {
        self.books().ledger.clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: &OnHold, operation: Operation) -> Result<(), Error> {
        let mut books = self.books();
        let at = change.provider_ref.strip_prefix("mem_").and_then(|n| n.parse::<usize>().ok());
        let at = at.filter(|at| *at < books.holds.len()).ok_or_else(|| unknown("there is no such hold"))?;
        books.act(at, operation, change.amount.amount, &change.idempotency_key).map(|_| ())
    }
}

impl Acquirer for MemoryAcquirer {
    async fn authorize(&self, hold: &NewHold) -> Result<String, Error> {
        self.books().authorize(hold)
    }

    async fn capture(&self, change: &OnHold) -> Result<(), Error> {
        self.change(change, Operation::Capture)
    }

    async fn void(&self, change: &OnHold) -> Result<(), Error> {
        self.change(change, Operation::Void)
    }

    async fn refund(&self, change: &OnHold) -> Result<(), Error> {
        self.change(change, Operation::Refund)
    }

    async fn query_by_reference(&self, reference: &str, _: Option<&str>) -> Result<Option<Known>, Error> {
        let books = self.books();
        let found = books.holds.iter().enumerate().rfind(|(_, hold)| hold.reference == reference);
        Ok(found.map(|(at, hold)| Known { provider_ref: name(at), status: hold.status }))
    }
}

impl Books {
    fn authorize(&mut self, new: &NewHold) -> Result<String, Error> {
        if let Some(first) = self.keys.get(&new.idempotency_key) {
            return first.clone();
        }
        let loss = self.loss(&new.idempotency_key, &new.token);
        if loss == Some(false) {
            return Err(unknown("not reached"));
        }
        self.holds.push(Hold {
            reference: new.reference.clone(),
            token: new.token.clone(),
            amount: new.amount.amount,
            captured: 0,
            refunded: 0,
            captures: 0,
            status: KnownStatus::Declined,
        });
        let answer = self.decide(self.holds.len() - 1, Operation::Authorize, new.amount.amount, &new.idempotency_key);
        if loss.is_some() { Err(unknown("the answer got lost")) } else { answer }
    }

    fn act(&mut self, at: usize, operation: Operation, amount: i64, key: &str) -> Result<String, Error> {
        if let Some(first) = self.keys.get(key) {
            return first.clone();
        }
        let token = self.holds[at].token.clone();
        let loss = self.loss(key, &token);
        if loss == Some(false) {
            return Err(unknown("not reached"));
        }
        let answer = self.decide(at, operation, amount, key);
        if loss.is_some() { Err(unknown("the answer got lost")) } else { answer }
    }

    /// Whether the answer under this key gets lost, and then whether the operation is carried out: once a key.
    fn loss(&mut self, key: &str, token: &str) -> Option<bool> {
        if let Some(acts) = self.next_unknown.pop_front() {
            return Some(acts);
        }
        let acts = ["tok_timeout", "tok_500"].iter().any(|p| token.starts_with(p));
        let lost = acts || token.starts_with("tok_unavailable");
        (lost && self.hushed.insert(key.to_owned())).then_some(acts)
    }

    fn decide(&mut self, at: usize, operation: Operation, amount: i64, key: &str) -> Result<String, Error> {
        let hold = &mut self.holds[at];
        let amount = if operation == Operation::Void { hold.amount } else { amount };
        let answer = hold.change(operation, amount).map(|()| name(at));
        let status = if answer.is_ok() { EntryStatus::Done } else { EntryStatus::Refused };
        let (reference, idempotency_key) = (hold.reference.clone(), key.to_owned());
        self.ledger.push(Decided { reference, operation, idempotency_key, amount, status });
        self.keys.insert(key.to_owned(), answer.clone());
        answer
    }
}

impl Hold {
    fn change(&mut self, operation: Operation, amount: i64) -> Result<(), Error> {
        use {KnownStatus as K, Operation as O};
        match (operation, self.status) {
            (O::Authorize, _) if self.token.starts_with("tok_declined") => no("the card was declined"),
            (O::Authorize, _) => self.become_status(K::Held),
            (O::Capture, K::Held) => self.capture(amount),
            (O::Capture, K::Expired) => Err(Error::HoldExpired),
            (O::Capture, K::Declined | K::Captured | K::Voided | K::Refunded) => no("nothing is held"),
            (O::Void, K::Held) => self.become_status(K::Voided),
            (O::Void, K::Declined | K::Voided | K::Expired) => Ok(()),
            (O::Void, K::Captured | K::Refunded) => no("the money was captured"),
            (O::Refund, K::Captured) => self.refund(amount),
            (O::Refund, K::Held | K::Declined | K::Voided | K::Refunded | K::Expired) => no("nothing is captured"),
        }
    }

    fn capture(&mut self, amount: i64) -> Result<(), Error> {
        self.captures += 1;
        if amount > self.amount {
            return no("the amount is more than is held");
        }
        if self.token.starts_with("tok_capture_refused") {
            return no("the capture was refused by the issuer");
        }
        if self.token.starts_with("tok_capture_flaky") && self.captures == 1 {
            return Err(Error::Refused { reason: "the issuer could not decide".into(), retryable: true });
        }
        self.captured = amount;
        self.become_status(KnownStatus::Captured)
    }

    fn refund(&mut self, amount: i64) -> Result<(), Error> {
        if amount > self.captured - self.refunded {
            return no("the amount is more than was captured");
        }
        self.refunded += amount;
        let all = self.refunded == self.captured;
        self.become_status(if all { KnownStatus::Refunded } else { KnownStatus::Captured })
    }

    fn become_status(&mut self, status: KnownStatus) -> Result<(), Error> {
        self.status = status;
        Ok(())
    }
}

fn no<T>(reason: &str) -> Result<T, Error> {
    Err(Error::Refused { reason: reason.to_owned(), retryable: false })
}

fn name(at: usize) -> String {
    format!("mem_{at}")
}
