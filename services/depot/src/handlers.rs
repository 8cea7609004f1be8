//! The depot's table of contents: one line per message it takes, and what the handlers share.

mod catalogue;
mod commands;
mod matching;
mod returns;
pub mod robots;
pub mod staff;

pub use matching::match_waiting;

use crate::{
    Depot,
    domain::{Bay, Bot, ShoppingList},
};
use schemas::{ids::BotId, stores::CatalogueStore};
use transport::{Fold, Router, Unit};
use uuid::Uuid;

pub fn routes() -> Router<Depot> {
    Router::new()
        .command(commands::plan_shopping)
        .command(commands::start_shopping)
        .command(commands::cancel_shopping)
        .command(commands::release_items)
        .command(returns::return_items)
        .command(returns::cancel_return)
        .event(catalogue::store_changed)
        .tombstone::<CatalogueStore>(catalogue::store_gone)
        .wake::<ShoppingList>(commands::bay_wait)
        .wake::<Bot>(robots::silent)
}

/// What is done outside the transaction, after it: hints only, nothing is lost when they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// This robot has a new instruction.
    Instructed(BotId),
    /// A list waits for a robot.
    ListWaits,
    /// A robot waits for a list.
    BotIdle,
}

/// The robot and the bay that a list has. Both are asked for before either is missed.
fn belongings(unit: &mut Unit, list: &ShoppingList) -> Fold<(Option<Bot>, Option<Bay>)> {
    let bot = list.bot().map_or(Ok(None), |id| unit.get::<Bot>(id.into()));
    let bay = list.held_bay().map_or(Ok(None), |number| unit.get::<Bay>(Bay::id(number)));
    Ok((bot?, bay?))
}

/// Saves the list as changed now; answers its row's id.
fn put_list(unit: &mut Unit, list: ShoppingList) -> Uuid {
    let id = list.id();
    let changed_ms = unit.now_ms();
    unit.put(id, ShoppingList { changed_ms, ..list });
    id
}
