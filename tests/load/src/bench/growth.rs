//! Growth: whether an order costs the same with many finished orders in the store as with none.

use super::{
    Spread,
    report::table,
    run::{Bench, Load},
};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use std::{path::PathBuf, time::Instant};

/// What an order cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    pub orders_per_s: f64,
    pub rows: f64,
    pub hits: f64,
    pub wal: f64,
}

/// Pairs measured in turn: empty, full, empty, full …
#[derive(Debug, Serialize)]
pub struct Growth {
    pub finished: usize,
    pub empty: Vec<Cost>,
    pub full: Vec<Cost>,
}

/// How far rows, hits and log may be apart.
const WITHIN: f64 = 0.05;

/// `finished` orders are brought to their end first, then `pairs` pairs of `load.saturation_orders` each are measured.
pub async fn measure(
    load: &Load,
    finished: usize,
    pairs: usize,
    folder: PathBuf,
    say: impl Fn(&str),
) -> Result<Growth> {
    let name = format!("grown{}", std::process::id());
    let mut grown = Bench::start(load, name.clone(), folder.join(&name)).await?;
    grown.platform.spawn_robots(load.robots)?;
    let chunk = finished.clamp(1, 10_000);
    for done in (0..finished).step_by(chunk) {
        say(&format!("{done} of {finished} orders finished"));
        let baskets = grown.fill(chunk.min(finished - done), &format!("grow{done}")).await?;
        grown.driver.saturate(&baskets, load.in_flight).await?;
    }
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        say(&format!("pair {} of {pairs}", pair + 1));
        let name = format!("empty{}x{pair}", std::process::id());
        let mut fresh = Bench::start(load, name.clone(), folder.join(&name)).await?;
        fresh.platform.spawn_robots(load.robots)?;
        empty.push(cost(&fresh, load, pair).await?);
        fresh.platform.stop().await?;
        full.push(cost(&grown, load, pair).await?);
    }
    grown.platform.stop().await?;
    Ok(Growth { finished, empty, full })
}

async fn cost(bench: &Bench, load: &Load, pair: usize) -> Result<Cost> {
    let warm = bench.fill(500, &format!("warm{pair}")).await?;
    bench.driver.saturate(&warm, load.in_flight).await?;
    let baskets = bench.fill(load.saturation_orders, &format!("pair{pair}")).await?;
    let (before, wal, started) = (touched(bench).await?, bench.wal().await?, Instant::now());
    bench.driver.saturate(&baskets, load.in_flight).await?;
    let took = started.elapsed().as_secs_f64();
    let (after, wal) = (touched(bench).await?, bench.wal().await? - wal);
    bench.driver.courses(&baskets)?;
    let count = baskets.len() as f64;
    Ok(Cost {
        orders_per_s: count / took,
        rows: (after.0 - before.0) / count,
        hits: (after.1 - before.1) / count,
        wal: wal / count,
    })
}

/// Rows read and written, and buffers hit or read, in the run's own databases.
async fn touched(bench: &Bench) -> Result<(f64, f64)> {
    let sql = "SELECT sum(tup_fetched + tup_returned + tup_inserted + tup_updated + tup_deleted)::float8,
                      sum(blks_hit + blks_read)::float8 FROM pg_stat_database WHERE datname LIKE $1 || '\\_%'";
    // Backends report their statistics about once a second, and when they are idle for it.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let row = bench.postgres.query_one(sql, &[&bench.prefix]).await?;
    let (rows, hits): (Option<f64>, Option<f64>) = (row.get(0), row.get(1));
    rows.zip(hits).context("no database of this run")
}

impl Growth {
    /// Medians of rate within the joint spread; rows, hits and log within 5 %.
    pub fn is_flat(&self) -> bool {
        let (empty, full) = (of(&self.empty, |c| c.orders_per_s), of(&self.full, |c| c.orders_per_s));
        let overlap = full.median >= empty.min.min(full.min) && full.median <= empty.max.max(full.max);
        let joint = overlap && full.max >= empty.min && empty.max >= full.min;
        let costs: [fn(&Cost) -> f64; 3] = [|c| c.rows, |c| c.hits, |c| c.wal];
        joint && costs.into_iter().all(|cost| apart(of(&self.empty, cost), of(&self.full, cost)).abs() <= WITHIN)
    }

    pub fn print(&self) -> Result<()> {
        ensure!(!self.empty.is_empty(), "no pair was measured");
        let with = format!("with {} finished", self.finished);
        let mut table = table(["per order", "empty", &with, "apart"]);
        let costs: [(&str, fn(&Cost) -> f64); 4] = [
            ("orders/s", |c| c.orders_per_s),
            ("rows touched", |c| c.rows),
            ("buffers hit or read", |c| c.hits),
            ("WAL, bytes", |c| c.wal),
        ];
        for (name, cost) in costs {
            let (empty, full) = (of(&self.empty, cost), of(&self.full, cost));
            let cell = |s: Spread| format!("{:.1} ({:.1} – {:.1})", s.median, s.min, s.max);
            table.add_row([name.into(), cell(empty), cell(full), format!("{:+.1} %", 100.0 * apart(empty, full))]);
        }
        println!("{table}");
        Ok(())
    }
}

fn of(costs: &[Cost], value: fn(&Cost) -> f64) -> Spread {
    Spread::of(costs.iter().map(value).collect())
}

fn apart(empty: Spread, full: Spread) -> f64 {
    full.median / empty.median - 1.0
}
