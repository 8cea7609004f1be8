//! Stores and products: who takes part in the mall, what they sell at what price, and the catalogue that the other
//! contexts keep their copies from.

pub mod api;
pub mod domain;
pub mod handlers;
#[cfg(test)]
mod tests;

use schemas::grpc::stores::stores_server::StoresServer;
use service_kit::{Role, ServiceConfig};
use std::future::Future;
use tonic::service::Routes;
use transport::{Aggregate, Context, Kinds, Router};

/// The context: it has no configuration of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stores;

impl Context for Stores {
    const NAME: &'static str = "stores";
    const KINDS: Kinds = &[domain::Store::KIND, domain::Product::KIND];

    fn routes() -> Router<Self> {
        Router::new()
    }
}

/// The context's tables; the platform's own come from `transport`.
pub mod migrations {
    refinery::embed_migrations!("migrations");
}

/// Serves until `shutdown`.
pub async fn run(config: ServiceConfig, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let role = Role::start(Stores, config).await?;
    let api = api::Api { shell: role.shell() };
    role.serve(Routes::new(StoresServer::new(api)), shutdown).await
}
