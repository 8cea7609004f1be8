//! What a caller may choose: how much Jaeger matters, how large Kafka is, and whether one way of getting servers is insisted upon.

use clap::ValueEnum;

use crate::Error;

/// Names the backend where the caller leaves it open.
const BACKEND: &str = "MALLBOTS_BACKEND";

/// How much the caller needs Jaeger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Jaeger {
    /// Built when it is not in the cache; no Jaeger is an error. For tests.
    #[default]
    Required,
    /// Built when it is not in the cache and Go is there; else one line says that there are no traces. For demo and run.
    Optional,
    /// Started only when an earlier run has built it; never waits for a build.
    IfBuilt,
}

/// How much memory the servers get, and which compilers Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Profile {
    /// Kafka with at most 384 MB of heap and the quick compiler only, Postgres with 256 MB: starts fast, for demo and tests.
    #[default]
    Small,
    /// Kafka with 1 GB of heap and both compilers, Postgres with 2 GB, for benchmarks.
    Bench,
}

/// Where the servers may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Backend {
    /// Given addresses, else Docker when an engine answers, else native processes.
    #[default]
    Auto,
    /// Native processes, whatever else is there.
    Native,
    /// `docker compose` with infra/compose.yaml, or an error.
    Compose,
    /// Containers made by the testcontainers crate (cargo feature `testcontainers`), or an error.
    Containers,
}

impl Backend {
    /// What `MALLBOTS_BACKEND` names, so that a test that starts servers for itself obeys it as well as the program does.
    pub(crate) fn from_env() -> Result<Backend, Error> {
        Backend::parse(&std::env::var(BACKEND).unwrap_or_default())
    }

    fn parse(name: &str) -> Result<Backend, Error> {
        if name.is_empty() {
            return Ok(Backend::Auto);
        }
        let names: Vec<String> = Backend::value_variants().iter().filter_map(name_of).collect();
        let problem = || format!("'{name}' is not one of {}", names.join(", "));
        <Backend as ValueEnum>::from_str(name, true)
            .map_err(|_| Error::Address { variable: BACKEND, problem: problem() })
    }
}

fn name_of(backend: &Backend) -> Option<String> {
    Some(backend.to_possible_value()?.get_name().to_owned())
}

/// Everything a caller may choose; `Options::default()` suits tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub jaeger: Jaeger,
    pub profile: Profile,
    pub backend: Backend,
    /// With [`Backend::Auto`] and a Docker engine: testcontainers instead of compose. Needs the cargo feature, else it has no effect.
    pub prefer_testcontainers: bool,
    /// Start servers of our own even where addresses are given; for those who kill servers, or measure them.
    pub own: bool,
    /// A cluster of three brokers, with three copies of each topic of which two must be in step, for those who kill brokers.
    /// Native only.
    pub three_brokers: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_read_by_name_and_a_wrong_name_is_told_with_the_right_ones() {
        assert_eq!(Backend::parse("").unwrap(), Backend::Auto);
        assert_eq!(Backend::parse("native").unwrap(), Backend::Native);
        let error = Backend::parse("podman").unwrap_err().to_string();
        assert_eq!(error, "MALLBOTS_BACKEND: 'podman' is not one of auto, native, compose, containers");
    }
}
