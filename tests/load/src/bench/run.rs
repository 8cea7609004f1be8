//! One run: a fresh platform, measured idle, at a trickle, at saturation, at half of that, and to the point of approval.

use super::{
    Latency,
    drive::{Basket, Driver},
    shells::{self, Shells},
    usage::{self, Meter, Reading, between},
    watch::{Course, Watcher},
};
use crate::{Mall, Platform, PlatformOptions};
use anyhow::{Context as _, Result};
use serde::Serialize;
use servers::Control;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// How much is done. Numbers of orders; seconds.
#[derive(Debug, Clone)]
pub struct Load {
    pub saturation_orders: usize,
    pub in_flight: usize,
    pub steady_s: usize,
    pub approve_orders: usize,
    pub robots: usize,
    pub idle_s: u64,
    /// Share of traces that are recorded, 0 to 1.
    pub trace_ratio: f64,
    /// A process a role instead of one for all.
    pub separate: bool,
}

/// The trickle, orders a second.
pub const TRICKLE: f64 = 20.0;
/// Bays for each order in flight: none is refused for want of one.
const BAYS_PER_ORDER: usize = 4;
/// Callers that check out at once in the run to the point of approval.
const CALLERS: usize = 256;

/// What one run measured.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Orders completed (or refused as planned) a second.
    pub full_per_s: f64,
    /// Orders approved (or refused as planned) a second, no robot working.
    pub approved_per_s: f64,
    pub trickle: Times,
    pub saturated: Times,
    pub half: Times,
    pub half_per_s: f64,
    /// CPU seconds for 1,000 orders at saturation, by process.
    pub cpu_s_per_1000: BTreeMap<String, f64>,
    /// Bytes handed to the disk for an order at saturation, by process.
    pub written_per_order: BTreeMap<String, f64>,
    /// Bytes of write-ahead log for an order at saturation.
    pub wal_per_order: f64,
    /// Largest memory seen, MiB, by process.
    pub memory_mib: BTreeMap<String, f64>,
    pub saturation_s: f64,
    /// What the shells did at saturation.
    pub shells: Shells,
    /// Percent of one core, and MiB, of the platform's processes with nothing to do.
    pub idle_cpu_percent: f64,
    pub idle_memory_mib: f64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Times {
    pub approved: Latency,
    pub completed: Latency,
}

impl Times {
    fn of(courses: &[Course]) -> Self {
        let since = |at: fn(&Course) -> Option<Instant>| {
            let taken = courses.iter().filter(|c| c.approved.is_some());
            Latency::of(taken.filter_map(|c| Some(at(c)?.duration_since(c.placed?))).collect())
        };
        Self { approved: since(|c| c.approved), completed: since(|c| c.ended) }
    }
}

/// A platform under load, with everything to measure it.
pub struct Bench {
    pub platform: Platform,
    pub driver: Driver,
    pub mall: Mall,
    pub meter: Meter,
    pub prefix: String,
    pub postgres: tokio_postgres::Client,
}

