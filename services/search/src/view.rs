//! An order as people look for it. Each part follows one stream, so topics may be read in any order and at any time
//! again; the last record of a stream wins.

use schemas::{ids::StoreId, lines::OrderLine, money::Money};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

/// The order's state, as its own events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Another topic spoke of the order before its own did.
    #[default]
    Unknown,
    Pending,
    Approved,
    Shopping,
    Ready,
    Completed,
    Rejected,
    Cancelling,
    Cancelled,
    Returning,
    Refunded,
}

impl Status {
    /// What one can search for.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Approved,
        Self::Shopping,
        Self::Ready,
        Self::Completed,
        Self::Rejected,
        Self::Cancelling,
        Self::Cancelled,
        Self::Returning,
        Self::Refunded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Shopping => "shopping",
            Self::Ready => "ready",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Returning => "returning",
            Self::Refunded => "refunded",
        }
    }
}

/// The read model of one order; has the order's id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderView {
    pub status: Status,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<OrderLine>,
    /// Absent until the order's placing was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// State of its fulfilment; empty while unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub saga: String,
    /// Last news of its payment, as one word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub payment: String,
    /// Last news of its shopping list, as one word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shopping: String,
    #[serde(default)]
    pub placed_at_ms: i64,
    #[serde(default)]
    pub updated_at_ms: i64,
}

/// A store's last known name; kept after its closing, for its old orders are still looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreName {
    pub name: String,
    pub version: i64,
}

impl StoreName {
    /// What a record makes of the copy; `None` when the copy is as new.
    pub fn update(copy: Option<&Self>, name: &str, version: i64) -> Option<Self> {
        let news = copy.is_none_or(|c| c.version < version);
        news.then(|| Self { name: name.to_owned(), version })
    }
}

/// Names of stores by id, as far as they are known.
pub type Names = HashMap<Uuid, String>;

/// What somebody looks for. Everything given must match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Lower case.
    pub words: Vec<String>,
    pub status: Option<Status>,
    pub store: Option<StoreId>,
    /// Placed at or after.
    pub from_ms: Option<i64>,
    /// Placed before.
    pub to_ms: Option<i64>,
}

impl Filter {
    /// Splits what a person typed.
    pub fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_lowercase).collect()
    }

    pub fn matches(&self, id: Uuid, view: &OrderView, names: &Names) -> bool {
        view.total.is_some()
            && self.status.is_none_or(|s| view.status == s)
            && self.store.is_none_or(|s| view.lines.iter().any(|l| l.store_id == s))
            && self.from_ms.is_none_or(|from| view.placed_at_ms >= from)
            && self.to_ms.is_none_or(|to| view.placed_at_ms < to)
            && self.words.iter().all(|word| has_word(word, id, view, names))
    }
}

/// A word is the beginning of the order's id, part of the name of a product or store, or the state of its payment or
/// shopping (`captured`, `returned`).
fn has_word(word: &str, id: Uuid, view: &OrderView, names: &Names) -> bool {
    let in_line = |line: &OrderLine| line.name.to_lowercase().contains(word);
    id.to_string().starts_with(word)
        || [view.payment.as_str(), view.shopping.as_str()].contains(&word)
        || view.lines.iter().any(in_line)
        || view.store_names(names).any(|name| name.to_lowercase().contains(word))
}

impl OrderView {
    /// Names of the stores it is collected from, each once.
    pub fn store_names<'a>(&self, names: &'a Names) -> impl Iterator<Item = &'a str> {
        let mut stores: Vec<Uuid> = self.lines.iter().map(|l| l.store_id.into()).collect();
        stores.sort_unstable();
        stores.dedup();
        stores.into_iter().filter_map(|id| names.get(&id).map(String::as_str))
    }

    /// Notes when something was heard of it last.
    pub fn heard(mut self, at_ms: i64) -> Self {
        self.updated_at_ms = self.updated_at_ms.max(at_ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::{money::Currency, quantity::Quantity};

    fn id() -> Uuid {
        Uuid::from_u128(0x0190_aaaa_0000_7000_8000_0000_0000_0001)
    }

    fn view() -> OrderView {
        let (store_id, price) = (Uuid::from_u128(5).into(), Money::new(250, Currency::EUR));
        let product_id = Uuid::from_u128(9).into();
        let name = "Rye Bread".to_owned();
        let line = OrderLine { product_id, store_id, name, quantity: Quantity::ONE, price, volume_ml: 900 };
        let (status, payment) = (Status::Ready, "captured".to_owned());
        let times = OrderView { placed_at_ms: 100, updated_at_ms: 100, ..OrderView::default() };
        OrderView { status, lines: vec![line], total: Some(price), payment, ..times }
    }

    fn names() -> Names {
        Names::from([(Uuid::from_u128(5), "Corner Bakery".to_owned()), (Uuid::from_u128(6), "Florist".to_owned())])
    }

    fn found(filter: Filter) -> bool {
        filter.matches(id(), &view(), &names())
    }

    fn text(text: &str) -> Filter {
        Filter { words: Filter::words(text), ..Filter::default() }
    }

    #[test]
    fn an_order_is_found_by_each_of_its_traits() {
        for words in ["", "0190aaaa", "BREAD", "bakery rye", "  corner  ", "captured"] {
            assert!(found(text(words)), "`{words}` did not find it");
        }
        for words in ["0190aaab", "cake", "florist", "bakery cake", "capture"] {
            assert!(!found(text(words)), "`{words}` found it");
        }
    }

    #[test]
    fn every_given_filter_must_match() {
        assert!(found(Filter { status: Some(Status::Ready), store: Some(Uuid::from_u128(5).into()), ..text("bread") }));
        assert!(!found(Filter { status: Some(Status::Pending), ..text("bread") }));
        assert!(!found(Filter { store: Some(Uuid::from_u128(6).into()), ..text("bread") }));
    }

    #[test]
    fn times_include_their_beginning_and_exclude_their_end() {
        let between = |from, to| found(Filter { from_ms: Some(from), to_ms: Some(to), ..Filter::default() });
        assert!(between(100, 101));
        assert!(!between(101, 200));
        assert!(!between(0, 100));
    }

    #[test]
    fn an_order_whose_placing_was_not_read_yet_is_not_found() {
        assert!(!Filter::default().matches(id(), &OrderView::default(), &names()));
    }

    #[test]
    fn the_newer_name_of_a_store_wins() {
        let second = StoreName::update(None, "New", 2).unwrap();
        assert_eq!(StoreName::update(Some(&second), "Old", 1), None);
        assert_eq!(StoreName::update(Some(&second), "Newest", 3).unwrap().name, "Newest");
    }

    #[test]
    fn old_news_do_not_set_the_time_back() {
        assert_eq!(view().heard(50).updated_at_ms, 100);
        assert_eq!(view().heard(150).updated_at_ms, 150);
    }
}
