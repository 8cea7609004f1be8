//! Pricing a basket with the catalogue of this moment: what checkout fixes, and why it may refuse.

use super::{Basket, CatalogueProduct, CatalogueStore, Item, Offer, basket::mixed_currencies};
use message::Refusal;
use schemas::{ids::ProductId, lines::OrderLine, money::Money};

/// What our copy of the catalogue knows of one item.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    pub product: Option<CatalogueProduct>,
    pub store: Option<CatalogueStore>,
}

/// A basket with prices.
#[derive(Debug, Clone, PartialEq)]
pub struct Priced {
    pub lines: Vec<OrderLine>,
    pub total: Money,
    /// Of all lines together, in millilitres.
    pub volume_ml: i32,
}

impl Shelf {
    /// The offer, when it can be bought now. Refused with `orders.unknown_product`, `orders.product_removed`,
    /// `orders.product_unavailable` or `orders.store_not_participating`.
    pub fn offer(&self, id: ProductId) -> Result<&Offer, Refusal> {
        let product = self.product.as_ref().ok_or_else(|| super::unknown("product", id))?;
        let Some(offer) = &product.offer else {
            return Err(Refusal::new("orders.product_removed", format!("product {id} is no longer sold")));
        };
        if !offer.listed {
            let text = format!("{} is not for sale at the moment", offer.name);
            return Err(Refusal::new("orders.product_unavailable", text));
        }
        if !self.store.as_ref().is_some_and(CatalogueStore::participates) {
            let text = format!("the store that sells {} does not take part at the moment", offer.name);
            return Err(Refusal::new("orders.store_not_participating", text));
        }
        Ok(offer)
    }
}

/// Prices the items of a basket; `shelves` stand in their order. The first item that cannot be bought refuses it all.
pub fn price(basket: &Basket, shelves: &[Shelf]) -> Result<Priced, Refusal> {
    let lines = basket.items.iter().zip(shelves).map(|(item, shelf)| line(item, shelf.offer(item.product_id)?));
    let lines = lines.collect::<Result<Vec<_>, Refusal>>()?;
    let Some(currency) = lines.first().map(|l| l.price.currency) else {
        return Err(Refusal::new("orders.basket_empty", "the basket is empty; put something in before checking out"));
    };
    if lines.iter().any(|l| l.price.currency != currency) {
        return Err(mixed_currencies());
    }
    let costs = lines.iter().map(|l| l.price.checked_mul(l.quantity)).collect::<Result<Vec<_>, _>>();
    let total = costs.and_then(|costs| Money::sum(currency, costs)).map_err(|_| too_large("costs"))?;
    let volume: i64 = lines.iter().map(|l| i64::from(l.volume_ml) * i64::from(l.quantity)).sum();
    let volume_ml = i32::try_from(volume).map_err(|_| too_large("takes up"))?;
    Ok(Priced { lines, total, volume_ml })
}

fn line(item: &Item, offer: &Offer) -> Result<OrderLine, Refusal> {
    Ok(OrderLine {
        product_id: item.product_id,
        store_id: offer.store_id,
        name: offer.name.clone(),
        quantity: item.quantity,
        price: offer.price,
        volume_ml: offer.volume_ml,
    })
}

fn too_large(what: &str) -> Refusal {
    Refusal::new("orders.too_large", format!("the basket {what} more than any order can; take something out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::StoreCard;
    use schemas::{money::Currency, quantity::Quantity};
    use uuid::Uuid;

    fn offer(amount: i64, volume_ml: i32) -> Offer {
        let (store_id, price) = (Uuid::from_u128(1).into(), Money::new(amount, Currency::EUR));
        Offer { store_id, name: "Bread".into(), price, volume_ml, listed: true }
    }

    fn shelf(offer: Offer) -> Shelf {
        let card = StoreCard { name: "Bakery".into(), participating: true };
        Shelf {
            product: Some(CatalogueProduct { version: 1, offer: Some(offer) }),
            store: Some(CatalogueStore { version: 1, card: Some(card) }),
        }
    }

    fn basket(quantities: &[i32]) -> Basket {
        quantities.iter().enumerate().fold(Basket::open(0, 1), |basket, (n, quantity)| {
            let product_id = Uuid::from_u128(n as u128).into();
            let quantity = Quantity::try_from(*quantity).unwrap();
            let item = Item { product_id, store_id: Uuid::from_u128(1).into(), quantity };
            basket.put(&item, Currency::EUR, 0, 1).unwrap()
        })
    }

    fn refused(shelf: Shelf) -> String {
        price(&basket(&[1]), &[shelf]).unwrap_err().code
    }

    #[test]
    fn totals_are_of_all_pieces_of_all_lines() {
        let priced = price(&basket(&[2, 3]), &[shelf(offer(250, 900)), shelf(offer(100, 50))]).unwrap();
        assert_eq!((priced.total, priced.volume_ml), (Money::new(800, Currency::EUR), 1_950));
        assert_eq!(priced.lines.iter().map(|l| l.quantity.get()).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn each_reason_why_an_item_cannot_be_bought_has_its_code() {
        let good = shelf(offer(1, 1));
        assert_eq!(refused(Shelf::default()), "orders.unknown_product");
        let removed = CatalogueProduct { version: 2, offer: None };
        assert_eq!(refused(Shelf { product: Some(removed), ..good.clone() }), "orders.product_removed");
        assert_eq!(refused(shelf(Offer { listed: false, ..offer(1, 1) })), "orders.product_unavailable");
        let no_store = Shelf { store: None, ..good.clone() };
        let closed = Shelf { store: Some(CatalogueStore { version: 2, card: None }), ..good.clone() };
        let card = StoreCard { name: "Bakery".into(), participating: false };
        let suspended = Shelf { store: Some(CatalogueStore { version: 2, card: Some(card) }), ..good };
        for shelf in [no_store, closed, suspended] {
            assert_eq!(refused(shelf), "orders.store_not_participating");
        }
    }

    #[test]
    fn a_price_that_changed_its_currency_since_it_was_put_in_is_refused() {
        let dollars = Offer { price: Money::new(1, Currency::parse("USD").unwrap()), ..offer(1, 1) };
        let refusal = price(&basket(&[1, 1]), &[shelf(offer(1, 1)), shelf(dollars)]).unwrap_err();
        assert_eq!(refusal.code, "orders.mixed_currencies");
    }

    #[test]
    fn sums_that_no_number_holds_are_refused() {
        let dear = price(&basket(&[2]), &[shelf(offer(i64::MAX, 1))]).unwrap_err();
        let bulky = price(&basket(&[2]), &[shelf(offer(1, i32::MAX))]).unwrap_err();
        assert_eq!((dear.code.as_str(), bulky.code.as_str()), ("orders.too_large", "orders.too_large"));
    }

    #[test]
    fn an_empty_basket_has_no_price() {
        assert_eq!(price(&Basket::open(0, 1), &[]).unwrap_err().code, "orders.basket_empty");
    }
}
