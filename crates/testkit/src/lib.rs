//! What tests stand on: the real servers, a database and topics of one's own, waiting on a condition, and a context's
//! shell in memory. For tests and crash runs only.
//!
//! Nothing passes silently: when a server is missing, the test panics with what is missing.

mod commit_cutter;
mod database;
mod eventually;
mod memory;
mod servers;
mod topics;

pub use commit_cutter::{CommitCutter, Cut};
pub use database::Database;
pub use eventually::eventually;
pub use memory::{MemoryShell, do_ref, memory_shell, memory_shell_with, undo_ref};
pub use servers::servers;
pub use topics::{create_topics, prefix};
