//! `make battery`: everything that can fail fails, at once and again, under customers; exits 0 only if nothing was lost,
//! doubled or told wrongly, and everything that was to strike did.

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use load::{
    battery::{self, Check, Fault, Options, Round, Tally},
    unless_interrupted,
};
use serde::Serialize;
use std::{
    io::IsTerminal as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Runs the platform through storms of faults on real servers, round after round, and judges each round by `mallctl verify`.
///
/// A round has a platform, databases and topics of its own. Rounds with odd numbers have short deadlines, so that sagas time
/// out under the storm; in those with even numbers no order may end otherwise than its customer's story has it.
#[derive(Parser)]
#[command(after_help = "\
Examples (under `servers run --three-brokers --own --`, which `make battery` does for you):
  mall-battery --minutes 60                          an hour, 50 customers a second
  mall-battery --minutes 5 --rate 20 --seed 7        shorter, with another storm
  mall-battery --minutes 60 --report battery.json    the figures for a program, too

Exit codes: 0 everything held, 1 something did not or a run proves nothing (INVALID), 2 wrong usage, 130 interrupted.")]
struct Cli {
    /// Rounds begin for so long; the last one is brought to its end
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    minutes: u32,
    /// Customers that come in a second
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// Seconds for which a round's storm lasts
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(10..=400))]
    storm_s: u32,
    /// Seconds of the question that comes first: an outbox under 64 writers and three relays that die
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    writers_s: u32,
    /// Seconds for which ten times as many customers come as can be served, 40 to 3600: the question that comes second; 0
    /// leaves it out. Some five minutes in all, beyond --minutes
    #[arg(long, default_value_t = 60, value_parser = overload_seconds)]
    overload_s: u32,
    /// Mean milliseconds between strikes of the storm; commits are cut off and records repeated besides
    #[arg(long, default_value_t = 3_500, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    strike_ms: u32,
    /// Draws customers and storms
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also writes everything to this file, as JSON
    #[arg(long)]
    report: Option<PathBuf>,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

/// What the whole run came to.
#[derive(Serialize)]
struct Report {
    seed: u64,
    rate: u32,
    minutes: f64,
    orders: usize,
    completed: usize,
    /// Rounds in which something did not hold.
    broken: usize,
    /// Faults and fail-points that never struck: the run proves nothing of them.
    missing: Vec<&'static str>,
    /// The round that did not come to its end, and with it the run.
    broken_off: Option<usize>,
    checks: Vec<Check>,
    totals: Tally,
    rounds: Vec<Round>,
}

#[tokio::main]
async fn main() -> ExitCode {
    unless_interrupted("battery", run(&Cli::parse())).await
}

async fn run(cli: &Cli) -> Result<bool> {
    battery::servers_suit()?;
    if let Some(file) = &cli.report {
        std::fs::write(file, "").with_context(|| format!("write {}", file.display()))?;
    }
    let options = Options {
        seed: cli.seed,
        storm: Duration::from_secs(cli.storm_s.into()),
        rate: cli.rate,
        every: Duration::from_millis(cli.strike_ms.into()),
    };
    let outbox = battery::outbox(cli.seed, Duration::from_secs(cli.writers_s.into())).await.context("the outbox")?;
    let mut checks = vec![told(outbox)];
    if cli.overload_s > 0 {
        checks.push(told(overload(cli).await));
    }
    let (begun, whole) = (Instant::now(), Duration::from_secs(u64::from(cli.minutes) * 60));
    let (mut rounds, mut failed) = (Vec::new(), None);
    while begun.elapsed() < whole {
        let number = rounds.len() + 1;
        match one(&options, number).await {
            Ok(round) => {
                eprintln!("{:>4.0} min  {}", begun.elapsed().as_secs_f64() / 60.0, line(&round).join("  "));
                rounds.push(round);
            }
            // What earlier rounds have shown is told all the same.
            Err(error) => {
                eprintln!("round {number} was broken off: {error:#}");
                failed = Some(number);
                break;
            }
        }
    }
    let report = sum(cli, begun.elapsed(), rounds, checks, failed);
    if let Some(file) = &cli.report {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("write {}", file.display()))?;
    }
    print(cli.output, &report)?;
    let whole = report.missing.is_empty() && report.broken_off.is_none();
    Ok(whole && report.broken == 0 && report.checks.iter().all(|check| check.broken.is_empty()))
}

/// Tells at once how a check went.
fn told(check: Check) -> Check {
    eprintln!("{}: {}: {}", check.name, check.what, if check.broken.is_empty() { "ok" } else { "FAILED" });
    check
}

