//! The crash battery: on real servers (three brokers, Postgres, the registry), everything that can fail fails at once and again,
//! at places of the code that are named, while customers come at a steady rate; after each round everything heals, every order
//! must end, and `mallctl verify` is the judge.

mod doubles;
mod storm;
mod tally;
mod writers;

pub use tally::{Fault, Tally};

use crate::{
    Crowd, Mall, Plan, Platform, PlatformOptions, Told,
    crash::{self, ClientLog},
    garbage::{self, Kind, Maker},
    plan::Draw,
    sender::Sender,
};
use anyhow::{Context as _, Result, ensure};
use schemas::grpc::orders::orders_client::OrdersClient;
use serde::Serialize;
use servers::Control;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use storm::Storm;
use testkit::{CommitCutter, Cut};
use tokio::sync::watch;

/// How the battery runs.
#[derive(Debug, Clone)]
pub struct Options {
    pub seed: u64,
    /// How long customers come, and the storm lasts, in each round.
    pub storm: Duration,
    /// Customers in a second.
    pub rate: u32,
    /// Mean time between strikes.
    pub every: Duration,
}

/// Every order must have ended this long after the last fault has healed.
pub const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// Of a customer, beyond storm and healing.
const PATIENCE: Duration = Duration::from_secs(120);
/// A commit in so many is cut off, and in half of the cases it has taken effect.
const CUT_ONE_IN: u64 = 1_500;
/// The provider misbehaves for a customer in so many.
const TROUBLE_ONE_IN: u64 = 12;
const GARBAGE_EVERY: Duration = Duration::from_millis(700);
/// Bays, far more than orders that wait at a time.
const BAYS: usize = 4_000;
/// Orders whose timelines are kept.
const SHOWN: usize = 8;
const VERIFY_WAIT: &str = "60s";

/// Deadlines of the rounds in which saga steps time out under the storm, and orders end undone that could have been completed.
const HASTY: [(&str, &str); 2] =
    [("MALLBOTS_SAGA_COMMAND_DEADLINE_S", "8"), ("MALLBOTS_SAGA_SHOPPING_DEADLINE_S", "40")];
/// Of those in which nothing may be undone for a deadline: the storm is shorter.
const PATIENT: [(&str, &str); 1] = [("MALLBOTS_SAGA_COMMAND_DEADLINE_S", "600")];

/// How a round went.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    pub number: usize,
    /// Deadlines were longer than the storm, so that every order's end was known beforehand.
    pub patient: bool,
    pub orders: usize,
    pub completed: usize,
    pub as_predicted: usize,
    /// The first orders that did not end as predicted.
    pub differing: Vec<String>,
    /// From the last fault's end to the end of the last order; absent when one did not end.
    pub all_ended_s: Option<f64>,
    pub verify: i32,
    #[serde(skip)]
    pub verdict: String,
    pub tally: Tally,
    pub took_s: f64,
}

impl Round {
    /// Whether everything holds that must.
    pub fn holds(&self) -> bool {
        let in_time = self.all_ended_s.is_some_and(|s| s <= ENDED_WITHIN.as_secs_f64());
        let as_predicted = !self.patient || self.as_predicted == self.orders;
        in_time && as_predicted && self.verify == 0 && self.tally.unexplained.is_empty()
    }
}

/// A question of its own that was put besides the rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub name: &'static str,
    /// What was done.
    pub what: String,
    /// What should not have been seen.
    pub broken: Vec<String>,
}

/// The outbox under many writers and mortal relays, for so long.
pub async fn outbox(seed: u64, lasts: Duration) -> Result<Check> {
    writers::run(seed, lasts).await
}

/// Says early, with what to do about it, when the servers do not suit.
pub fn servers_suit() -> Result<()> {
    crash::servers_can_be_killed()?;
    let brokers = Control::from_env()?.brokers();
    ensure!(brokers.len() == 3, "there are {} brokers, not three: give `servers run --three-brokers`", brokers.len());
    Ok(())
}

/// One round on a platform of its own, whose logs go to `folder`.
pub async fn round(options: &Options, number: usize, folder: &Path, seen: impl Fn(String)) -> Result<Round> {
    let started = Instant::now();
    let seed = options.seed.wrapping_add(number as u64 * 1_000_003);
    let patient = number.is_multiple_of(2);
    let (cutter, cutting) = cutter(seed).await?;
    let prefix = format!("battery{}r{number}", std::process::id());
    let mut platform = Platform::start(platform_options(folder, &prefix, patient, cutter.url())).await?;
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 6, BAYS).await.context("open the mall")?;
    let orders = (options.storm.as_secs_f64() * f64::from(options.rate)) as usize;
    let plan = Plan::draw(seed, orders, mall.ordinary.len()).with_trouble(seed, TROUBLE_ONE_IN);
    let crowd = Crowd {
        kiosk: platform.url("kiosk-gateway"),
        mall,
        at_once: orders,
        patience: options.storm + PATIENCE,
        run: prefix,
    };
    let (env, orders_url) = (platform.env().clone(), platform.url("orders"));
    let mut storm = Storm::new(&mut platform, seed, options.every)?;
    let (calm, _) = watch::channel(false);
    let (over, _) = watch::channel(false);
    cutting.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let shopping = async {
        let told = crowd.shop_steadily(&plan, Duration::from_secs(1) / options.rate, |_| {}).await;
        over.send_replace(true);
        told
    };
    let calming = async {
        tokio::time::sleep_until((begun + options.storm).into()).await;
        cutting.store(false, Ordering::Relaxed);
        calm.send_replace(true);
        Ok(())
    };
    // Whatever fails here ends the round at once: nobody would bring back what is away.
    let (told, (), doubled, poured, ()) = tokio::try_join!(
        shopping,
        storm.run(is_set(&calm), is_set(&over), &seen),
        doubles::run(&env, seed, is_set(&calm)),
        pour(&env, orders_url, seed, is_set(&calm)),
        calming
    )?;
    let (mut tally, last_fault) = (storm.tally, storm.last_fault);
    for (fault, times) in doubled.into_iter().chain([(Fault::Garbage, poured)]) {
        tally.add(fault, times);
    }
    tally.add(Fault::CommitCutBefore, cutter.cuts(Cut::Before));
    tally.add(Fault::CommitCutAfter, cutter.cuts(Cut::After));
    tally.add(Fault::Provider, plan.orders.iter().filter(|order| order.trouble.is_some()).count() as u64);
    let log = folder.join("client.jsonl");
    ClientLog::new(log.clone()).add(&told)?;
    seen("verifying".into());
    let arguments = ["verify", "--wait", VERIFY_WAIT, "--client-log", &log.display().to_string()];
    let (verify, verdict) = platform.ctl_code(&arguments).await?;
    let surprises = surprises(&platform, patient, &told).await?;
    std::fs::write(folder.join("surprises.txt"), surprises)?;
    platform.stop().await?;
    Ok(judge(number, patient, &told, last_fault, (verify, verdict), tally, started))
}

