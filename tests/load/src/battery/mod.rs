//! The crash battery: on real servers (three brokers, Postgres, the registry), everything that can fail fails at once and again,
//! at places of the code that are named, while customers come at a steady rate; after each round everything heals, every order
//! must end, and `mallctl verify` is the judge.

mod doubles;
mod groups;
mod overload;
mod places;
mod storm;
mod tally;
mod writers;

pub use tally::{Fault, Tally};

use crate::{
    Crowd, Mall, Plan, Platform, PlatformOptions, Scenario, Told, Ways,
    crash::{self, ClientLog, ENDED_WITHIN},
    garbage::{self, Kind, Maker},
    plan::{Draw, STUBBORN_VOID},
    sender::Sender,
};
use anyhow::{Context as _, Result, ensure};
use schemas::grpc::{
    common::Page,
    depot::{ListBotsRequest, depot_client::DepotClient},
    orders::orders_client::OrdersClient,
};
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

/// Of a customer, beyond storm and healing.
const PATIENCE: Duration = Duration::from_secs(120);
/// A commit in so many is cut off, and in half of the cases it has taken effect.
const CUT_ONE_IN: u64 = 1_500;
/// The provider misbehaves for a customer in so many.
const TROUBLE_ONE_IN: u64 = 12;
/// Of the orders that are completed one in so many is brought back.
const RETURNS_ONE_IN: u64 = 10;
/// How the streams of garbage begin, where it has any.
const GARBAGE_SOURCE: &str = "elsewhere";
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
    /// Orders that ended as they must not, or not at all; and the first of them.
    pub wrong: usize,
    pub differing: Vec<String>,
    /// Records of our own streams that are still set aside.
    pub parked_by_mistake: Vec<String>,
    /// From the last fault's end to the end of the last order; absent when one did not end.
    pub all_ended_s: Option<f64>,
    /// From the last fault's end to the moment at which the last customer was let in, at most [`ENDED_WITHIN`]: while many
    /// orders wait to be approved, customers are kept at the door.
    pub let_in_s: f64,
    /// The longest that an order took to its end since it was taken in, or since the last fault's end if that was later: at
    /// most [`ENDED_WITHIN`].
    pub longest_s: f64,
    pub verify: i32,
    #[serde(skip)]
    pub verdict: String,
    /// The invariants that it found broken.
    pub broken_rules: Vec<String>,
    pub tally: Tally,
    pub took_s: f64,
}

