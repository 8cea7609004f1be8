//! The sagas of the mall, one file each. Adding one is a file here and a line in [`definitions`].

pub mod order_fulfilment;
pub mod return_refund;

use saga::Definition;
use std::sync::Arc;

/// How long sagas wait, in seconds. Tests and demonstrations shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For the reply to a command.
    pub command_s: u64,
    /// For robots: to collect a list, or to bring items back.
    pub shopping_s: u64,
    /// For the customer to come and pay.
    pub pickup_s: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { command_s: 30, shopping_s: 30 * 60, pickup_s: 24 * 60 * 60 }
    }
}

/// Every definition the orchestrator runs. A version stays listed until no saga of it is left.
pub fn definitions(deadlines: &Deadlines) -> Vec<Arc<Definition>> {
    vec![order_fulfilment::order_fulfilment(deadlines).erase(), return_refund::return_refund(deadlines).erase()]
}
