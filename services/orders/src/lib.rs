//! Baskets and orders: what customers put together and check out, and the order that the saga then carries through.
//!
//! Keeps its own copy of the catalogue, so that a checkout asks no other context.

pub mod api;
mod config;
pub mod domain;
pub mod handlers;
#[cfg(test)]
mod tests;

pub use config::Config;

use schemas::grpc::orders::orders_server::OrdersServer;
use service_kit::{Role, ServiceConfig};
use std::future::Future;
use tonic::service::Routes;
use transport::{Aggregate, Context, Kinds, Router};

/// The context, with its configuration.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    pub config: Config,
}

impl Orders {
    pub fn from_env() -> anyhow::Result<Self> {
        Ok(Self { config: Config::from_env()? })
    }
}

impl Context for Orders {
    const NAME: &'static str = "orders";
    const KINDS: Kinds = &[
        domain::Basket::KIND,
        domain::Order::KIND,
        domain::Contact::KIND,
        domain::CatalogueProduct::KIND,
        domain::CatalogueStore::KIND,
    ];

    const AWAITED: Option<&'static str> = Some(domain::Order::KIND);

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
    let role = Role::start(Orders::from_env()?, config).await?;
    let api = api::Api { shell: role.shell() };
    role.serve(Routes::new(OrdersServer::new(api)), shutdown).await
}
