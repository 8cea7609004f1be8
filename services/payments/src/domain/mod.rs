//! The money side of an order, as pure functions: the state machines of payment and invoice, what they say no to, and how
//! an answer of the payment provider is understood.

mod answers;
mod ask;
mod change;
mod invoice;
mod ledger;
mod payment;
pub mod refusals;
#[cfg(test)]
mod tests;

pub use ask::{Ask, Heard, How, Known, KnownStatus, Operation, Settled, settle};
pub use change::{Cause, Change, Fact, Reply};
pub use invoice::{Invoice, InvoiceStatus};
pub use ledger::{Entry, EntryStatus};
pub use payment::{NewPayment, Open, Payment, Policy, State, Taken, Voided};
