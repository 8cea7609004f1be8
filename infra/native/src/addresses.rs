//! Where the four servers answer, and how that travels: through environment variables, which every program and test of this
//! repository reads. Nobody else invents a port.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Kafka bootstrap list, `host:port[,host:port…]`.
pub const KAFKA: &str = "MALLBOTS_KAFKA";
/// Postgres superuser without a database, `postgres://user:password@host:port`.
pub const POSTGRES: &str = "MALLBOTS_POSTGRES";
/// Base URL of the Confluent-compatible schema registry API.
pub const REGISTRY: &str = "MALLBOTS_REGISTRY";
/// OTLP gRPC endpoint URL.
pub const OTLP: &str = "MALLBOTS_OTLP";
/// Base URL of Jaeger's query API.
pub const JAEGER: &str = "MALLBOTS_JAEGER";

/// Where the servers answer. `otlp` and `jaeger` are both there or, when Jaeger is absent, normally both missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    pub kafka: String,
    pub postgres: String,
    pub registry: String,
    pub otlp: Option<String>,
    pub jaeger: Option<String>,
}

impl Addresses {
    /// The addresses given by the environment; `None` when none of the variables is set.
    ///
    /// Fails when some but not all of Kafka, Postgres and registry are given, or one is malformed: a half-given set is a mistake
    /// to be told, not to be filled up with servers of our own.
    pub fn from_env() -> Result<Option<Addresses>, Error> {
        Addresses::from_vars(|name| std::env::var(name).ok())
    }

    /// As [`Addresses::from_env`], with the variables looked up by `lookup`. Empty values count as unset.
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Addresses>, Error> {
        let get = |name| lookup(name).map(|v| v.trim().trim_end_matches('/').to_owned()).filter(|v| !v.is_empty());
        if [KAFKA, POSTGRES, REGISTRY, OTLP, JAEGER].into_iter().all(|name| get(name).is_none()) {
            return Ok(None);
        }
        let need =
            |name| get(name).ok_or_else(|| problem(name, "is not set, but others of the MALLBOTS_ addresses are"));
        let (kafka, postgres, registry) = (need(KAFKA)?, need(POSTGRES)?, need(REGISTRY)?);
        check_kafka(&kafka)?;
        check_postgres(&postgres)?;
        check_http(REGISTRY, &registry)?;
        let (otlp, jaeger) = (get(OTLP), get(JAEGER));
        otlp.iter().try_for_each(|url| check_http(OTLP, url))?;
        jaeger.iter().try_for_each(|url| check_http(JAEGER, url))?;
        Ok(Some(Addresses { kafka, postgres, registry, otlp, jaeger }))
    }

    /// The environment variables that carry these addresses to another program.
    pub fn env_vars(&self) -> Vec<(&'static str, String)> {
        let mut vars =
            vec![(KAFKA, self.kafka.clone()), (POSTGRES, self.postgres.clone()), (REGISTRY, self.registry.clone())];
        vars.extend(self.otlp.iter().map(|url| (OTLP, url.clone())));
        vars.extend(self.jaeger.iter().map(|url| (JAEGER, url.clone())));
        vars
    }

    /// Each address with its variable's name and the `host:port` pairs of which one must answer.
    pub(crate) fn endpoints(&self) -> Vec<(&'static str, Vec<String>)> {
        self.env_vars().into_iter().map(|(name, value)| (name, host_ports(&value))).collect()
    }
}

/// Lines `export NAME='value'` for a POSIX shell, one per variable.
pub fn exports<'a>(vars: impl IntoIterator<Item = (&'a str, String)>) -> String {
    vars.into_iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''"));
        text
    })
}

/// `host:port` pairs of a bootstrap list or of one URL.
fn host_ports(address: &str) -> Vec<String> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.split(',').map(|pair| pair.trim().to_owned()).collect();
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => 5432,
    };
    vec![if has_port(host) { host.to_owned() } else { format!("{host}:{port}") }]
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

fn problem(variable: &'static str, problem: impl Into<String>) -> Error {
    Error::Address { variable, problem: problem.into() }
}

fn check_kafka(list: &str) -> Result<(), Error> {
    match list.split(',').all(|pair| has_port(pair.trim())) {
        true => Ok(()),
        false => Err(problem(KAFKA, format!("'{list}' is not host:port[,host:port]"))),
    }
}

fn check_postgres(url: &str) -> Result<(), Error> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    match rest {
        Some(rest) if rest.contains('/') || rest.contains('?') => {
            Err(problem(POSTGRES, "names a database or options; each service adds its own database"))
        }
        Some(rest) if rest.contains('@') => Ok(()),
        // The value may hold a password, so it is not repeated.
        _ => Err(problem(POSTGRES, "is not postgres://user:password@host:port")),
    }
}

fn check_http(variable: &'static str, url: &str) -> Result<(), Error> {
    match url.starts_with("http://") || url.starts_with("https://") {
        true => Ok(()),
        false => Err(problem(variable, format!("'{url}' is not an http:// or https:// URL"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Result<Option<Addresses>, Error> {
        Addresses::from_vars(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
    }

    const GIVEN: [(&str, &str); 3] =
        [(KAFKA, "a:9092,b:9092"), (POSTGRES, "postgres://u:p@db:5432/"), (REGISTRY, "http://r/apis/ccompat/v7")];

    #[test]
    fn nothing_set_means_none_given() {
        assert_eq!(from(&[]).unwrap(), None);
        assert_eq!(from(&[(KAFKA, " "), (POSTGRES, "")]).unwrap(), None);
    }

    #[test]
    fn a_partial_set_is_refused_and_names_the_missing_variable() {
        let error = from(&GIVEN[..2]).unwrap_err().to_string();
        assert!(error.starts_with(REGISTRY), "{error}");
    }

    #[test]
    fn what_is_exported_is_read_back_the_same() {
        let mut vars = GIVEN.to_vec();
        vars.extend([(OTLP, "http://j:4317"), (JAEGER, "http://j:16686")]);
        let addresses = from(&vars).unwrap().unwrap();
        let exported = addresses.env_vars();
        let again =
            Addresses::from_vars(|name| exported.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone())).unwrap();
        assert_eq!(again, Some(addresses));
    }

    #[test]
    fn malformed_addresses_are_refused_without_repeating_a_password() {
        for (name, value) in [
            (KAFKA, "nowhere"),
            (POSTGRES, "mysql://u:secret@db"),
            (POSTGRES, "postgres://u:secret@db/app"),
            (REGISTRY, "r:1"),
        ] {
            let vars: Vec<_> = GIVEN.iter().map(|(n, v)| if *n == name { (*n, value) } else { (*n, *v) }).collect();
            let error = from(&vars).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn endpoints_are_hosts_with_ports_also_where_the_url_has_none() {
        let addresses = from(&GIVEN).unwrap().unwrap();
        let pairs: Vec<_> = addresses.endpoints().into_iter().map(|(_, pairs)| pairs).collect();
        assert_eq!(pairs, [vec!["a:9092", "b:9092"], vec!["db:5432"], vec!["r:80"]]);
    }

    #[test]
    fn exports_survive_a_quote_in_a_value() {
        assert_eq!(exports([("A", "it's".to_owned())]), "export A='it'\\''s'\n");
    }
}
