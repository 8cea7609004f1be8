//! Far more customers than the platform can serve: they must be sent away early and clearly, those who were let in served as
//! quickly as ever, and when the crowd has gone everything must be as before, without anybody's help.

use super::Check;
use crate::{
    Crowd, Mall, Plan, Platform, PlatformOptions, Told, Ways,
    bench::Latency,
    crash::{self, ClientLog},
    customers::FULL,
    metrics::Metrics,
};
use anyhow::{Context as _, Result};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use transport::ShellConfig;

/// Customers come so many times faster than orders can end.
const TIMES: f64 = 10.0;
/// In a quiet mall a customer comes every so often, for so long before the crowd and after it.
const QUIET_EVERY: Duration = Duration::from_millis(250);
const QUIET: Duration = Duration::from_secs(15);
const AFTERWARDS: Duration = Duration::from_secs(60);
/// Orders by which it is found out how many can end in a second, and how many customers are there at once meanwhile: enough
/// to keep everything busy.
const SOUNDING: usize = 3_000;
const AT_ONCE: usize = 800;
/// Whoever comes when as many orders wait to be approved as may has them all before himself: until they ended, and half as long
/// again, the rush only fills the queue.
const FILLS: f64 = 1.5;
/// For so long at least it is measured how many end.
const MEASURED: Duration = Duration::from_secs(20);
/// Beyond the rush, for whoever was let in.
const PATIENCE: Duration = Duration::from_secs(120);
const BAYS: usize = 6_000;
const VERIFY_WAIT: &str = "60s";

/// The least share of orders that still end in a second under the rush.
const GOODPUT: f64 = 0.8;
/// Undoing, from the customer's wish to the order's end, takes at most so many times as long as under the load that is just held.
const UNDO_TIMES: f64 = 5.0;
/// Approved as quickly as before: at most so many times as long as the median was, and this beyond it.
const QUICK_TIMES: u32 = 3;
const QUICK_SLACK: Duration = Duration::from_millis(500);
/// The last customer of the rush comes at most so late, or it was none.
const LATE: Duration = Duration::from_secs(3);
/// After the rush everything is as quick as before within.
const BACK_WITHIN: Duration = Duration::from_secs(45);

/// What was seen from quiet to quiet.
struct Seen {
    quiet: Vec<Told>,
    sounding: Vec<Told>,
    rush: Vec<Told>,
    after: Vec<Told>,
    rush_began: Instant,
    rush_ended: Instant,
    /// Most messages that waited in the outbox of orders, of all looks at it.
    most_unsent: Option<u64>,
    verify: (i32, String),
}

/// Customers come ten times faster than they can be served, for so long.
pub async fn run(seed: u64, lasts: Duration, folder: &Path) -> Result<Check> {
    let platform = Platform::start(options(folder)).await?;
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 6, BAYS).await.context("open the mall")?;
    let seen = watch_them(&platform, mall, seed, lasts, folder).await?;
    platform.stop().await?;
    Ok(judge(&seen))
}

