//! One run of one seed, and the search for the faults that matter in one that fails.

use crate::{
    chaos,
    customers::{self, Customer},
    dice::number_of,
    oracle::{Oracle, broken_at_rest, ends, fingerprints, restless},
    platform::{CONTEXTS, Platform},
    world::{Fired, Trace, World},
};
use anyhow::Context as _;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;
use transport::codec::Codec;

/// What a run is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Faults to the end: the invariants hold all the time.
    Safety,
    /// After a while the faults end: then every saga ends too.
    Liveness,
}

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub mode: Mode,
    pub customers: u64,
    /// How long faults happen.
    pub faults_for: Duration,
    pub robots: usize,
    pub bays: i32,
}

impl Options {
    pub fn new(mode: Mode) -> Self {
        Self { mode, customers: 4, faults_for: Duration::from_secs(40), robots: 2, bays: 3 }
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub seed: u64,
    /// What was broken when it was first seen; empty when all was well.
    pub broken: Vec<String>,
    pub simulated: Duration,
    /// How many sagas are where: by type, phase and what they were turned back for.
    pub ends: BTreeMap<String, usize>,
    pub trace: Trace,
}

impl Outcome {
    /// How many sagas there were, and how many of them have ended.
    pub fn sagas(&self) -> (usize, usize) {
        let is_over = |end: &str| end.contains(" completed") || end.contains(" compensated");
        let ended = self.ends.iter().filter(|(end, _)| is_over(end)).map(|(_, count)| count).sum();
        (ended, self.ends.values().sum())
    }
}

/// Between looks at the invariants.
const LOOK: Duration = Duration::from_millis(1_000);
/// How long after the faults everything may take to end: some deadlines, prolonged once each, and a robot given up.
const REST_WITHIN: Duration = Duration::from_secs(900);
/// How long readers may take for what is on the topics.
const READ_WITHIN: Duration = Duration::from_secs(20);
/// How long the mall may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(60);

thread_local! {
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Panics of this thread while a run goes on are findings, not texts on the screen.
struct Panics;

impl Panics {
    fn watch() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let taken = PANICS.with_borrow_mut(|panics| panics.as_mut().map(|p| p.push(format!("panic: {info}"))));
                if taken.is_none() {
                    before(info);
                }
            }));
        });
        PANICS.set(Some(Vec::new()));
        Self
    }

    fn caught(self) -> Vec<String> {
        PANICS.take().unwrap_or_default()
    }
}

/// All schemas with made-up ids: the same for all runs.
pub fn codec() -> anyhow::Result<Arc<Codec>> {
    Ok(Arc::new(Codec::offline().context("our schemas")?))
}

/// Runs the seed; with `only`, none but these faults happen. Fails only for defects of the simulator itself.
pub fn run(
    seed: u64,
    options: &Options,
    codec: &Arc<Codec>,
    only: Option<BTreeSet<u64>>,
    verbose: bool,
) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let inside = runtime.enter();
    let panics = Panics::watch();
    let world = World::new(seed, only, verbose);
    let platform = Platform::new(world.clone(), codec.clone());
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let broken = simulate(platform.clone(), options).await;
            for (what, hash) in fingerprints(&platform) {
                world.note("end", &format!("{what} {hash:016x}"));
            }
            (broken, world.at())
        })
    }));
    drop(inside);
    let (broken, simulated) = ran.unwrap_or_else(|_| (Ok(Vec::new()), Duration::ZERO));
    // Also those that a task or a guard has caught.
    let caught = panics.caught();
    let mut broken = broken.with_context(|| format!("seed {seed}"))?;
    broken.extend(caught);
    let ends = ends(&platform);
    Ok(Outcome { seed, broken, simulated, ends, trace: world.trace() })
}

