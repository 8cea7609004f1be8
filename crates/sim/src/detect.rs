//! How fast each means finds bugs that were put in on purpose.

use crate::{Arguments, Format, line, name, options};
use anyhow::Context as _;
use message::bugs::{self, Bug};
use serde_json::{Value, json};
use sim::Mode;
use std::{
    ops::ControlFlow,
    path::PathBuf,
    process::{Command, ExitCode, Output},
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

/// What one means made of a bug, or of none.
struct Verdict {
    means: &'static str,
    seen: Seen,
    took: Duration,
}

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Nothing,
    /// What it saw of the bug.
    Caught(String),
    /// Why it says nothing of the bug.
    Unproven(String),
}

impl Seen {
    fn from_exit(code: Option<i32>, broken: impl FnOnce() -> Self, stderr: &[u8]) -> Self {
        match code {
            Some(0) => Self::Nothing,
            Some(1) => broken(),
            // `timeout` itself, or what it killed at last.
            Some(TIMED_OUT) | None => Self::Caught("it does not end".to_owned()),
            Some(other) => Self::Unproven(format!("exit {other}: {}", String::from_utf8_lossy(stderr).trim())),
        }
    }
}

/// The simulator alone must find so many of all.
const BY_SIMULATOR: u32 = 12;

/// Looks for each, after a look without any that must see nothing; exit 1 when one was found by nothing in its time, or too few
/// by the simulator.
pub fn run(arguments: &Arguments, bugs: &Bugs, codec: &Arc<Codec>) -> anyhow::Result<ExitCode> {
    let (mut missed, mut by_simulator) = (0, 0);
    if arguments.tests {
        let built = Command::new("cargo").args(TESTS).arg("--no-run").status().context("cargo")?;
        anyhow::ensure!(built.success(), "the tests do not compile");
    }
    for means in [tests, model, battery] {
        let Some(verdict) = means(arguments, None, codec)? else { continue };
        tell(arguments, None, &verdict);
        anyhow::ensure!(
            verdict.seen == Seen::Nothing,
            "{}: not clean without a bug, so it shows nothing",
            verdict.means
        );
    }
    for bug in &bugs.0 {
        let mut caught = false;
        for means in [simulator, tests, model, battery] {
            let Some(verdict) = means(arguments, Some(*bug), codec)? else { continue };
            let found = matches!(verdict.seen, Seen::Caught(_));
            caught |= found;
            by_simulator += u32::from(found && verdict.means == SIMULATOR);
            tell(arguments, Some(*bug), &verdict);
        }
        missed += u32::from(!caught);
    }
    let all = bugs.0.len();
    let too_few = all == Bug::ALL.len() && by_simulator < BY_SIMULATOR;
    line(&match arguments.output {
        Format::Text => format!("{} of {all} bugs found, {by_simulator} by the simulator", all - missed as usize),
        Format::Json => json!({"bugs": all, "missed": missed, "by_simulator": by_simulator}).to_string(),
    });
    Ok(ExitCode::from(u8::from(missed > 0 || too_few)))
}

/// The harness and the tables of the saga core, and the production shell on the ports in memory.
const TESTS: [&str; 8] =
    ["test", "--locked", "--no-fail-fast", "-psaga", "-ptestkit", "--features=message/bugs", "--lib", "--tests"];
/// Tests of `testkit` that need servers.
const NEED_SERVERS: [&str; 3] = ["--skip=kafka", "--skip=postgres", "--skip=real"];

/// The exit code of `timeout` itself.
const TIMED_OUT: i32 = 124;

/// No other means takes longer with one bug: one may make it wait for ever.
const OTHERS_WITHIN_S: &str = "300";
const SIMULATOR: &str = "simulator";

