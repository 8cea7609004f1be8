//! Shopping lists, robots and bays on the wire: events for everybody, commands and replies for the orchestrator.

pub(crate) mod commands;
pub(crate) mod events;

pub use commands::*;
pub use events::*;
