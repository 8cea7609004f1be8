//! `make bench`: how fast the platform is on this machine, beside what its servers can do by themselves.

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use load::bench::{ceilings, growth, kiosk, report::Report, run};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Measures the platform on real servers.
#[derive(Parser)]
#[command(after_help = "\
Examples (under `servers run --profile bench --`, which `make` does for you):
  mall-bench orders                   three runs: maximum, latencies, cost, ceilings
  mall-bench orders --runs 1 --orders 5000 --no-all-traces
  mall-bench kiosk                    the REST path by itself
  mall-bench growth                   100,000 finished orders against none, five pairs
  mall-bench orders -o json           the same figures for a program

Exit codes: 0 measured and every bar met, 1 not measured (INVALID says why), 2 wrong usage, 3 measured, but a bar is missed.")]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// How the figures are printed
    #[arg(short, long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Subcommand)]
enum What {
    /// Orders from checkout to hand-over: one gRPC call an order, baskets filled beforehand
    Orders {
        #[command(flatten)]
        load: LoadArgs,
        /// Runs, each with a fresh platform
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Leave out the run that records every trace
        #[arg(long)]
        no_all_traces: bool,
    },
    /// The kiosk's REST path: three requests an order
    Kiosk {
        #[command(flatten)]
        load: LoadArgs,
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Customers at once
        #[arg(long, default_value_t = 64)]
        customers: usize,
    },
    /// Whether an order costs the same with many finished ones in the store
    Growth {
        #[command(flatten)]
        load: LoadArgs,
        /// Finished orders
        #[arg(long, default_value_t = 100_000)]
        finished: usize,
        #[arg(long, default_value_t = 5)]
        pairs: usize,
    },
}

#[derive(Args)]
struct LoadArgs {
    /// Orders placed at saturation
    #[arg(long, default_value_t = 15_000)]
    orders: usize,
    /// Orders between checkout and end at saturation
    #[arg(long, default_value_t = 1_000)]
    in_flight: usize,
    /// Seconds at a steady rate
    #[arg(long, default_value_t = 15)]
    steady_s: usize,
    /// Orders placed in the run to the point of approval
    #[arg(long, default_value_t = 8_000)]
    approve_orders: usize,
    #[arg(long, default_value_t = 300)]
    robots: usize,
    /// Seconds of idling
    #[arg(long, default_value_t = 10)]
    idle_s: u64,
    /// Share of traces recorded, 0 to 1
    #[arg(long, default_value_t = 0.01)]
    trace_ratio: f64,
    /// A process a role instead of one for all
    #[arg(long)]
    separate: bool,
}

impl LoadArgs {
    fn load(&self) -> run::Load {
        run::Load {
            saturation_orders: self.orders,
            in_flight: self.in_flight,
            steady_s: self.steady_s,
            approve_orders: self.approve_orders,
            robots: self.robots,
            idle_s: self.idle_s,
            trace_ratio: self.trace_ratio,
            separate: self.separate,
        }
    }
}

const MISSED: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    match measure(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MISSED),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(cli: Cli) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("mallbots-bench-").tempdir()?;
    let spinner = ProgressBar::new_spinner();
    spinner.set_style(ProgressStyle::with_template("{elapsed_precise} {spinner} {msg}")?);
    spinner.enable_steady_tick(Duration::from_millis(200));
    let say = |text: &str| {
        if spinner.is_hidden() {
            eprintln!("bench: {text}");
        }
        spinner.set_message(text.to_owned());
    };
    let json = cli.output == Output::Json;
    let measured = match cli.what {
        What::Orders { load, runs, no_all_traces } => {
            orders(&load.load(), runs, !no_all_traces, folder.path().to_owned(), &say).await.map(|report| {
                show(json, &report, Report::print)?;
                Ok(report.meets_the_bars())
            })
        }
        What::Kiosk { load, runs, customers } => {
            kiosk::measure(&load.load(), runs, customers, folder.path().to_owned()).await.map(|kiosk| {
                show(json, &kiosk, kiosk::Kiosk::print)?;
                Ok(true)
            })
        }
        What::Growth { load, finished, pairs } => {
            growth::measure(&load.load(), finished, pairs, folder.path().to_owned(), &say).await.map(|growth| {
                if json {
                    println!("{}", serde_json::to_string_pretty(&growth)?)
                } else {
                    growth.print()?
                }
                Ok(growth.is_flat())
            })
        }
    };
    spinner.finish_and_clear();
    match measured {
        Ok(met) => met,
        Err(error) => Err(error).with_context(|| format!("logs are kept in {}", folder.keep().display())),
    }
}

async fn orders(
    load: &run::Load,
    runs: usize,
    all_traces: bool,
    folder: PathBuf,
    say: &impl Fn(&str),
) -> Result<Report> {
    let address = |name| std::env::var(name).with_context(|| format!("{name} is not set: run it by `make bench`"));
    let (kafka, postgres) = (address("MALLBOTS_KAFKA")?, address("MALLBOTS_POSTGRES")?);
    say("ceilings");
    let ceilings = ceilings::measure(&kafka, &postgres).await?;
    let mut measured = Vec::new();
    for number in 1..=runs {
        let name = format!("bench{}x{number}", std::process::id());
        let told = |text: &str| say(&format!("run {number} of {runs}: {text}"));
        measured.push(run::one(load, name.clone(), folder.join(name), told).await?);
    }
    let all_traces = if all_traces {
        let name = format!("traced{}", std::process::id());
        let load = run::Load { trace_ratio: 1.0, ..load.clone() };
        let told = |text: &str| say(&format!("every trace recorded: {text}"));
        Some(run::one(&load, name.clone(), folder.join(name), told).await?)
    } else {
        None
    };
    Ok(Report { runs: measured, all_traces, ceilings })
}

fn show<T: serde::Serialize>(json: bool, figures: &T, print: impl Fn(&T)) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(figures)?);
    } else {
        print(figures);
    }
    Ok(())
}
