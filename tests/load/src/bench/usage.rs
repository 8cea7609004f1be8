//! What the processes of a run cost, from `/proc` (Linux): CPU time, memory, bytes handed to the disk.

use std::{
    collections::BTreeMap,
    fs,
    ops::{AddAssign, Sub},
};

/// Clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux that Rust runs on (USER_HZ).
const TICKS: f64 = 100.0;

/// Totals of one process and its children.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    pub cpu_s: f64,
    pub written: u64,
    /// Proportional set size, bytes: memory that processes share is counted once.
    pub memory: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.cpu_s += other.cpu_s;
        self.written += other.written;
        self.memory += other.memory;
    }
}

impl Sub for Usage {
    type Output = Self;

    /// What was used since `earlier`; memory stays that of the later moment.
    fn sub(self, earlier: Self) -> Self {
        Self { cpu_s: self.cpu_s - earlier.cpu_s, written: self.written.saturating_sub(earlier.written), ..self }
    }
}

/// The processes of a run by what they are called.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    processes: Vec<(String, u32)>,
}

/// The load generator: its children are the platform, and counted by themselves.
pub const SELF: &str = "load generator";

pub type Reading = BTreeMap<String, Usage>;

impl Meter {
    pub fn new(processes: Vec<(String, u32)>) -> Self {
        Self { processes }
    }

    /// Totals by name; servers with their children.
    pub fn read(&self) -> Reading {
        let children = children();
        let mut reading = Reading::new();
        for (name, pid) in &self.processes {
            let used = if name == SELF { own(*pid, false) } else { tree(*pid, &children, true) };
            *reading.entry(name.clone()).or_default() += used;
        }
        reading
    }
}

/// What was used between two readings.
pub fn between(earlier: &Reading, later: &Reading) -> Reading {
    let before = |name: &String| earlier.get(name).copied().unwrap_or_default();
    later.iter().map(|(name, usage)| (name.clone(), *usage - before(name))).collect()
}

fn tree(pid: u32, children: &BTreeMap<u32, Vec<u32>>, root: bool) -> Usage {
    let mut usage = own(pid, root);
    for child in children.get(&pid).into_iter().flatten() {
        usage += tree(*child, children, false);
    }
    usage
}

/// `with_dead`: also the CPU time of children that ended and were waited for.
fn own(pid: u32, with_dead: bool) -> Usage {
    let fields = stat(pid);
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
    let dead = if with_dead { ticks(13) + ticks(14) } else { 0.0 };
    let memory = value(pid, "smaps_rollup", "Pss:").unwrap_or_default() * 1024;
    Usage {
        cpu_s: (ticks(11) + ticks(12) + dead) / TICKS,
        written: value(pid, "io", "write_bytes:").unwrap_or_default(),
        memory,
    }
}

/// The fields of `/proc/<pid>/stat` after the command's name: state, parent, …
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    after.split_whitespace().map(str::to_owned).collect()
}

fn value(pid: u32, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn children() -> BTreeMap<u32, Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(parent) = stat(pid).get(1).and_then(|p| p.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}
