//! Payments: the money of an order, held, taken, given free or given back by an outside provider, and its invoice.
//!
//! No provider is called inside a transaction: a command enters an unknown state and is answered when the provider's
//! answer, brought by the [`worker`], leads out of it.

pub mod acquirer;
pub mod api;
mod config;
pub mod domain;
pub mod handlers;
mod metric_names;
mod questions;
#[cfg(test)]
mod tests;
pub mod worker;

pub use config::{Config, Provider, Secret, WorkerConfig};

use acquirer::{Acquirer, HttpAcquirer, StripeAcquirer};
use anyhow::Context as _;
use schemas::grpc::payments::payments_server::PaymentsServer;
use service_kit::{Role, ServiceConfig, Workers};
use std::future::Future;
use tonic::service::Routes;
use transport::{
    Aggregate, Context, Kinds, Router,
    ports::{Log, Store},
};

/// The context, with its configuration.
#[derive(Debug, Clone, Default)]
pub struct Payments {
    pub config: Config,
}

impl Payments {
    pub fn from_env() -> anyhow::Result<Self> {
        Ok(Self { config: Config::from_env()? })
    }
}

impl Context for Payments {
    const NAME: &'static str = "payments";
    const KINDS: Kinds = &[domain::Payment::KIND, domain::Invoice::KIND];

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
    let context = Payments::from_env()?;
    let (provider, timeout) = (context.config.provider.clone(), context.config.worker.timeout);
    let mut role = Role::start(context, config).await?;
    match provider {
        Provider::Sim { url } => start_worker(role.workers(), HttpAcquirer::new(&url, timeout)?)?,
        Provider::Stripe { url, key } => {
            start_worker(role.workers(), StripeAcquirer::new(&url, key.reveal(), timeout)?)?
        }
    }
    let api = api::Api { shell: role.shell() };
    role.serve(Routes::new(PaymentsServer::new(api)), shutdown).await
}

/// Asks `acquirer` what folds want to know. Fails when the shell has a worker already.
pub fn start_worker<S: Store, L: Log>(
    workers: &mut Workers<Payments, S, L>,
    acquirer: impl Acquirer,
) -> anyhow::Result<()> {
    let shell = workers.shell();
    let config = shell.context().config.worker.clone();
    let worker = worker::Worker::new(acquirer, shell, config).context("the shell has a worker already")?;
    workers.spawn(|stop| worker.run(stop.wait()));
    Ok(())
}
