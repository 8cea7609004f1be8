//! The saga core: what a saga is, and what it does next. A definition is a typed Rust value, one step per line;
//! [`decide`] is a pure function from progress and input to progress and effects; storing and sending are the shell's.
//!
//! ```text
//! (definition, progress, input) ──decide──▶ (progress', effects)
//! ```
//!
//! An undo after the pivot does not compile:
//! ```compile_fail,E0308
//! # mod toy { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/toy/mod.rs")); }
//! # use saga::{BeforePivot, Builder, call};
//! # use toy::*;
//! # fn main() {}
//! fn wrong(toy: Builder<Trip, BeforePivot>) {
//!     let _ = toy.pivot(call(pay)).step(call(send_ticket).undo(free_seat));
//! }
//! ```
//! nor does a pivot that can be undone:
//! ```compile_fail,E0308
//! # mod toy { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/toy/mod.rs")); }
//! # use saga::{BeforePivot, Builder, call};
//! # use toy::*;
//! # fn main() {}
//! fn wrong(toy: Builder<Trip, BeforePivot>) {
//!     let _ = toy.pivot(call(pay).undo(free_seat));
//! }
//! ```
//! nor a handler for another command's reply:
//! ```compile_fail,E0631
//! # mod toy { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/toy/mod.rs")); }
//! # use saga::{BeforePivot, Builder, call};
//! # use toy::*;
//! # fn main() {}
//! fn keep_price(_: &mut Trip, _: Paid) {}
//! fn wrong(toy: Builder<Trip, BeforePivot>) {
//!     let _ = toy.step(call(hold_seat).keep(keep_price));
//! }
//! ```
//! while the right ones do:
//! ```
//! # mod toy { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/toy/mod.rs")); }
//! # use saga::{BeforePivot, Builder, call};
//! # use toy::*;
//! # fn main() {}
//! fn right(toy: Builder<Trip, BeforePivot>) {
//!     let _ = toy.step(call(hold_seat).keep(seat).undo(free_seat)).pivot(call(pay)).step(call(send_ticket));
//! }
//! ```

// The tests in here share the toy saga of those in `tests/`, which knows this crate by its name.
#[cfg(test)]
extern crate self as saga;
#[cfg(test)]
#[allow(dead_code)]
#[path = "../tests/toy/mod.rs"]
mod toy;

mod builder;
mod cause;
mod definition;
mod effect;
mod engine;
pub mod harness;
mod history;
mod input;
mod kept;
mod outline;
mod progress;
mod retry;
mod step;
pub mod transcript;

pub use builder::{AfterPivot, BeforePivot, Builder, Defect, Saga};
pub use cause::{Cause, CauseKind};
pub use definition::{CancelSignal, Definition, Route, Subscription, Unreadable};
pub use effect::{AlarmCode, Counted, Effect, Lifecycle, Timer, TimerKind};
pub use engine::{ReplayError, decide, replay, replay_history, start};
pub use history::{HistoryEntry, HistoryKind};
pub use input::{ChildEnd, Input, Reply, Verb};
pub use kept::Kept;
pub use progress::{Course, DoState, Leg, Phase, Progress, Round, StepProgress, UndoState, Wake, WakeOn};
pub use retry::RetryPolicy;
pub use step::{
    Awaits, Branch, Calls, Data, ForwardOnly, HasEffect, IsAnswered, RunsChild, Started, Step, UndoFn, Undoable,
    branch, call, child, started, wait_for,
};
