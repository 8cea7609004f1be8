//! All four servers as processes of this machine, started side by side on free loopback ports, each in its own folder below one
//! run folder. The registry waits for Postgres, where its data lives; nothing else waits.

pub(crate) mod archives;
mod jaeger;
pub(crate) mod kafka;
pub(crate) mod postgres;
pub(crate) mod registry;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::cache::Cache;
use crate::control::Control;
use crate::fetch::{self, Files};
use crate::guard::Guard;
use crate::say::{say, seconds};
use crate::server::{Running, Server};
use crate::{Addresses, Error, Options, ports};

use archives::Archives;

/// Fetches what is missing and starts everything.
pub(crate) async fn start(options: &Options) -> Result<Running, Error> {
    let cache = Cache::from_env()?;
    let logs = cache.new_log_folder()?;
    let files = fetch::all(&cache, options.jaeger, &logs).await?;
    let archives = archives::ensure(&cache, &files, &logs).await?;
    say(format!("starting Kafka, Postgres, registry{}; logs in {}", with_jaeger(&files), logs.display()));
    let started = Instant::now();
    let running = bring_up(&files, options, &archives, &logs).await?;
    say(format!("all up in {}", seconds(started)));
    Ok(running)
}

/// Only fetches, builds and prepares.
pub(crate) async fn fetch(jaeger: crate::Jaeger) -> Result<(), Error> {
    let cache = Cache::from_env()?;
    let logs = cache.new_log_folder()?;
    let files = fetch::all(&cache, jaeger, &logs).await?;
    archives::ensure(&cache, &files, &logs).await?;
    Ok(())
}

/// Starts the servers from `files`, data in a fresh run folder.
async fn bring_up(files: &Files, options: &Options, archives: &Archives, logs: &Path) -> Result<Running, Error> {
    let profile = options.profile;
    let guard = Guard::new(&logs.join("cleanup.log"))?;
    let run = guard.folder();
    let [postgres_port, registry_port, query, query_grpc, otlp] = ports::free()?;
    let nodes = kafka::Node::all(&ports::free_ports(if options.three_brokers { 6 } else { 2 })?);
    let kafka = kafka::servers(files, profile, archives, run, logs, &nodes)?;
    let postgres = postgres::server(files, profile, run, logs, postgres_port).await?;
    let registry = registry::server(files, archives, run, logs, registry_port, postgres_port);
    let jaeger = match &files.jaeger {
        Some(program) => Some(jaeger::server(program, run, logs, [query, query_grpc, otlp])?),
        None => None,
    };
    let addresses = Addresses {
        kafka: kafka::bootstrap(&nodes),
        postgres: postgres::url(postgres_port),
        registry: registry::url(registry_port),
        otlp: jaeger.as_ref().map(|_| format!("http://127.0.0.1:{otlp}")),
        jaeger: jaeger.as_ref().map(|_| format!("http://127.0.0.1:{query}")),
    };
    let servers = kafka.iter().chain([&postgres, &registry]).chain(&jaeger).cloned().collect();
    let control = Control::write(run, addresses.clone(), servers)?;
    tokio::try_join!(
        futures::future::try_join_all(kafka.iter().map(Server::up)),
        async {
            postgres.up().await?;
            registry.up().await
        },
        async {
            match &jaeger {
                Some(jaeger) => jaeger.up().await,
                None => Ok(()),
            }
        }
    )?;
    Ok(Running { addresses, guard, control })
}

fn with_jaeger(files: &Files) -> &'static str {
    if files.jaeger.is_some() { ", Jaeger" } else { "" }
}

/// The version of `java` on the PATH, such as `17.0.15`.
pub(crate) fn java_version() -> Option<String> {
    let output = Command::new("java").arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().find(|line| line.contains(" version "))?.split('"').nth(1).map(str::to_owned)
}
