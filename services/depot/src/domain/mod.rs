//! The depot's rules without clock, ids or I/O: shopping lists, robots and bays, and the moves that change several at once.

pub mod bay;
pub mod bot;
pub mod floor;
pub mod list;
mod list_state;
pub mod place;
pub mod refusals;
pub mod stops;

#[cfg(test)]
pub(crate) mod samples;

pub use bay::{Bay, BaySummary};
pub use bot::{Bot, BotState, Job};
pub use list::{ListState, ShoppingList};
pub use place::StorePlace;