async fn simulate(platform: Arc<Platform>, options: &Options) -> anyhow::Result<Vec<String>> {
    for (context, _) in CONTEXTS {
        platform.start(context)?;
    }
    let opened = tokio::time::timeout(OPEN_WITHIN, customers::open(&platform, options.bays)).await;
    let mall = opened.context("the mall does not open")?.context("the mall does not open")?;
    let mut helpers = JoinSet::new();
    helpers.spawn(chaos::run_robots(platform.clone(), options.robots));
    let mut shopping = JoinSet::new();
    for number in 0..options.customers {
        let (platform, mall, within) = (platform.clone(), mall.clone(), options.faults_for / 2);
        shopping.spawn(Customer { platform, mall, number, within }.shop());
    }
    platform.world.set_active(true);
    helpers.spawn(customers::reprice(platform.clone(), mall.clone()));
    let mut raging = JoinSet::new();
    raging.spawn(chaos::rage(platform.clone()));
    let mut oracle = Oracle::default();
    let until = platform.world.at() + options.faults_for;
    while platform.world.at() < until {
        tokio::time::sleep(LOOK).await;
        let broken = oracle.broken(&platform, false, None);
        if !broken.is_empty() {
            return Ok(broken);
        }
    }
    if options.mode == Mode::Safety {
        return Ok(Vec::new());
    }
    drop(raging);
    platform.world.set_active(false);
    // In half of the runs contexts go on in two processes, which share the partitions.
    let processes = platform.world.dice.roll(&[number_of("heal")]).between(1, 2);
    platform.heal(processes as usize)?;
    rest(&platform, &mut oracle, shopping).await
}

/// Waits until everything has ended, and judges.
async fn rest(
    platform: &Platform,
    oracle: &mut Oracle,
    mut shopping: JoinSet<Option<serde_json::Value>>,
) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    let until = platform.world.at() + REST_WITHIN;
    loop {
        tokio::time::sleep(LOOK).await;
        while let Some(done) = shopping.try_join_next() {
            // Where there is no answer, a panic is among the findings.
            told.extend(done.ok().flatten());
        }
        let why = if shopping.is_empty() { restless(platform) } else { Some("customers shop".to_owned()) };
        let Some(why) = why else {
            // Readers without an outbox of their own may still have something to read.
            tokio::time::sleep(READ_WITHIN).await;
            let mut broken = oracle.broken(platform, true, Some(&told));
            broken.extend(broken_at_rest(platform));
            return Ok(broken);
        };
        if platform.world.at() >= until {
            let mut broken = oracle.broken(platform, true, None);
            broken.insert(0, format!("no rest {} s after the faults: {why}", REST_WITHIN.as_secs()));
            return Ok(broken);
        }
    }
}

/// Does `work` with one seed after another from `from` on, in `jobs` threads, until one of them says that it is enough or
/// `seeds` are done. Fails with the first failure.
pub fn each_seed(
    from: u64,
    seeds: u64,
    jobs: usize,
    work: impl Fn(u64) -> anyhow::Result<ControlFlow<()>> + Sync,
) -> anyhow::Result<()> {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let thread = || -> anyhow::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= seeds {
                return Ok(());
            }
            let done = work(from.wrapping_add(nth));
            if !matches!(done, Ok(ControlFlow::Continue(()))) {
                stop.store(true, Ordering::Relaxed);
                return done.map(|_| ());
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(thread)).collect();
        let joined = threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| resume_unwind(panic)));
        // All are waited for, also after a failure.
        joined.collect::<Vec<_>>().into_iter().collect()
    })
}

/// As many threads as there are cores.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Of the faults of a run that failed, as few as are seen to be enough: leaves parts out for as long as it still fails.
pub fn minimise(
    failed: &Outcome,
    options: &Options,
    codec: &Arc<Codec>,
    mut tell: impl FnMut(usize),
) -> anyhow::Result<Outcome> {
    let mut best = failed.clone();
    let mut parts = 2;
    loop {
        let faults = ids(&best.trace.fired);
        tell(faults.len());
        if faults.is_empty() {
            return Ok(best);
        }
        let size = faults.len().div_ceil(parts);
        let mut smaller = None;
        for chunk in faults.chunks(size) {
            let left: BTreeSet<u64> = faults.iter().filter(|id| !chunk.contains(id)).copied().collect();
            let outcome = run(failed.seed, options, codec, Some(left), false)?;
            if !outcome.broken.is_empty() {
                smaller = Some(outcome);
                break;
            }
        }
        match smaller {
            Some(outcome) => (best, parts) = (outcome, 2.max(parts - 1)),
            None if size == 1 => return Ok(best),
            None => parts = (parts * 2).min(faults.len()),
        }
    }
}

fn ids(fired: &[Fired]) -> Vec<u64> {
    fired.iter().map(|fired| fired.id).collect::<BTreeSet<_>>().into_iter().collect()
}
