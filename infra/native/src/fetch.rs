//! Brings the pinned versions of all servers into the cache, with the ordinary clients of their registries: Maven for Kafka,
//! Postgres and the registry, Go for Jaeger. What lies there already is not fetched again.

mod jaeger;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cache::{Cache, is_root};
use crate::error::Doing;
use crate::process::run_logged;
use crate::say::{say, seconds};
use crate::tools::{self, JAVA, MAVEN, SETPRIV, TAR, Tool, XZ};
use crate::{Error, Jaeger, native};

pub(crate) const KAFKA_VERSION: &str = "4.3.1";
pub(crate) const POSTGRES_VERSION: &str = "17.11.0";
pub(crate) const REGISTRY_VERSION: &str = "3.0.9";
pub(crate) const JAEGER_VERSION: &str = "1.76.0";

/// Resolves dependencies as Maven does today.
const COPY_DEPENDENCIES: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// The last release line that unpacks one artifact without reading its parents: the registry's parent is not published.
const UNPACK: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.10:unpack";

/// Where each server's files lie. `jaeger` is the program itself, if it is there.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub kafka: PathBuf,
    pub postgres: PathBuf,
    pub registry: PathBuf,
    pub jaeger: Option<PathBuf>,
}

/// Makes sure that everything is in the cache; Jaeger builds while Maven fetches.
pub(crate) async fn all(cache: &Cache, jaeger: Jaeger, logs: &Path) -> Result<Files, Error> {
    let folders = Folders::of(cache)?;
    // All that is missing in one go, before anything takes time.
    tools::require(&[folders.needs(), jaeger::needs(cache, jaeger)].concat())?;
    check_java()?;
    // Maven's local repository does not bear two writers, so its three fetches run one after the other.
    let maven = async {
        cache.ensure(&folders.kafka, async |partial: &Path| kafka(partial, logs).await).await?;
        cache.ensure(&folders.postgres, async |partial: &Path| postgres(partial, logs).await).await?;
        cache.ensure(&folders.registry, async |partial: &Path| registry(partial, logs).await).await
    };
    let ((), jaeger) = tokio::try_join!(maven, jaeger::ensure(cache, jaeger, logs))?;
    Ok(Files { kafka: folders.kafka, postgres: folders.postgres, registry: folders.registry, jaeger })
}

/// What is in the cache, for `servers doctor`: name with version, folder, whether it is there.
pub(crate) fn inventory(cache: &Cache) -> Result<Vec<(String, PathBuf, bool)>, Error> {
    let folders = Folders::of(cache)?;
    let jaeger = jaeger::folder(cache);
    let named = [
        (format!("Kafka {KAFKA_VERSION}"), folders.kafka),
        (format!("Postgres {POSTGRES_VERSION}"), folders.postgres),
        (format!("Apicurio registry {REGISTRY_VERSION}"), folders.registry),
        (format!("Jaeger {JAEGER_VERSION}"), jaeger),
    ];
    Ok(named.into_iter().map(|(name, folder)| (name, folder.clone(), folder.exists())).collect())
}

struct Folders {
    kafka: PathBuf,
    postgres: PathBuf,
    registry: PathBuf,
}

impl Folders {
    fn of(cache: &Cache) -> Result<Folders, Error> {
        Ok(Folders {
            kafka: cache.folder(&format!("kafka-{KAFKA_VERSION}")),
            postgres: cache.reachable_folder(&format!("postgres-{POSTGRES_VERSION}"))?,
            registry: cache.folder(&format!("registry-{REGISTRY_VERSION}")),
        })
    }

    /// Programs without which we need not begin.
    fn needs(&self) -> Vec<Tool> {
        let mut needs = vec![JAVA];
        if is_root() {
            needs.push(SETPRIV);
        }
        if !(self.kafka.exists() && self.postgres.exists() && self.registry.exists()) {
            needs.push(MAVEN);
        }
        if !self.postgres.exists() {
            needs.extend([TAR, XZ]);
        }
        needs
    }
}

