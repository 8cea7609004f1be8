//! A basket: `open → checked_out | cancelled | abandoned`. Only an open basket changes, and it holds one currency.

use super::wrong_state;
use message::Refusal;
use schemas::{
    ids::{ProductId, StoreId},
    money::Currency,
    quantity::Quantity,
};
use serde::{Deserialize, Serialize};

/// Most different products in a basket: keeps an order's messages far below the broker's limit.
pub const MAX_LINES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BasketStatus {
    Open,
    CheckedOut,
    Cancelled,
    Abandoned,
}

impl BasketStatus {
    pub const ALL: [Self; 4] = [Self::Open, Self::CheckedOut, Self::Cancelled, Self::Abandoned];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::CheckedOut => "checked_out",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Some pieces of a product. The store is kept so that checkout can ask for products and stores at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub product_id: ProductId,
    pub store_id: StoreId,
    pub quantity: Quantity,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basket {
    pub status: BasketStatus,
    /// In the order in which they were first put in.
    pub items: Vec<Item>,
    /// Of everything in it; `None` while it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// When it is abandoned if nobody touches it, milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
    /// Rises by one with each change.
    pub version: i64,
}

impl Basket {
    pub fn open(now_ms: i64, idle_ms: i64) -> Self {
        let (status, items, expires_at_ms) = (BasketStatus::Open, Vec::new(), now_ms.saturating_add(idle_ms));
        Self { status, items, currency: None, expires_at_ms, version: 1 }
    }

    /// Adds pieces of a product that is sold in `currency`.
    pub fn put(&self, item: &Item, currency: Currency, now_ms: i64, idle_ms: i64) -> Result<Self, Refusal> {
        let mut basket = self.touched(now_ms, idle_ms)?;
        if self.currency.is_some_and(|held| held != currency) {
            return Err(mixed_currencies());
        }
        basket.currency = Some(currency);
        match basket.items.iter_mut().find(|i| i.product_id == item.product_id) {
            Some(held) => {
                held.quantity = held.quantity.checked_add(item.quantity).map_err(|_| too_many(held.quantity))?
            }
            None if self.items.len() >= MAX_LINES => {
                let text = format!("a basket holds at most {MAX_LINES} different products");
                return Err(Refusal::new("orders.basket_full", text));
            }
            None => basket.items.push(item.clone()),
        }
        Ok(basket)
    }

    /// Takes all pieces of a product out; `None` when there were none, so that nothing changes.
    pub fn remove(&self, product_id: ProductId, now_ms: i64, idle_ms: i64) -> Result<Option<Self>, Refusal> {
        let mut basket = self.touched(now_ms, idle_ms)?;
        basket.items.retain(|i| i.product_id != product_id);
        if basket.items.is_empty() {
            basket.currency = None;
        }
        Ok((basket.items.len() < self.items.len()).then_some(basket))
    }

    /// Fixes the basket: it is an order from here on.
    pub fn check_out(&self) -> Result<Self, Refusal> {
        let basket = self.end(BasketStatus::CheckedOut)?;
        if self.items.is_empty() {
            return Err(Refusal::new(
                "orders.basket_empty",
                "the basket is empty; put something in before checking out",
            ));
        }
        Ok(basket)
    }

    pub fn cancel(&self) -> Result<Self, Refusal> {
        self.end(BasketStatus::Cancelled)
    }

    /// What the timer does: `None` when it came early, or the basket is open no longer.
    pub fn expire(&self, now_ms: i64) -> Option<Self> {
        let due = now_ms >= self.expires_at_ms;
        if due { self.end(BasketStatus::Abandoned).ok() } else { None }
    }

    pub fn quantity_of(&self, product_id: ProductId) -> Option<Quantity> {
        self.items.iter().find(|i| i.product_id == product_id).map(|i| i.quantity)
    }

    fn touched(&self, now_ms: i64, idle_ms: i64) -> Result<Self, Refusal> {
        match self.status {
            BasketStatus::Open => {
                let expires_at_ms = now_ms.saturating_add(idle_ms).max(self.expires_at_ms);
                Ok(Self { expires_at_ms, version: self.version + 1, ..self.clone() })
            }
            ended => {
                let text = format!("the basket is {}, and only an open basket changes", ended.as_str());
                Err(Refusal::new("orders.wrong_state", text))
            }
        }
    }