impl Round {
    /// Whether everything holds that must.
    pub fn holds(&self) -> bool {
        let within = ENDED_WITHIN.as_secs_f64();
        let in_time = self.all_ended_s.is_some() && self.let_in_s <= within && self.longest_s <= within;
        let clean = self.wrong == 0 && self.parked_by_mistake.is_empty() && self.tally.unexplained.is_empty();
        // Of a hundred customers 78 should go home with something.
        let at_work = !self.patient || self.completed * 2 > self.orders;
        in_time && clean && at_work && self.verify == 0
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

/// Ten times as many customers as can be served, for so long, on a platform of its own, whose logs go to `folder`.
pub async fn overload(seed: u64, lasts: Duration, folder: &Path) -> Result<Check> {
    overload::run(seed, lasts, folder).await
}

/// Says early, with what to do about it, when the servers do not suit.
pub fn servers_suit() -> Result<()> {
    crash::servers_can_be_killed()?;
    let brokers = Control::from_env()?.brokers();
    let files = open_files()?;
    ensure!(files >= FILES, "a process may have {files} files open, {FILES} are needed: say `ulimit -n {FILES}` first");
    ensure!(brokers.len() == 3, "there are {} brokers, not three: give `servers run --three-brokers`", brokers.len());
    Ok(())
}

/// Each customer has a connection or two.
const FILES: u64 = 8_192;

fn open_files() -> Result<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no limit of open files")?;
    let soft = line.split_whitespace().next().unwrap_or_default();
    if soft == "unlimited" { Ok(u64::MAX) } else { soft.parse().with_context(|| format!("limit of open files {soft}")) }
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
    let plan = plan.with_returns(seed, RETURNS_ONE_IN);
    let crowd = Crowd {
        kiosk: platform.url("kiosk-gateway"),
        mall,
        at_once: orders,
        patience: options.storm + PATIENCE,
        run: prefix.clone(),
        ways: Ways { staff: Some(platform.url("orders")), ..Ways::default() },
    };
    let (env, orders_url) = (platform.env().clone(), platform.url("orders"));
    // The platform has run for some time: otherwise each crash would first have to write the files of its new databases.
    administrator().await?.batch_execute("CHECKPOINT").await?;
    // Before the storm: the registry stands on a database that the storm takes away.
    let maker = Maker::new(seed).await?;
    let mut storm = Storm::new(&mut platform, seed, options.every, options.rate)?;
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
    // Whatever fails here ends the round at once, and what is away is brought back.
    let stormed = tokio::try_join!(
        shopping,
        storm.run(is_set(&calm), is_set(&over), &seen),
        doubles::run(&env, seed, is_set(&calm)),
        pour(&env, orders_url, maker, seed, is_set(&calm)),
        calming
    );
    storm.bring_servers_back().await?;
    let (told, (), doubled, poured, ()) = stormed?;
    let (mut tally, last_fault) = (storm.tally, storm.last_fault);
    for (fault, times) in doubled.into_iter().chain([(Fault::Garbage, poured)]) {
        tally.add(fault, times);
    }
    tally.add(Fault::CommitCutBefore, cutter.cuts(Cut::Before));
    tally.add(Fault::CommitCutAfter, cutter.cuts(Cut::After));
    let troubled = told.iter().filter(|t| t.trouble.is_some() && t.scenario != Some(Scenario::Declined));
    tally.add(Fault::Provider, troubled.count() as u64);
    // Nothing was found: so robots were out, and the money was held by then, unless a deadline came before.
    let stubborn = |t: &&Told| t.trouble == Some(STUBBORN_VOID) && t.scenario == Some(Scenario::AllMissing);
    tally.add(Fault::StubbornVoid, told.iter().filter(stubborn).filter(|t| t.end == "cancelled").count() as u64);
    tally.add(Fault::RobotGone, robots_lost(&platform).await?);
    let log = folder.join("client.jsonl");
    ClientLog::new(log.clone()).add(&told)?;
    seen("verifying".into());
    let arguments = ["verify", "--wait", VERIFY_WAIT, "--client-log", &log.display().to_string()];
    let (verify, verdict) = platform.ctl_code(&arguments).await?;
    let surprises = surprises(&platform, patient, &told).await?;
    std::fs::write(folder.join("surprises.txt"), surprises)?;
    let parked = parked_by_mistake(&platform).await?;
    for name in platform.processes() {
        if let Some(status) = platform.ended(&name)? {
            tally.unexplained.push(format!("{name} died after the storm: {status}"));
        }
    }
    platform.stop().await?;
    let round =
        judge(Storyline { number, patient, told: &told, last_fault, parked, started }, (verify, verdict), tally);
    if round.holds() {
        drop_databases(&prefix).await?;
    }
    Ok(round)
}

/// A connection to the server itself, past whoever cuts connections.
async fn administrator() -> Result<tokio_postgres::Client> {
    let url = crate::platform::address("MALLBOTS_POSTGRES")?;
    let (client, connection) = tokio_postgres::connect(&format!("{url}/postgres"), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Those of a round: with each that stays every recovery of the server takes longer.
async fn drop_databases(prefix: &str) -> Result<()> {
    let server = administrator().await?;
    let names = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)";
    for row in server.query(names, &[&format!("{prefix}_")]).await? {
        server.batch_execute(&format!("DROP DATABASE \"{}\" WITH (FORCE)", row.get::<_, &str>(0))).await?;
    }
    Ok(())
}

/// Robots that the depot has given up, with a list that somebody else had to do.
async fn robots_lost(platform: &Platform) -> Result<u64> {
    let mut depot = DepotClient::connect(platform.url("depot")).await.context("depot")?;
    let (mut lost, mut page_token) = (0, String::new());
    loop {
        let page = Some(Page { page_size: 200, page_token });
        let found = depot.list_bots(ListBotsRequest { page }).await?.into_inner();
        lost += found.bots.iter().filter(|bot| bot.status == "lost").count() as u64;
        page_token = found.next_page_token;
        if page_token.is_empty() {
            return Ok(lost);
        }
    }
}

/// Records that are parked and no garbage: of a stream that is one of ours.
async fn parked_by_mistake(platform: &Platform) -> Result<Vec<String>> {
    let ours = |parked: &serde_json::Value| {
        let stream = parked["stream"].as_str().unwrap_or_default();
        (!stream.is_empty() && !stream.starts_with(GARBAGE_SOURCE)).then(|| parked.to_string())
    };
    Ok(garbage::parked(platform).await?.iter().filter_map(ours).collect())
}

/// What there is to judge besides `verify`.
struct Storyline<'a> {
    number: usize,
    patient: bool,
    told: &'a [Told],
    last_fault: Instant,
    parked: Vec<String>,
    started: Instant,
}

/// Whether this end can be right: with short deadlines an order may also be undone, but nothing else may become of it.
fn plausible(told: &Told, patient: bool) -> bool {
    let undone = ["rejected", "cancelled"].contains(&told.end.as_str());
    // A return that came to nothing leaves the order completed.
    told.as_predicted() || !patient && (undone || told.returns && told.end == "completed")
}

/// Timelines of the first orders that should have ended otherwise.
async fn surprises(platform: &Platform, patient: bool, told: &[Told]) -> Result<String> {
    let mut text = String::new();
    for one in told.iter().filter(|t| t.ended.is_none() || !plausible(t, patient)).take(SHOWN) {
        text.push_str(&format!("{}\n{}\n", crash::differing(one), garbage::timeline(platform, &one.order_id).await?));
    }
    Ok(text)
}

/// The names of the lines of `mallctl verify`'s table that say so, "I5 streams".
fn broken_rules(verdict: &str) -> Vec<String> {
    let broken = verdict.lines().filter(|line| line.contains(" BROKEN "));
    broken.map(|line| line.trim().split("  ").next().unwrap_or_default().to_owned()).collect()
}

fn judge(line: Storyline<'_>, (verify, verdict): (i32, String), tally: Tally) -> Round {
    let Storyline { number, patient, told, last_fault, parked, started } = line;
    let all: Vec<_> = told.iter().collect();
    let wrong: Vec<_> = told.iter().filter(|t| !plausible(t, patient)).collect();
    Round {
        number,
        patient,
        orders: told.len(),
        completed: told.iter().filter(|t| ["completed", "refunded"].contains(&t.end.as_str())).count(),
        as_predicted: told.iter().filter(|t| t.as_predicted()).count(),
        wrong: wrong.len(),
        differing: wrong.iter().take(5).map(|t| crash::differing(t)).collect(),
        parked_by_mistake: parked,
        all_ended_s: crash::last_end(&all, last_fault),
        let_in_s: told.iter().filter_map(Told::let_in).map(|at| after(at, last_fault)).fold(0.0, f64::max),
        longest_s: told.iter().filter_map(|t| longest(t, last_fault)).fold(0.0, f64::max),
        verify,
        broken_rules: broken_rules(&verdict),
        verdict,
        tally,
        took_s: started.elapsed().as_secs_f64(),
    }
}

/// Seconds from `since` to `at`, 0 if that was before.
fn after(at: Instant, since: Instant) -> f64 {
    at.saturating_duration_since(since).as_secs_f64()
}

/// Seconds that an order took to its end since it was taken in, or since the last fault.
fn longest(told: &Told, last_fault: Instant) -> Option<f64> {
    Some(after(told.ended_at()?, told.let_in().unwrap_or(told.begun).max(last_fault)))
}

/// Two orchestrators and two processes of payments, which share partitions; for the outbox of orders two relays that take
/// shards from each other, for the orchestrator's three.
fn platform_options(folder: &Path, prefix: &str, patient: bool, postgres: &str) -> PlatformOptions {
    let deadlines = if patient { &PATIENT[..] } else { &HASTY[..] };
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut env: Vec<_> = deadlines.iter().map(own).collect();
    env.push(("MALLBOTS_LOG_FORMAT".to_owned(), "text".to_owned()));
    env.push(("MALLBOTS_POSTGRES".to_owned(), postgres.to_owned()));
    env.push(("MALLBOTS_TRACE_RATIO".to_owned(), "0.01".to_owned()));
    // Robots that vanish must be missed before the round's time is over; longer than a depot that is stopped hears nothing.
    env.push(("MALLBOTS_DEPOT_BOT_LOST_S".to_owned(), "20".to_owned()));
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
    let url = crate::platform::address("MALLBOTS_POSTGRES")?;
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

/// Garbage under keys of live orders, piece by piece; answers how many pieces the brokers took.
async fn pour(
    env: &std::collections::BTreeMap<String, String>,
    orders: String,
    mut maker: Maker,
    seed: u64,
    stop: impl Future<Output = ()>,
) -> Result<u64> {
    let sender = Sender::new(env)?;
    let mut draw = Draw(seed);
    let (mut number, mut poured) = (0, 0);
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
        let piece = maker.make(topic, Kind::nth(number), key)?;
        number += 1;
        // Too large for the broker, or lost while brokers are away: not counted.
        if let Ok(places) = sender.send(&[piece]).await {
            poured += places.iter().filter(|place| place.is_ok()).count() as u64;
        }
    }
}
