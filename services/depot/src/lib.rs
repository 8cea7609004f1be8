//! The depot: shopping lists, robots and bays. Robots collect an order's items store by store and bring them to a bay.

pub mod api;
mod config;
pub mod domain;
mod handlers;
mod worker;

pub use config::DepotConfig;
pub use handlers::Hint;
pub use worker::{Board, Dispatcher};

use domain::{Bay, BaySummary, Bot, ShoppingList, StorePlace};
use transport::{Aggregate, Context, Router};

/// The context: its configuration, never state.
#[derive(Debug, Clone, Default)]
pub struct Depot {
    pub config: DepotConfig,
}

impl Depot {
    pub fn from_env() -> anyhow::Result<Self> {
        Ok(Self { config: DepotConfig::from_env()? })
    }
}

impl Context for Depot {
    const NAME: &'static str = "depot";
    /// Rows are locked in this order.
    const KINDS: transport::Kinds =
        &[BaySummary::KIND, ShoppingList::KIND, Bay::KIND, Bot::KIND, StorePlace::KIND];

    fn routes() -> Router<Self> {
        handlers::routes()
    }
}
