//! What search follows: every topic that tells something of an order, and the stores' names. Nothing is emitted, and
//! the tables may be emptied and filled again from the topics at any time.

use crate::{
    Search,
    view::{OrderView, Status, StoreName},
};
use message::Envelope;
use schemas::{depot, orchestrator, orders, payments, stores};
use transport::{Aggregate, Fold, Router, Unit};
use uuid::Uuid;

/// The saga whose state is shown.
const FULFILMENT: &str = "order-fulfilment";

impl Aggregate for OrderView {
    const KIND: &'static str = "order_view";

    fn status(&self) -> &'static str {
        self.status.as_str()
    }
}

impl Aggregate for StoreName {
    const KIND: &'static str = "store_name";

    fn status(&self) -> &'static str {
        "known"
    }
}

pub fn routes() -> Router<Search> {
    shopping(payment(saga(order(Router::new())))).event(store).tombstone::<stores::CatalogueStore>(store_closed)
}

fn order(router: Router<Search>) -> Router<Search> {
    router
        .event(placed)
        .event(ready)
        .event(|_, u, e, m: &orders::OrderApproved| status(u, e, m.order_id, Status::Approved))
        .event(|_, u, e, m: &orders::OrderShopping| status(u, e, m.order_id, Status::Shopping))
        .event(|_, u, e, m: &orders::OrderCompleted| status(u, e, m.order_id, Status::Completed))
        .event(|_, u, e, m: &orders::OrderCancelling| status(u, e, m.order_id, Status::Cancelling))
        .event(|_, u, e, m: &orders::OrderCancelled| status(u, e, m.order_id, Status::Cancelled))
        .event(|_, u, e, m: &orders::OrderRejected| status(u, e, m.order_id, Status::Rejected))
        .event(|_, u, e, m: &orders::OrderReturning| status(u, e, m.order_id, Status::Returning))
        .event(|_, u, e, m: &orders::OrderReturnFailed| status(u, e, m.order_id, Status::Completed))
        .event(|_, u, e, m: &orders::OrderRefunded| status(u, e, m.order_id, Status::Refunded))
}

fn saga(router: Router<Search>) -> Router<Search> {
    use orchestrator as o;
    router
        .event(|_, u, e, m: &o::SagaStarted| saga_state(u, e, &m.saga_type, &m.business_key, "running"))
        .event(|_, u, e, m: &o::SagaCompensating| saga_state(u, e, &m.saga_type, &m.business_key, "compensating"))
        .event(|_, u, e, m: &o::SagaStuck| saga_state(u, e, &m.saga_type, &m.business_key, "stuck"))
        .event(|_, u, e, m: &o::SagaCompleted| saga_state(u, e, &m.saga_type, &m.business_key, "completed"))
        .event(|_, u, e, m: &o::SagaCompensated| saga_state(u, e, &m.saga_type, &m.business_key, "compensated"))
}

fn payment(router: Router<Search>) -> Router<Search> {
    use payments as p;
    router
        .event(|_, u, e, m: &p::PaymentAuthorized| payment_state(u, e, m.order_id, "authorized"))
        .event(|_, u, e, m: &p::PaymentDeclined| payment_state(u, e, m.order_id, "declined"))
        .event(|_, u, e, m: &p::PaymentCaptured| payment_state(u, e, m.order_id, "captured"))
        .event(|_, u, e, m: &p::PaymentVoided| payment_state(u, e, m.order_id, "voided"))
        .event(|_, u, e, m: &p::PaymentRefunded| payment_state(u, e, m.order_id, "refunded"))
        .event(|_, u, e, m: &p::PaymentExpired| payment_state(u, e, m.order_id, "expired"))
}

fn shopping(router: Router<Search>) -> Router<Search> {
    use depot as d;
    router
        .event(|_, u, e, m: &d::ShoppingAssigned| shopping_state(u, e, m.order_id, "assigned"))
        .event(|_, u, e, m: &d::ShoppingDelivered| shopping_state(u, e, m.order_id, "delivered"))
        .event(|_, u, e, m: &d::ShoppingChecked| shopping_state(u, e, m.order_id, "checked"))
        .event(|_, u, e, m: &d::ShoppingCancelled| shopping_state(u, e, m.order_id, "cancelled"))
        .event(|_, u, e, m: &d::ShoppingReturned| shopping_state(u, e, m.order_id, "returned"))
}

fn placed(_: &Search, unit: &mut Unit, envelope: &Envelope, event: &orders::OrderPlaced) -> Fold<()> {
    change(unit, envelope, event.order_id, |view| {
        view.status = Status::Pending;
        view.lines.clone_from(&event.lines);
        view.total = Some(event.total);
        view.placed_at_ms = envelope.time_ms;
    })
}

fn ready(_: &Search, unit: &mut Unit, envelope: &Envelope, event: &orders::OrderReady) -> Fold<()> {
    change(unit, envelope, event.order_id, |view| {
        view.status = Status::Ready;
        view.total = Some(event.total);
    })
}

fn store(_: &Search, unit: &mut Unit, _: &Envelope, record: &stores::CatalogueStore) -> Fold<()> {
    let id = record.store_id.as_uuid();
    let copy = unit.get::<StoreName>(id)?;
    if let Some(newer) = StoreName::update(copy.as_ref(), &record.name, record.version) {
        unit.put(id, newer);
    }
    Ok(())
}

/// The name stays: orders of a closed store are still looked for by it.
fn store_closed(_: &Search, _: &mut Unit, _: Uuid) -> Fold<()> {
    Ok(())
}

fn status(unit: &mut Unit, envelope: &Envelope, id: impl Into<Uuid>, status: Status) -> Fold<()> {
    change(unit, envelope, id, |view| view.status = status)
}

fn payment_state(unit: &mut Unit, envelope: &Envelope, id: impl Into<Uuid>, state: &str) -> Fold<()> {
    change(unit, envelope, id, |view| state.clone_into(&mut view.payment))
}

fn shopping_state(unit: &mut Unit, envelope: &Envelope, id: impl Into<Uuid>, state: &str) -> Fold<()> {
    change(unit, envelope, id, |view| state.clone_into(&mut view.shopping))
}

/// Other sagas are not shown; a fulfilment's business key is the order's id.
fn saga_state(unit: &mut Unit, envelope: &Envelope, saga_type: &str, key: &str, state: &str) -> Fold<()> {
    match key.parse::<Uuid>() {
        Ok(id) if saga_type == FULFILMENT => change(unit, envelope, id, |view| state.clone_into(&mut view.saga)),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn change(unit: &mut Unit, envelope: &Envelope, id: impl Into<Uuid>, set: impl FnOnce(&mut OrderView)) -> Fold<()> {
    let id = id.into();
    let mut view = unit.get::<OrderView>(id)?.unwrap_or_default();
    set(&mut view);
    unit.put(id, view.heard(envelope.time_ms));
    Ok(())
}
