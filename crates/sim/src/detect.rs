//! How fast the simulator finds bugs that were put in on purpose.

use crate::{Arguments, Format, line, name, options};
use anyhow::Context as _;
use message::bugs::{self, Bug};
use serde_json::json;
use sim::{Mode, Outcome};
use std::{
    ops::ControlFlow,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use transport::codec::Codec;

/// Which bugs to look for.
#[derive(Debug, Clone)]
pub struct Bugs(Vec<Bug>);

/// Reads `--bug`.
pub fn bug(text: &str) -> Result<Bugs, String> {
    if text == "all" {
        return Ok(Bugs(Bug::ALL.to_vec()));
    }
    let known = Bug::ALL.into_iter().find(|bug| bug.name() == text);
    let names = || Bug::ALL.map(Bug::name).join(", ");
    known.map(|bug| Bugs(vec![bug])).ok_or_else(|| format!("give all, or one of {}", names()))
}

/// How the simulator found one bug.
struct Found {
    mode: Mode,
    outcome: Outcome,
    runs: u64,
    took: Duration,
}

/// Looks for each; exit 1 when one was found by nothing in its time.
pub fn run(arguments: &Arguments, bugs: &Bugs, codec: &Arc<Codec>) -> anyhow::Result<ExitCode> {
    let (mut missed, mut by_simulator) = (0, 0);
    if arguments.tests {
        let built = std::process::Command::new("cargo").args(TESTS).arg("--no-run").status().context("cargo")?;
        anyhow::ensure!(built.success(), "the tests do not compile");
    }
    for bug in &bugs.0 {
        let found = look(arguments, *bug, codec)?;
        let tests = arguments.tests.then(|| tests(*bug)).transpose()?;
        by_simulator += u32::from(found.is_some());
        missed += u32::from(found.is_none() && tests.as_ref().is_none_or(|t| t.failed.is_empty()));
        tell(arguments, *bug, found.as_ref(), tests.as_ref());
    }
    let all = bugs.0.len();
    line(&match arguments.output {
        Format::Text => format!("{} of {all} bugs found, {by_simulator} by the simulator", all - missed as usize),
        Format::Json => json!({"bugs": all, "missed": missed, "by_simulator": by_simulator}).to_string(),
    });
    Ok(ExitCode::from(u8::from(missed > 0)))
}

/// What the tests that need no server make of a bug.
struct Tests {
    failed: Vec<String>,
    took: Duration,
}

/// The harness and the tables of the saga core, and the production shell on the ports in memory.
const TESTS: [&str; 8] =
    ["test", "--locked", "--no-fail-fast", "-psaga", "-ptestkit", "--features=message/bugs", "--lib", "--tests"];
/// Tests of `testkit` that need servers.
const NEED_SERVERS: [&str; 3] = ["--skip=kafka", "--skip=postgres", "--skip=real"];

/// The exit code of `timeout` itself.
const TIMED_OUT: i32 = 124;

fn tests(bug: Bug) -> anyhow::Result<Tests> {
    let began = Instant::now();
    // A bug may make a test wait for ever; then its whole group of processes is ended.
    let mut command = std::process::Command::new("timeout");
    command.args(["300", "cargo"]).args(TESTS).arg("--").args(NEED_SERVERS).env("MALLBOTS_BUG", bug.name());
    let output = command.output().context("timeout (of the coreutils) and cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().filter_map(|l| l.trim().strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let mut failed: Vec<_> = failed.map(str::to_owned).collect();
    if output.status.code() == Some(TIMED_OUT) {
        failed.push("they do not end".to_owned());
    }
    let silent = failed.is_empty() && !output.status.success();
    anyhow::ensure!(!silent, "cargo test: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Tests { failed, took: began.elapsed() })
}

fn look(arguments: &Arguments, bug: Bug, codec: &Arc<Codec>) -> anyhow::Result<Option<Found>> {
    let jobs = arguments.jobs.map_or(sim::cores(), usize::from);
    let (began, within) = (Instant::now(), Duration::from_secs(arguments.within_s));
    let (runs, found) = (AtomicU64::new(0), Mutex::new(None));
    sim::each_seed(arguments.from, u64::MAX - arguments.from, jobs, |seed| {
        for mode in [Mode::Safety, Mode::Liveness] {
            // Each run begins without what the bug remembers of the one before.
            bugs::set(Some(bug));
            let outcome = sim::run(seed, &options(arguments, mode), codec, None, false)?;
            let runs = runs.fetch_add(1, Ordering::Relaxed) + 1;
            if !outcome.broken.is_empty() {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.get_or_insert(Found { mode, outcome, runs, took: began.elapsed() });
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(if began.elapsed() < within { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn tell(arguments: &Arguments, bug: Bug, found: Option<&Found>, tests: Option<&Tests>) {
    if arguments.output == Format::Json {
        return line(
            &json!({
                "bug": bug.name(), "found": found.is_some(), "seconds": found.map(|f| f.took.as_secs_f64()),
                "runs": found.map(|f| f.runs), "seed": found.map(|f| f.outcome.seed), "mode": found.map(|f| name(f.mode)),
                "broken": found.and_then(|f| f.outcome.broken.first()), "failed_tests": tests.map(|t| &t.failed),
            })
            .to_string(),
        );
    }
    let simulator = found.map_or(format!("not found in {} s", arguments.within_s), |f| {
        let broken = f.outcome.broken.first().map_or("", String::as_str);
        let (took, seed, mode) = (f.took.as_secs_f64(), f.outcome.seed, name(f.mode));
        format!("{took:>5.1} s, {:>4} runs, seed {seed} {mode}: {broken}", f.runs)
    });
    let tests = tests.map_or(String::new(), |t| {
        let first = t.failed.first().map_or("", String::as_str);
        format!("| tests: {} failed in {:.0} s {first}", t.failed.len(), t.took.as_secs_f64())
    });
    line(&format!("{:<21} {simulator} {tests}", bug.name()));
}
