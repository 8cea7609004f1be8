//! Builds Jaeger from its Go module, once, at the lowest priority. `go install` refuses the module because of its replace line, so
//! a small module of our own (infra/native/jaeger) requires it, with every checksum pinned.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::JAEGER_VERSION;
use crate::cache::Cache;
use crate::error::Doing;
use crate::process::run_logged;
use crate::say::{say, seconds, with_signs_of_life};
use crate::tools::{self, GO, Tool};
use crate::{Error, Jaeger};

const MODULE_FILES: [(&str, &str); 3] = [
    ("go.mod", include_str!("../../jaeger/go.mod")),
    ("go.sum", include_str!("../../jaeger/go.sum")),
    ("tools.go", include_str!("../../jaeger/tools.go")),
];
/// The first 1.x that fetches what a module asks for.
const OLDEST_GO: u32 = 21;
const PACKAGE: &str = "github.com/jaegertracing/jaeger/cmd/jaeger";

pub(super) fn folder(cache: &Cache) -> PathBuf {
    cache.folder(&format!("jaeger-{JAEGER_VERSION}"))
}

/// What is missing for `need`, besides a Go that is too old.
pub(super) fn needs(cache: &Cache, need: Jaeger) -> Vec<Tool> {
    if need == Jaeger::Required && !folder(cache).exists() { vec![GO] } else { vec![] }
}

/// The program, built if `need` and the machine allow it; `None` with one line of explanation where it may be absent.
pub(super) async fn ensure(cache: &Cache, need: Jaeger, logs: &Path) -> Result<Option<PathBuf>, Error> {
    let folder = folder(cache);
    if need != Jaeger::Required && !folder.exists() {
        if need == Jaeger::IfBuilt {
            return Ok(absent("it is not built yet; `servers fetch` builds it"));
        }
        if let Err(error) = go_will_do() {
            return Ok(absent(&error.to_string()));
        }
    }
    cache.ensure(&folder, async |partial: &Path| build(partial, &logs.join("build-jaeger.log")).await).await?;
    Ok(Some(folder.join("jaeger")))
}

/// From 1.21 on Go fetches by itself the version that a module asks for; an older one fails with a riddle.
fn go_will_do() -> Result<(), Error> {
    tools::require(&[GO])?;
    let output = Command::new("go").args(["env", "GOVERSION"]).output().doing(|| "ask go for its version".into())?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match minor(&version) {
        Some(minor) if minor < OLDEST_GO => Err(Error::Missing {
            what: format!("Go 1.{OLDEST_GO} or later, which builds Jaeger (found {version})"),
            command: "a download from https://go.dev/dl (Debian 12 has only 1.19)".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// `go1.19.8` to 19.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("go1.")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn absent(why: &str) -> Option<PathBuf> {
    say(format!("no Jaeger, so no traces: {why}"));
    None
}

async fn build(partial: &Path, log: &Path) -> Result<(), Error> {
    go_will_do()?;
    say(format!("building Jaeger {JAEGER_VERSION}: about 7 minutes, once; log at {}", log.display()));
    let started = Instant::now();
    let module = partial.join("module");
    std::fs::create_dir(&module).doing(|| format!("make {}", module.display()))?;
    for (name, text) in MODULE_FILES {
        std::fs::write(module.join(name), text).doing(|| format!("write {name}"))?;
    }
    // Inside the partial folder, so that a build that is killed leaves nothing that is not removed later.
    let scratch = partial.join("scratch");
    std::fs::create_dir(&scratch).doing(|| format!("make {}", scratch.display()))?;
    let mut command = Command::new("nice");
    command.env("GOTMPDIR", &scratch);
    if std::env::var_os("GOTOOLCHAIN").is_none() {
        // Some distributions forbid Go to fetch a newer version of itself.
        command.env("GOTOOLCHAIN", "auto");
    }
    command.args(["-n", "19", "go", "build", "-o"]).arg(partial.join("jaeger")).arg(PACKAGE).current_dir(&module);
    with_signs_of_life("still building Jaeger", run_logged(&command, "", log)).await?;
    std::fs::remove_dir_all(&scratch).doing(|| format!("remove {}", scratch.display()))?;
    say(format!("Jaeger built in {}", seconds(started)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_read() {
        assert_eq!(minor("go1.19.8"), Some(19));
        assert_eq!(minor("go1.26rc1"), Some(26));
        assert_eq!(minor("devel +abc"), None);
    }
}