/// Timelines of the first orders that should have ended otherwise.
async fn surprises(platform: &Platform, patient: bool, told: &[Told]) -> Result<String> {
    let mut text = String::new();
    for one in told.iter().filter(|t| t.ended.is_none() || patient && !t.as_predicted()).take(SHOWN) {
        text.push_str(&format!("{}\n{}\n", crash::differing(one), garbage::timeline(platform, &one.order_id).await?));
    }
    Ok(text)
}

fn judge(
    number: usize,
    patient: bool,
    told: &[Told],
    last_fault: Instant,
    (verify, verdict): (i32, String),
    tally: Tally,
    started: Instant,
) -> Round {
    let all: Vec<_> = told.iter().collect();
    let wrong: Vec<_> = told.iter().filter(|t| !t.as_predicted()).collect();
    Round {
        number,
        patient,
        orders: told.len(),
        completed: told.iter().filter(|t| t.end == "completed").count(),
        as_predicted: told.len() - wrong.len(),
        differing: wrong.iter().take(5).map(|t| crash::differing(t)).collect(),
        all_ended_s: crash::last_end(&all, last_fault),
        verify,
        verdict,
        tally,
        took_s: started.elapsed().as_secs_f64(),
    }
}

/// Two orchestrators, three relays for the outboxes of orders and of the orchestrator, two processes of what has most to do.
fn platform_options(folder: &Path, prefix: &str, patient: bool, postgres: &str) -> PlatformOptions {
    let deadlines = if patient { &PATIENT[..] } else { &HASTY[..] };
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut env: Vec<_> = deadlines.iter().map(own).collect();
    env.push(("MALLBOTS_LOG_FORMAT".to_owned(), "text".to_owned()));
    env.push(("MALLBOTS_POSTGRES".to_owned(), postgres.to_owned()));
    env.push(("MALLBOTS_TRACE_RATIO".to_owned(), "0.01".to_owned()));
    PlatformOptions {
        separate: true,
        replicas: vec!["orchestrator#2", "payments#2", "relay#orders", "relay#orchestrator"],
        robots: 40,
        pace_ms: 50,
        prefix: prefix.to_owned(),
        env,
        folder: PathBuf::from(folder),
    }
}

/// A way to Postgres that cuts commits off while the switch is on.
async fn cutter(seed: u64) -> Result<(CommitCutter, Arc<AtomicBool>)> {
    let url = std::env::var("MALLBOTS_POSTGRES").context("MALLBOTS_POSTGRES is not set: run this by `make`")?;
    let cutting = Arc::new(AtomicBool::new(false));
    let (on, draw) = (cutting.clone(), Mutex::new(Draw(seed)));
    let decide = move || {
        let mut draw = draw.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = on.load(Ordering::Relaxed) && draw.below(CUT_ONE_IN) == 0;
        hit.then(|| if draw.below(2) == 0 { Cut::Before } else { Cut::After })
    };
    Ok((CommitCutter::start(&url, decide).await?, cutting))
}

/// Resolves once it is set.
async fn is_set(what: &watch::Sender<bool>) {
    let _ = what.subscribe().wait_for(|set| *set).await;
}

/// Garbage under keys of live orders, piece by piece; answers how many pieces brokers took or refused.
async fn pour(
    env: &std::collections::BTreeMap<String, String>,
    orders: String,
    seed: u64,
    stop: impl Future<Output = ()>,
) -> Result<u64> {
    let (mut maker, sender) = (Maker::new(seed).await?, Sender::new(env)?);
    let mut draw = Draw(seed);
    let mut poured = 0;
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(poured),
            () = tokio::time::sleep(GARBAGE_EVERY) => {}
        }
        // Orders is away now and then: then there is no garbage for a moment.
        let Ok(mut client) = OrdersClient::connect(orders.clone()).await else { continue };
        let Ok(live) = garbage::live(&mut client).await else { continue };
        let key = live[draw.below(live.len() as u64) as usize];
        let topic = garbage::TOPICS[draw.below(garbage::TOPICS.len() as u64) as usize];
        let piece = maker.make(topic, Kind::nth(poured as usize), key)?;
        // Where brokers are away for longer than the sender waits it is not known, and not counted.
        if sender.send(&[piece]).await.is_ok() {
            poured += 1;
        }
    }
}
