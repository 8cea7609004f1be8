//! Compiles `proto/` into servers, clients and the descriptor set, without a protobuf compiler on the machine.

use prost::Message;
use std::{env, error::Error, fs, path::Path};

const FILES: &[&str] = &[
    "common.proto",
    "stores.proto",
    "orders.proto",
    "payments.proto",
    "depot.proto",
    "notifications.proto",
    "search.proto",
    "orchestrator.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=avro");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo")?;
    fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().include_file("mallbots.rs").compile_fds(descriptors)?;
    Ok(())
}
