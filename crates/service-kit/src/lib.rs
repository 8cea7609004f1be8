//! What every role needs and nothing of the domain: configuration, telemetry, health, gRPC manners, and the wiring of a
//! context's shell to Kafka, Postgres and the registry.

pub mod config;
pub mod grpc;
pub mod health;
mod role;
pub mod telemetry;
mod workers;

pub use config::{ServiceConfig, env_or, env_parse, env_required};
pub use role::{Role, codec};
pub use workers::{Stop, Workers};