/// The tests that need no server.
fn tests(arguments: &Arguments, bug: Option<Bug>, _: &Arc<Codec>) -> anyhow::Result<Option<Verdict>> {
    if !arguments.tests {
        return Ok(None);
    }
    let (output, took) =
        with(bug, Command::new("timeout").args([OTHERS_WITHIN_S, "cargo"]).args(TESTS).arg("--").args(NEED_SERVERS))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().filter_map(|l| l.trim().strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let mut failed: Vec<_> = failed.map(str::to_owned).collect();
    if output.status.code() == Some(TIMED_OUT) {
        failed.push("they do not end".to_owned());
    }
    let seen = match failed.first() {
        Some(first) => Seen::Caught(format!("{} failed: {first}", failed.len())),
        None if output.status.success() => Seen::Nothing,
        None => Seen::Unproven(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    };
    Ok(Some(Verdict { means: "tests", seen, took }))
}

/// The model of a small saga: bugs of the saga core and of the fence are in it.
fn model(arguments: &Arguments, bug: Option<Bug>, _: &Arc<Codec>) -> anyhow::Result<Option<Verdict>> {
    if !arguments.model {
        return Ok(None);
    }
    let program = beside("mallbots-model")?;
    let (output, took) = with(bug, Command::new("timeout").arg(OTHERS_WITHIN_S).arg(program).args(["-o", "json"]))?;
    let broken = || Seen::Caught(first_broken_rule(&output.stdout));
    let seen = Seen::from_exit(output.status.code(), broken, &output.stderr);
    Ok(Some(Verdict { means: "model", seen, took }))
}

/// The programs that people run, on real servers.
fn battery(arguments: &Arguments, bug: Option<Bug>, _: &Arc<Codec>) -> anyhow::Result<Option<Verdict>> {
    if !arguments.battery {
        return Ok(None);
    }
    let report = std::env::temp_dir().join(format!("mallbots-detect-{}.json", std::process::id()));
    let mut command = Command::new("timeout");
    // In the foreground, so that who interrupts this ends that, too; the launcher passes signals on.
    command.args(["--foreground", "--signal=INT", "--kill-after=30", OTHERS_WITHIN_S]).arg(beside("servers")?);
    command.args(["run", "--three-brokers", "--own", "--jaeger", "if-built", "--"]).arg(beside("mall-battery")?);
    command.args([
        "--minutes=1",
        "--rate=15",
        "--storm-s=30",
        "--writers-s=10",
        "--overload-s=0",
        "--seed=7",
        "--report",
    ]);
    let (output, took) = with(bug, command.arg(&report))?;
    let text = std::fs::read_to_string(&report).unwrap_or_default();
    // It may be missing.
    let _ = std::fs::remove_file(&report);
    let seen = Seen::from_exit(output.status.code(), || first_that_does_not_hold(&text), &output.stderr);
    Ok(Some(Verdict { means: "battery", seen, took }))
}

/// Runs the command with the bug put in.
fn with(bug: Option<Bug>, command: &mut Command) -> anyhow::Result<(Output, Duration)> {
    let began = Instant::now();
    if let Some(bug) = bug {
        command.env("MALLBOTS_BUG", bug.name());
    }
    let output = command.output().context("timeout, of the coreutils")?;
    Ok((output, began.elapsed()))
}

/// A program that was built with this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(path.exists(), "{} is missing: `make detect` builds it", path.display());
    Ok(path)
}

/// Of the battery's report. That not every fault struck in so short a time is nothing.
fn first_that_does_not_hold(report: &str) -> Seen {
    let Ok(report) = serde_json::from_str::<Value>(report) else {
        return Seen::Unproven("it did not come to a report".to_owned());
    };
    if !report["broken_off"].is_null() {
        return Seen::Unproven("a round was broken off".to_owned());
    }
    let texts = |of: &Value, list: &str| -> Vec<String> {
        let texts = of[list].as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let each = |list: &str| report[list].as_array().cloned().unwrap_or_default();
    let checks = each("checks").iter().flat_map(|check| texts(check, "broken")).collect::<Vec<_>>();
    let seen = checks.into_iter().filter(|broken| !broken.starts_with("INVALID"));
    let rounds = each("rounds").into_iter().flat_map(|round| {
        let late = round["all_ended_s"].is_null().then(|| "not all orders end".to_owned());
        ["broken_rules", "parked_by_mistake", "differing"]
            .map(|list| texts(&round, list))
            .into_iter()
            .flatten()
            .chain(late)
    });
    let held = report["broken"] == 0;
    let unnamed = (!held).then(|| "a round does not hold, or ends late".to_owned());
    seen.chain(rounds.filter(|_| !held)).chain(unnamed).next().map_or(Seen::Nothing, Seen::Caught)
}

fn first_broken_rule(report: &[u8]) -> String {
    let report: Value = serde_json::from_slice(report).unwrap_or_default();
    let rule = report["violations"][0]["rule"].as_str().map(str::to_owned);
    rule.unwrap_or_else(|| {
        format!("not all that should be reached is, or more: missing {}, ends {}", report["missing"], report["ends"])
    })
}

fn simulator(arguments: &Arguments, bug: Option<Bug>, codec: &Arc<Codec>) -> anyhow::Result<Option<Verdict>> {
    let jobs = arguments.jobs.map_or(sim::cores(), usize::from);
    let (began, within) = (Instant::now(), Duration::from_secs(arguments.within_s));
    let (runs, caught) = (AtomicU64::new(0), Mutex::new(None));
    sim::each_seed(arguments.from, u64::MAX - arguments.from, jobs, |seed| {
        for mode in [Mode::Safety, Mode::Liveness] {
            // Each run begins without what the bug remembers of the one before.
            bugs::set(bug);
            let outcome = sim::run(seed, &options(arguments, mode), codec, None, false)?;
            let runs = runs.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(broken) = outcome.broken.first() {
                let text = format!("{runs} runs, seed {seed} {}: {broken}", name(mode));
                caught.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((text, began.elapsed()));
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(if began.elapsed() < within { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    let (caught, took) = caught.into_inner().unwrap_or_else(PoisonError::into_inner).unzip();
    let seen = caught.map_or(Seen::Nothing, Seen::Caught);
    Ok(Some(Verdict { means: SIMULATOR, seen, took: took.unwrap_or_else(|| began.elapsed()) }))
}

fn tell(arguments: &Arguments, bug: Option<Bug>, verdict: &Verdict) {
    let Verdict { means, seen, took } = verdict;
    let (caught, unproven) = match seen {
        Seen::Nothing => (None, None),
        Seen::Caught(what) => (Some(what), None),
        Seen::Unproven(why) => (None, Some(why)),
    };
    let bug = bug.map(Bug::name);
    line(&match arguments.output {
        Format::Json => {
            json!({"bug": bug, "means": means, "caught": caught, "unproven": unproven, "seconds": took.as_secs_f64()})
                .to_string()
        }
        Format::Text => {
            let what =
                caught.cloned().or(unproven.map(|why| format!("proves nothing: {why}"))).unwrap_or_else(|| "-".into());
            format!("{:<21} {means:<9} {:>6.1} s  {what}", bug.unwrap_or("without a bug"), took.as_secs_f64())
        }
    });
}
