//! The servers as containers made by the testcontainers crate, for tests. Images, ports and settings are read from infra/compose.yaml,
//! so that there is one place for them; the run's guard removes the containers, also those of a test process that was killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;
use testcontainers::bollard::models::HostConfig;
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage, ImageExt};

use crate::cache::Cache;
use crate::compose::{FILE, Ports, Running, heap, project, wait_for_all};
use crate::error::Doing;
use crate::guard::Guard;
use crate::say::{say, seconds};
use crate::{Error, Options};

/// Includes pulling the image.
const STARTED_WITHIN: Duration = Duration::from_secs(600);

#[derive(Debug, Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    image: String,
    ports: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    command: Vec<String>,
}

/// Starts the containers and waits until every server answers.
pub(crate) async fn start(options: &Options) -> Result<Running, Error> {
    let logs = Cache::from_env()?.new_log_folder()?;
    let guard = Guard::new(&logs.join("cleanup.log"))?;
    let ports = Ports::free()?;
    let compose = compose(&ports, options)?;
    let network = project(guard.folder());
    guard.at_the_end(&down(&compose, &network, &logs))?;
    say(format!("starting containers; logs in {} at the end", logs.display()));
    let started = Instant::now();
    // The registry gives up without its database, so Postgres comes first and the registry last.
    for name in ["postgres", "kafka", "jaeger", "registry"] {
        let request = request(name, &compose, &network)?;
        let container = request.start().await.map_err(|e| Error::NotOurs(format!("container {name}: {e}")))?;
        // Its own clean-up runs only where values are dropped; the guard's always runs.
        std::mem::forget(container);
        if name == "postgres" {
            wait_for_postgres(&ports, &logs).await?;
        }
    }
    wait_for_all(&ports, &logs.join("cleanup.log")).await?;
    say(format!("all up in {}", seconds(started)));
    Ok(Running { addresses: ports.addresses(), guard })
}

async fn wait_for_postgres(ports: &Ports, logs: &Path) -> Result<(), Error> {
    let probe = ports.probes().into_iter().find(|(name, _)| *name == "Postgres");
    crate::compose::wait_for(probe, &logs.join("cleanup.log")).await
}

/// The compose file with its variables filled in: ports and heap of this run, images from the environment.
fn compose(ports: &Ports, options: &Options) -> Result<Compose, Error> {
    let ours: BTreeMap<&str, String> = ports
        .variables()
        .into_iter()
        .chain(heap(options.profile).into_iter().map(|(k, v)| (k, v.to_owned())))
        .collect();
    let text = substitute(FILE, |name| ours.get(name).cloned().or_else(|| std::env::var(name).ok()));
    serde_yaml_ng::from_str(&text).map_err(std::io::Error::other).doing(|| "understand infra/compose.yaml".into())
}

fn request(name: &str, compose: &Compose, network: &str) -> Result<ContainerRequest<GenericImage>, Error> {
    let wrong = |what: &str| Error::NotOurs(format!("infra/compose.yaml: {what} of {name}"));
    let service = compose.services.get(name).ok_or_else(|| wrong("no entry"))?;
    let (image, tag) = service.image.rsplit_once(':').ok_or_else(|| wrong("no version in the image"))?;
    let mut request = GenericImage::new(image, tag)
        .with_container_name(format!("{network}-{name}"))
        .with_network(network)
        // The other containers know it by its short name, as with compose.
        .with_hostname(name)
        .with_startup_timeout(STARTED_WITHIN)
        .with_host_config_modifier(loopback_only);
    for port in &service.ports {
        let (host, inside) = host_and_inside(port).ok_or_else(|| wrong("a port"))?;
        request = request.with_mapped_port(host, inside.tcp());
    }
    for (name, value) in &service.environment {
        request = request.with_env_var(name, value.replace("//postgres:", &format!("//{network}-postgres:")));
    }
    Ok(request.with_cmd(service.command.iter().cloned()))
}

fn loopback_only(config: &mut HostConfig) {
    let bindings = config.port_bindings.iter_mut().flat_map(|ports| ports.values_mut()).flatten().flatten();
    bindings.for_each(|binding| binding.host_ip = Some("127.0.0.1".to_owned()));
}

/// `127.0.0.1:12001:9092` to 12001 and 9092.
fn host_and_inside(port: &str) -> Option<(u16, u16)> {
    let mut parts = port.rsplit(':').map(|part| part.parse().ok());
    let (inside, host) = (parts.next()??, parts.next()??);
    Some((host, inside))
}

/// Replaces `${NAME:-default}`, the one form the file uses.
fn substitute(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = text.split("${");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').unwrap_or((part, ""));
        let (name, default) = variable.split_once(":-").unwrap_or((variable, ""));
        result.push_str(&value(name).filter(|v| !v.is_empty()).unwrap_or_else(|| default.to_owned()));
        result.push_str(rest);
    }
    result
}

/// What the guard runs at the end: keep the logs, then remove containers and network.
fn down(compose: &Compose, network: &str, logs: &Path) -> String {
    let mut script = String::new();
    for name in compose.services.keys() {
        let log = logs.join(format!("{name}.log"));
        script.push_str(&format!("docker logs {network}-{name} > '{}' 2>&1\n", log.display()));
        script.push_str(&format!("docker rm --force --volumes {network}-{name}\n"));
    }
    script.push_str(&format!("docker network rm {network}\n"));
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_win_over_defaults_and_empty_ones_do_not() {
        let value = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "B" => Some(String::new()),
            _ => None,
        };
        assert_eq!(substitute("x ${A:-1} ${B:-2} ${C:--3 4} y", value), "x a 2 -3 4 y");
    }

    #[test]
    fn every_service_of_the_compose_file_becomes_a_request() {
        let ports = Ports::free().unwrap();
        let compose = compose(&ports, &Options::default()).unwrap();
        assert_eq!(compose.services.len(), 4);
        for name in compose.services.keys() {
            assert!(request(name, &compose, "net").is_ok(), "{name}");
        }
        let kafka = &compose.services["kafka"];
        assert_eq!(host_and_inside(&kafka.ports[0]), Some((ports.kafka, 9092)));
        assert!(kafka.environment["KAFKA_ADVERTISED_LISTENERS"].contains(&format!("127.0.0.1:{},", ports.kafka)));
    }
}