async fn watch_them(platform: &Platform, mall: Mall, seed: u64, lasts: Duration, folder: &Path) -> Result<Seen> {
    let products = mall.ordinary.len();
    let crowd = |run: &str, leaves_when_full| Crowd {
        kiosk: platform.url("kiosk-gateway"),
        mall: mall.clone(),
        at_once: AT_ONCE,
        patience: lasts + PATIENCE,
        run: format!("overload-{run}"),
        ways: Ways { leaves_when_full, staff: None },
    };
    let few =
        |n: u64, time: Duration| Plan::draw(seed + n, (time.as_millis() / QUIET_EVERY.as_millis()) as usize, products);
    // The first orders meet consumer groups that are still finding their members.
    crowd("first", false).shop(&Plan::smooth(seed, 8, products, 0), |_| {}).await?;
    let quiet = crowd("quiet", false).shop_steadily(&few(0, QUIET), QUIET_EVERY, |_| {}).await?;
    let sounding = crowd("sounding", false).shop(&Plan::draw(seed + 1, SOUNDING, products), |_| {}).await?;
    let every = Duration::from_secs_f64(1.0 / (TIMES * capacity(&sounding)));
    let many = Plan::draw(seed + 2, (lasts.as_secs_f64() / every.as_secs_f64()) as usize, products);
    let rush_began = Instant::now();
    let (over, end) = watch::channel(false);
    let rush = async {
        let told = crowd("rush", true).shop_steadily(&many, every, |_| {}).await;
        over.send_replace(true);
        told
    };
    let after = async {
        tokio::time::sleep(lasts).await;
        crowd("after", false).shop_steadily(&few(3, AFTERWARDS), QUIET_EVERY, |_| {}).await
    };
    let unsent = async { Ok(most_unsent(platform, end).await) };
    let (rush, after, most_unsent) = tokio::try_join!(rush, after, unsent)?;
    let rush_ended = rush_began + lasts;
    let log = folder.join("client.jsonl");
    for told in [&quiet, &sounding, &rush, &after] {
        // Who was sent away at the door has no order.
        let orders: Vec<_> = told.iter().filter(|t| !t.order_id.is_empty()).cloned().collect();
        ClientLog::new(log.clone()).add(&orders)?;
    }
    let arguments = ["verify", "--wait", VERIFY_WAIT, "--client-log", &log.display().to_string()];
    let verify = platform.ctl_code(&arguments).await?;
    Ok(Seen { quiet, sounding, rush, after, rush_began, rush_ended, most_unsent, verify })
}

fn judge(seen: &Seen) -> Check {
    let Seen { quiet, sounding, rush, after, rush_began, rush_ended, most_unsent, verify } = seen;
    let capacity = capacity(sounding);
    let ended_in = |from: Instant| {
        let ended = rush.iter().filter_map(Told::ended_at).filter(|at| (from..*rush_ended).contains(at)).count();
        ended as f64 / rush_ended.saturating_duration_since(from).as_secs_f64().max(0.001)
    };
    let fills = Duration::from_secs_f64(FILLS * ShellConfig::default().waiting_limit as f64 / capacity);
    let (goodput, in_all) = (ended_in(*rush_began + fills), ended_in(*rush_began));
    let mut sent_away: BTreeMap<&str, usize> = BTreeMap::new();
    for code in rush.iter().filter_map(was_sent_away) {
        *sent_away.entry(code).or_default() += 1;
    }
    let last_came = rush.iter().map(|t| t.came).max().unwrap_or(*rush_began);
    let undo = |told: &[Told]| {
        let took = |t: &Told| Some(t.ended_at()?.saturating_duration_since(t.cancelled?));
        Latency::of(told.iter().filter(|t| t.end == "cancelled").filter_map(took).collect())
    };
    let approved = |told: &[Told]| Latency::of(told.iter().filter_map(Told::approved_after).collect());
    let (undo_before, undo_rush, usual) = (undo(sounding), undo(rush), approved(quiet));
    let back = back_after(after, *rush_ended, Duration::from_secs_f64(usual.p50_ms / 1000.0));
    let what = format!(
        "{capacity:.0} orders/s end when all is busy; {} customers in {:.0} s, sent away {sent_away:?}, {in_all:.0} orders/s \
         end meanwhile, {goodput:.0} once the queue is full; approved p50 {:.0} ms in quiet, {:.0} ms in the rush; from a wish \
         to cancel to the end p99 {:.0} ms busy, {:.0} ms in the rush; quick again after {:.0} s; at most {} unsent messages of orders",
        rush.len(),
        (*rush_ended - *rush_began).as_secs_f64(),
        usual.p50_ms,
        approved(rush).p50_ms,
        undo_before.p99_ms,
        undo_rush.p99_ms,
        back.as_secs_f64(),
        most_unsent.map_or("?".to_owned(), |most| most.to_string()),
    );
    let mut broken: Vec<String> = [quiet, sounding, rush, after]
        .into_iter()
        .flatten()
        .filter(|t| was_sent_away(t).is_none() && (t.ended.is_none() || !t.as_predicted()))
        .map(crash::differing)
        .collect();
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what)
        }
    };
    must(last_came <= *rush_ended + LATE, "INVALID: customers came later than they were to".to_owned());
    // By the kiosk, which serves so many requests at a time, or by orders, of which so many may wait.
    must(!sent_away.is_empty(), "INVALID: nobody was sent away".to_owned());
    must(
        most_unsent.is_some_and(|most| most <= ShellConfig::default().outbox_limit),
        "the outbox of orders was not seen, or too full".to_owned(),
    );
    must(
        *rush_began + fills + MEASURED <= *rush_ended,
        format!("INVALID: give the rush {:.0} s or more", (fills + MEASURED).as_secs_f64().ceil()),
    );
    must(goodput >= GOODPUT * capacity, format!("{goodput:.0} orders/s end under the rush, of {capacity:.0}"));
    must(undo_before.p99_ms > 0.0 && undo_rush.p99_ms > 0.0, "INVALID: nobody cancelled".to_owned());
    must(undo_rush.p99_ms <= UNDO_TIMES * undo_before.p99_ms, format!("undoing took {:.0} ms", undo_rush.p99_ms));
    must(back <= BACK_WITHIN, format!("after the rush it took {:.0} s to be quick again", back.as_secs_f64()));
    must(verify.0 == 0, format!("mallctl verify ended with {}:\n{}", verify.0, verify.1));
    Check { name: "overload", what, broken }
}

