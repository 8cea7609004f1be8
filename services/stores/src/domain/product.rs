//! A product: `listed ⇄ hidden → removed`, with an absolute price and a version that rises with every change.

use super::wrong_state;
use message::Refusal;
use schemas::{ids::StoreId, money::Money, text::Text};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Volumes a piece may have, in millilitres.
pub const VOLUME_ML: RangeInclusive<i32> = 1..=i32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    Listed,
    Hidden,
    Removed,
}

impl ProductStatus {
    pub const ALL: [Self; 3] = [Self::Listed, Self::Hidden, Self::Removed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Hidden => "hidden",
            Self::Removed => "removed",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductChange {
    List,
    Hide,
    Remove,
    Reprice(Money),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    pub store_id: StoreId,
    pub name: Text,
    pub price: Money,
    pub volume_ml: i32,
    pub status: ProductStatus,
    pub version: i64,
}

impl Product {
    /// A new product is listed.
    pub fn add(store_id: StoreId, name: Text, price: Money, volume_ml: i32) -> Self {
        Self { store_id, name, price, volume_ml, status: ProductStatus::Listed, version: 1 }
    }

    /// Carries a change out. Refused with `stores.wrong_state` when it is not listed for the state the product is in.
    pub fn change(&self, change: ProductChange) -> Result<Self, Refusal> {
        use ProductStatus as S;
        let mut next = Self { version: self.version + 1, ..self.clone() };
        match (self.status, change) {
            (S::Hidden, ProductChange::List) => next.status = S::Listed,
            (S::Listed, ProductChange::Hide) => next.status = S::Hidden,
            (S::Hidden, ProductChange::Remove) => next.status = S::Removed,
            (S::Listed | S::Hidden, ProductChange::Reprice(price)) => next.price = price,
            (from, ProductChange::List) => return Err(wrong_state("product", from.as_str(), "listed")),
            (from, ProductChange::Hide) => return Err(wrong_state("product", from.as_str(), "hidden")),
            (from, ProductChange::Remove) => return Err(wrong_state("product", from.as_str(), "removed")),
            (S::Removed, ProductChange::Reprice(price)) => {
                let text = format!("the product is removed, so its price cannot become {price}");
                return Err(Refusal::new("stores.wrong_state", text));
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::money::Currency;
    use uuid::Uuid;

    fn eur(amount: i64) -> Money {
        Money::new(amount, Currency::EUR)
    }

    fn product(status: ProductStatus) -> Product {
        let store = StoreId::from(Uuid::from_u128(1));
        Product { status, ..Product::add(store, Text::parse("Bread").unwrap(), eur(250), 900) }
    }

    #[test]
    fn exactly_the_listed_transitions_are_possible_and_each_raises_the_version() {
        use ProductStatus::*;
        for from in ProductStatus::ALL {
            let after = |change| product(from).change(change).ok().map(|p| (p.status, p.version));
            assert_eq!(after(ProductChange::List), (from == Hidden).then_some((Listed, 2)));
            assert_eq!(after(ProductChange::Hide), (from == Listed).then_some((Hidden, 2)));
            assert_eq!(after(ProductChange::Remove), (from == Hidden).then_some((Removed, 2)));
            assert_eq!(after(ProductChange::Reprice(eur(1))), (from != Removed).then_some((from, 2)));
        }
    }

    #[test]
    fn a_refused_transition_names_both_states() {
        let changes =
            [(ProductChange::List, "listed"), (ProductChange::Hide, "hidden"), (ProductChange::Remove, "removed")];
        for from in ProductStatus::ALL {
            for (change, to) in changes {
                let Err(refusal) = product(from).change(change) else { continue };
                assert_eq!(refusal.code, "stores.wrong_state");
                assert!(refusal.message.contains(from.as_str()) && refusal.message.contains(to), "{refusal}");
            }
        }
    }

    #[test]
    fn a_new_price_is_absolute() {
        let repriced = product(ProductStatus::Listed).change(ProductChange::Reprice(eur(99))).unwrap();
        assert_eq!(repriced.price, eur(99));
    }
}