async fn kafka(partial: &Path, logs: &Path) -> Result<(), Error> {
    let pom = pom(
        "<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>KAFKA</version></dependency>
         <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version></dependency>",
    )
    .replace("KAFKA", KAFKA_VERSION);
    let started = begin(&format!("Kafka {KAFKA_VERSION}"), 44);
    let libs = partial.join("libs");
    let arguments = [
        COPY_DEPENDENCIES.to_owned(),
        "-DincludeScope=runtime".into(),
        format!("-DoutputDirectory={}", libs.display()),
    ];
    maven(partial, &pom, &arguments, &logs.join("fetch-kafka.log")).await?;
    native::kafka::format(partial, &logs.join("format-kafka.log")).await?;
    done("Kafka", started);
    Ok(())
}

async fn postgres(partial: &Path, logs: &Path) -> Result<(), Error> {
    let started = begin(&format!("Postgres {POSTGRES_VERSION}"), 15);
    let log = logs.join("fetch-postgres.log");
    let artifact =
        format!("io.zonky.test.postgres:embedded-postgres-binaries-linux-{}:{POSTGRES_VERSION}:jar", arch()?);
    maven(partial, &pom(""), &unpack(&artifact, &partial.join("jar")), &log).await?;
    native::postgres::unpack(partial, &log).await?;
    native::postgres::make_template(partial, &log).await?;
    done("Postgres", started);
    Ok(())
}

async fn registry(partial: &Path, logs: &Path) -> Result<(), Error> {
    let started = begin(&format!("Apicurio registry {REGISTRY_VERSION}"), 109);
    let artifact = format!("io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all");
    maven(partial, &pom(""), &unpack(&artifact, &partial.join("app")), &logs.join("fetch-registry.log")).await?;
    done("Apicurio registry", started);
    Ok(())
}

fn begin(what: &str, megabytes: u32) -> Instant {
    say(format!("fetching {what} ({megabytes} MB, once)"));
    Instant::now()
}

fn done(what: &str, started: Instant) {
    say(format!("{what} fetched in {}", seconds(started)));
}

fn unpack(artifact: &str, into: &Path) -> [String; 3] {
    [UNPACK.to_owned(), format!("-Dartifact={artifact}"), format!("-DoutputDirectory={}", into.display())]
}

/// Runs Maven in `folder` on `pom`; a checksum that does not agree is an error.
async fn maven(folder: &Path, pom: &str, arguments: &[String], log: &Path) -> Result<(), Error> {
    let file = folder.join("pom.xml");
    std::fs::write(&file, pom).doing(|| format!("write {}", file.display()))?;
    let mut command = Command::new("mvn");
    command.args(["--batch-mode", "--strict-checksums", "--file"]).arg(&file).args(arguments).current_dir(folder);
    run_logged(&command, "", log).await
}

fn pom(dependencies: &str) -> String {
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>
         <groupId>mallbots.local</groupId><artifactId>fetch</artifactId><version>1</version><packaging>pom</packaging>
         <dependencies>{dependencies}</dependencies></project>\n"
    )
}

fn arch() -> Result<&'static str, Error> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64v8"),
        other => Err(Error::NotOurs(format!(
            "there are no Postgres programs for {other}: use Docker, or give addresses in the MALLBOTS_ variables"
        ))),
    }
}

/// Kafka needs Java 17; an older one would fail with a message about class files.
fn check_java() -> Result<(), Error> {
    let version = native::java_version().unwrap_or_default();
    match java_major(&version) {
        Some(major) if major < 17 => Err(Error::Missing {
            what: format!("java 17 or later (found {version})"),
            command: tools::install_command(&[JAVA]),
        }),
        _ => Ok(()),
    }
}

fn java_major(version: &str) -> Option<u32> {
    let mut parts = version.split(['.', '-', '+', '_']).map_while(|part| part.parse().ok());
    match parts.next()? {
        1 => parts.next(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions_of_all_ages_are_read() {
        assert_eq!(java_major("17.0.15"), Some(17));
        assert_eq!(java_major("21-ea"), Some(21));
        assert_eq!(java_major("1.8.0_402"), Some(8));
        assert_eq!(java_major(""), None);
    }

    #[tokio::test]
    async fn all_that_is_in_the_cache_needs_no_maven() {
        let there = std::env::temp_dir();
        let folders = Folders { kafka: there.clone(), postgres: there.clone(), registry: there.clone() };
        assert!(!folders.needs().contains(&MAVEN));
        let cold = Folders { kafka: there.join("no-such-folder"), ..folders };
        assert!(cold.needs().contains(&MAVEN));
    }
}
