//! What orders obey and follow: the table of contents, and how stored states show themselves to the platform.

mod baskets;
pub(crate) mod catalogue;
mod commands;
mod requests;

pub use baskets::{BasketView, cancel_basket, create_basket, put_item, remove_item, view};
pub use requests::{Checkout, cancel_order, checkout, request_return};

use crate::{
    Orders,
    domain::{Basket, BasketStatus, CatalogueProduct, CatalogueStore, Contact, Order, OrderStatus},
};
use transport::{Aggregate, Router};

/// Commands come from the orchestrator, records of the catalogue from stores; baskets wake to be abandoned.
pub fn routes() -> Router<Orders> {
    Router::new()
        .command(commands::approve)
        .command(commands::mark_shopping)
        .command(commands::mark_ready)
        .command(commands::complete)
        .command(commands::begin_cancel)
        .command(commands::close)
        .command(commands::begin_return)
        .command(commands::abort_return)
        .command(commands::mark_refunded)
        .event(catalogue::product)
        .tombstone::<schemas::stores::CatalogueProduct>(catalogue::product_removed)
        .event(catalogue::store)
        .tombstone::<schemas::stores::CatalogueStore>(catalogue::store_closed)
        .wake::<Basket>(baskets::expire)
}

impl Aggregate for Basket {
    const KIND: &'static str = "basket";

    fn status(&self) -> &'static str {
        self.status.as_str()
    }

    fn wake_at_ms(&self) -> Option<i64> {
        (self.status == BasketStatus::Open).then_some(self.expires_at_ms)
    }
}

impl Aggregate for Order {
    const KIND: &'static str = "order";

    fn status(&self) -> &'static str {
        self.status.as_str()
    }

    /// When it was placed, for one that waits to be approved, 0 for others: an index on the rank holds who waits, and
    /// nobody else.
    fn rank(&self) -> i64 {
        if self.status == OrderStatus::Pending { self.placed_at_ms } else { 0 }
    }
}

impl Aggregate for Contact {
    const KIND: &'static str = "contact";

    fn status(&self) -> &'static str {
        "given"
    }
}

impl Aggregate for CatalogueProduct {
    const KIND: &'static str = "catalogue_product";

    fn status(&self) -> &'static str {
        match &self.offer {
            Some(offer) if offer.listed => "listed",
            Some(_) => "hidden",
            None => "removed",
        }
    }
}

impl Aggregate for CatalogueStore {
    const KIND: &'static str = "catalogue_store";

    fn status(&self) -> &'static str {
        match &self.card {
            Some(card) if card.participating => "participating",
            Some(_) => "idle",
            None => "closed",
        }
    }
}
