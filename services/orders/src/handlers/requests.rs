//! What customers and staff ask of orders: checkout, cancel, return. The rest of an order's life is the saga's.

use super::baskets;
use crate::domain::{
    Basket, CatalogueProduct, CatalogueStore, Contact, Order, Phone, Placing, Priced, Return, Shelf, price, unknown,
};
use schemas::{
    ids::{BasketId, OrderId, ReturnId},
    orders as wire,
    text::Text,
};
use transport::{Fold, Unit};
use uuid::Uuid;

/// A checkout, checked. Its `Debug` shows neither phone nor token.
#[derive(Clone)]
pub struct Checkout {
    pub basket_id: BasketId,
    pub phone: Phone,
    pub payment_token: String,
    pub pay_on_arrival: bool,
    pub customer_ref: String,
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout").field("basket_id", &self.basket_id).finish_non_exhaustive()
    }
}

/// Makes the basket an order of the same id, so that a second checkout can never make a second order.
pub fn checkout(unit: &mut Unit, input: &Checkout) -> Fold<Order> {
    let id = Uuid::from(input.basket_id);
    // All asked for before the first `?`, so that one load brings them.
    let (basket, order, contact) =
        (baskets::find(unit, input.basket_id), unit.get::<Order>(id), unit.get::<Contact>(id));
    let basket = basket?.check_out();
    let _ = (order?, contact?);
    let basket = basket?;
    let priced = price(&basket, &shelves(unit, &basket)?)?;
    let placing = Placing { pay_on_arrival: input.pay_on_arrival, at_ms: unit.now_ms() };
    let placed = placed(input, &priced);
    let order = Order::place(priced, placing);
    unit.put(id, basket);
    unit.put(id, order.clone());
    unit.put(id, Contact { phone: input.phone.clone() });
    unit.emit::<Basket, _>(id, wire::BasketCheckedOut { basket_id: input.basket_id })?;
    let phone = input.phone.expose().to_owned();
    unit.emit::<Order, _>(id, wire::CustomerContactGiven { order_id: input.basket_id.into(), phone })?;
    unit.emit::<Order, _>(id, placed)?;
    Ok(order)
}

fn shelves(unit: &mut Unit, basket: &Basket) -> Fold<Vec<Shelf>> {
    let products = unit.peek_all::<CatalogueProduct>(basket.items.iter().map(|i| i.product_id.into()));
    let stores = unit.peek_all::<CatalogueStore>(basket.items.iter().map(|i| i.store_id.into()));
    let pairs = products?.into_iter().zip(stores?);
    Ok(pairs.map(|(product, store)| Shelf { product, store }).collect())
}

fn placed(input: &Checkout, priced: &Priced) -> wire::OrderPlaced {
    wire::OrderPlaced {
        order_id: input.basket_id.into(),
        lines: priced.lines.clone(),
        total: priced.total,
        volume_ml: priced.volume_ml,
        payment_token: input.payment_token.clone(),
        pay_on_arrival: input.pay_on_arrival,
        customer_ref: input.customer_ref.clone(),
    }
}

/// Passes the wish on to the saga. Nothing changes before the saga has decided; asking twice is asking once.
pub fn cancel_order(unit: &mut Unit, order_id: OrderId, reason: &Text, by: &Text) -> Fold<()> {
    let Some(order) = find(unit, order_id)?.ask_cancel()? else { return Ok(()) };
    unit.put(order_id.into(), order);
    let (reason, by) = (reason.to_string(), by.to_string());
    unit.emit::<Order, _>(order_id.into(), wire::CancelRequested { order_id, reason, by })
}

/// Starts the return of a completed order.
pub fn request_return(unit: &mut Unit, order_id: OrderId, reason: &Text, by: &Text) -> Fold<ReturnId> {
    let return_id = ReturnId::from(unit.new_id());
    let asked = Return { id: return_id, reason: reason.clone(), by: by.clone() };
    let order = find(unit, order_id)?.ask_return(asked)?;
    let total = order.total;
    unit.put(order_id.into(), order);
    let event = wire::ReturnRequested { return_id, order_id, reason: reason.to_string(), total };
    unit.emit::<Order, _>(order_id.into(), event)?;
    Ok(return_id)
}

pub(super) fn find(unit: &mut Unit, id: OrderId) -> Fold<Order> {
    Ok(unit.get::<Order>(id.into())?.ok_or_else(|| unknown("order", id))?)
}
