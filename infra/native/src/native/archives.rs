//! Class data archives (AppCDS) for the two Java servers: made once by a training run and kept in the cache, they save some four
//! seconds of processor time at each start. Without them everything works, only later.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Signal;

use crate::cache::Cache;
use crate::error::Doing;
use crate::fetch::{Files, KAFKA_VERSION, REGISTRY_VERSION};
use crate::say::{say, seconds};
use crate::{Error, Options};

/// What a Java server does about its archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Archive {
    None,
    /// Start from it. An archive of another Java or other jars is ignored by Java itself.
    Use(PathBuf),
    /// Write it when the server ends.
    Make(PathBuf),
}

/// One archive for each Java server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archives {
    pub kafka: Archive,
    pub registry: Archive,
}

impl Archive {
    /// The flags for `java`.
    pub(crate) fn flags(&self) -> Vec<String> {
        match self {
            Archive::None => vec![],
            // Java would complain on standard output about an archive that does not fit; it is only slower then.
            Archive::Use(file) => [format!("-XX:SharedArchiveFile={}", file.display())]
                .into_iter()
                .chain(["-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"].map(String::from))
                .collect(),
            Archive::Make(file) => vec![format!("-XX:ArchiveClassesAtExit={}", file.display())],
        }
    }
}

/// The archives for these versions and this Java, made now when they are not there. A failed training run is told, and does without.
pub(crate) async fn ensure(cache: &Cache, files: &Files, logs: &Path) -> Result<Archives, Error> {
    let java = super::java_version().unwrap_or_else(|| "unknown".to_owned());
    let folder = cache.folder(&format!("classes-kafka-{KAFKA_VERSION}-registry-{REGISTRY_VERSION}-java-{java}"));
    let logs = logs.join("training");
    let made = cache.ensure(&folder, async |partial: &Path| train(files, partial, &logs).await).await;
    if let Err(error) = made {
        say(format!("no class archives, so starts take longer: {error}"));
        return Ok(Archives { kafka: Archive::None, registry: Archive::None });
    }
    Ok(of(&folder, Archive::Use))
}

fn of(folder: &Path, archive: fn(PathBuf) -> Archive) -> Archives {
    Archives { kafka: archive(folder.join("kafka.jsa")), registry: archive(folder.join("registry.jsa")) }
}

/// Starts the servers once and ends them in an orderly way: Java writes the archives at its end.
async fn train(files: &Files, partial: &Path, logs: &Path) -> Result<(), Error> {
    say("making class archives (once, some 20 s)");
    let started = Instant::now();
    std::fs::create_dir_all(logs).doing(|| format!("make {}", logs.display()))?;
    let files = Files { jaeger: None, ..files.clone() };
    let running = super::bring_up(&files, &Options::default(), &of(partial, Archive::Make), logs).await?;
    tokio::try_join!(running.control.end("kafka", Signal::TERM), running.control.end("registry", Signal::TERM))?;
    // The guard waits for its processes, which must not hold up the runtime.
    let _ = tokio::task::spawn_blocking(move || drop(running)).await;
    for file in ["kafka.jsa", "registry.jsa"] {
        std::fs::metadata(partial.join(file)).doing(|| format!("find {file}"))?;
    }
    say(format!("class archives made in {}", seconds(started)));
    Ok(())
}
