//! What `make test` runs of the simulator: fixed seeds, so that nothing that was right goes wrong unseen, and fresh ones.

use sim::{Mode, Options, Outcome};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};
use transport::codec::Codec;

/// Ends that sagas come to, whatever happens to them on the way.
const ENDS: [&str; 3] =
    ["order-fulfilment completed", "return-refund completed", "order-fulfilment compensated payments.declined"];

/// Seeds of each kind; every other one is run in safety mode, the rest in liveness mode.
const SEEDS: u64 = 500;

fn codec() -> &'static Arc<Codec> {
    static CODEC: OnceLock<Arc<Codec>> = OnceLock::new();
    CODEC.get_or_init(|| sim::codec().expect("our schemas"))
}

fn mode(seed: u64) -> Mode {
    if seed.is_multiple_of(2) { Mode::Safety } else { Mode::Liveness }
}

fn run(seed: u64, mode: Mode) -> Outcome {
    sim::run(seed, &Options::new(mode), codec(), None, false).expect("the simulator works")
}

/// Runs these seeds on all cores; panics with a violation and how to see it again.
fn hold(from: u64) {
    let violation = Mutex::new(None);
    let judged = sim::each_seed(from, SEEDS, sim::cores(), |seed| {
        let outcome = run(seed, mode(seed));
        if outcome.broken.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        *violation.lock().expect("no thread panics") = Some(outcome);
        Ok(ControlFlow::Break(()))
    });
    judged.expect("the simulator works");
    if let Some(Outcome { seed, broken, .. }) = violation.into_inner().expect("no thread panics") {
        panic!("mallbots-sim --seed {seed}: {broken:#?}");
    }
}

#[test]
fn fixed_seeds_hold_the_invariants_under_all_faults() {
    hold(1);
}

#[test]
fn fresh_seeds_hold_the_invariants_under_all_faults() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos() as u64;
    let from = now % 1_000_000_000_000;
    println!("fresh seeds {from} to {}", from + SEEDS - 1);
    hold(from);
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    for seed in 1..=10 {
        let (one, other) = (run(seed, mode(seed)), run(seed, mode(seed)));
        assert_eq!(one.trace.hash, other.trace.hash, "seed {seed}");
        assert!(one.trace.steps > 1_000 && !one.trace.fired.is_empty(), "seed {seed} does nothing");
    }
}

#[test]
fn sagas_end_and_every_kind_of_fault_happens() {
    let runs: Vec<_> = (1..=40).map(|seed| run(seed, Mode::Liveness)).collect();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    runs.iter().flat_map(|run| &run.ends).for_each(|(end, count)| *ends.entry(end).or_default() += count);
    for end in ENDS {
        assert!(ends.contains_key(end), "no saga is `{end}`: {ends:#?}");
    }
    assert!(ends["order-fulfilment completed"] >= 20, "{ends:#?}");
    let over = |end: &&&str| end.contains(" completed") || end.contains(" compensated");
    assert_eq!(ends.keys().filter(over).count(), ends.len(), "some have not ended: {ends:#?}");
    for kind in sim::KINDS {
        assert!(runs.iter().any(|run| run.trace.counts.contains_key(kind)), "`{kind}` never happened");
    }
}
