//! How the platform's events read to a customer: the one table of what the live view tells.
//!
//! Only what a customer may see gets in: no phone number, no payment token, no name of staff.

use super::event::{Happening as H, Told, tell};
use message::Message;
use schemas::{
    depot::{
        BotLost, ItemsReleased, ShoppingAssigned, ShoppingChecked, ShoppingDelivered, ShoppingPlanned,
        ShoppingReturned, ShoppingReturning, StopVisited,
    },
    ids::OrderId,
    orchestrator::{SagaCancelTooLate, SagaStuck},
    orders::{
        CancelRequested, OrderApproved, OrderCancelled, OrderCancelling, OrderCompleted, OrderReady, OrderRefunded,
        OrderRejected, OrderReturnFailed, OrderReturning, OrderShopping,
    },
    payments::{
        PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded, PaymentTaken,
        PaymentVoided,
    },
    topics,
};
use transport::codec::Codec;

/// The topics a live view is fed from.
pub const TOPICS: &[&str] =
    &[topics::ORDERS_EVENTS, topics::PAYMENTS_EVENTS, topics::DEPOT_EVENTS, topics::ORCHESTRATOR_EVENTS];

/// The saga whose business key is an order's id.
const FULFILMENT: &str = "order-fulfilment";

/// A record's value with what reads it.
pub struct Reader<'a> {
    pub codec: &'a Codec,
    pub value: &'a [u8],
}

impl Reader<'_> {
    fn read<M: Message>(&self, told: impl FnOnce(M) -> Told) -> Result<Option<Told>, transport::Error> {
        self.codec.decode(self.value).map(told).map(Some)
    }

    fn read_some<M: Message>(&self, told: impl FnOnce(M) -> Option<Told>) -> Result<Option<Told>, transport::Error> {
        self.codec.decode(self.value).map(told)
    }
}

/// Whether the event's stream does not carry the order's id, so that only its body tells whom it is for.
pub fn names_order_in_body(name: &str) -> bool {
    [BotLost::NAME, SagaCancelTooLate::NAME, SagaStuck::NAME].contains(&name)
}