    fn end(&self, to: BasketStatus) -> Result<Self, Refusal> {
        match self.status {
            BasketStatus::Open => Ok(Self { status: to, version: self.version + 1, ..self.clone() }),
            from => Err(wrong_state("basket", from.as_str(), to.as_str())),
        }
    }
}

pub(super) fn mixed_currencies() -> Refusal {
    Refusal::new("orders.mixed_currencies", "a basket holds one currency; check the other products out on their own")
}

fn too_many(held: Quantity) -> Refusal {
    let text = format!("{held} pieces are in the basket already, and {} is the most", Quantity::MAX);
    Refusal::new("orders.quantity_limit", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const IDLE: i64 = 1_000;

    fn product(n: u128) -> ProductId {
        Uuid::from_u128(n).into()
    }

    fn item(n: u128, quantity: i32) -> Item {
        let store_id = Uuid::from_u128(1).into();
        Item { product_id: product(n), store_id, quantity: Quantity::try_from(quantity).unwrap() }
    }

    fn put(basket: &Basket, item: &Item) -> Result<Basket, Refusal> {
        basket.put(item, Currency::EUR, 500, IDLE)
    }

    fn basket(status: BasketStatus) -> Basket {
        Basket { status, ..put(&Basket::open(0, IDLE), &item(1, 2)).unwrap() }
    }

    #[test]
    fn only_an_open_basket_changes() {
        for status in BasketStatus::ALL {
            let (basket, open) = (basket(status), status == BasketStatus::Open);
            assert_eq!(put(&basket, &item(2, 1)).is_ok(), open);
            assert_eq!(basket.remove(product(1), 500, IDLE).is_ok(), open);
            assert_eq!(basket.check_out().is_ok(), open);
            assert_eq!(basket.cancel().is_ok(), open);
            assert_eq!(basket.expire(i64::MAX).is_some(), open);
        }
    }

    #[test]
    fn a_refused_end_names_both_states() {
        for status in BasketStatus::ALL.into_iter().filter(|s| *s != BasketStatus::Open) {
            for (result, to) in [(basket(status).check_out(), "checked_out"), (basket(status).cancel(), "cancelled")] {
                let refusal = result.unwrap_err();
                assert_eq!(refusal.code, "orders.wrong_state");
                assert!(refusal.message.contains(status.as_str()) && refusal.message.contains(to), "{refusal}");
            }
        }
    }

    #[test]
    fn quantities_of_the_same_product_are_summed_up_to_the_limit() {
        let twice = put(&basket(BasketStatus::Open), &item(1, 3)).unwrap();
        assert_eq!(twice.items, [item(1, 5)]);
        assert!(put(&twice, &item(1, 994)).is_ok());
        assert_eq!(put(&twice, &item(1, 995)).unwrap_err().code, "orders.quantity_limit");
    }

    #[test]
    fn a_basket_holds_one_currency_until_it_is_empty_again() {
        let usd = Currency::parse("USD").unwrap();
        let basket = basket(BasketStatus::Open);
        assert_eq!(basket.put(&item(2, 1), usd, 500, IDLE).unwrap_err().code, "orders.mixed_currencies");
        let empty = basket.remove(product(1), 500, IDLE).unwrap().unwrap();
        assert!(empty.put(&item(2, 1), usd, 500, IDLE).is_ok());
    }

    #[test]
    fn a_basket_takes_a_limited_number_of_products() {
        let full = (1..=MAX_LINES as u128).try_fold(Basket::open(0, IDLE), |b, n| put(&b, &item(n, 1))).unwrap();
        assert_eq!(put(&full, &item(500, 1)).unwrap_err().code, "orders.basket_full");
        assert!(put(&full, &item(1, 1)).is_ok());
    }

    #[test]
    fn an_empty_basket_cannot_be_checked_out() {
        assert_eq!(Basket::open(0, IDLE).check_out().unwrap_err().code, "orders.basket_empty");
    }

    #[test]
    fn removing_what_is_not_there_changes_nothing() {
        assert_eq!(basket(BasketStatus::Open).remove(product(9), 500, IDLE), Ok(None));
    }

    #[test]
    fn each_touch_puts_the_abandonment_off_and_an_early_timer_does_nothing() {
        let basket = basket(BasketStatus::Open);
        assert_eq!(basket.expires_at_ms, 1_500);
        assert_eq!(basket.expire(1_499), None);
        assert_eq!(basket.expire(1_500).map(|b| b.status), Some(BasketStatus::Abandoned));
    }
}
