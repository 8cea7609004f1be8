//! Autonomous shopper bots, simulated: clients of the robot gateway, and nothing else.
//!
//! What one robot does is a pure state machine ([`brain`]); each has a line of its own to the mall. The staff who count what
//! they bring can be played, too: they are clients of the depot.

pub mod brain;
mod depot;
mod faults;
mod options;
mod robot;
mod staff;
mod stock;
mod wire;

pub use faults::FaultOptions;
pub use options::{Check, Config, Options};
pub use robot::robot_id;
pub use stock::{OUT_OF_STOCK, Shelves};

use depot::Depot;
use robot::Robot;
use schemas::grpc::Connection;
use service_kit::grpc::endpoint;
use staff::Staff;
use std::future::Future;
use tokio::{sync::watch, task::JoinSet};

/// Lines that share one connection: one that is cut takes no more robots with it.
const LINES: usize = 100;

/// Robots work until `shutdown`; then idle ones leave service, and busy ones resume when they are started again.
///
/// An unreachable mall is waited for. Fails only for a bug.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    tracing::info!(robots = config.count, mall = %config.mall_url, check = config.check, "robots come online");
    let connections = config.count.div_ceil(LINES);
    let malls: Vec<_> = (0..connections).map(|_| endpoint(&config.mall_url).connect_lazy()).collect();
    let depot = endpoint(&config.depot_url).connect_lazy();
    work(&config, |number| malls[number / LINES].clone(), depot, shutdown).await
}

/// As [`run`], over connections that the caller brings: also such as stay in the process. The addresses are not used.
pub async fn run_over<M: Connection, D: Connection>(
    config: Config,
    mall: M,
    depot: D,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    work(&config, |_| mall.clone(), depot, shutdown).await
}

async fn work<M: Connection, D: Connection>(
    config: &Config,
    mall: impl Fn(usize) -> M,
    depot: D,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // Its tasks end with it, also when this future is dropped: then robots and staff are gone at one moment.
    let (mut desk, mut fleet) = (JoinSet::new(), JoinSet::new());
    let (staff, delivered) = Staff::new(Depot::over(depot), config.staff.clone());
    if config.check {
        desk.spawn(staff.run());
    }
    let (stop, stopped) = watch::channel(false);
    for number in 0..config.count {
        let robot = Robot::new(config, number, mall(number), config.check.then(|| delivered.clone()));
        fleet.spawn(robot.run(stopped.clone()));
    }
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown, if !*stop.borrow() => {
                stop.send_replace(true);
            }
            ended = fleet.join_next() => match ended {
                Some(ended) => ended?,
                None => return Ok(()),
            },
        }
    }
}
