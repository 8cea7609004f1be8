//! Crash runs: customers come at a steady rate, a part of the platform or a server under it dies in the middle, comes back,
//! and every order must still end as its story says, with all invariants intact.

use crate::{
    customers::{Crowd, Told},
    plan::{Draw, Plan, Scenario},
    platform::{Platform, PlatformOptions, ROBOTS, ROLES},
};
use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use servers::Control;
use std::{
    fmt,
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The process of one role, by `kill -9`.
    Role(&'static str),
    /// The processes of all roles at once, by `kill -9`. Robots stay.
    Backend,
    /// The broker, by `kill -9`.
    Kafka,
    /// Postgres, by its immediate shutdown.
    Postgres,
    /// The broker, for longer than every deadline of a saga.
    KafkaAway,
}

const OTHERS: [(&str, Fault); 4] = [
    ("backend", Fault::Backend),
    ("kafka", Fault::Kafka),
    ("postgres", Fault::Postgres),
    ("kafka-away", Fault::KafkaAway),
];

/// Every order must have ended this long after what was away is back.
pub const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// The share of orders that have ended when the fault strikes: in the middle, with as many to come.
const STRIKE_AT: f64 = 0.4;
/// For the last replies to reach the sagas after the customers' orders have ended.
const VERIFY_WAIT: &str = "30s";
/// Shorter than the broker's long absence, so that deadlines that did not wait for it would undo orders.
const SHORT_DEADLINES: [(&str, &str); 3] = [
    ("MALLBOTS_SAGA_COMMAND_DEADLINE_S", "20"),
    ("MALLBOTS_SAGA_SHOPPING_DEADLINE_S", "90"),
    ("MALLBOTS_SAGA_PICKUP_DEADLINE_S", "150"),
];

impl Fault {
    /// Every fault there is: each role and the robots first.
    pub fn all() -> Vec<Self> {
        let roles = ROLES.into_iter().chain([ROBOTS]).map(Self::Role);
        roles.chain(OTHERS.into_iter().map(|(_, fault)| fault)).collect()
    }

    /// `count` different roles, drawn from a seed.
    pub fn draw_roles(seed: u64, count: usize) -> Vec<Self> {
        let mut draw = Draw(seed);
        let mut left: Vec<_> = ROLES.into_iter().chain([ROBOTS]).collect();
        let many = count.min(left.len());
        (0..many).map(|_| Self::Role(left.swap_remove(draw.below(left.len() as u64) as usize))).collect()
    }

    /// How long it stays away.
    pub fn away(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Role(_) | Self::Backend => 2,
            Self::Kafka | Self::Postgres => 5,
            Self::KafkaAway => 180,
        })
    }

    /// Variables that the platform needs for this fault to prove something.
    pub fn env(&self) -> Vec<(String, String)> {
        match self {
            Self::KafkaAway => SHORT_DEADLINES.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            Self::Role(_) | Self::Backend | Self::Kafka | Self::Postgres => Vec::new(),
        }
    }

    /// What a reader of the table must know besides the name.
    pub fn note(&self) -> String {
        let short = |(name, s): &(&str, &str)| {
            let name = name.trim_start_matches("MALLBOTS_SAGA_").trim_end_matches("_DEADLINE_S").to_lowercase();
            format!("{name} {s} s")
        };
        match self {
            Self::KafkaAway => {
                format!("deadlines: {}", SHORT_DEADLINES.iter().map(short).collect::<Vec<_>>().join(", "))
            }
            Self::Role(_) | Self::Backend | Self::Kafka | Self::Postgres => String::new(),
        }
    }

    /// The ids of the processes that die.
    fn pids(&self, platform: &Platform) -> Result<Vec<u32>> {
        let server = |name: &str| -> Result<Vec<u32>> {
            let pids = Control::from_env()?.pids();
            Ok(pids.into_iter().filter(|(n, _)| n == name).map(|(_, pid)| pid).collect())
        };
        match self {
            Self::Role(role) => Ok(platform.pid(role).into_iter().collect()),
            Self::Backend => Ok(platform.roles().iter().filter_map(|role| platform.pid(role)).collect()),
            Self::Kafka | Self::KafkaAway => server("kafka"),
            Self::Postgres => server("postgres"),
        }
    }

    async fn strike(&self, platform: &mut Platform) -> Result<()> {
        match self {
            Self::Role(role) => platform.kill(role).await?,
            Self::Backend => {
                for role in platform.roles() {
                    platform.kill(&role).await?;
                }
            }
            Self::Kafka | Self::KafkaAway => Control::from_env()?.kill_kafka().await?,
            Self::Postgres => Control::from_env()?.stop_postgres_immediate().await?,
        }
        Ok(())
    }

    async fn heal(&self, platform: &mut Platform) -> Result<()> {
        match self {
            Self::Role(role) => platform.spawn(role)?,
            Self::Backend => platform.roles().iter().try_for_each(|role| platform.spawn(role))?,
            Self::Kafka | Self::KafkaAway => Control::from_env()?.start_kafka().await?,
            Self::Postgres => Control::from_env()?.start_postgres().await?,
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => f.write_str(role),
            other => f.write_str(OTHERS.iter().find(|(_, fault)| fault == other).map_or("", |(name, _)| name)),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::all().iter().map(Self::to_string).collect::<Vec<_>>().join(", ");
        let found = Self::all().into_iter().find(|fault| fault.to_string() == text);
        found.ok_or_else(|| format!("there is no fault `{text}`: give one of {}", names()))
    }
}

