//! What demo, crash runs, end-to-end tests and benchmarks share: the platform as processes, the mall's stores and bays,
//! and customers who behave as a seed says, so that the end of each order is known beforehand.

pub mod battery;
pub mod bench;
pub mod crash;
pub mod customers;
pub mod garbage;
mod interrupt;
pub mod kiosk;
pub mod ledger;
pub mod mall;
pub mod memory;
pub mod metrics;
pub mod plan;
pub mod platform;
pub mod sender;

pub use crash::{Fault, Outcome};
pub use customers::{Crowd, Told, Ways};
pub use interrupt::unless_interrupted;
pub use kiosk::{Answer, Kiosk};
pub use mall::Mall;
pub use plan::{Plan, Scenario};
pub use platform::{Platform, PlatformOptions};
