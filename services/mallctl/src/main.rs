//! `mallctl`: what operators and deployments do to the platform, from the command line.

mod db;
mod output;
mod parked;
mod registry;
mod sagas;
mod topics;
mod trace;
mod verify;

use clap::{Parser, Subcommand};
use output::Format;
use std::process::ExitCode;

/// Topics, schemas, databases, sagas, parked records, traces and the proof that all agree.
///
/// Servers are named by MALLBOTS_KAFKA, MALLBOTS_POSTGRES, MALLBOTS_REGISTRY, MALLBOTS_ORCHESTRATOR_URL,
/// MALLBOTS_PAYMENTS_URL, MALLBOTS_ACQUIRER_URL and MALLBOTS_JAEGER.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Examples:
  mallctl topics apply                            create what infra/kafka/topics.yaml names
  mallctl sagas list --state stuck                what waits for a person
  mallctl sagas show 0197…                        one saga's timeline
  mallctl sagas retry 0197… --reason 'bay freed'  try again what it is stuck at
  mallctl parked list                             records that could not be processed
  mallctl verify                                  do databases, topics and the acquirer's ledger agree?

Exit codes: 0 ok, 1 a check failed, 2 wrong usage, 3 a server cannot be reached, 4 refused."
)]
struct Cli {
    /// How results are printed; JSON values are strings, but in `trace`, which gives Jaeger's own answer
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kafka topics, as infra/kafka/topics.yaml declares them
    #[command(subcommand)]
    Topics(topics::Command),
    /// Avro schemas: checked against released versions and the registry, registered, released
    #[command(subcommand)]
    Schemas(registry::Command),
    /// The contexts' databases
    #[command(subcommand)]
    Db(db::Command),
    /// Sagas: what runs, what is stuck, and the verbs
    #[command(subcommand)]
    Sagas(sagas::Command),
    /// Records that could not be processed
    #[command(subcommand)]
    Parked(parked::Command),
    /// The trace of an order as a waterfall, from Jaeger
    Trace(trace::Command),
    /// Checks the invariants over databases, topics and the acquirer's ledger
    Verify(verify::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.output;
    let done = match cli.command {
        Command::Topics(command) => topics::run(command, format).await,
        Command::Schemas(command) => registry::run(command, format).await,
        Command::Db(command) => db::run(command, format).await,
        Command::Sagas(command) => sagas::run(command, format).await,
        Command::Parked(command) => parked::run(command, format).await,
        Command::Trace(command) => trace::run(command, format).await,
        Command::Verify(command) => verify::run(command, format).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("mallctl: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
