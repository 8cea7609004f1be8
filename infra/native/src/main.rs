//! The command line of the launcher: servers up, around a command, or fetched only; and the crash tests' verbs for servers that
//! another launcher has started.

mod run;

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use servers::{Backend, Control, Jaeger, Options, Profile, Servers, exports};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after Ctrl-C or a termination signal while nothing else ran, as shells have it.
const INTERRUPTED: u8 = 130;

/// Brings up Kafka, Postgres, a schema registry and Jaeger, and stops exactly what it started.
///
/// Looks for addresses in MALLBOTS_KAFKA, MALLBOTS_POSTGRES, MALLBOTS_REGISTRY, MALLBOTS_OTLP and MALLBOTS_JAEGER, then for a
/// Docker engine (infra/compose.yaml), then starts native processes of pinned versions (cache: MALLBOTS_CACHE, else
/// ~/.cache/mallbots). MALLBOTS_BACKEND=native does without Docker.
#[derive(Debug, Parser)]
#[command(name = "servers", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  servers up                                  start, print export lines, stay until Ctrl-C
  servers run -- cargo test                   start, run a command with the addresses set, stop
  servers run --jaeger optional -- make demo-inner
  servers run --profile bench --backend native -- ./bench.sh
  servers run --three-brokers --own -- mall-battery --minutes 5
  servers fetch                               download and build everything, start nothing
  servers doctor                              what is found and what is missing
  servers kill-kafka; sleep 5; servers start-kafka     inside `servers run`

Exit codes: that of the command for `run`; 0 done; 1 failed; 2 wrong usage; 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the servers, print `export NAME='value'` lines, stay until Ctrl-C
    Up(Start),
    /// Start the servers, run a command with their addresses in its environment, stop them, exit with the command's code
    Run {
        #[command(flatten)]
        start: Start,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Download and build what native servers need; start nothing
    Fetch {
        /// How much Jaeger is needed
        #[arg(long, value_enum, default_value_t)]
        jaeger: Jaeger,
    },
    /// Say what is found and what is missing; exit 1 when servers cannot be started here
    Doctor,
    /// Kill the broker (SIGKILL) of the run that MALLBOTS_SERVERS_STATE names
    KillKafka,
    /// Start the broker again on the same port and data
    StartKafka,
    /// Stop Postgres at once (SIGQUIT: immediate shutdown)
    StopPostgres,
    /// Start Postgres again on the same port and data
    StartPostgres,
}

#[derive(Debug, Args)]
struct Start {
    /// How much Jaeger is needed
    #[arg(long, value_enum, default_value_t)]
    jaeger: Jaeger,
    /// How much memory and compiler Kafka gets
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Where the servers may come from
    #[arg(long, value_enum, default_value_t, env = "MALLBOTS_BACKEND")]
    backend: Backend,
    /// Where a Docker engine answers, make the containers with the testcontainers crate instead of compose (if compiled in)
    #[arg(long)]
    testcontainers: bool,
    /// Start servers even where addresses are given
    #[arg(long)]
    own: bool,
    /// Start a cluster of three brokers instead of one, as processes of this machine
    #[arg(long)]
    three_brokers: bool,
}

impl Start {
    fn options(&self) -> Options {
        let Start { jaeger, profile, backend, testcontainers, own, three_brokers } = *self;
        Options { jaeger, profile, backend, prefer_testcontainers: testcontainers, own, three_brokers }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match dispatch(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("servers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(start) => up(start.options()).await,
        Command::Run { start, command } => around(start.options(), &command).await,
        Command::Fetch { jaeger } => match unless_signalled(servers::fetch(jaeger)).await? {
            Some(fetched) => Ok(fetched.map(|()| ExitCode::SUCCESS)?),
            None => Ok(ExitCode::from(INTERRUPTED)),
        },
        Command::Doctor => doctor(),
        Command::KillKafka => done(Control::from_env()?.kill_kafka().await),
        Command::StartKafka => done(Control::from_env()?.start_kafka().await),
        Command::StopPostgres => done(Control::from_env()?.stop_postgres_immediate().await),
        Command::StartPostgres => done(Control::from_env()?.start_postgres().await),
    }
}

fn done(result: Result<(), servers::Error>) -> anyhow::Result<ExitCode> {
    Ok(result.map(|()| ExitCode::SUCCESS)?)
}

fn doctor() -> anyhow::Result<ExitCode> {
    let (text, usable) = servers::doctor()?;
    print!("{text}");
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn up(options: Options) -> anyhow::Result<ExitCode> {
    let Some(servers) = unless_signalled(Servers::start(options)).await? else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let servers = servers?;
    print!("{}", exports(servers.env_vars()));
    eprintln!("servers: Ctrl-C stops them");
    unless_signalled(std::future::pending::<()>()).await?;
    servers.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn around(options: Options, command: &[String]) -> anyhow::Result<ExitCode> {
    let Some(servers) = unless_signalled(Servers::start(options)).await? else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let servers = servers?;
    let result = run::run(command, &servers).await;
    servers.stop().await;
    result
}

/// What `work` yields, or `None` when a signal asks us to end first; `work` is dropped then, which stops what it has started.
async fn unless_signalled<T>(work: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for termination")?;
    let mut hangup = signal(SignalKind::hangup()).context("listen for hang-up")?;
    tokio::select! {
        done = work => return Ok(Some(done)),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    eprintln!("servers: stopping");
    Ok(None)
}