/// How a crash run went.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub fault: String,
    pub note: String,
    pub away_s: f64,
    pub orders: usize,
    /// Accepted and not ended when the fault struck.
    pub in_flight: usize,
    /// From the return to the end of the last order that was in flight; absent when one did not end.
    pub recovered_s: Option<f64>,
    /// From the return to the end of the last order of all.
    pub all_ended_s: Option<f64>,
    pub as_predicted: usize,
    /// The first orders that did not end as predicted.
    pub differing: Vec<String>,
    /// `mallctl verify`'s exit code and table.
    pub verify: i32,
    #[serde(skip)]
    pub verdict: String,
    /// Why the run proves nothing, if so.
    pub invalid: Option<String>,
}

impl Outcome {
    /// Whether everything holds that must.
    pub fn holds(&self) -> bool {
        let in_time = self.all_ended_s.is_some_and(|s| s <= ENDED_WITHIN.as_secs_f64());
        self.invalid.is_none() && in_time && self.as_predicted == self.orders && self.verify == 0
    }
}

/// When the fault struck and when it was over.
struct Struck {
    at: Instant,
    back: Instant,
    /// Why it was no fault at all.
    invalid: Option<String>,
}

/// Customers of one run, and how often one comes.
pub struct Shift<'a> {
    pub crowd: &'a Crowd,
    pub plan: &'a Plan,
    pub every: Duration,
}

/// How long a customer must be ready to wait in a run with `fault`.
pub fn patience(fault: &Fault, orders: usize, every: Duration) -> Duration {
    every * orders as u32 + fault.away() + ENDED_WITHIN + Duration::from_secs(30)
}

/// What those who watch a run are told.
pub enum Step {
    /// An order has ended.
    Ended,
    Says(String),
}

/// One run: customers come, `fault` strikes in the middle and heals, everything is checked.
pub async fn run(
    platform: &mut Platform,
    shift: &Shift<'_>,
    fault: &Fault,
    log: &ClientLog,
    seen: impl Fn(Step),
) -> Result<Outcome> {
    let orders = shift.plan.orders.len();
    let (ended, mut halfway) = watch::channel(0_usize);
    let enough = ((orders as f64 * STRIKE_AT) as usize).max(1);
    let shopping = async {
        let count = |_: &Told| {
            ended.send_modify(|n| *n += 1);
            seen(Step::Ended);
        };
        let told = shift.crowd.shop_steadily(shift.plan, shift.every, count).await;
        drop(ended);
        told
    };
    let striking = async {
        while *halfway.borrow_and_update() < enough {
            halfway.changed().await.context("the customers left before the fault struck")?;
        }
        strike(platform, fault, &seen).await
    };
    let (told, struck) = tokio::join!(shopping, striking);
    let (told, struck) = (told?, struck?);
    log.add(&told)?;
    seen(Step::Says("verifying".into()));
    let file = log.file.display().to_string();
    let (verify, verdict) = platform.ctl_code(&["verify", "--wait", VERIFY_WAIT, "--client-log", &file]).await?;
    Ok(judge(fault, &told, &struck, verify, verdict))
}

