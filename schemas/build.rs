//! Compiles `proto/` into servers, clients and the descriptor set, without a protobuf compiler on the machine, and lists
//! the schemas of `released/`.

use prost::Message;
use std::{
    env,
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

const FILES: &[&str] = &[
    "common.proto",
    "stores.proto",
    "orders.proto",
    "payments.proto",
    "depot.proto",
    "notifications.proto",
    "search.proto",
    "orchestrator.proto",
    "robots.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=avro");
    println!("cargo:rerun-if-changed=released");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    fs::write(out.join("released.rs"), released(&PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("released"))?)?;
    tonic_prost_build::configure().include_file("mallbots.rs").compile_fds(descriptors)?;
    Ok(())
}

/// The constant `RELEASED`: every `<version>/<context>/<Name>.avsc`, oldest version first.
fn released(folder: &Path) -> Result<String, Box<dyn Error>> {
    let mut versions: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    versions.sort_by_key(|path| key(&name(path)));
    let mut list = "const RELEASED: &[Released] = &[\n".to_owned();
    for version in versions {
        let mut files = files(&version)?;
        files.sort();
        for file in files {
            let inside = file.strip_prefix(&version)?.with_extension("");
            let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
            let (version, subject) = (name(&version), format!("mallbots.{}", parts.join(".")));
            // The text, not its path: clones of this repository may share one folder for what they build.
            let avsc = fs::read_to_string(&file)?;
            writeln!(list, "Released {{ version: {version:?}, name: {subject:?}, avsc: {avsc:?} }},")?;
        }
    }
    Ok(list + "];\n")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn key(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
