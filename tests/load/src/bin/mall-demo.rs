//! `make demo` and `make run`: the whole platform with robots; the demo places orders whose ends it predicts from a seed
//! and exits 0 only if everything agrees.

use anyhow::{Context as _, Result};
use clap::Parser;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};
use load::{Crowd, Mall, Plan, Platform, PlatformOptions, Told, Ways, ledger, metrics::Metrics};
use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Runs the mall on real servers and checks what it did.
#[derive(Parser)]
#[command(after_help = "\
Examples (under `servers run --`, which `make` does for you):
  mall-demo                    300 orders with seed 1
  mall-demo --seed 7           another mix of customers
  mall-demo --stay             no orders: the platform stays up until Ctrl-C

Exit codes: 0 everything agrees, 1 something does not.")]
struct Cli {
    /// Draws the customers; the same seed is the same day in the mall
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Orders to place
    #[arg(long, default_value_t = 300)]
    orders: usize,
    /// Shopper bots
    #[arg(long, default_value_t = 4)]
    robots: usize,
    /// Milliseconds a robot takes for a stop
    #[arg(long, default_value_t = 20)]
    pace_ms: u64,
    /// Stay up instead of placing orders
    #[arg(long)]
    stay: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("mallbots-demo-").tempdir()?;
    let prefix = format!("demo{}", std::process::id());
    let env = vec![("MALLBOTS_LOG_FORMAT".to_owned(), "text".to_owned())];
    let options = PlatformOptions {
        separate: false,
        replicas: Vec::new(),
        robots: cli.robots,
        pace_ms: cli.pace_ms,
        prefix: if cli.stay { String::new() } else { prefix.clone() },
        env,
        folder: folder.path().to_owned(),
    };
    let started = Instant::now();
    let platform =
        Platform::start(options).await.with_context(|| format!("logs are in {}", folder.path().display()))?;
    eprintln!("the platform is up after {:.1} s", started.elapsed().as_secs_f64());
    let agreed = if cli.stay { stay(&platform, &cli).await } else { demo(&platform, &cli, prefix).await };
    platform.stop().await?;
    if !matches!(agreed, Ok(true)) {
        eprintln!("logs are kept in {}", folder.keep().display());
    }
    agreed
}

async fn stay(platform: &Platform, cli: &Cli) -> Result<bool> {
    Mall::open(platform.url("stores"), platform.url("depot"), 6, 200).await?;
    let kiosk = platform.url("kiosk-gateway");
    println!("kiosk API   {kiosk}/v1/stores");
    println!("kiosk docs  {kiosk}/docs");
    println!("metrics     {}/metrics", platform.http("all"));
    println!("Jaeger      {}", std::env::var("MALLBOTS_JAEGER").unwrap_or_else(|_| "not running".into()));
    for (name, value) in platform.env().iter().filter(|(n, _)| n.ends_with("_URL")) {
        println!("{name}={value}");
    }
    println!("{} robots; Ctrl-C stops everything", cli.robots);
    tokio::signal::ctrl_c().await?;
    Ok(true)
}

async fn demo(platform: &Platform, cli: &Cli, run: String) -> Result<bool> {
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 6, 200).await.context("open the mall")?;
    let plan = Plan::draw(cli.seed, cli.orders, mall.ordinary.len());
    let crowd = Crowd {
        kiosk: platform.url("kiosk-gateway"),
        mall,
        at_once: 32,
        patience: Duration::from_secs(120),
        run,
        ways: Ways::default(),
    };
    let bar = ProgressBar::new(plan.orders.len() as u64);
    bar.set_style(ProgressStyle::with_template("{elapsed_precise} {bar:40} {pos}/{len} orders ended  {msg}")?);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let told = crowd
        .shop(&plan, |told| {
            *ends.entry(told.end.clone()).or_default() += 1;
            bar.set_message(ends.iter().map(|(end, n)| format!("{n} {end}")).collect::<Vec<_>>().join(", "));
            bar.inc(1);
        })
        .await;
    bar.finish();
    let told = told?;
    let log = std::env::temp_dir().join(format!("mallbots-client-{}.jsonl", std::process::id()));
    let lines: Vec<_> = told.iter().filter_map(|t| serde_json::to_string(t).ok()).collect();
    std::fs::write(&log, lines.join("\n"))?;
    let (code, verdict) =
        platform.ctl_code(&["verify", "--wait", "60s", "--client-log", &log.display().to_string()]).await?;
    std::fs::remove_file(&log)?;
    println!("{verdict}");
    let agrees = report(platform, &plan, &told).await?;
    show_one(platform, &told).await?;
    Ok(agrees && code == 0)
}

