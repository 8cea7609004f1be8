//! `mallbots-sim`: runs seeds, reproduces one, and looks for the faults that matter in one that fails.

use anyhow::Context as _;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sim::{Mode, Options, Outcome};
use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    ops::ControlFlow,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Runs the whole platform in one thread, under faults drawn from a seed, and judges it by the invariants.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  mallbots-sim --seed 42                          one seed in both modes; the same trace hash each time
  mallbots-sim --seed 42 --mode safety --steps    with every step it took
  mallbots-sim --seeds 20000                      that many seeds from 1 on, on all cores; stops at the first violation
  mallbots-sim --seeds 500 --from 9000 -o json    figures for other programs

Exit codes: 0 no violation, 1 a violation (the seed and the fewest faults that still show it are printed), 2 wrong usage,
3 the simulator itself failed.")]
struct Arguments {
    /// The one seed to run
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many seeds to run
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// What the runs are to show [default: both]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Customers of a run
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    customers: u64,
    /// Simulated seconds in which faults happen
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    faults_s: u64,
    /// Threads [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Prints every step of a single seed
    #[arg(long, requires = "seed")]
    steps: bool,
    /// Does not look for the fewest faults of a violation
    #[arg(long)]
    as_it_is: bool,
    /// Puts a bug in and looks for it; in builds with the feature `bugs` only. `all`: each in turn, as a table
    #[cfg(feature = "bugs")]
    #[arg(long, conflicts_with = "seed", value_parser = detect::bug)]
    bug: Option<detect::Bugs>,
    /// Also runs the tests of the saga core and of the shell in memory with each bug; needs cargo, and the sources here
    #[cfg(feature = "bugs")]
    #[arg(long, requires = "bug")]
    tests: bool,
    /// Also closes the model (`mallbots-model`, built beside this program) with each bug
    #[cfg(feature = "bugs")]
    #[arg(long, requires = "bug")]
    model: bool,
    /// Also runs a minute of the battery (`servers`, `mall-battery` and what they run, built beside this program) with each bug
    #[cfg(feature = "bugs")]
    #[arg(long, requires = "bug")]
    battery: bool,
    /// How many seconds to look for one bug
    #[cfg(feature = "bugs")]
    #[arg(long, default_value_t = 300, requires = "bug")]
    within_s: u64,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mallbots-sim: {error:#}");
            ExitCode::from(3)
        }
    }
}

#[cfg(feature = "bugs")]
mod detect;

