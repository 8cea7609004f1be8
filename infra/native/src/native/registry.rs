//! The Apicurio registry with its Confluent-compatible API, its schemas in a database of our Postgres.

use std::path::Path;

use super::archives::Archives;
use super::postgres;
use crate::fetch::{Files, REGISTRY_VERSION};
use crate::probe::Probe;
use crate::process::Launch;
use crate::server::Server;

/// Where the Confluent-compatible API begins.
pub(crate) const API: &str = "/apis/ccompat/v7";

/// The base URL that is given to clients.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}{API}")
}

/// The server; Postgres must serve before it starts.
pub(super) fn server(files: &Files, archives: &Archives, run: &Path, logs: &Path, port: u16, postgres: u16) -> Server {
    let jar = files.registry.join(format!("app/apicurio-registry-app-{REGISTRY_VERSION}-runner.jar"));
    let launch = Launch::new("registry", "java", run, &logs.join("registry.log"))
        .args(["-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .args(archives.registry.flags())
        .args(settings(port, postgres))
        .args(["-jar".to_owned(), jar.display().to_string()]);
    Server::process(launch, Probe::Http { port, path: format!("{API}/subjects") })
}

fn settings(port: u16, postgres_port: u16) -> Vec<String> {
    let database = postgres::REGISTRY_DATABASE;
    [
        ("quarkus.http.host", "127.0.0.1".to_owned()),
        ("quarkus.http.port", port.to_string()),
        ("apicurio.storage.kind", "sql".to_owned()),
        ("apicurio.storage.sql.kind", "postgresql".to_owned()),
        ("apicurio.datasource.url", format!("jdbc:postgresql://127.0.0.1:{postgres_port}/{database}")),
        ("apicurio.datasource.username", postgres::USER.to_owned()),
        ("apicurio.datasource.password", postgres::PASSWORD.to_owned()),
        // By itself it keeps 20 connections and may take 100, of 200 that all share.
        ("apicurio.datasource.jdbc.initial-size", "2".to_owned()),
        ("apicurio.datasource.jdbc.min-size", "2".to_owned()),
        ("apicurio.datasource.jdbc.max-size", "8".to_owned()),
    ]
    .map(|(name, value)| format!("-D{name}={value}"))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_on_loopback_and_stores_in_its_own_database() {
        let settings = settings(12_001, 12_002);
        assert!(settings.contains(&"-Dquarkus.http.host=127.0.0.1".to_owned()));
        assert!(settings.iter().any(|s| s.ends_with("=jdbc:postgresql://127.0.0.1:12002/registry")));
    }
}
