//! The simulator: the production shell, relay, timers, orchestrator and participants over a simulated log, database and
//! clock, in one thread, with faults drawn from one seed.
//!
//! Time is tokio's paused clock: nothing waits really, and what is due next happens next. Everything a process does with
//! the outside goes through [`process::Process::reach`]; there it takes its time, fails, dies or stands still. A run is a
//! function of its seed: its trace hash says so.

mod acquirer;
mod chaos;
mod customers;
mod dice;
mod faults;
mod log;
mod oracle;
mod platform;
mod process;
mod run;
mod store;
mod world;

pub use faults::{Faults, KINDS};
pub use run::{Mode, Options, Outcome, codec, cores, each_seed, minimise, run};
pub use world::{Fired, Trace};
