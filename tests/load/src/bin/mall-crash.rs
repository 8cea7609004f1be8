//! `make crash`: each role, the broker and Postgres die while orders are under way; exits 0 only if nothing was lost,
//! doubled or undone.

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};
use load::{
    Crowd, Fault, Mall, Outcome, Plan, Platform, Ways,
    crash::{self, ClientLog, Shift, Step},
    unless_interrupted,
};
use std::{process::ExitCode, time::Duration};

/// Kills one part of the platform after the other while orders run, and checks that every order ends as predicted.
#[derive(Parser)]
#[command(after_help = "\
Examples (under `servers run --`, which `make crash` does for you):
  mall-crash                                each role, the robots, the whole backend, the broker and Postgres, 500 orders each
  mall-crash --only depot --only kafka      these two
  mall-crash --only kafka-away --seed 7     the broker away for three minutes, with other customers
  mall-crash --orders 100 -o json           shorter, for a program to read

Exit codes: 0 everything held, 1 something did not or a run proves nothing (INVALID), 2 wrong usage, 130 interrupted.")]
struct Cli {
    /// Orders to place for each fault
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    orders: u32,
    /// Draws the customers; the same seed brings the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this fault: a role, `robots`, `backend`, `kafka`, `postgres` or `kafka-away`; may be repeated
    #[arg(long)]
    only: Vec<Fault>,
    /// Customers that come in a second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    unless_interrupted("crash", crash_all(&Cli::parse())).await
}

async fn crash_all(cli: &Cli) -> Result<bool> {
    crash::servers_can_be_killed()?;
    let faults = if cli.only.is_empty() { Fault::all() } else { cli.only.clone() };
    let mut outcomes = Vec::with_capacity(faults.len());
    for (number, fault) in faults.iter().enumerate() {
        eprintln!("{} of {}: {fault}", number + 1, faults.len());
        let outcome = crash_one(cli, fault).await.with_context(|| format!("the run with {fault}"))?;
        eprintln!("{}", line(&outcome).join("  "));
        outcomes.push(outcome);
    }
    report(cli.output, &outcomes)?;
    Ok(outcomes.iter().all(Outcome::holds))
}

/// A platform of its own for each fault, so that no run stands on what another has left.
async fn crash_one(cli: &Cli, fault: &Fault) -> Result<Outcome> {
    let folder = tempfile::Builder::new().prefix(&format!("mallbots-crash-{fault}-")).tempdir()?;
    let prefix = format!("crash{}{}", std::process::id(), fault.to_string().replace('-', ""));
    let logs = || format!("logs are kept in {}", folder.path().display());
    let ran = async {
        let mut platform =
            Platform::start(crash::options(folder.path().to_owned(), prefix.clone(), Some(fault))).await?;
        let orders = cli.orders as usize;
        // A bay an order: waiting for one would be another reason to be refused.
        let mall =
            Mall::open(platform.url("stores"), platform.url("depot"), 6, orders).await.context("open the mall")?;
        let plan = Plan::draw(cli.seed, orders, mall.ordinary.len());
        let every = Duration::from_secs(1) / cli.rate;
        let patience = crash::patience(fault, orders, every);
        let crowd = Crowd {
            kiosk: platform.url("kiosk-gateway"),
            mall,
            at_once: orders,
            patience,
            run: prefix,
            ways: Ways::default(),
        };
        let bar = progress(cli.orders.into(), fault)?;
        let log = ClientLog::new(folder.path().join("client.jsonl"));
        let shift = Shift { crowd: &crowd, plan: &plan, every };
        let outcome = crash::run(&mut platform, &shift, fault, &log, |step| watch(&bar, step)).await;
        bar.finish_and_clear();
        platform.stop().await?;
        outcome
    };
    let outcome = ran.await.with_context(logs);
    if !outcome.as_ref().is_ok_and(Outcome::holds) {
        if let Ok(outcome) = &outcome {
            std::fs::write(folder.path().join("verify.txt"), &outcome.verdict)?;
            eprintln!("{}", outcome.verdict);
        }
        eprintln!("{fault}: {}", logs());
        let _ = folder.keep();
    }
    outcome
}

fn progress(orders: u64, fault: &Fault) -> Result<ProgressBar> {
    let bar = ProgressBar::new(orders);
    bar.set_style(ProgressStyle::with_template("{elapsed_precise} {prefix} {bar:40} {pos}/{len} orders ended  {msg}")?);
    bar.set_prefix(fault.to_string());
    Ok(bar)
}

/// Moves the bar; without a terminal, where none is drawn, says what happens in lines.
fn watch(bar: &ProgressBar, step: Step) {
    match step {
        Step::Ended => bar.inc(1),
        Step::Says(what) if bar.is_hidden() => eprintln!("  {what}; {} orders ended", bar.position()),
        Step::Says(what) => bar.set_message(what),
    }
}

const HEADER: [&str; 9] =
    ["fault", "away", "orders", "in flight", "recovered", "all ended", "as predicted", "verify", "verdict"];

fn line(o: &Outcome) -> [String; 9] {
    let seconds = |s: Option<f64>| s.map_or("not all".to_owned(), |s| format!("{s:.1} s"));
    let verdict = match (&o.invalid, o.holds()) {
        (Some(why), _) => format!("INVALID: {why}"),
        (None, true) => "ok".to_owned(),
        (None, false) => "FAILED".to_owned(),
    };
    [
        if o.note.is_empty() { o.fault.clone() } else { format!("{} ({})", o.fault, o.note) },
        format!("{:.1} s", o.away_s),
        o.orders.to_string(),
        o.in_flight.to_string(),
        seconds(o.recovered_s),
        seconds(o.all_ended_s),
        o.as_predicted.to_string(),
        format!("exit {}", o.verify),
        verdict,
    ]
}

fn report(format: Format, outcomes: &[Outcome]) -> Result<()> {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(outcomes)?),
        Format::Table => {
            let mut table = Table::new();
            table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
            for outcome in outcomes {
                table.add_row(line(outcome));
            }
            println!("{table}");
            println!(
                "recovered, all ended: after the return, of the orders in flight at the fault and of all orders (60 s at most)"
            );
            for differing in outcomes.iter().flat_map(|o| &o.differing) {
                println!("{differing}");
            }
        }
    }
    Ok(())
}
