//! One change of an order as a kiosk shows it.

use schemas::{ids::OrderId, lines, money};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::views::{LineCount, Money};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    PaymentHeld,
    PaymentDeclined,
    PaymentConfirmed,
    PaymentTaken,
    PaymentReleased,
    PaymentExpired,
    PaymentReturned,
    Planned,
    Approved,
    Shopping,
    RobotSent,
    StopVisited,
    RobotLost,
    Delivered,
    Checked,
    Ready,
    Released,
    Completed,
    CancelRequested,
    CancelTooLate,
    Cancelling,
    ItemsGoingBack,
    ItemsBack,
    Cancelled,
    Rejected,
    Returning,
    ReturnFailed,
    Refunded,
    Delayed,
}

/// A change of an order. Fields that say nothing about this kind of change are absent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LiveEvent {
    /// Also the id of the server-sent event, for `Last-Event-ID`.
    pub id: Uuid,
    pub order_id: Uuid,
    /// When it happened, milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub kind: Happening,
    /// The same as a sentence for the customer.
    pub detail: String,
    /// Number of the bay where the items wait or will wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bay: Option<i32>,
    /// How many stores the robot will visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stops: Option<i32>,
    /// The store that was visited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub picked: Vec<LineCount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<LineCount>,
    /// Why, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A [`LiveEvent`] being told; its id and time come from the record that it was read from.
#[derive(Debug)]
pub(super) struct Told {
    pub order: OrderId,
    pub event: LiveEvent,
}

/// Begins to tell.
pub(super) fn tell(order: OrderId, kind: Happening, detail: impl Into<String>) -> Told {
    Told { order, event: LiveEvent::new(Uuid::nil(), order, kind, detail) }
}

impl LiveEvent {
    /// An event with nothing but its kind and sentence, at the epoch.
    pub fn new(id: Uuid, order: OrderId, kind: Happening, detail: impl Into<String>) -> Self {
        Self {
            id,
            order_id: order.as_uuid(),
            at_ms: 0,
            kind,
            detail: detail.into(),
            bay: None,
            stops: None,
            store_id: None,
            amount: None,
            picked: Vec::new(),
            missing: Vec::new(),
            code: None,
        }
    }
}

impl Told {
    pub fn bay(mut self, bay: i32) -> Self {
        self.event.bay = Some(bay);
        self
    }

    pub fn amount(mut self, amount: money::Money) -> Self {
        self.event.amount = Some(amount.into());
        self
    }

    pub fn picked(mut self, lines: Vec<lines::LineCount>) -> Self {
        self.event.picked = lines.into_iter().map(Into::into).collect();
        self
    }

    pub fn missing(mut self, lines: Vec<lines::LineCount>) -> Self {
        self.event.missing = lines.into_iter().map(Into::into).collect();
        self
    }

    pub fn code(mut self, code: String) -> Self {
        self.event.code = Some(code);
        self
    }
}
