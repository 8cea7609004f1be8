//! One saga under every interleaving: a model checker visits each state that the production `decide` and the production
//! fence can get into, and asks of each what must hold there. Tests draw some runs; here there are no others.
//!
//! Of the platform:
//! - the saga is built with the production builder: hold ⟲ free, plan ⟲ cancel, capture (the pivot), deliver;
//! - `saga::start` and `saga::decide` make every move, and each different move is checked by itself (`orchestration.rs`):
//!   its history leads to the same row again, its timers and its outbox are those that the row asks for;
//! - `transport::Conversation::admit` judges every command (`participant.rs`).
//!
//! Of the world:
//! - the network is a set that only grows: what was committed may come at any later moment, in any order, any number of
//!   times, or not until the end. What the relay has not sent yet is what has not come yet, and a participant that crashes
//!   after its commit is one to which the command comes again, so neither is a state of its own;
//! - every timer may fire at any moment and again, and so may the signal to cancel come. That is more than happens: the gate
//!   before a deadline is not here;
//! - two orchestrators load, decide, and save if the row still has the version they loaded; each may crash, with what it
//!   holds in memory;
//! - participants do as asked or refuse, for good or for now; one of them answers later, and an undo may come meanwhile; an
//!   undo may be refused.
//!
//! States are kept few by leaving out what makes no difference, and by nothing else: which orchestrator is which; what an
//! overtaken one holds, since it is only compared; the attempt that an answer echoes, where every row is checked to ignore
//! it. What is checked by itself needs no place in the state: a timer is set, and a command sent, exactly if the row says so.
//!
//! Not here: parallel groups, waits, child sagas and operators, which the saga's own harness walks through; the inbox of
//! dos, the relay, Kafka and Postgres, which the simulator runs.

mod errand;
mod known;
mod model;
mod orchestration;
mod participant;
mod properties;
mod report;
mod rules;

pub use model::{Errands, State};
pub use report::{Report, Violation, check};

/// How large the run is, and what is broken in it on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rounds of each step after its first: each follows a refusal that allows another try.
    pub retries: u32,
    /// Sends of each command within a round, undos included; at least 1.
    pub sends: u32,
    /// How often each of the two orchestrators may crash.
    pub crashes: u8,
    /// Undos of what exists may be refused.
    pub undo_refusals: bool,
    /// The participant of `hold` asks somebody outside: it answers later, and an undo may come meanwhile.
    pub later: bool,
    /// Participants take each attempt at an undo once and in order, as an inbox sees to. Without it only undos that are
    /// never refused are safe: a refused one leaves no fence.
    pub inbox: bool,
    pub fence: Fence,
    /// Saves compare the row's version.
    pub version_check: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            retries: 1,
            sends: 2,
            crashes: 1,
            undo_refusals: true,
            later: true,
            inbox: true,
            fence: Fence::Kept,
            version_check: true,
        }
    }
}

impl Limits {
    pub(crate) fn answers_later(&self, step: &str) -> bool {
        self.later && step == errand::STEPS[0]
    }
}

/// Whether participants keep their fences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// As in production.
    Kept,
    /// Every command is carried out, however often it comes.
    Missing,
    /// An undo before its do does not bar the do.
    WithoutBar,
}
