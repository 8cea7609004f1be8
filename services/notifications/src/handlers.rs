//! What notifications follow: the contact, and what a customer wants to know of an order.
//!
//! A fold notes the notification and hands the message to the worker after the commit; the timer hands it over again
//! until the worker has marked it sent. So a crash can make a customer read the same words twice, never miss them.

use crate::{
    Notifications,
    domain::{Cause, Contact, Notification, Status},
    sender::Sms,
};
use message::Envelope;
use schemas::{
    ids::{NotificationId, OrderId},
    orders as wire,
};
use transport::{Aggregate, Fold, Router, Unit};
use uuid::Uuid;

impl Aggregate for Contact {
    const KIND: &'static str = "contact";

    fn status(&self) -> &'static str {
        "given"
    }
}

impl Aggregate for Notification {
    const KIND: &'static str = "notification";

    fn status(&self) -> &'static str {
        self.status.as_str()
    }

    fn parent(&self) -> Option<Uuid> {
        Some(self.order_id.into())
    }

    fn wake_at_ms(&self) -> Option<i64> {
        (self.status == Status::Waiting).then_some(self.next_try_ms)
    }
}

pub fn routes() -> Router<Notifications> {
    Router::new()
        .event(contact_given)
        .event(ready)
        .event(cancelled)
        .event(rejected)
        .event(refunded)
        .wake::<Notification>(again)
}

fn contact_given(_: &Notifications, unit: &mut Unit, _: &Envelope, event: &wire::CustomerContactGiven) -> Fold<()> {
    let id = event.order_id.as_uuid();
    if unit.get::<Contact>(id)?.is_none() {
        unit.put(id, Contact { phone: event.phone.clone() });
    }
    Ok(())
}

fn ready(_: &Notifications, unit: &mut Unit, _: &Envelope, event: &wire::OrderReady) -> Fold<()> {
    let less = if event.missing.is_empty() { "" } else { " Some items could not be found and are not charged." };
    let (order, bay, total) = (short(event.order_id), event.bay, event.total);
    let text = format!("Your order {order} is ready in bay {bay} of the depot: {total}.{less}");
    notify(unit, event.order_id, Cause::Ready, text)
}

fn cancelled(_: &Notifications, unit: &mut Unit, _: &Envelope, event: &wire::OrderCancelled) -> Fold<()> {
    let text = format!("Your order {} is cancelled: {}. Nothing is charged.", short(event.order_id), event.reason);
    notify(unit, event.order_id, Cause::Cancelled, text)
}

fn rejected(_: &Notifications, unit: &mut Unit, _: &Envelope, event: &wire::OrderRejected) -> Fold<()> {
    let order = short(event.order_id);
    let text = format!("Your order {order} could not be taken: {}. Nothing is charged.", event.reason);
    notify(unit, event.order_id, Cause::Rejected, text)
}

fn refunded(_: &Notifications, unit: &mut Unit, _: &Envelope, event: &wire::OrderRefunded) -> Fold<()> {
    let text = format!("Your order {} was returned, and {} is refunded.", short(event.order_id), event.total);
    notify(unit, event.order_id, Cause::Refunded, text)
}

fn notify(unit: &mut Unit, order_id: OrderId, cause: Cause, text: String) -> Fold<()> {
    let id = Notification::id(order_id, cause);
    let (known, contact) = (unit.get::<Notification>(id.into()), unit.peek::<Contact>(order_id.into()));
    let (known, contact) = (known?, contact?);
    if known.is_none() {
        let notification = Notification::new(order_id, cause, text, unit.now_ms());
        hand_over(unit, id, &notification, contact);
        unit.put(id.into(), notification);
    }
    Ok(())
}

/// The timer: the sender has not answered, or the process ended in between.
fn again(_: &Notifications, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let now_ms = unit.now_ms();
    let Some(next) = unit.get::<Notification>(id)?.and_then(|n| n.retry(now_ms)) else { return Ok(()) };
    if next.status == Status::Waiting {
        let contact = unit.peek::<Contact>(next.order_id.into())?;
        hand_over(unit, id.into(), &next, contact);
    }
    unit.put(id, next);
    Ok(())
}

/// Without a contact there is nobody to tell yet: the timer looks again.
fn hand_over(unit: &mut Unit, id: NotificationId, notification: &Notification, contact: Option<Contact>) {
    if let Some(contact) = contact {
        let (cause, text) = (notification.cause, notification.text.clone());
        unit.ask_outside(Sms { id, cause, phone: contact.phone, text });
    }
}

/// The worker has sent these.
pub fn mark_sent(unit: &mut Unit, ids: &[NotificationId]) -> Fold<()> {
    let now_ms = unit.now_ms();
    let all: Vec<_> = ids.iter().map(|id| (*id, unit.get::<Notification>((*id).into()))).collect();
    for (id, notification) in all {
        if let Some(sent) = notification?.and_then(|n| n.sent(now_ms)) {
            unit.put(id.into(), sent);
        }
    }
    Ok(())
}

/// What a customer reads of an order's id: its last eight characters, which differ most.
fn short(id: OrderId) -> String {
    let id = id.to_string();
    id.get(28..).unwrap_or(&id).to_uppercase()
}
