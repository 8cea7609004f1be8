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

pub use options::{Check, Config, Options};
pub use stock::{OUT_OF_STOCK, Shelves};

use anyhow::Context as _;
use depot::Depot;
use driver::Driver;
use fleet::Fleet;
use staff::Staff;
use std::future::Future;

/// Robots work until `shutdown`; then idle ones leave service, and busy ones resume when they are started again.
///
/// An unreachable depot is waited for. Fails only for a bad configuration or a bug.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let depot = Depot::new(&config).context("the depot's address")?;
    let (staff, delivered) = Staff::new(depot.clone(), config.staff.clone());
    let staff = config.check.then(|| tokio::spawn(staff.run()));
    let fleet = Fleet::new(&config);
    tracing::info!(robots = config.count, depot = %config.depot_url, check = config.check, "robots come online");
    let driver = Driver::new(fleet, depot, staff.is_some().then_some(delivered));
    let ran = driver.run(shutdown).await;
    if let Some(staff) = staff {
        staff.abort();
    }
    ran
}
