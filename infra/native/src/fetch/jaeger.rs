//! Builds Jaeger from its Go module, once, at the lowest priority. `go install` refuses the module because of its replace line, so
//! a small module of our own (infra/native/jaeger) requires it, with every checksum pinned.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::JAEGER_VERSION;
use crate::cache::Cache;
use crate::error::Doing;
use crate::process::run_logged;
use crate::say::{say, seconds};
use crate::tools::{self, GO};
use crate::{Error, Jaeger};

const MODULE_FILES: [(&str, &str); 3] = [
    ("go.mod", include_str!("../../jaeger/go.mod")),
    ("go.sum", include_str!("../../jaeger/go.sum")),
    ("tools.go", include_str!("../../jaeger/tools.go")),
];
const PACKAGE: &str = "github.com/jaegertracing/jaeger/cmd/jaeger";
/// A sign of life this often while the build runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

pub(super) fn folder(cache: &Cache) -> PathBuf {
    cache.folder(&format!("jaeger-{JAEGER_VERSION}"))
}

/// The program, built if `need` and the machine allow it; `None` with one line of explanation where it may be absent.
pub(super) async fn ensure(cache: &Cache, need: Jaeger, logs: &Path) -> Result<Option<PathBuf>, Error> {
    let folder = folder(cache);
    if !folder.exists() {
        match need {
            Jaeger::IfBuilt => return Ok(absent("it is not built yet; `servers fetch` builds it")),
            Jaeger::Optional if tools::require(&[GO]).is_err() => {
                return Ok(absent(&format!("it needs Go; get it with: {}", tools::install_command(&[GO]))));
            }
            Jaeger::Optional | Jaeger::Required => tools::require(&[GO])?,
        }
        cache.ensure(&folder, async |partial: &Path| build(partial, &logs.join("build-jaeger.log")).await).await?;
    }
    Ok(Some(folder.join("jaeger")))
}

fn absent(why: &str) -> Option<PathBuf> {
    say(format!("no Jaeger, so no traces: {why}"));
    None
}

async fn build(partial: &Path, log: &Path) -> Result<(), Error> {
    say(format!("building Jaeger {JAEGER_VERSION}: about 7 minutes, once; log at {}", log.display()));
    let started = Instant::now();
    let module = partial.join("module");
    std::fs::create_dir(&module).doing(|| format!("make {}", module.display()))?;
    for (name, text) in MODULE_FILES {
        std::fs::write(module.join(name), text).doing(|| format!("write {name}"))?;
    }
    let mut command = Command::new("nice");
    command.args(["-n", "19", "go", "build", "-o"]).arg(partial.join("jaeger")).arg(PACKAGE).current_dir(&module);
    with_signs_of_life(started, run_logged(&mut command, "", log)).await?;
    say(format!("Jaeger built in {}", seconds(started)));
    Ok(())
}

async fn with_signs_of_life<T>(started: Instant, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(SIGN_OF_LIFE, &mut work).await {
            Ok(done) => return done,
            Err(_) => say(format!("still building Jaeger ({})", seconds(started))),
        }
    }
}