/// What the event called `name` means to the customer; `None` when nothing.
pub fn story(name: &str, reader: &Reader<'_>) -> Result<Option<Told>, transport::Error> {
    match name {
        // orders
        OrderApproved::NAME => reader.read(|m: OrderApproved| tell(m.order_id, H::Approved, "Your order is accepted.")),
        OrderShopping::NAME => {
            reader.read(|m: OrderShopping| tell(m.order_id, H::Shopping, "Your items are being collected."))
        }
        OrderReady::NAME => reader.read(ready),
        OrderCompleted::NAME => reader.read(|m: OrderCompleted| {
            tell(m.order_id, H::Completed, "Paid and ready to take away. Thank you!").amount(m.total)
        }),
        CancelRequested::NAME => {
            reader.read(|m: CancelRequested| tell(m.order_id, H::CancelRequested, "You asked to cancel the order."))
        }
        OrderCancelling::NAME => reader.read(|m: OrderCancelling| {
            tell(m.order_id, H::Cancelling, format!("The order is being cancelled: {}", m.reason))
        }),
        OrderCancelled::NAME => reader
            .read(|m: OrderCancelled| tell(m.order_id, H::Cancelled, format!("The order was cancelled: {}", m.reason))),
        OrderRejected::NAME => reader.read(|m: OrderRejected| {
            tell(m.order_id, H::Rejected, format!("The order could not be taken: {}", m.reason)).code(m.code)
        }),
        OrderReturning::NAME => {
            reader.read(|m: OrderReturning| tell(m.order_id, H::Returning, "Your return is being handled."))
        }
        OrderReturnFailed::NAME => reader.read(|m: OrderReturnFailed| {
            tell(m.order_id, H::ReturnFailed, format!("The return was not possible: {}", m.reason))
        }),
        OrderRefunded::NAME => {
            reader.read(|m: OrderRefunded| tell(m.order_id, H::Refunded, "The order was refunded.").amount(m.total))
        }
        // payments
        PaymentAuthorized::NAME => reader.read(|m: PaymentAuthorized| {
            tell(m.order_id, H::PaymentHeld, "Your card is approved; nothing is charged yet.").amount(m.amount)
        }),
        PaymentDeclined::NAME => reader.read(|m: PaymentDeclined| {
            tell(m.order_id, H::PaymentDeclined, format!("Your card was not approved: {}", m.reason)).code(m.code)
        }),
        PaymentTaken::NAME => {
            reader.read(|m: PaymentTaken| tell(m.order_id, H::PaymentConfirmed, "You confirmed the payment."))
        }
        PaymentCaptured::NAME => reader
            .read(|m: PaymentCaptured| tell(m.order_id, H::PaymentTaken, "Your card was charged.").amount(m.amount)),
        PaymentVoided::NAME => {
            reader.read(|m: PaymentVoided| tell(m.order_id, H::PaymentReleased, "Nothing will be charged."))
        }
        PaymentExpired::NAME => {
            reader.read(|m: PaymentExpired| tell(m.order_id, H::PaymentExpired, "The approval of your card expired."))
        }
        PaymentRefunded::NAME => reader.read(|m: PaymentRefunded| {
            tell(m.order_id, H::PaymentReturned, "The money goes back to your card.").amount(m.amount)
        }),
        // depot
        ShoppingPlanned::NAME => reader.read(planned),
        ShoppingAssigned::NAME => {
            reader.read(|m: ShoppingAssigned| tell(m.order_id, H::RobotSent, "A robot is on its way."))
        }
        StopVisited::NAME => reader.read(visited),
        BotLost::NAME => reader.read_some(|m: BotLost| {
            m.order_id.map(|order| tell(order, H::RobotLost, "The robot stopped; another one takes over."))
        }),
        ShoppingDelivered::NAME => {
            reader.read(|m: ShoppingDelivered| tell(m.order_id, H::Delivered, "Your items have arrived at the depot."))
        }
        ShoppingChecked::NAME => reader.read(|m: ShoppingChecked| {
            tell(m.order_id, H::Checked, "Your items were checked.").bay(m.bay).missing(m.missing)
        }),
        ShoppingReturning::NAME => {
            reader.read(|m: ShoppingReturning| tell(m.order_id, H::ItemsGoingBack, "The items are on their way back."))
        }
        ShoppingReturned::NAME => {
            reader.read(|m: ShoppingReturned| tell(m.order_id, H::ItemsBack, "The items are back in the stores."))
        }
        ItemsReleased::NAME => reader.read(|m: ItemsReleased| {
            tell(m.order_id, H::Released, format!("Take your items out of bay {}.", m.bay)).bay(m.bay)
        }),
        // orchestrator
        SagaCancelTooLate::NAME => reader.read_some(too_late),
        SagaStuck::NAME => reader.read_some(stuck),
        _ => Ok(None),
    }
}

fn ready(m: OrderReady) -> Told {
    let detail = match m.missing.as_slice() {
        [] => format!("Everything waits in bay {}.", m.bay),
        _ => format!("Your items wait in bay {}; some could not be found and are not charged.", m.bay),
    };
    tell(m.order_id, H::Ready, detail).bay(m.bay).amount(m.total).missing(m.missing)
}

fn planned(m: ShoppingPlanned) -> Told {
    let detail = format!("Bay {} is kept for your items.", m.bay);
    let mut told = tell(m.order_id, H::Planned, detail).bay(m.bay);
    told.event.stops = Some(m.stops);
    told
}

fn visited(m: StopVisited) -> Told {
    let detail = if m.missing.is_empty() { "A stop is done." } else { "A stop is done; some items were not there." };
    let mut told = tell(m.order_id, H::StopVisited, detail).picked(m.picked).missing(m.missing);
    told.event.store_id = Some(m.store_id.as_uuid());
    told
}

fn too_late(m: SagaCancelTooLate) -> Option<Told> {
    let order = fulfilled(&m.saga_type, &m.business_key)?;
    Some(tell(order, H::CancelTooLate, "It is too late to cancel: the payment has been started."))
}

/// The step and the reason are for operators, and stay with them.
fn stuck(m: SagaStuck) -> Option<Told> {
    let order = fulfilled(&m.saga_type, &m.business_key)?;
    Some(tell(order, H::Delayed, "Something takes longer than it should; our staff is looking after it."))
}

fn fulfilled(saga_type: &str, business_key: &str) -> Option<OrderId> {
    (saga_type == FULFILMENT).then(|| OrderId::parse(business_key).ok())?
}
