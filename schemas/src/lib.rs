//! Everything that crosses a boundary between contexts: Avro messages and their Rust types, topics, and the gRPC API.
//!
//! One module per context holds its events, commands and replies; `avro/<context>/<Message>.avsc` is the contract that
//! other languages read, and a test proves that both are the same. Values that several contexts share have their own modules.

pub mod compatibility;
pub mod depot;
pub mod done;
pub mod grpc;
pub mod ids;
pub mod lines;
pub mod money;
pub mod orchestrator;
pub mod orders;
pub mod payments;
pub mod quantity;
mod registry;
pub mod released;
pub mod stores;
pub mod text;
pub mod topics;

pub use registry::{Kind, Schema, all, find};
