//! The state machines of stores and products: pure functions, so that every state and every change can be tried.

mod product;
mod store;

pub use product::{Product, ProductChange, ProductStatus, VOLUME_ML};
pub use store::{MAX_PRODUCTS, Store, StoreChange, StoreStatus};

use message::Refusal;

pub(crate) fn unknown(what: &str, id: impl std::fmt::Display) -> Refusal {
    Refusal::new(format!("stores.unknown_{what}"), format!("there is no {what} {id}"))
}

/// The refusal of a transition that the state machine does not list.
fn wrong_state(what: &str, from: &str, to: &str) -> Refusal {
    Refusal::new("stores.wrong_state", format!("the {what} is {from}, so it cannot become {to}"))
}
