//! What all parts of a run share: chance, the time, whether faults happen, and the trace of what happened.

use crate::{
    dice::{Dice, Roll, mix, number_of},
    faults::Faults,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use transport::{memory::SteppedClock, ports::Lease};
use uuid::Uuid;

/// A fault that happened. Its id is that of the draw: the same in each run of the seed that comes to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    pub id: u64,
    /// Simulated time since the start.
    pub at: Duration,
    pub what: String,
}

pub struct World {
    pub dice: Dice,
    pub faults: Faults,
    /// Only these faults happen; for the search of the few that matter.
    only: Option<BTreeSet<u64>>,
    start: Instant,
    /// The databases' clock; they share one.
    pub clock: SteppedClock,
    began_ms: i64,
    /// By how much the databases' clock has jumped.
    skew_ms: AtomicI64,
    active: AtomicBool,
    leases: Mutex<Leases>,
    /// What is away for a while, and until when: the log, a context's database, the acquirer.
    away: Mutex<BTreeMap<&'static str, Instant>>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    hash: u64,
    steps: u64,
    fired: Vec<Fired>,
    counts: BTreeMap<&'static str, u64>,
    lines: Option<Vec<String>>,
    /// What was seen to be wrong on the way.
    wrong: Vec<String>,
}

/// Who holds which shard of a context, and until when by the databases' clock.
type Leases = BTreeMap<(&'static str, i16), (Uuid, i64)>;

/// What is left of a run.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Over every step, with its time: two runs of a seed have the same.
    pub hash: u64,
    pub steps: u64,
    pub fired: Vec<Fired>,
    /// Faults by kind.
    pub counts: BTreeMap<&'static str, u64>,
    /// Every step, where asked for.
    pub lines: Vec<String>,
}

impl World {
    pub fn new(seed: u64, only: Option<BTreeSet<u64>>, verbose: bool) -> Arc<Self> {
        let (dice, clock) = (Dice::new(seed), SteppedClock::default());
        let record = Record { lines: verbose.then(Vec::new), ..Record::default() };
        Arc::new(Self {
            dice,
            faults: Faults::draw(&dice),
            only,
            start: Instant::now(),
            began_ms: clock.now(),
            clock,
            skew_ms: AtomicI64::new(0),
            active: AtomicBool::new(false),
            leases: Mutex::default(),
            away: Mutex::default(),
            record: Mutex::new(record),
        })
    }

    /// Simulated time since the start.
    pub fn at(&self) -> Duration {
        self.start.elapsed()
    }

    /// Sets the databases' clock to what it shows now; called before anything looks at it.
    pub fn set_clock(&self) {
        let elapsed = i64::try_from(self.at().as_millis()).unwrap_or(i64::MAX);
        let now = self.began_ms + elapsed + self.skew_ms.load(Ordering::Relaxed);
        self.clock.step(now - self.clock.now());
    }

    pub fn jump(&self, ms: i64) {
        self.skew_ms.fetch_add(ms, Ordering::Relaxed);
        self.set_clock();
    }

    pub fn send_away(&self, what: &'static str, time: Duration) {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).insert(what, Instant::now() + time);
    }

    pub fn is_away(&self, what: &str) -> bool {
        let until = self.away.lock().unwrap_or_else(PoisonError::into_inner).get(what).copied();
        self.is_active() && until.is_some_and(|until| until > Instant::now())
    }

    /// From now on faults happen, or none any more.
    pub fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::Relaxed);
    }

    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether this fault happens: `about` names the draw, `share` how often, `kind` and `what` are for people.
    pub fn fails(&self, about: &[u64], share: f64, kind: &'static str, what: impl FnOnce() -> String) -> bool {
        if !self.is_active() || share <= 0.0 {
            return false;
        }
        let mut roll = self.dice.roll(about).also(kind);
        roll.chance(share) && self.fire(roll.next(), kind, what)
    }

    /// Notes a fault that chance has decided on, unless it is one of those left out.
    pub fn fire(&self, id: u64, kind: &'static str, what: impl FnOnce() -> String) -> bool {
        if self.only.as_ref().is_some_and(|only| !only.contains(&id)) {
            return false;
        }
        let fired = Fired { id, at: self.at(), what: what() };
        self.note("fault", &fired.what);
        let mut record = self.record();
        *record.counts.entry(kind).or_default() += 1;
        record.fired.push(fired);
        true
    }

    /// These leases were granted: none may have belonged to another relay whose time was not over.
    pub fn leased(&self, context: &'static str, granted: &[Lease], ttl: Duration) {
        let now = self.clock.now();
        let until = now + i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        for lease in granted {
            let before = leases.insert((context, lease.shard), (lease.owner, until));
            if let Some((owner, held_until)) = before
                && owner != lease.owner
                && held_until > now
            {
                let early = held_until - now;
                self.wrong(format!(
                    "lease: shard {} of {context} changed hands {early} ms before its time",
                    lease.shard
                ));
            }
        }
    }

    /// This relay has given its leases back.
    pub fn released(&self, owner: Uuid) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (holder, _)| *holder != owner);
    }

    /// Something that must never happen was seen to happen.
    pub fn wrong(&self, what: String) {
        self.record().wrong.push(what);
    }

    /// What was seen to be wrong on the way, apart from what the oracle finds.
    pub fn seen_wrong(&self) -> Vec<String> {
        self.record().wrong.clone()
    }

    /// One step of the run, for its hash.
    pub fn note(&self, who: &str, what: &str) {
        let at = self.at();
        let mut record = self.record();
        record.steps += 1;
        let hash = mix(record.hash, &at.as_nanos().to_be_bytes());
        record.hash = mix(mix(hash, who.as_bytes()), what.as_bytes());
        if let Some(lines) = &mut record.lines {
            lines.push(format!("{:>12.6} {who:<16} {what}", at.as_secs_f64()));
        }
    }

    pub fn trace(&self) -> Trace {
        let record = self.record();
        Trace {
            hash: record.hash,
            steps: record.steps,
            fired: record.fired.clone(),
            counts: record.counts.clone(),
            lines: record.lines.clone().unwrap_or_default(),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Roll {
    /// The same draw about another side of the matter.
    pub fn also(mut self, side: &str) -> Self {
        let state = self.next() ^ number_of(side);
        Dice::new(state).roll(&[])
    }
}
