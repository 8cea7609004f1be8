//! Finds orders by what people remember of them: a read model that follows the topics and emits nothing.

pub mod api;
pub mod handlers;
#[cfg(test)]
mod tests;
pub mod view;

use schemas::grpc::search::search_server::SearchServer;
use service_kit::{Role, ServiceConfig};
use std::{future::Future, time::Duration};
use tonic::service::Routes;
use transport::{Aggregate, Context, Kinds, Linger, Router};

/// The context: it has no configuration of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Search;

impl Context for Search {
    const NAME: &'static str = "search";
    const KINDS: Kinds = &[view::OrderView::KIND, view::StoreName::KIND];

    fn routes() -> Router<Self> {
        handlers::routes()
    }
}

/// The context's tables; the platform's own come from `transport`.
pub mod migrations {
    refinery::embed_migrations!("migrations");
}

/// Under load the list lags some more, so that what changes about an order in that time is one write.
const LINGER: Linger = Linger::under_load(Duration::from_secs(1));
/// Enough for what comes in that time.
const MAX_BATCH: usize = 5_000;

/// Serves until `shutdown`.
pub async fn run(mut config: ServiceConfig, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    config.shell.linger = LINGER;
    (config.shell.max_batch, config.shell.queue) = (MAX_BATCH, 2 * MAX_BATCH);
    let role = Role::start(Search, config).await?;
    let api = api::Api { shell: role.shell() };
    role.serve(Routes::new(SearchServer::new(api)), shutdown).await
}