async fn strike(platform: &mut Platform, fault: &Fault, seen: &impl Fn(Step)) -> Result<Struck> {
    let before = fault.pids(platform)?;
    ensure!(!before.is_empty(), "{fault} does not run");
    seen(Step::Says(format!("{fault} killed, back in {} s", fault.away().as_secs())));
    let at = Instant::now();
    fault.strike(platform).await?;
    tokio::time::sleep(fault.away().saturating_sub(at.elapsed())).await;
    let back = Instant::now();
    fault.heal(platform).await?;
    seen(Step::Says(format!("{fault} is back")));
    let after = fault.pids(platform)?;
    let survivor = before.iter().find(|pid| after.contains(pid)).map(|pid| format!("process {pid} was not killed"));
    Ok(Struck { at, back, invalid: survivor })
}

fn judge(fault: &Fault, told: &[Told], struck: &Struck, verify: i32, verdict: String) -> Outcome {
    let hit: Vec<_> = told.iter().filter(|t| t.in_flight(struck.at)).collect();
    let all: Vec<_> = told.iter().collect();
    let none_hit = hit.is_empty().then(|| "no order was in flight when the fault struck".to_owned());
    let wrong: Vec<_> = told.iter().filter(|t| !t.as_predicted()).collect();
    Outcome {
        fault: fault.to_string(),
        note: fault.note(),
        away_s: struck.back.duration_since(struck.at).as_secs_f64(),
        orders: told.len(),
        in_flight: hit.len(),
        recovered_s: last_end(&hit, struck.back),
        all_ended_s: last_end(&all, struck.back),
        as_predicted: told.len() - wrong.len(),
        differing: wrong.iter().take(10).map(|t| differing(t)).collect(),
        verify,
        verdict,
        invalid: struck.invalid.clone().or(none_hit),
    }
}

/// Seconds from `back` to the last end of these orders; absent when one has not ended.
pub(crate) fn last_end(orders: &[&Told], back: Instant) -> Option<f64> {
    let after = |end: Instant| end.saturating_duration_since(back).as_secs_f64();
    orders.iter().try_fold(0.0_f64, |latest, told| told.ended_at().map(|end| latest.max(after(end))))
}

pub(crate) fn differing(told: &Told) -> String {
    let (story, end) = (told.scenario.map_or("", Scenario::name), told.predicted().unwrap_or_default());
    format!("order {} ({story}): {end} was predicted, it is {}", told.order_id, told.end)
}

/// What clients were told on one platform, for `mallctl verify`.
pub struct ClientLog {
    file: PathBuf,
}

impl ClientLog {
    /// Appends to `file`, which it makes when the first answers come.
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    pub(crate) fn add(&self, told: &[Told]) -> Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::File::options().create(true).append(true).open(&self.file)?;
        for one in told {
            writeln!(file, "{}", serde_json::to_string(one)?)?;
        }
        Ok(())
    }
}

/// The platform that crash runs need: a process a role, robots who take a moment for each stop, so that orders are under way.
pub fn options(folder: PathBuf, prefix: String, fault: Option<&Fault>) -> PlatformOptions {
    let mut env = fault.map(Fault::env).unwrap_or_default();
    env.push(("MALLBOTS_LOG_FORMAT".to_owned(), "text".to_owned()));
    PlatformOptions { separate: true, replicas: Vec::new(), robots: 24, pace_ms: 250, prefix, env, folder }
}

/// Says early, with what to do about it, when the servers are not ours to kill.
pub fn servers_can_be_killed() -> Result<()> {
    let names: Vec<_> = Control::from_env().context("run this under `servers run --`")?.pids();
    for name in ["kafka", "postgres"] {
        if !names.iter().any(|(n, _)| n == name) {
            bail!(
                "{name} was not started by the launcher: unset MALLBOTS_KAFKA and MALLBOTS_POSTGRES, or give --backend native"
            );
        }
    }
    Ok(())
}
