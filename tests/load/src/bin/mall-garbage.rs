//! `make garbage`: a day in the mall while garbage pours into the topics of commands and replies; says what became of each
//! piece and of the platform's memory.

use anyhow::{Context as _, Result};
use clap::Parser;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};
use load::{
    Platform, PlatformOptions,
    garbage::{Day, Kind, Report},
};
use std::process::ExitCode;

/// Sends random bytes, truncated Avro, unknown schema ids, records without headers and records that are too large to every
/// topic of commands and replies while orders run, half of them under keys of live orders.
#[derive(Parser)]
#[command(after_help = "\
Examples (under `servers run --`, which `make` does for you):
  mall-garbage                      1,000 pieces to each topic while 200 orders run
  mall-garbage --records 10000      ten times as many
  mall-garbage --seed 7             another day, other garbage

Exit codes: 0 every order ended as predicted and every piece was parked or refused, 1 not so.")]
struct Cli {
    /// Draws customers and garbage
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Orders that run meanwhile
    #[arg(long, default_value_t = 200)]
    orders: usize,
    /// Pieces of garbage to each topic, a multiple of 20
    #[arg(long, default_value_t = 1_000, value_parser = twenties)]
    records: usize,
}

fn twenties(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "give a whole number".to_owned())?;
    if number > 0 && number.is_multiple_of(20) { Ok(number) } else { Err("give a multiple of 20".into()) }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("garbage: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("mallbots-garbage-").tempdir()?;
    let options = PlatformOptions {
        separate: false,
        replicas: Vec::new(),
        robots: 4,
        pace_ms: 5,
        prefix: format!("garbage{}", std::process::id()),
        env: vec![("MALLBOTS_LOG_FORMAT".to_owned(), "text".to_owned())],
        folder: folder.path().to_owned(),
    };
    let mut platform =
        Platform::start(options).await.with_context(|| format!("logs are in {}", folder.path().display()))?;
    eprintln!("the platform is up");
    let day = Day { seed: cli.seed, orders: cli.orders, records: cli.records, at_once: 8 };
    let checked = shop(&day, &platform).await;
    let alive = platform.wait_until_ready().await;
    platform.stop().await?;
    let checked = checked.and(alive);
    if checked.is_err() {
        eprintln!("logs are kept in {}", folder.keep().display());
    }
    checked
}

async fn shop(day: &Day, platform: &Platform) -> Result<()> {
    let bar = ProgressBar::new(day.orders as u64);
    bar.set_style(ProgressStyle::with_template("{elapsed_precise} {bar:40} {pos}/{len} orders ended")?);
    let report = day.run(platform, |ended| bar.set_position(ended as u64)).await;
    bar.finish();
    let report = report?;
    print(&report);
    report.check(day)?;
    println!("every order ended as predicted, every piece was parked or refused");
    Ok(())
}

fn print(report: &Report) {
    println!("{}", report.verdict);
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "topic",
        "sent",
        "live keys",
        "refused by broker",
        "parked",
        "lost",
    ]);
    for (topic, r) in &report.topics {
        let cells = [r.sent, r.under_live_keys, r.refused_by_broker, r.parked(), r.lost.len()].map(|n| n.to_string());
        table.add_row([(*topic).to_owned()].into_iter().chain(cells));
    }
    println!("{table}");
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["kind", "parked", "a reason"]);
    for kind in Kind::ALL {
        let of_kind = report.topics.values().filter_map(|topic| topic.parked.get(&kind));
        let (count, reason) = of_kind.fold((0, "refused by the broker"), |(n, _), (m, reason)| (n + m, reason));
        table.add_row([kind.name().to_owned(), count.to_string(), reason.to_owned()]);
    }
    println!("{table}");
    let (before, after) = (report.before, report.after);
    println!(
        "memory of the platform: {:.0} MiB before the first piece, {:.0} MiB at the end, {:.0} MiB at its peak",
        before.resident_mib, after.resident_mib, after.peak_mib
    );
}
