//! What a customer is told: once per order and cause, tried until it is sent or the budget is gone.

use schemas::ids::{NotificationId, OrderId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Sends before it is given up.
pub const MAX_ATTEMPTS: u32 = 10;
/// How long an attempt may take before the next one, milliseconds; doubles with each up to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: i64 = 10_000;
const LONGEST_PAUSE_MS: i64 = 600_000;

/// Why the customer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Ready,
    Cancelled,
    Rejected,
    Refunded,
}

impl Cause {
    pub const ALL: [Self; 4] = [Self::Ready, Self::Cancelled, Self::Rejected, Self::Refunded];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Refunded => "refunded",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Waiting,
    Sent,
    Failed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub order_id: OrderId,
    pub cause: Cause,
    /// The words; no phone number is among them.
    pub text: String,
    pub status: Status,
    /// How often it was handed to the sender.
    pub attempts: u32,
    pub created_at_ms: i64,
    /// While it waits: when it is tried again unless the sender has answered before.
    pub next_try_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at_ms: Option<i64>,
}

impl Notification {
    /// The same for the same order and cause: what makes a second notification impossible. It differs from the order's
    /// id in its last bits only, so that those of new orders sort after those of old ones, and lie together.
    pub fn id(order_id: OrderId, cause: Cause) -> NotificationId {
        let mark = match cause {
            Cause::Ready => 1,
            Cause::Cancelled => 2,
            Cause::Rejected => 3,
            Cause::Refunded => 4,
        };
        Uuid::from_u128(order_id.as_uuid().as_u128() ^ mark).into()
    }

    /// Handed to the sender for the first time.
    pub fn new(order_id: OrderId, cause: Cause, text: String, now_ms: i64) -> Self {
        Self {
            order_id,
            cause,
            text,
            status: Status::Waiting,
            attempts: 1,
            created_at_ms: now_ms,
            next_try_ms: now_ms + FIRST_PAUSE_MS,
            sent_at_ms: None,
        }
    }

    /// What the timer makes of it: another attempt, or `failed` when the budget is gone; `None` when there is nothing to do.
    pub fn retry(&self, now_ms: i64) -> Option<Self> {
        match self.status {
            Status::Waiting if now_ms < self.next_try_ms => None,
            Status::Waiting if self.attempts >= MAX_ATTEMPTS => Some(Self { status: Status::Failed, ..self.clone() }),
            Status::Waiting => {
                let next_try_ms = now_ms + pause_ms(self.attempts);
                Some(Self { attempts: self.attempts + 1, next_try_ms, ..self.clone() })
            }
            Status::Sent | Status::Failed => None,
        }
    }

    /// The sender has taken it, perhaps after we gave up; `None` when that was known.
    pub fn sent(&self, now_ms: i64) -> Option<Self> {
        match self.status {
            Status::Waiting | Status::Failed => {
                Some(Self { status: Status::Sent, sent_at_ms: Some(now_ms), ..self.clone() })
            }
            Status::Sent => None,
        }
    }
}

fn pause_ms(attempts: u32) -> i64 {
    let doublings = attempts.min(10);
    (FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS)
}

/// Where the customer of an order is told about it; has the order's id. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub phone: String,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contact(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> OrderId {
        Uuid::from_u128(7).into()
    }

    fn waiting() -> Notification {
        Notification::new(order(), Cause::Ready, "come".into(), 1_000)
    }

    #[test]
    fn one_order_and_cause_have_one_id() {
        let other = Uuid::from_u128(1 << 64).into();
        for cause in Cause::ALL {
            assert_eq!(Notification::id(order(), cause), Notification::id(order(), cause));
            assert_ne!(Notification::id(order(), cause), Notification::id(other, cause));
            let twins =
                Cause::ALL.iter().filter(|c| Notification::id(order(), **c) == Notification::id(order(), cause));
            assert_eq!(twins.count(), 1);
        }
    }

    #[test]
    fn an_early_timer_does_nothing_and_a_due_one_tries_again() {
        let first = waiting();
        assert_eq!(first.retry(first.next_try_ms - 1), None);
        let second = first.retry(first.next_try_ms).unwrap();
        assert_eq!((second.attempts, second.status), (2, Status::Waiting));
        assert!(second.next_try_ms > first.next_try_ms);
    }

    #[test]
    fn attempts_end_with_the_budget_at_growing_and_bounded_distance() {
        let (mut last, mut pauses) = (waiting(), Vec::new());
        while let Some(next) = last.retry(last.next_try_ms) {
            pauses.push(next.next_try_ms - last.next_try_ms);
            last = next;
        }
        assert_eq!((last.status, last.attempts), (Status::Failed, MAX_ATTEMPTS));
        pauses.pop(); // the step to `failed`
        assert!(pauses.is_sorted() && pauses.iter().all(|p| (FIRST_PAUSE_MS..=LONGEST_PAUSE_MS).contains(p)));
    }

    #[test]
    fn what_is_sent_stays_sent_and_a_late_answer_of_the_sender_counts() {
        let sent = waiting().sent(2_000).unwrap();
        assert_eq!((sent.status, sent.sent_at_ms), (Status::Sent, Some(2_000)));
        assert_eq!(sent.sent(3_000), None);
        assert_eq!(sent.retry(i64::MAX), None);
        let failed = Notification { status: Status::Failed, ..waiting() };
        assert_eq!(failed.sent(2_000).map(|n| n.status), Some(Status::Sent));
    }

    #[test]
    fn i11_a_contact_does_not_show_its_number() {
        assert!(!format!("{:?}", Contact { phone: "+4917012345678".into() }).contains("170"));
    }
}