/// The table of the run; true when it is as predicted.
async fn report(platform: &Platform, plan: &Plan, told: &[Told]) -> Result<bool> {
    let predicted = plan.prediction();
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["orders", "predicted", "seen", ""]);
    let mut agrees = true;
    for end in ["completed", "rejected", "cancelled"] {
        let (expected, seen) =
            (predicted.get(end).copied().unwrap_or_default(), told.iter().filter(|t| t.end == end).count());
        agrees &= expected == seen;
        table.add_row([end.to_owned(), expected.to_string(), seen.to_string(), mark(expected == seen)]);
    }
    let each = told.iter().filter(|t| !t.as_predicted()).collect::<Vec<_>>();
    agrees &= each.is_empty();
    for wrong in each.iter().take(20) {
        let story = wrong.scenario.map_or("", |s| s.name());
        table.add_row([format!("order {}", wrong.order_id), story.to_owned(), wrong.end.clone(), mark(false)]);
    }
    let owed: i64 = told.iter().filter(|t| t.end == "completed").map(|t| t.total).sum();
    let money = ledger::read(&platform.url("acquirer-sim")).await?;
    let captured = money.captured - money.refunded;
    agrees &= owed == captured;
    table.add_row(["money captured".to_owned(), euros(owed), euros(captured), mark(owed == captured)]);
    let (p50, p99) = percentiles(told.iter().filter(|t| t.end == "completed").filter_map(|t| t.approved).collect());
    table.add_row([
        "checkout to approved".to_owned(),
        String::new(),
        format!("p50 {p50} ms, p99 {p99} ms"),
        String::new(),
    ]);
    let (p50, p99) = percentiles(told.iter().filter(|t| t.end == "completed").filter_map(|t| t.ended).collect());
    table.add_row([
        "checkout to completed".to_owned(),
        String::new(),
        format!("p50 {p50} ms, p99 {p99} ms"),
        String::new(),
    ]);
    let sent = messages(&platform.http("all")).await.unwrap_or_default();
    table.add_row(["messages sent".to_owned(), String::new(), sent.to_string(), String::new()]);
    println!("{table}");
    Ok(agrees)
}

fn mark(agrees: bool) -> String {
    if agrees { "ok".into() } else { "DIFFERS".into() }
}

fn euros(minor: i64) -> String {
    format!("{}.{:02} EUR", minor / 100, minor % 100)
}

fn percentiles(mut all: Vec<Duration>) -> (u128, u128) {
    all.sort_unstable();
    let at = |p: usize| all.get((all.len() * p / 100).min(all.len().saturating_sub(1))).map_or(0, Duration::as_millis);
    (at(50), at(99))
}

/// What the relays have sent, from the metrics.
async fn messages(http: &str) -> Result<u64> {
    Ok(Metrics::read(http).await?.values("mallbots_relay_sent_total", "").sum::<f64>() as u64)
}

/// One completed order's timeline, and where its trace is.
async fn show_one(platform: &Platform, told: &[Told]) -> Result<()> {
    let Some(one) = told.iter().find(|t| t.end == "cancelled").or_else(|| told.first()) else { return Ok(()) };
    let list = platform.ctl(&["sagas", "list", "--order", &one.order_id, "-o", "json"]).await?;
    let sagas: serde_json::Value = serde_json::from_str(&list)?;
    let first = sagas.get("sagas").unwrap_or(&sagas).get(0).cloned().unwrap_or_default();
    if let Some(id) = first["saga_id"].as_str() {
        println!("{}", platform.ctl(&["sagas", "show", id]).await?);
    }
    match (std::env::var("MALLBOTS_JAEGER"), first["trace_id"].as_str()) {
        (Ok(jaeger), Some(trace)) if !trace.is_empty() => {
            println!("its trace, while Jaeger runs: {jaeger}/api/traces/{trace}  or  mallctl trace {}", one.order_id);
        }
        _ => println!("no trace: Jaeger is not running"),
    }
    Ok(())
}
