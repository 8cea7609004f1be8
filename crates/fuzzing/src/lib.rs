//! What must hold for any bytes from outside: no panic, no more memory than a cap, and what is read is written and read back
//! the same. Each target is a function of bytes that panics when something else is so; the fuzzers in `fuzz/` run them
//! under coverage, and `tests/short_run.rs` runs them on the corpus and on seeded changes of it.
//!
//! An input is what a target takes apart by [`cut::Cut`]; good inputs, encoded from real messages, are its seeds.

mod avro;
mod config;
mod cut;
mod grpc;
mod headers;
mod messages;
pub mod mutate;
mod pack;
mod record;
mod rest;
mod sample;
mod station;
mod stories;
mod writer_schema;

use cap::Cap;
use std::alloc::GlobalAlloc;

/// What one input may take at a time, bytes: some hundred times the largest record.
pub const CAP_BYTES: usize = 64 * 1024 * 1024;
/// Where the process ends, so that the machine does not.
const LAST_BYTES: usize = 4 * 1024 * 1024 * 1024;

/// A decoder of outside bytes with what must hold for them.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<(String, Vec<u8>)>,
}

/// Every target, in the order in which it is run.
pub const TARGETS: &[Target] = &[
    Target { name: "headers", run: headers::headers, seeds: headers::seeds },
    Target { name: "avro", run: avro::avro, seeds: avro::seeds },
    Target { name: "writer_schema", run: writer_schema::writer_schema, seeds: writer_schema::seeds },
    Target { name: "record", run: record::record, seeds: record::seeds },
    Target { name: "rest", run: rest::rest, seeds: rest::seeds },
    Target { name: "grpc", run: grpc::grpc, seeds: grpc::seeds },
    Target { name: "config", run: config::config, seeds: config::seeds },
    Target { name: "pack", run: pack::pack, seeds: pack::seeds },
];

/// The target of that name. Panics when there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"))
}

impl Target {
    /// Panics when what must hold does not, or when more than [`CAP_BYTES`] were taken over what was taken before. The
    /// allocator must be the process's.
    pub fn run<A: GlobalAlloc>(&self, allocator: &Cap<A>, bytes: &[u8]) {
        let (before, most_before) = (allocator.allocated(), allocator.max_allocated());
        let _ = allocator.set_limit(before + LAST_BYTES);
        (self.run)(bytes);
        let most = allocator.max_allocated();
        // The allocator tells only the most there ever was: a second input that takes as much as one before passes.
        let over = most > most_before && most > before + CAP_BYTES;
        assert!(!over, "it takes {} bytes at a time, the cap is {CAP_BYTES}", most - before);
    }

    /// Good inputs with their names, always the same.
    pub fn seeds(&self) -> Vec<(String, Vec<u8>)> {
        (self.seeds)()
    }
}
