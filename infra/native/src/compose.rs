//! The servers as containers by `docker compose` or `docker-compose`, from infra/compose.yaml, which is compiled in. The project gets
//! a name and ports of its own, so that several can run side by side, and the run's guard takes it down.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::error::Doing;
use crate::guard::Guard;
use crate::native::postgres;
use crate::native::registry::{API, url as registry_url};
use crate::probe::Probe;
use crate::process::run_logged;
use crate::resolve::Docker;
use crate::say::{say, seconds};
use crate::{Addresses, Error, Options, Profile, ports, tools};

/// The compose file, the one place for images and their settings.
pub(crate) const FILE: &str = include_str!("../../compose.yaml");
/// Includes nothing of the pull: that is over when compose returns.
const SERVES_WITHIN: Duration = Duration::from_secs(180);

/// Addresses on the host's ports, and the guard that takes the containers down.
pub(crate) struct Running {
    pub addresses: Addresses,
    pub guard: Guard,
}

/// Asks Docker what it has to offer. Takes up to a few seconds.
pub(crate) fn docker() -> Docker {
    if tools::which("docker").is_none() || !succeeds("timeout", &["5", "docker", "info"]) {
        return Docker::Absent;
    }
    if compose_command().is_some() { Docker::WithCompose } else { Docker::EngineOnly }
}

/// The words that call compose here.
fn compose_command() -> Option<&'static [&'static str]> {
    let plugin: &[&str] = &["docker", "compose"];
    if succeeds("docker", &["compose", "version"]) {
        return Some(plugin);
    }
    tools::which("docker-compose").map(|_| &["docker-compose"] as &[&str])
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    let status =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Starts the containers and waits until every server answers.
pub(crate) async fn start(options: &Options) -> Result<Running, Error> {
    let compose = compose_command().ok_or_else(|| Error::Missing {
        what: "docker compose".to_owned(),
        command: "apt-get install -y docker-compose".to_owned(),
    })?;
    let logs = Cache::from_env()?.new_log_folder()?;
    let guard = Guard::new(&logs.join("cleanup.log"))?;
    let ports = Ports::free()?;
    let file = guard.folder().join("compose.yaml");
    std::fs::write(&file, FILE).doing(|| format!("write {}", file.display()))?;
    let project = project(guard.folder());
    let path = file.display().to_string();
    let words = [compose, &["-p", &project, "-f", &path]].concat();
    guard.at_the_end(&down(&words, &logs))?;
    say(format!("starting containers with {}; logs in {} at the end", compose.join(" "), logs.display()));
    let started = Instant::now();
    let mut up = Command::new(words[0]);
    up.args(&words[1..]).args(["up", "-d"]).envs(ports.variables()).envs(heap(options.profile));
    run_logged(&mut up, "", &logs.join("compose.log")).await.inspect_err(|_| {
        say("the containers did not start; `--backend native` does without Docker");
    })?;
    wait_for_all(&ports, &logs.join("compose.log")).await?;
    say(format!("all up in {}", seconds(started)));
    Ok(Running { addresses: ports.addresses(), guard })
}

/// A project name that no other run has: the run folder's.
pub(crate) fn project(run: &Path) -> String {
    run.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What the guard runs at the end: keep the logs, then remove containers, networks and volumes.
fn down(words: &[&str], logs: &Path) -> String {
    let compose = words.join(" ");
    format!(
        "{compose} logs --no-color > '{}' 2>&1\n{compose} down --volumes --timeout 3\n",
        logs.join("containers.log").display()
    )
}

pub(crate) fn heap(profile: Profile) -> Vec<(&'static str, &'static str)> {
    match profile {
        Profile::Small => vec![],
        Profile::Bench => vec![("MALLBOTS_KAFKA_HEAP", "-Xms1g -Xmx1g")],
    }
}

/// The ports on the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub kafka: u16,
    pub postgres: u16,
    pub registry: u16,
    pub otlp: u16,
    pub jaeger: u16,
}

impl Ports {
    pub(crate) fn free() -> Result<Ports, Error> {
        let [kafka, postgres, registry, otlp, jaeger] = ports::free()?;
        Ok(Ports { kafka, postgres, registry, otlp, jaeger })
    }

    /// The variables of the compose file.
    pub(crate) fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("MALLBOTS_PORT_KAFKA", self.kafka.to_string()),
            ("MALLBOTS_PORT_POSTGRES", self.postgres.to_string()),
            ("MALLBOTS_PORT_REGISTRY", self.registry.to_string()),
            ("MALLBOTS_PORT_OTLP", self.otlp.to_string()),
            ("MALLBOTS_PORT_JAEGER", self.jaeger.to_string()),
        ]
    }

    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            kafka: format!("127.0.0.1:{}", self.kafka),
            postgres: postgres::url(self.postgres),
            registry: registry_url(self.registry),
            otlp: Some(format!("http://127.0.0.1:{}", self.otlp)),
            jaeger: Some(format!("http://127.0.0.1:{}", self.jaeger)),
        }
    }

    pub(crate) fn probes(&self) -> [(&'static str, Probe); 4] {
        [
            ("Kafka", Probe::Kafka { port: self.kafka }),
            ("Postgres", Probe::Postgres { port: self.postgres, user: postgres::USER.to_owned() }),
            ("registry", Probe::Http { port: self.registry, path: format!("{API}/subjects") }),
            ("Jaeger", Probe::Jaeger { query: self.jaeger, otlp: self.otlp }),
        ]
    }
}

