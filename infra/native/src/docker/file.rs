//! infra/compose.yaml as this run has it: its variables filled in with the run's ports, the profile's sizes and, from the environment,
//! the images that somebody put in place of the released ones.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Doing;
use crate::native::postgres;
use crate::native::registry::{API, url as registry_url};
use crate::probe::Probe;
use crate::{Addresses, Error, Profile, ports};

/// The compose file, the one place for images and their settings.
pub(super) const TEXT: &str = include_str!("../../../compose.yaml");

/// What we read of the file.
#[derive(Debug, Deserialize)]
pub(super) struct ComposeFile {
    services: BTreeMap<String, Service>,
}

/// One server's image and settings.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(feature = "testcontainers"), expect(dead_code, reason = "compose reads these for itself"))]
pub(super) struct Service {
    pub image: String,
    pub ports: Vec<String>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub command: Vec<String>,
    /// In megabytes, as `256m`.
    pub shm_size: Option<String>,
}

impl ComposeFile {
    /// The file with this run's values.
    pub(super) fn read(ports: &Ports, profile: Profile) -> Result<ComposeFile, Error> {
        let ours: BTreeMap<&str, String> = variables(ports, profile).into_iter().collect();
        let text = substitute(TEXT, |name| ours.get(name).cloned().or_else(|| std::env::var(name).ok()));
        serde_yaml_ng::from_str(&text).map_err(std::io::Error::other).doing(|| "understand infra/compose.yaml".into())
    }

    /// Names and images of the servers.
    pub(super) fn images(&self) -> Vec<(String, String)> {
        self.services.iter().map(|(name, service)| (name.clone(), service.image.clone())).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.services.contains_key(name)
    }

    /// Does without the server `name`.
    pub(super) fn remove(&mut self, name: &str) {
        self.services.remove(name);
    }

    /// The names of the servers.
    pub(super) fn names(&self) -> Vec<&str> {
        self.services.keys().map(String::as_str).collect()
    }

    #[cfg(feature = "testcontainers")]
    pub(super) fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }
}

/// The variables of the file that this run sets.
pub(super) fn variables(ports: &Ports, profile: Profile) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("MALLBOTS_PORT_KAFKA", ports.kafka.to_string()),
        ("MALLBOTS_PORT_POSTGRES", ports.postgres.to_string()),
        ("MALLBOTS_PORT_REGISTRY", ports.registry.to_string()),
        ("MALLBOTS_PORT_OTLP", ports.otlp.to_string()),
        ("MALLBOTS_PORT_JAEGER", ports.jaeger.to_string()),
    ];
    if profile == Profile::Bench {
        variables.push(("MALLBOTS_KAFKA_HEAP", "-Xms1g -Xmx1g".to_owned()));
        variables.push(("MALLBOTS_KAFKA_JVM", "-server".to_owned()));
    }
    variables
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

/// The ports on the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    kafka: u16,
    postgres: u16,
    registry: u16,
    otlp: u16,
    jaeger: u16,
}

impl Ports {
    pub(super) fn free() -> Result<Ports, Error> {
        let [kafka, postgres, registry, otlp, jaeger] = ports::free()?;
        Ok(Ports { kafka, postgres, registry, otlp, jaeger })
    }

    pub(super) fn addresses(&self, with_jaeger: bool) -> Addresses {
        let jaeger = |port: u16| with_jaeger.then(|| format!("http://127.0.0.1:{port}"));
        Addresses {
            kafka: format!("127.0.0.1:{}", self.kafka),
            postgres: postgres::url(self.postgres),
            registry: registry_url(self.registry),
            otlp: jaeger(self.otlp),
            jaeger: jaeger(self.jaeger),
        }
    }

