//! A store: `draft → requested → participating ⇄ suspended → closed`, and the ids of what it offers.

use super::wrong_state;
use message::Refusal;
use schemas::{ids::ProductId, stores::Location, text::Text};
use serde::{Deserialize, Serialize};

/// Most products a store offers at a time: closing it takes all of them out of the catalogue in one transaction.
pub const MAX_PRODUCTS: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreStatus {
    Draft,
    Requested,
    Participating,
    Suspended,
    Closed,
}

impl StoreStatus {
    pub const ALL: [Self; 5] = [Self::Draft, Self::Requested, Self::Participating, Self::Suspended, Self::Closed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Requested => "requested",
            Self::Participating => "participating",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }
}

/// What its owner or the mall's staff do to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChange {
    Request,
    Approve,
    Deny(Text),
    Suspend(Text),
    Resume,
    Close,
}

impl StoreChange {
    /// The state this change leads to.
    pub fn target(&self) -> StoreStatus {
        match self {
            Self::Request => StoreStatus::Requested,
            Self::Approve | Self::Resume => StoreStatus::Participating,
            Self::Deny(_) => StoreStatus::Draft,
            Self::Suspend(_) => StoreStatus::Suspended,
            Self::Close => StoreStatus::Closed,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    pub name: Text,
    pub location: Location,
    pub status: StoreStatus,
    /// Why it was last denied or suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Rises by one with each change.
    pub version: i64,
    /// What it offers now; removed products are not among them.
    #[serde(default)]
    pub products: Vec<ProductId>,
}

impl Store {
    pub fn create(name: Text, location: Location) -> Self {
        Self { name, location, status: StoreStatus::Draft, reason: None, version: 1, products: Vec::new() }
    }

    /// Carries a change out. Refused with `stores.wrong_state` when it is not listed for the state the store is in.
    pub fn change(&self, change: &StoreChange) -> Result<Self, Refusal> {
        use StoreStatus as S;
        let reason = match (self.status, change) {
            (S::Draft, StoreChange::Request) => self.reason.clone(),
            (S::Requested, StoreChange::Approve) => None,
            (S::Requested, StoreChange::Deny(reason)) => Some(reason.clone()),
            (S::Participating, StoreChange::Suspend(reason)) => Some(reason.clone()),
            (S::Suspended, StoreChange::Resume) => None,
            (S::Suspended, StoreChange::Close) => self.reason.clone(),
            (from, change) => return Err(wrong_state("store", from.as_str(), change.target().as_str())),
        };
        Ok(Self { status: change.target(), reason, version: self.version + 1, ..self.clone() })
    }

    /// Whether its listed products may be bought.
    pub fn participates(&self) -> bool {
        self.status == StoreStatus::Participating
    }

    /// Takes a product into its offer. Refused by a closed store, and with `stores.too_many_products` by a full one.
    pub fn offer(&self, product: ProductId) -> Result<Self, Refusal> {
        if self.status == StoreStatus::Closed {
            return Err(Refusal::new(
                "stores.wrong_state",
                "the store is closed, so no product can become listed in it",
            ));
        }
        if self.products.len() >= MAX_PRODUCTS {
            let text = format!("a store offers at most {MAX_PRODUCTS} products; remove one first");
            return Err(Refusal::new("stores.too_many_products", text));
        }
        let mut store = self.clone();
        store.products.push(product);
        Ok(store)
    }

    /// Forgets a product that was removed.
    pub fn withdraw(&self, product: ProductId) -> Self {
        let mut store = self.clone();
        store.products.retain(|p| *p != product);
        store
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn text(s: &str) -> Text {
        Text::parse(s).unwrap()
    }

    fn store(status: StoreStatus) -> Store {
        Store { status, ..Store::create(text("Bakery"), Location { level: 1, x: 2, y: 3 }) }
    }

    fn every_change() -> [StoreChange; 6] {
        use StoreChange::*;
        [Request, Approve, Deny(text("no papers")), Suspend(text("closed for works")), Resume, Close]
    }

    #[test]
    fn exactly_the_listed_transitions_are_possible() {
        use StoreStatus::*;
        let listed = |from: StoreStatus, change: &StoreChange| match change {
            StoreChange::Request => from == Draft,
            StoreChange::Approve | StoreChange::Deny(_) => from == Requested,
            StoreChange::Suspend(_) => from == Participating,
            StoreChange::Resume | StoreChange::Close => from == Suspended,
        };
        for from in StoreStatus::ALL {
            for change in every_change() {
                let result = store(from).change(&change);
                assert_eq!(result.is_ok(), listed(from, &change), "{from:?} {change:?}");
            }
        }
    }

    #[test]
    fn a_refused_transition_names_both_states_and_an_accepted_one_raises_the_version() {
        for from in StoreStatus::ALL {
            for change in every_change() {
                match store(from).change(&change) {
                    Ok(next) => assert_eq!((next.status, next.version), (change.target(), 2)),
                    Err(refusal) => {
                        assert_eq!(refusal.code, "stores.wrong_state");
                        assert!(refusal.message.contains(from.as_str()), "{refusal}");
                        assert!(refusal.message.contains(change.target().as_str()), "{refusal}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_reason_of_a_denial_or_suspension_is_kept_until_the_store_takes_part_again() {
        let denied = store(StoreStatus::Requested).change(&StoreChange::Deny(text("no papers"))).unwrap();
        assert_eq!(denied.reason, Some(text("no papers")));
        let again = denied.change(&StoreChange::Request).unwrap().change(&StoreChange::Approve).unwrap();
        assert_eq!(again.reason, None);
    }

    #[test]
    fn a_store_offers_no_more_than_its_limit_and_nothing_when_closed() {
        let id = |n: usize| ProductId::from(Uuid::from_u128(n as u128));
        let full = (0..MAX_PRODUCTS).try_fold(store(StoreStatus::Draft), |s, n| s.offer(id(n))).unwrap();
        assert_eq!(full.offer(id(MAX_PRODUCTS)).unwrap_err().code, "stores.too_many_products");
        assert!(full.withdraw(id(7)).offer(id(MAX_PRODUCTS)).is_ok());
        assert_eq!(store(StoreStatus::Closed).offer(id(1)).unwrap_err().code, "stores.wrong_state");
    }
}
