//! Our copy of the catalogue: of two records the newer wins, and a deletion is final but keeps id and version.

use schemas::{ids::StoreId, money::Money};
use serde::{Deserialize, Serialize};

/// What a product is sold as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub store_id: StoreId,
    pub name: String,
    pub price: Money,
    pub volume_ml: i32,
    pub listed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueProduct {
    pub version: i64,
    /// `None` once it was removed.
    pub offer: Option<Offer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCard {
    pub name: String,
    pub participating: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueStore {
    pub version: i64,
    /// `None` once it was closed.
    pub card: Option<StoreCard>,
}

impl CatalogueProduct {
    /// What a record makes of the copy; `None` when the copy is as new, or the product was removed.
    pub fn update(copy: Option<&Self>, version: i64, offer: Offer) -> Option<Self> {
        let news = copy.is_none_or(|c| c.offer.is_some() && c.version < version);
        news.then_some(Self { version, offer: Some(offer) })
    }

    /// The copy after the product's removal.
    pub fn removed(copy: Option<&Self>) -> Self {
        Self { version: copy.map_or(0, |c| c.version), offer: None }
    }
}

impl CatalogueStore {
    /// What a record makes of the copy; `None` when the copy is as new, or the store was closed.
    pub fn update(copy: Option<&Self>, version: i64, card: StoreCard) -> Option<Self> {
        let news = copy.is_none_or(|c| c.card.is_some() && c.version < version);
        news.then_some(Self { version, card: Some(card) })
    }

    /// The copy after the store's closing.
    pub fn closed(copy: Option<&Self>) -> Self {
        Self { version: copy.map_or(0, |c| c.version), card: None }
    }

    pub fn participates(&self) -> bool {
        self.card.as_ref().is_some_and(|c| c.participating)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::money::Currency;
    use uuid::Uuid;

    fn offer(amount: i64) -> Offer {
        let (store_id, price) = (Uuid::from_u128(1).into(), Money::new(amount, Currency::EUR));
        Offer { store_id, name: "Bread".into(), price, volume_ml: 900, listed: true }
    }

    fn card(participating: bool) -> StoreCard {
        StoreCard { name: "Bakery".into(), participating }
    }

    #[test]
    fn the_newer_record_wins_in_whatever_order_they_come() {
        let second = CatalogueProduct::update(None, 2, offer(20)).unwrap();
        assert_eq!(CatalogueProduct::update(Some(&second), 1, offer(10)), None);
        assert_eq!(CatalogueProduct::update(Some(&second), 2, offer(10)), None);
        let third = CatalogueProduct::update(Some(&second), 3, offer(30)).unwrap();
        assert_eq!(third, CatalogueProduct { version: 3, offer: Some(offer(30)) });
    }

    #[test]
    fn a_removal_keeps_the_version_and_is_final() {
        let copy = CatalogueProduct::update(None, 5, offer(1)).unwrap();
        let gone = CatalogueProduct::removed(Some(&copy));
        assert_eq!(gone, CatalogueProduct { version: 5, offer: None });
        assert_eq!(CatalogueProduct::update(Some(&gone), 6, offer(1)), None);
        assert_eq!(CatalogueProduct::update(Some(&CatalogueProduct::removed(None)), 1, offer(1)), None);
    }

    #[test]
    fn stores_follow_the_same_rules() {
        let open = CatalogueStore::update(None, 2, card(true)).unwrap();
        assert!(open.participates());
        assert_eq!(CatalogueStore::update(Some(&open), 1, card(false)), None);
        let suspended = CatalogueStore::update(Some(&open), 3, card(false)).unwrap();
        assert!(!suspended.participates());
        let closed = CatalogueStore::closed(Some(&suspended));
        assert_eq!((closed.version, closed.participates()), (3, false));
        assert_eq!(CatalogueStore::update(Some(&closed), 4, card(true)), None);
    }
}