/// What all runs came to.
#[derive(Default)]
struct Sum {
    runs: u64,
    simulated: Duration,
    steps: u64,
    sagas: BTreeMap<String, usize>,
    faults: BTreeMap<&'static str, u64>,
    /// The first violation, by seed.
    failed: Option<(Mode, Outcome)>,
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let codec = sim::codec()?;
    #[cfg(feature = "bugs")]
    if let Some(bugs) = &arguments.bug {
        return detect::run(arguments, bugs, &codec);
    }
    let modes = arguments.mode.map_or(vec![Mode::Safety, Mode::Liveness], |mode| vec![mode]);
    let (from, seeds) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let past_the_last = seeds - 1 > u64::MAX - from;
    anyhow::ensure!(!past_the_last, "there are no {seeds} seeds from {from} on");
    let jobs = arguments.jobs.map_or(sim::cores(), usize::from).min(usize::try_from(seeds).unwrap_or(usize::MAX));
    let sum = Mutex::new(Sum::default());
    let bar = progress(seeds * modes.len() as u64);
    let began = Instant::now();
    sim::each_seed(from, seeds, jobs, |seed| {
        let mut all_is_well = true;
        for mode in &modes {
            let outcome = sim::run(seed, &options(arguments, *mode), &codec, None, arguments.steps)?;
            if arguments.seed.is_some() {
                show(arguments, *mode, &outcome);
            }
            all_is_well &= outcome.broken.is_empty();
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(*mode, outcome);
            bar.inc(1);
        }
        Ok(if all_is_well { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    bar.finish_and_clear();
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = began.elapsed();
    if arguments.seed.is_none() {
        tell(arguments, &sum, took);
    }
    let Some((mode, failed)) = sum.failed else { return Ok(ExitCode::SUCCESS) };
    violation(arguments, mode, &failed, &codec).context("the search for the fewest faults")?;
    Ok(ExitCode::from(1))
}

fn options(arguments: &Arguments, mode: Mode) -> Options {
    let faults_for = Duration::from_secs(arguments.faults_s);
    Options { customers: arguments.customers, faults_for, ..Options::new(mode) }
}

impl Sum {
    fn add(&mut self, mode: Mode, outcome: Outcome) {
        self.runs += 1;
        self.simulated += outcome.simulated;
        self.steps += outcome.trace.steps;
        for (end, count) in &outcome.ends {
            *self.sagas.entry(end.clone()).or_default() += count;
        }
        for (kind, count) in &outcome.trace.counts {
            *self.faults.entry(kind).or_default() += count;
        }
        let earlier = self.failed.as_ref().is_none_or(|(_, failed)| outcome.seed < failed.seed);
        if !outcome.broken.is_empty() && earlier {
            self.failed = Some((mode, outcome));
        }
    }
}

/// Shown on a terminal only.
fn progress(runs: u64) -> ProgressBar {
    if runs < 10 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {per_sec}, {eta} left");
    ProgressBar::new(runs).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Safety => "safety",
        Mode::Liveness => "liveness",
    }
}

/// Whoever reads may leave early.
fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn show(arguments: &Arguments, mode: Mode, outcome: &Outcome) {
    let trace = &outcome.trace;
    if arguments.output == Format::Json {
        return line(
            &json!({
                "seed": outcome.seed, "mode": name(mode), "broken": outcome.broken, "trace_hash": format!("{:016x}", trace.hash),
                "simulated_s": outcome.simulated.as_secs_f64(), "steps": trace.steps, "sagas": outcome.ends, "faults": trace.counts, "trace": trace.lines,
            })
            .to_string(),
        );
    }
    trace.lines.iter().for_each(|step| line(step));
    let verdict = if outcome.broken.is_empty() { "ok" } else { "BROKEN" };
    line(&format!(
        "seed {} {}: {verdict}, trace {:016x}, {:.1} s simulated in {} steps, {} faults, {} of {} sagas ended",
        outcome.seed,
        name(mode),
        trace.hash,
        outcome.simulated.as_secs_f64(),
        trace.steps,
        trace.fired.len(),
        outcome.sagas().0,
        outcome.sagas().1
    ));
}

fn tell(arguments: &Arguments, sum: &Sum, took: Duration) {
    let rate = sum.runs as f64 / took.as_secs_f64();
    let hours = sum.simulated.as_secs_f64() / 3_600.0;
    if arguments.output == Format::Json {
        return line(
            &json!({
                "runs": sum.runs, "took_s": took.as_secs_f64(), "runs_per_s": rate, "simulated_hours": hours, "steps": sum.steps,
                "sagas": sum.sagas, "faults": sum.faults,
                "failed": sum.failed.as_ref().map(|(mode, f)| json!({"seed": f.seed, "mode": name(*mode), "broken": f.broken})),
            })
            .to_string(),
        );
    }
    line(&format!(
        "{} runs in {:.1} s ({rate:.1} a second), {hours:.1} simulated hours, {} steps",
        sum.runs,
        took.as_secs_f64(),
        sum.steps
    ));
    let sagas: Vec<_> = sum.sagas.iter().map(|(end, count)| format!("{end} {count}")).collect();
    line(&format!("sagas: {}", sagas.join(", ")));
    let faults: Vec<_> = sum.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    line(&format!("faults: {}", faults.join(", ")));
}

fn violation(
    arguments: &Arguments,
    mode: Mode,
    failed: &Outcome,
    codec: &std::sync::Arc<transport::codec::Codec>,
) -> anyhow::Result<()> {
    eprintln!("VIOLATION in seed {}, {} mode, {} faults:", failed.seed, name(mode), failed.trace.fired.len());
    failed.broken.iter().take(10).for_each(|what| eprintln!("  {what}"));
    if !arguments.as_it_is {
        let fewest =
            sim::minimise(failed, &options(arguments, mode), codec, |left| eprintln!("  {left} faults are enough …"))?;
        eprintln!("with these faults alone:");
        fewest.trace.fired.iter().for_each(|f| eprintln!("  {:>10.3} s  {}", f.at.as_secs_f64(), f.what));
        fewest.broken.iter().take(10).for_each(|what| eprintln!("  {what}"));
    }
    let more = format!("--customers {} --faults-s {}", arguments.customers, arguments.faults_s);
    eprintln!("again: mallbots-sim --seed {} --mode {} {more} --steps", failed.seed, name(mode));
    Ok(())
}
