//! How messages travel: the batch shell with its inbox, outbox, fences, timers and parking, the relay, the codec and
//! the ports they stand on (log, store, clock), each with a real implementation and one in memory.

mod cache;
pub mod clock;
pub mod codec;
pub mod consumer;
mod context;
mod decode;
mod error;
pub mod failpoint;
mod fence;
mod fold;
mod hex;
pub mod journal;
pub mod kafka;
pub mod memory;
pub mod metric_names;
mod murmur2;
mod oversize;
mod pace;
pub mod parking;
pub mod ports;
pub mod postgres;
pub mod registry;
pub mod relay;
mod router;
mod seeded;
mod shell;
pub mod spans;
pub mod timers;
mod unit;

pub use context::{Aggregate, Context, Kinds};
pub use error::{CallError, Error, Stop};
pub use fence::{Conversation, FENCE, Fenced};
pub use fold::running_hash;
pub use pace::Linger;
pub use router::{Answer, Router};
pub use shell::{Call, Idempotency, Shell, ShellConfig};
pub use unit::{Claim, Fold, Unit};