/// The code by which somebody heard that the mall is full.
fn was_sent_away(told: &Told) -> Option<&str> {
    told.code.as_deref().filter(|code| told.answered == "refused" && FULL.contains(code))
}

/// Orders that end in a second, in the middle of a run.
fn capacity(told: &[Told]) -> f64 {
    let mut ends: Vec<_> = told.iter().filter_map(Told::ended_at).collect();
    ends.sort_unstable();
    let (first, last) = (ends.len() / 5, ends.len() * 4 / 5);
    let time = ends.get(last).zip(ends.get(first)).map(|(last, first)| (*last - *first).as_secs_f64());
    time.map_or(1.0, |s| (last - first) as f64 / s.max(0.001))
}

/// From the end of the rush to the last customer who came and was not let in and approved as quickly as usual.
fn back_after(told: &[Told], rush_ended: Instant, usual: Duration) -> Duration {
    let quick = usual * QUICK_TIMES + QUICK_SLACK;
    let slow = |t: &&Told| match t.approved_after() {
        Some(took) => took > quick,
        None => t.predicted() == Some("completed"),
    };
    let last = told.iter().filter(slow).map(|t| t.came).max();
    last.map_or(Duration::ZERO, |at| at.saturating_duration_since(rush_ended))
}

/// The most that the outbox of orders says it holds; absent when it never said so.
async fn most_unsent(platform: &Platform, mut over: watch::Receiver<bool>) -> Option<u64> {
    let orders = platform.http("orders");
    let mut most: Option<f64> = None;
    while !*over.borrow() {
        tokio::select! {
            _ = over.wait_for(|over| *over) => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let asked = tokio::time::timeout(Duration::from_secs(5), Metrics::read(&orders)).await;
        let Ok(Ok(metrics)) = asked else { continue };
        most = metrics.values("mallbots_outbox_rows", "").chain(most).reduce(f64::max);
    }
    most.map(|most| most as u64)
}

fn options(folder: &Path) -> PlatformOptions {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    PlatformOptions {
        separate: true,
        replicas: Vec::new(),
        robots: 60,
        pace_ms: 0,
        prefix: format!("overload{}", std::process::id()),
        env: vec![own("MALLBOTS_LOG_FORMAT", "text"), own("MALLBOTS_TRACE_RATIO", "0.01")],
        folder: folder.to_owned(),
    }
}
