//! The invariants of ARCHITECTURE.md as functions of facts: what `mallctl verify` and the simulator judge by.

pub mod facts;
pub mod ledger;
mod money;
mod rules;

pub use facts::Facts;
pub use rules::all;

/// The verdict on one invariant.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub name: &'static str,
    pub checked: String,
    pub broken: Vec<String>,
}