impl Bench {
    /// Starts a platform of its own under `prefix`, without robots.
    pub async fn start(load: &Load, prefix: String, folder: PathBuf) -> Result<Self> {
        let env = [
            ("MALLBOTS_TRACE_RATIO", load.trace_ratio.to_string()),
            ("MALLBOTS_DEPOT_AUTO_CHECK", "true".to_owned()),
            ("MALLBOTS_DEPOT_BAY_WAIT_MS", "60000".to_owned()),
        ];
        let options = PlatformOptions {
            separate: load.separate,
            replicas: Vec::new(),
            robots: 0,
            pace_ms: 0,
            prefix: prefix.clone(),
            env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            folder,
        };
        let platform = Platform::start(options).await?;
        let kafka = crate::platform::address("MALLBOTS_KAFKA")?;
        let url = crate::platform::address("MALLBOTS_POSTGRES")?;
        let watcher = Arc::new(Watcher::start(&kafka, &format!("{prefix}.")).await?);
        let driver = Driver::connect(platform.url("orders"), watcher).await?;
        let bays = load.in_flight.max(load.approve_orders) * BAYS_PER_ORDER;
        let mall = Mall::open(platform.url("stores"), platform.url("depot"), 6, bays).await.context("open the mall")?;
        let (postgres, connection) = tokio_postgres::connect(&format!("{url}/postgres"), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let meter = Meter::new(processes(&platform)?);
        Ok(Self { platform, driver, mall, meter, prefix, postgres })
    }

    /// Position in the write-ahead log, bytes.
    pub async fn wal(&self) -> Result<f64> {
        let row = self.postgres.query_one("SELECT (pg_current_wal_lsn() - '0/0')::float8", &[]).await?;
        Ok(row.get(0))
    }

    pub async fn fill(&self, count: usize, phase: &str) -> Result<Vec<Basket>> {
        self.driver.fill(&self.mall, count, &format!("{}-{phase}", self.prefix)).await
    }
}

/// Every process that works for the platform, and this one.
fn processes(platform: &Platform) -> Result<Vec<(String, u32)>> {
    let mut processes = Vec::new();
    for role in platform.roles() {
        let pid = platform.pid(&role).with_context(|| format!("{role} does not run"))?;
        processes.push((format!("mallbots {role}"), pid));
    }
    // Servers that somebody else runs cannot be measured from here.
    processes.extend(Control::from_env().map(|c| c.pids()).unwrap_or_default());
    processes.push((usage::SELF.into(), std::process::id()));
    Ok(processes)
}

/// Names of the platform's own processes start so.
const OURS: &str = "mallbots";

pub async fn one(load: &Load, prefix: String, folder: PathBuf, say: impl Fn(&str)) -> Result<Measured> {
    say("starting a fresh platform");
    let mut bench = Bench::start(load, prefix, folder).await?;
    say("idle");
    let (idle_cpu_percent, idle_memory_mib) = idle(&bench.meter, load.idle_s).await;
    say("filling baskets");
    let trickle_baskets = bench.fill((TRICKLE as usize) * load.steady_s, "trickle").await?;
    let baskets = bench.fill(load.saturation_orders, "full").await?;
    bench.platform.spawn_robots(load.robots)?;
    let robots = bench.platform.pid("robots").context("the robots do not run")?;
    let mut all = processes(&bench.platform)?;
    all.push(("mallbots robots".into(), robots));
    bench.meter = Meter::new(all);
    // The robots come online, and everything has run once.
    let warm = bench.fill(WARM_UP, "warm").await?;
    bench.driver.saturate(&warm, load.in_flight.min(300)).await?;

    say("20 orders/s");
    bench.driver.steady(&trickle_baskets, TRICKLE).await?;
    let trickle = Times::of(&bench.driver.courses(&trickle_baskets)?);

    say("saturation");
    let https: Vec<_> = bench.platform.roles().iter().map(|role| bench.platform.http(role)).collect();
    let shells = shells::read(&https).await?;
    let (before, wal, started) = (bench.meter.read(), bench.wal().await?, Instant::now());
    bench.driver.saturate(&baskets, load.in_flight).await?;
    let took = started.elapsed();
    let shells = shells::between(&shells, &shells::read(&https).await?);
    let (after, wal) = (bench.meter.read(), bench.wal().await? - wal);
    let courses = bench.driver.courses(&baskets)?;
    let saturated = Times::of(&courses);
    let full_per_s = rate(&courses, |c| c.ended);
    let used = between(&before, &after);
    let count = baskets.len() as f64;

    let half_per_s = full_per_s / 2.0;
    say(&format!("{full_per_s:.0} orders/s in {:.1} s; now half of that", took.as_secs_f64()));
    let half_baskets = bench.fill((half_per_s * load.steady_s as f64) as usize, "half").await?;
    bench.driver.steady(&half_baskets, half_per_s).await?;
    let half = Times::of(&bench.driver.courses(&half_baskets)?);

    say("to the point of approval");
    let approve_baskets = bench.fill(load.approve_orders, "approve").await?;
    bench.platform.kill("robots").await?;
    bench.driver.flood(&approve_baskets, CALLERS).await?;
    let courses: Vec<_> = approve_baskets.iter().map(|b| bench.driver.watcher.course(&b.id)).collect();
    let approved_per_s = rate(&courses, |c| c.approved.or(c.ended));
    bench.platform.stop().await?;
    Ok(Measured {
        full_per_s,
        approved_per_s,
        trickle,
        saturated,
        half,
        half_per_s,
        cpu_s_per_1000: per(&used, |u: &usage::Usage| u.cpu_s * 1000.0 / count),
        written_per_order: per(&used, |u: &usage::Usage| u.written as f64 / count),
        wal_per_order: wal / count,
        memory_mib: per(&after, |u| u.memory as f64 / 1_048_576.0),
        saturation_s: took.as_secs_f64(),
        shells,
        idle_cpu_percent,
        idle_memory_mib,
    })
}

async fn idle(meter: &Meter, seconds: u64) -> (f64, f64) {
    // What starting up left to do is done by then.
    tokio::time::sleep(Duration::from_secs(seconds.min(5))).await;
    let (before, started) = (meter.read(), Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (after, took) = (meter.read(), started.elapsed().as_secs_f64());
    let (mut cpu, mut memory) = (0.0, 0);
    for (_, usage) in between(&before, &after).iter().filter(|(name, _)| name.starts_with(OURS)) {
        cpu += usage.cpu_s;
        memory += usage.memory;
    }
    (cpu / took * 100.0, memory as f64 / 1_048_576.0)
}

/// Orders before the first measurement: a fresh broker interprets what it later compiles, and caches are cold.
const WARM_UP: usize = 2_000;

/// Orders a second between the first and the last tenth: neither the filling nor the emptying of the pipe counts.
fn rate(courses: &[Course], at: impl Fn(&Course) -> Option<Instant>) -> f64 {
    let mut ends: Vec<Instant> = courses.iter().filter_map(at).collect();
    ends.sort_unstable();
    let (first, last) = (ends.len() / 10, ends.len() * 9 / 10);
    match (ends.get(first), ends.get(last)) {
        (Some(from), Some(to)) if to > from => (last - first) as f64 / (*to - *from).as_secs_f64(),
        _ => 0.0,
    }
}

fn per(reading: &Reading, value: impl Fn(&super::usage::Usage) -> f64) -> BTreeMap<String, f64> {
    reading.iter().map(|(name, usage)| (name.clone(), value(usage))).collect()
}
