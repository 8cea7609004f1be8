//! Baskets, orders and what checkout needs of the catalogue: pure functions of state, input and time.

mod basket;
mod catalogue;
mod checkout;
mod contact;
mod order;

pub use basket::{Basket, BasketStatus, Item, MAX_LINES};
pub use catalogue::{CatalogueProduct, CatalogueStore, Offer, StoreCard};
pub use checkout::{Priced, Shelf, price};
pub use contact::{Contact, Phone, PhoneError};
pub use order::{Order, OrderStatus, Placing, Return};

use message::Refusal;

pub(crate) fn unknown(what: &str, id: impl std::fmt::Display) -> Refusal {
    Refusal::new(format!("orders.unknown_{what}"), format!("there is no {what} {id}"))
}

/// The refusal of a transition that the state machine does not list.
fn wrong_state(what: &str, from: &str, to: &str) -> Refusal {
    Refusal::new("orders.wrong_state", format!("the {what} is {from}, so it cannot become {to}"))
}
