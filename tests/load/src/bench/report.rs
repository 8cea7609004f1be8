//! The tables of a benchmark: medians of the runs with their spread, beside the ceilings of the same machine.

use super::{Latency, Spread, ceilings::Ceilings, run::Measured, shells::Shell};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Everything measured.
#[derive(Debug, Serialize)]
pub struct Report {
    pub runs: Vec<Measured>,
    /// One run with every trace recorded.
    pub all_traces: Option<Measured>,
    pub ceilings: Ceilings,
}

/// The bars that are set for the figures: floors, not aims.
pub const FULL_PER_S: f64 = 700.0;
pub const APPROVED_PER_S: f64 = 1_500.0;
pub const TRICKLE_APPROVED_P50_MS: f64 = 40.0;
pub const IDLE_CPU_PERCENT: f64 = 3.0;
pub const IDLE_MEMORY_MIB: f64 = 150.0;

impl Report {
    /// Whether every bar is met by the median.
    pub fn meets_the_bars(&self) -> bool {
        self.bars().iter().all(|bar| bar.met)
    }

    fn bars(&self) -> Vec<Bar> {
        let spread = |f: fn(&Measured) -> f64| Spread::of(self.runs.iter().map(f).collect());
        let least =
            |name, spread: Spread, bar| Bar { name, spread, bar: format!("≥ {bar}"), met: spread.median >= bar };
        let most = |name, spread: Spread, bar| Bar { name, spread, bar: format!("< {bar}"), met: spread.median < bar };
        vec![
            least("full orders/s", spread(|m| m.full_per_s), FULL_PER_S),
            least("orders/s to approval", spread(|m| m.approved_per_s), APPROVED_PER_S),
            most("p50 to approved at 20/s, ms", spread(|m| m.trickle.approved.p50_ms), TRICKLE_APPROVED_P50_MS),
            most("idle, % of a core", spread(|m| m.idle_cpu_percent), IDLE_CPU_PERCENT),
            most("idle, MiB", spread(|m| m.idle_memory_mib), IDLE_MEMORY_MIB),
        ]
    }

    pub fn print(&self) {
        println!("{} runs; median (smallest – largest)", self.runs.len());
        println!("{}", self.bar_table());
        println!("{}", self.latency_table());
        println!("{}", self.cost_table());
        println!("{}", self.shell_table());
        let c = &self.ceilings;
        println!(
            "ceilings here, 200 bytes each: Postgres {:.0} rows/s inserted by 500; Kafka {:.0} records/s produced, {:.0} consumed",
            c.postgres_rows, c.kafka_produced, c.kafka_consumed
        );
        if let Some(all) = &self.all_traces {
            println!(
                "with every trace recorded: {:.0} full orders/s, {:.0} to approval, p50 to approved at 20/s {:.1} ms",
                all.full_per_s, all.approved_per_s, all.trickle.approved.p50_ms
            );
        }
    }

    fn bar_table(&self) -> Table {
        let mut table = table(["", "median", "spread", "bar", ""]);
        for Bar { name, spread, bar, met } in self.bars() {
            let mark = if met { "ok" } else { "MISSED" };
            let range = format!("{:.1} – {:.1}", spread.min, spread.max);
            table.add_row([name.to_owned(), format!("{:.1}", spread.median), range, bar, mark.to_owned()]);
        }
        table
    }

    fn latency_table(&self) -> Table {
        let mut table = table(["from checkout, ms", "approved p50", "approved p99", "completed p50", "completed p99"]);
        let half = Spread::of(self.runs.iter().map(|m| m.half_per_s).collect()).median;
        let phases: [(String, fn(&Measured) -> super::run::Times); 3] = [
            ("at 20 orders/s".into(), |m| m.trickle),
            (format!("at half of the maximum, {half:.0}/s"), |m| m.half),
            ("at saturation".into(), |m| m.saturated),
        ];
        for (name, times) in phases {
            let cell = |f: fn(super::run::Times) -> Latency, p: fn(Latency) -> f64| {
                let spread = Spread::of(self.runs.iter().map(|m| p(f(times(m)))).collect());
                format!("{:.1} ({:.1} – {:.1})", spread.median, spread.min, spread.max)
            };
            table.add_row([
                name,
                cell(|t| t.approved, |l| l.p50_ms),
                cell(|t| t.approved, |l| l.p99_ms),
                cell(|t| t.completed, |l| l.p50_ms),
                cell(|t| t.completed, |l| l.p99_ms),
            ]);
        }
        table
    }

    fn cost_table(&self) -> Table {
        let mut table = table(["at saturation", "CPU s per 1,000 orders", "bytes written per order", "memory, MiB"]);
        let names: BTreeSet<&String> = self.runs.iter().flat_map(|m| m.cpu_s_per_1000.keys()).collect();
        let of = |map: fn(&Measured) -> &BTreeMap<String, f64>, name: &str| {
            Spread::of(self.runs.iter().filter_map(|m| map(m).get(name).copied()).collect())
        };
        let mut total = 0.0;
        for name in names {
            let cpu = of(|m| &m.cpu_s_per_1000, name);
            total += cpu.median;
            let (written, memory) = (of(|m| &m.written_per_order, name), of(|m| &m.memory_mib, name));
            table.add_row([
                name.clone(),
                format!("{:.3} ({:.3} – {:.3})", cpu.median, cpu.min, cpu.max),
                format!("{:.0}", written.median),
                format!("{:.0}", memory.median),
            ]);
        }
        let wal = Spread::of(self.runs.iter().map(|m| m.wal_per_order).collect());
        table.add_row(["all".into(), format!("{total:.3}"), format!("{:.0} of WAL", wal.median), String::new()]);
        table
    }
}

impl Report {
    fn shell_table(&self) -> Table {
        let mut table = table([
            "shells at saturation",
            "inputs per order",
            "inputs a batch",
            "ms a batch",
            "busy",
            "retried",
            "sent per order",
        ]);
        let (runs, orders) = (&self.runs, |m: &Measured| m.full_per_s * m.saturation_s);
        let names: BTreeSet<&String> = runs.iter().flat_map(|m| m.shells.keys()).collect();
        for name in names {
            let of = |f: &dyn Fn(&Measured, Shell) -> f64| {
                Spread::of(runs.iter().filter_map(|m| Some(f(m, *m.shells.get(name)?))).collect()).median
            };
            table.add_row([
                name.clone(),
                format!("{:.1}", of(&|m, s| s.inputs / orders(m))),
                format!("{:.1}", of(&|_, s| s.inputs / s.batches)),
                format!("{:.2}", of(&|_, s| s.seconds / s.batches * 1000.0)),
                format!("{:.0} %", of(&|m, s| s.seconds / m.saturation_s * 100.0)),
                format!("{:.0}", of(&|_, s| s.retries)),
                format!("{:.1}", of(&|m, s| s.sent / orders(m))),
            ]);
        }
        table
    }
}

struct Bar {
    name: &'static str,
    spread: Spread,
    bar: String,
    met: bool,
}

pub(super) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    table
}
