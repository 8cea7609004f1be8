//! Autonomous shopper bots, simulated: clients of the depot's gRPC API, and nothing else.
//!
//! What one robot does is a pure state machine ([`brain`]); all robots of a process share one connection and report together.

pub mod brain;
mod depot;
mod driver;
mod fleet;
mod options;
mod staff;
mod stock;

pub use depot::Connection;
pub use options::{Check, Config, Options};
pub use stock::{OUT_OF_STOCK, Shelves};

use anyhow::Context as _;
use depot::Depot;
use driver::Driver;
use fleet::Fleet;
use staff::Staff;
use std::future::Future;
use tokio::task::JoinSet;

/// Robots work until `shutdown`; then idle ones leave service, and busy ones resume when they are started again.
///
/// An unreachable depot is waited for. Fails only for a bad configuration or a bug.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let depot = Depot::new(&config).context("the depot's address")?;
    tracing::info!(robots = config.count, depot = %config.depot_url, check = config.check, "robots come online");
    work(config, depot, shutdown).await
}

/// As [`run`], over a connection that the caller brings: also one that stays in the process. `depot_url` is not used.
pub async fn run_over<T>(
    config: Config,
    connection: T,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()>
where
    T: Connection,
{
    let depot = Depot::over(connection, &config);
    work(config, depot, shutdown).await
}

async fn work<T>(config: Config, depot: Depot<T>, shutdown: impl Future<Output = ()>) -> anyhow::Result<()>
where
    T: Connection,
{
    // Its tasks end with it, also when this future is dropped: then robots and staff are gone at one moment.
    let mut desk = JoinSet::new();
    let (staff, delivered) = Staff::new(depot.clone(), config.staff.clone());
    if config.check {
        desk.spawn(staff.run());
    }
    let driver = Driver::new(Fleet::new(&config), depot, config.check.then_some(delivered));
    driver.run(shutdown).await
}
