//! The depot: shopping lists, robots and bays. Robots collect an order's items store by store and bring them to a bay.

pub mod api;
mod config;
pub mod domain;
mod handlers;
#[cfg(test)]
mod tests;
mod worker;

pub use config::DepotConfig;
pub use handlers::Hint;
pub use worker::{Board, Dispatcher};

use anyhow::Context as _;
use domain::{Bay, BaySummary, Bot, ShoppingList, StorePlace};
use schemas::grpc::depot::depot_server::DepotServer;
use service_kit::{Role, ServiceConfig, Workers};
use std::future::Future;
use tonic::service::Routes;
use transport::{
    Aggregate, Context, Router,
    ports::{Log, Store},
};

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
    /// What is loaded is locked in this order.
    const KINDS: transport::Kinds = &[BaySummary::KIND, ShoppingList::KIND, Bay::KIND, Bot::KIND, StorePlace::KIND];

    fn routes() -> Router<Self> {
        handlers::routes()
    }
}

/// The context's tables; the platform's own come from `transport`.
pub mod migrations {
    refinery::embed_migrations!("migrations");
}

/// Serves until `shutdown`.
pub async fn run(config: ServiceConfig, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let mut role = Role::start(Depot::from_env()?, config).await?;
    let board = start_dispatcher(role.workers())?;
    let api = api::Api { shell: role.shell(), board };
    role.serve(Routes::new(DepotServer::new(api)), shutdown).await
}

/// Brings lists and robots together; answers where robots learn of it. Fails when the shell has a dispatcher already.
pub fn start_dispatcher<S: Store, L: Log>(workers: &mut Workers<Depot, S, L>) -> anyhow::Result<Board> {
    let board = Board::default();
    let dispatcher = Dispatcher::new(workers.shell(), board.clone()).context("the shell has a dispatcher already")?;
    workers.spawn(|stop| dispatcher.run(stop.wait()));
    Ok(board)
}