    /// How to ask the server of this name whether it serves.
    pub(super) fn probe(&self, name: &str) -> Probe {
        match name {
            "kafka" => Probe::Kafka { port: self.kafka },
            "postgres" => Probe::Postgres { port: self.postgres, user: postgres::USER.to_owned() },
            "jaeger" => Probe::Jaeger { query: self.jaeger, otlp: self.otlp },
            _ => Probe::Http { port: self.registry, path: format!("{API}/subjects") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{KAFKA_VERSION, REGISTRY_VERSION};
    use crate::native::kafka;

    fn file(profile: Profile) -> ComposeFile {
        ComposeFile::read(&Ports::free().unwrap(), profile).unwrap()
    }

    #[test]
    fn every_published_port_is_on_the_loopback_interface_and_every_variable_is_used() {
        let ports = Ports::free().unwrap();
        assert!(variables(&ports, Profile::Bench).iter().all(|(name, _)| TEXT.contains(&format!("${{{name}:-"))));
        let file = file(Profile::Small);
        let published: Vec<&String> = file.services.values().flat_map(|service| &service.ports).collect();
        assert_eq!(published.len(), 5);
        assert!(published.iter().all(|port| port.starts_with("127.0.0.1:")), "{published:?}");
    }

    #[test]
    fn images_have_exact_versions_and_kafka_postgres_and_registry_the_native_ones() {
        let image = |name: &str| {
            let at = TEXT.split(&format!("{name}:-")).nth(1).unwrap();
            at.split('}').next().unwrap().to_owned()
        };
        assert_eq!(image("MALLBOTS_IMAGE_KAFKA"), format!("apache/kafka:{KAFKA_VERSION}"));
        assert_eq!(image("MALLBOTS_IMAGE_REGISTRY"), format!("apicurio/apicurio-registry:{REGISTRY_VERSION}"));
        let native = crate::fetch::POSTGRES_VERSION;
        assert_eq!(image("MALLBOTS_IMAGE_POSTGRES"), format!("postgres:{}", native.trim_end_matches(".0")));
        assert_eq!(image("MALLBOTS_IMAGE_JAEGER").split('.').count(), 3);
    }

    #[test]
    fn variables_win_over_defaults_and_empty_ones_do_not() {
        let value = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "B" => Some(String::new()),
            _ => None,
        };
        assert_eq!(substitute("x ${A:-1} ${B:-2} ${C:--3 4} y", value), "x a 2 -3 4 y");
    }

    /// One broker must behave like the other, or a test passes on one machine and fails on the next.
    #[test]
    fn the_broker_in_its_container_has_every_setting_of_the_native_one() {
        let here =
            ["listeners", "advertised.listeners", "listener.security.protocol.map", "inter.broker.listener.name"];
        let there = ["controller.quorum.voters", "log.dirs"];
        let environment = &file(Profile::Small).services["kafka"].environment;
        for line in kafka::alone(1, 2, std::path::Path::new("/d")).lines() {
            let (name, value) = line.split_once('=').unwrap();
            let variable = format!("KAFKA_{}", name.to_uppercase().replace('.', "_"));
            let set = environment.get(&variable);
            assert!(set.is_some(), "{variable} is not set");
            if ![&here[..], &there].concat().contains(&name) {
                assert_eq!(set.unwrap(), value, "{variable}");
            }
        }
    }

    #[test]
    fn the_bench_profile_leaves_the_brokers_second_compiler_on_and_gives_it_more_memory() {
        let environment = |profile| file(profile).services["kafka"].environment.clone();
        let (small, bench) = (environment(Profile::Small), environment(Profile::Bench));
        assert!(small["KAFKA_JVM_PERFORMANCE_OPTS"].contains("TieredStopAtLevel=1"));
        assert!(!bench["KAFKA_JVM_PERFORMANCE_OPTS"].contains("Tiered") && bench["KAFKA_HEAP_OPTS"].contains("-Xmx1g"));
    }

    #[test]
    fn without_jaeger_there_are_no_addresses_of_it() {
        let ports = Ports::free().unwrap();
        assert!(ports.addresses(true).jaeger.is_some() && ports.addresses(true).otlp.is_some());
        assert!(ports.addresses(false).jaeger.is_none() && ports.addresses(false).otlp.is_none());
    }
}