/// Waits until every container's server answers; `log` is named in the error.
pub(crate) async fn wait_for_all(ports: &Ports, log: &Path) -> Result<(), Error> {
    wait_for(ports.probes(), log).await
}

/// Waits until the named servers answer; `log` is named in the error.
pub(crate) async fn wait_for(probes: impl IntoIterator<Item = (&'static str, Probe)>, log: &Path) -> Result<(), Error> {
    let started = Instant::now();
    for (name, probe) in probes {
        while !probe.answers().await {
            if started.elapsed() > SERVES_WITHIN {
                return Err(Error::failed(format!("{name} does not answer after {SERVES_WITHIN:?}"), log));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_port_is_on_the_loopback_interface_and_every_variable_is_used() {
        let published: Vec<&str> =
            FILE.lines().filter(|l| l.contains("${MALLBOTS_PORT_") && l.contains("}:")).collect();
        assert_eq!(published.len(), 5);
        assert!(published.iter().all(|l| l.contains("\"127.0.0.1:${")), "{published:?}");
        let ports = Ports::free().unwrap();
        assert!(ports.variables().iter().all(|(name, _)| FILE.contains(&format!("${{{name}:-"))));
    }

    #[test]
    fn images_have_exact_versions_and_kafka_and_registry_the_native_ones() {
        let images: Vec<&str> = FILE.lines().filter_map(|l| l.trim().strip_prefix("image: ")).collect();
        assert_eq!(images.len(), 4);
        let exact = |image: &str| image.trim_end_matches('}').rsplit(':').next().is_some_and(|tag| tag.contains('.'));
        assert!(images.iter().all(|image| exact(image)), "{images:?}");
        assert!(images[0].contains(&format!("apache/kafka:{}", crate::fetch::KAFKA_VERSION)));
        assert!(images[2].contains(&format!("apicurio-registry:{}", crate::fetch::REGISTRY_VERSION)));
    }

    #[test]
    fn the_guard_keeps_the_logs_before_it_takes_the_project_down() {
        let script = down(&["docker", "compose", "-p", "x"], Path::new("/logs"));
        let lines: Vec<&str> = script.lines().collect();
        assert!(lines[0].starts_with("docker compose -p x logs") && lines[0].contains("'/logs/containers.log'"));
        assert!(lines[1].starts_with("docker compose -p x down --volumes"));
    }
}
