//! What a customer does to a basket, and the timer that abandons it.

use crate::{
    Orders,
    domain::{Basket, CatalogueProduct, CatalogueStore, Item, Shelf, unknown},
};
use schemas::{
    ids::{BasketId, ProductId},
    lines::OrderLine,
    money::Money,
    orders as wire,
    quantity::Quantity,
};
use serde::{Deserialize, Serialize};
use transport::{Fold, Unit};
use uuid::Uuid;

/// A basket as it is shown: with the catalogue's prices of now, which only checkout fixes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BasketView {
    pub id: BasketId,
    pub basket: Basket,
    pub lines: Vec<ShownLine>,
}

/// An item, with its product where our copy of the catalogue still has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownLine {
    pub item: Item,
    pub product: Option<OrderLine>,
}

pub fn create_basket(orders: &Orders, unit: &mut Unit) -> Fold<BasketView> {
    let id = unit.new_id();
    let basket = Basket::open(unit.now_ms(), orders.config.basket_idle_ms());
    unit.put(id, basket.clone());
    unit.emit::<Basket, _>(id, wire::BasketOpened { basket_id: id.into() })?;
    Ok(view(id.into(), basket, &[]))
}

pub fn put_item(
    orders: &Orders,
    unit: &mut Unit,
    basket_id: BasketId,
    product_id: ProductId,
    quantity: Quantity,
) -> Fold<BasketView> {
    let (basket, product) = (find(unit, basket_id), unit.peek::<CatalogueProduct>(product_id.into()));
    let (basket, mut shelf) = (basket?, Shelf { product: product?, store: None });
    if let Some(offer) = shelf.product.as_ref().and_then(|p| p.offer.as_ref()) {
        shelf.store = unit.peek::<CatalogueStore>(offer.store_id.into())?;
    }
    let offer = shelf.offer(product_id)?;
    let item = Item { product_id, store_id: offer.store_id, quantity };
    let idle_ms = orders.config.basket_idle_ms();
    let basket = basket.put(&item, offer.price.currency, unit.now_ms(), idle_ms)?;
    unit.put(basket_id.into(), basket.clone());
    let quantity = basket.quantity_of(product_id).unwrap_or(quantity);
    unit.emit::<Basket, _>(basket_id.into(), wire::BasketItemPut { basket_id, product_id, quantity })?;
    shown(unit, basket_id, basket)
}

pub fn remove_item(orders: &Orders, unit: &mut Unit, basket_id: BasketId, product_id: ProductId) -> Fold<BasketView> {
    let before = find(unit, basket_id)?;
    let after = before.remove(product_id, unit.now_ms(), orders.config.basket_idle_ms())?;
    let Some(basket) = after else { return shown(unit, basket_id, before) };
    unit.put(basket_id.into(), basket.clone());
    unit.emit::<Basket, _>(basket_id.into(), wire::BasketItemRemoved { basket_id, product_id })?;
    shown(unit, basket_id, basket)
}

pub fn cancel_basket(unit: &mut Unit, basket_id: BasketId) -> Fold<BasketView> {
    let basket = find(unit, basket_id)?.cancel()?;
    unit.put(basket_id.into(), basket.clone());
    unit.emit::<Basket, _>(basket_id.into(), wire::BasketCancelled { basket_id })?;
    shown(unit, basket_id, basket)
}

/// The timer: it may come early or twice, so the basket decides.
pub fn expire(_: &Orders, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let now_ms = unit.now_ms();
    if let Some(abandoned) = unit.get::<Basket>(id)?.and_then(|basket| basket.expire(now_ms)) {
        unit.put(id, abandoned);
        unit.emit::<Basket, _>(id, wire::BasketAbandoned { basket_id: id.into() })?;
    }
    Ok(())
}

pub(super) fn find(unit: &mut Unit, id: BasketId) -> Fold<Basket> {
    Ok(unit.get::<Basket>(id.into())?.ok_or_else(|| unknown("basket", id))?)
}

fn shown(unit: &mut Unit, id: BasketId, basket: Basket) -> Fold<BasketView> {
    let products = unit.peek_all::<CatalogueProduct>(basket.items.iter().map(|i| i.product_id.into()))?;
    Ok(view(id, basket, &products))
}

/// Puts the catalogue's prices to the items; `products` stand in their order, and those that are missing are shown bare.
pub fn view(id: BasketId, basket: Basket, products: &[Option<CatalogueProduct>]) -> BasketView {
    let product = |at: usize| products.get(at).and_then(Option::as_ref);
    let lines = basket.items.iter().enumerate();
    let lines = lines.map(|(at, item)| ShownLine { item: item.clone(), product: line(item, product(at)) });
    BasketView { id, lines: lines.collect(), basket }
}

fn line(item: &Item, product: Option<&CatalogueProduct>) -> Option<OrderLine> {
    let offer = product?.offer.as_ref()?;
    Some(OrderLine {
        product_id: item.product_id,
        store_id: item.store_id,
        name: offer.name.clone(),
        quantity: item.quantity,
        price: offer.price,
        volume_ml: offer.volume_ml,
    })
}

impl BasketView {
    /// Of the lines that have a price; `None` when none has, or no number holds it.
    pub fn total(&self) -> Option<Money> {
        let currency = self.basket.currency?;
        let priced = self.lines.iter().filter_map(|l| l.product.as_ref());
        let costs = priced.map(|l| l.price.checked_mul(l.quantity)).collect::<Result<Vec<_>, _>>().ok()?;
        Money::sum(currency, costs).ok()
    }
}