/// The overload, whose logs are kept when something does not hold.
async fn overload(cli: &Cli) -> Check {
    let failed = |error: anyhow::Error| Check {
        name: "overload",
        what: "broken off".to_owned(),
        broken: vec![format!("{error:#}")],
    };
    let folder = match tempfile::Builder::new().prefix("mallbots-battery-overload-").tempdir() {
        Ok(folder) => folder,
        Err(error) => return failed(error.into()),
    };
    let lasts = Duration::from_secs(cli.overload_s.into());
    let check = battery::overload(cli.seed, lasts, folder.path()).await.unwrap_or_else(failed);
    if !check.broken.is_empty() {
        eprintln!("the overload: logs are kept in {}", folder.keep().display());
    }
    check
}

fn overload_seconds(text: &str) -> Result<u32, String> {
    let seconds = text.parse().ok().filter(|s| *s == 0 || (40..=3_600).contains(s));
    seconds.ok_or_else(|| "give 40 to 3600 seconds, or 0 to leave it out".to_owned())
}

/// A round, whose logs are kept when something does not hold.
async fn one(options: &Options, number: usize) -> Result<Round> {
    let folder = tempfile::Builder::new().prefix(&format!("mallbots-battery-{number}-")).tempdir()?;
    let logs = || format!("logs are kept in {}", folder.path().display());
    let watched = std::io::stderr().is_terminal();
    let seen = |what: String| {
        if watched {
            eprint!("\r\x1b[Kround {number}: {what}");
        }
    };
    let round = battery::round(options, number, folder.path(), seen).await.with_context(logs);
    if watched {
        eprint!("\r\x1b[K");
    }
    if !round.as_ref().is_ok_and(Round::holds) {
        if let Ok(round) = &round {
            std::fs::write(folder.path().join("verify.txt"), &round.verdict)?;
            eprintln!("{}", round.verdict);
            let told = round.differing.iter().chain(&round.parked_by_mistake).chain(&round.tally.unexplained);
            told.for_each(|what| eprintln!("{what}"));
        }
        eprintln!("round {number}: {}", logs());
        let _ = folder.keep();
    }
    round
}

fn sum(cli: &Cli, took: Duration, rounds: Vec<Round>, checks: Vec<Check>, broken_off: Option<usize>) -> Report {
    let mut totals = Tally::default();
    rounds.iter().for_each(|round| totals.merge(&round.tally));
    Report {
        seed: cli.seed,
        rate: cli.rate,
        minutes: took.as_secs_f64() / 60.0,
        orders: rounds.iter().map(|r| r.orders).sum(),
        completed: rounds.iter().map(|r| r.completed).sum(),
        broken: rounds.iter().filter(|r| !r.holds()).count(),
        missing: totals.missing(),
        broken_off,
        checks,
        totals,
        rounds,
    }
}

const HEADER: [&str; 11] = [
    "round",
    "deadlines",
    "orders",
    "completed",
    "as predicted",
    "deaths",
    "all let in",
    "longest",
    "all ended",
    "verify",
    "verdict",
];

fn line(r: &Round) -> [String; 11] {
    [
        r.number.to_string(),
        if r.patient { "long" } else { "short" }.to_owned(),
        r.orders.to_string(),
        r.completed.to_string(),
        r.as_predicted.to_string(),
        r.tally.deaths.to_string(),
        format!("{:.1} s", r.let_in_s),
        format!("{:.1} s", r.longest_s),
        r.all_ended_s.map_or("not all".to_owned(), |s| format!("{s:.1} s")),
        format!("exit {}", r.verify),
        if r.holds() { "ok" } else { "FAILED" }.to_owned(),
    ]
}

fn print(format: Format, report: &Report) -> Result<()> {
    if format == Format::Json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let mut rounds = Table::new();
    rounds.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
    report.rounds.iter().for_each(|round| {
        rounds.add_row(line(round));
    });
    println!("{rounds}");
    let mut faults = Table::new();
    faults.load_style(UTF8_FULL_CONDENSED).set_header(["fault", "times"]);
    for fault in Fault::ALL {
        let times = report.totals.faults.get(fault.name()).copied().unwrap_or(0);
        faults.add_row([fault.name().to_owned(), times.to_string()]);
    }
    for (place, times) in &report.totals.places {
        faults.add_row([format!("process died at {place}"), times.to_string()]);
    }
    println!("{faults}");
    for check in &report.checks {
        println!("{}: {}", check.name, check.what);
        check.broken.iter().take(20).for_each(|broken| println!("BROKEN {broken}"));
    }
    println!(
        "{} orders in {:.0} min, {} completed; {} processes died; {} of {} rounds hold",
        report.orders,
        report.minutes,
        report.completed,
        report.totals.deaths,
        report.rounds.len() - report.broken,
        report.rounds.len()
    );
    if let Some(number) = report.broken_off {
        println!("INVALID: round {number} was broken off");
    }
    if !report.missing.is_empty() {
        println!("INVALID, these never struck: {}", report.missing.join(", "));
    }
    Ok(())
}
