//! One simulated process: everything it does with the outside goes through [`Process::reach`], which may take its time,
//! fail, or never return because the process is dead or stands still.

use crate::{dice::number_of, world::World};
use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use transport::Error;

pub struct Process {
    pub world: Arc<World>,
    pub context: &'static str,
    /// Counts the processes of a context.
    pub number: u64,
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    dead: bool,
    /// It stands still until then, as after a SIGSTOP.
    paused_until: Option<Instant>,
    /// How often each operation was begun: names the draws.
    counts: BTreeMap<&'static str, u64>,
}

/// One operation of a process, for further draws about it.
pub struct Reached<'a> {
    process: &'a Process,
    operation: &'static str,
    nth: u64,
}

impl Process {
    pub fn new(world: Arc<World>, context: &'static str, number: u64) -> Arc<Self> {
        let name = format!("{context}#{number}");
        Arc::new(Self { world, context, number, name, state: Mutex::default() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// It does nothing any more, in no place.
    pub fn kill(&self) {
        self.state().dead = true;
    }

    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    pub fn pause(&self, time: Duration) {
        self.state().paused_until = Some(Instant::now() + time);
    }

    /// How far its own clock is from the databases'; nothing that is right goes by it.
    pub fn skew_ms(&self) -> i64 {
        let about = [number_of("skew"), number_of(self.context), self.number];
        self.world.dice.roll(&about).between(0, 30_000) as i64 - 15_000
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.state().paused_until = None;
    }

    /// Begins an operation: waits for as long as it takes to get there.
    pub async fn reach(&self, operation: &'static str) -> Reached<'_> {
        let nth = {
            let mut state = self.state();
            let count = state.counts.entry(operation).or_default();
            *count += 1;
            *count
        };
        let reached = Reached { process: self, operation, nth };
        reached.travel("there").await;
        reached
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while it stands still; for ever when it is dead.
    async fn live(&self) {
        loop {
            let until = {
                let state = self.state();
                if state.dead { None } else { Some(state.paused_until.filter(|until| *until > Instant::now())) }
            };
            match until {
                None => pending().await,
                Some(None) => return,
                // It may be resumed early: looked at now and then.
                Some(Some(until)) => {
                    tokio::time::sleep_until(until.min(Instant::now() + Duration::from_millis(100))).await;
                }
            }
        }
    }
}

impl Reached<'_> {
    fn about(&self) -> [u64; 4] {
        [number_of(self.process.context), self.process.number, number_of(self.operation), self.nth]
    }

    /// The way there or back.
    pub async fn travel(&self, way: &'static str) {
        let world = &self.process.world;
        let [context, number, operation, nth] = self.about();
        let about = [context, number, operation, nth, number_of(way)];
        let mut roll = world.dice.roll(&about);
        let mut micros = roll.between(50, 1_500);
        let slow = if way == "back" { "slow answer" } else { "slow" };
        if world.fails(&about, world.faults.slow, slow, || self.told("is slow")) {
            micros += roll.between(20_000, 4_000_000);
        }
        tokio::time::sleep(Duration::from_micros(micros)).await;
        let dies = if way == "back" { "dies after" } else { "dies before" };
        if world.fails(&about, world.faults.dies, dies, || self.told(dies)) {
            self.process.kill();
        }
        self.process.live().await;
        world.set_clock();
        if way == "there" {
            world.note(&self.process.name, self.operation);
        }
    }

    /// Whether chance says that this happens to the operation.
    pub fn fails(&self, share: f64, kind: &'static str) -> bool {
        self.process.world.fails(&self.about(), share, kind, || self.told(kind))
    }

    /// As [`Reached::fails`], as the error that one may try again after.
    pub fn may_fail(&self, share: f64, kind: &'static str) -> Result<(), Error> {
        if self.fails(share, kind) { Err(Error::retry(self.operation, kind)) } else { Ok(()) }
    }

    /// A number for a choice within the operation.
    pub fn choose(&self, side: &'static str, among: u64) -> u64 {
        self.process.world.dice.roll(&self.about()).also(side).below(among)
    }

    fn told(&self, what: &str) -> String {
        format!("{} {} {}: {what}", self.process.name, self.operation, self.nth)
    }
}
