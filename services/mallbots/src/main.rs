//! `mallbots <role>` runs one role, `mallbots all` runs every role in one process.

mod roles;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

const _: () = assert!(
    !message::bugs::ENABLED || cfg!(feature = "bugs"),
    "built with seeded bugs: they are for proofs only, which ask for them by `--features mallbots/bugs`"
);

/// Batches allocate much and at once; the system's allocator took a third of the time of a loaded platform.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The backend of the mall: services, saga orchestrator, relays, gateways and the simulated acquirer.
///
/// Every role reads its configuration from the environment (MALLBOTS_…). Servers: MALLBOTS_KAFKA, MALLBOTS_POSTGRES,
/// MALLBOTS_REGISTRY, and MALLBOTS_OTLP for traces.
///
/// A role serves gRPC at MALLBOTS_<ROLE>_LISTEN (127.0.0.1, from port 7101), health and /metrics at MALLBOTS_<ROLE>_HTTP
/// (50 above the gRPC port); `all` serves health and /metrics of its roles at MALLBOTS_HTTP (127.0.0.1:7150). The kiosk
/// gateway serves everything at MALLBOTS_KIOSK_LISTEN, the acquirer at MALLBOTS_ACQUIRER_LISTEN.
///
/// For crash runs: MALLBOTS_DIE_AT=commit.after@3 ends the process as kill -9 would when it passes that place the third time.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Examples:
  mallbots all                     every role in one process
  mallbots all --without payments  every role but one, whose place another program takes
  mallbots orders                  the orders service alone
  mallbots relay --context orders  only the outbox relay of orders
  mallbots robots --count 4        four shopper bots

Exit codes: 0 stopped by a signal, 1 could not run, 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

/// One role of the platform.
#[derive(Subcommand)]
pub enum Role {
    /// Every role but robots, in one process
    All {
        /// Roles that run elsewhere, or that other programs take the place of
        #[arg(long, value_delimiter = ',', value_parser = roles::ALL)]
        without: Vec<String>,
    },
    /// Stores, products and the catalogue
    Stores,
    /// Baskets and orders
    Orders,
    /// Payments and invoices
    Payments,
    /// Shopping lists, bots and bays
    Depot,
    /// Messages to customers
    Notifications,
    /// The order read model
    Search,
    /// The saga orchestrator
    Orchestrator,
    /// The outbox relay of one context, by itself
    Relay {
        /// The context whose outbox it sends
        #[arg(long, value_parser = roles::CONTEXTS)]
        context: String,
    },
    /// REST for kiosks
    KioskGateway,
    /// A stream a robot
    RobotGateway,
    /// The simulated payment provider
    AcquirerSim,
    /// Autonomous shopper bots, clients of the robot gateway
    Robots(robots::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let run = async {
        if let Ok(death) = std::env::var("MALLBOTS_DIE_AT") {
            transport::failpoint::arm(death.parse().map_err(|e| anyhow::anyhow!("MALLBOTS_DIE_AT: {e}"))?);
        }
        roles::run(cli.role).await
    };
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mallbots: {error:#}");
            ExitCode::FAILURE
        }
    }
}
