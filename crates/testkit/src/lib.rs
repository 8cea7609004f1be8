//! What tests stand on: the real servers, a database and topics of one's own, waiting on a condition, and a context's
//! shell in memory. A dev-dependency only.
//!
//! Nothing passes silently: when a server is missing, the test panics with what is missing.

mod database;
mod eventually;
mod memory;
mod servers;
mod topics;

pub use database::Database;
pub use eventually::eventually;
pub use memory::{MemoryShell, do_ref, memory_shell, memory_shell_with, undo_ref};
pub use servers::servers;
pub use topics::{create_topics, prefix};
