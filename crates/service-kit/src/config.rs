//! Configuration from the environment: a bad value stops the role at its start, with the variable's name.

use crate::health::Ready;
use anyhow::{Context as _, anyhow};
use std::{net::SocketAddr, str::FromStr, time::Duration};
use tonic::transport::Uri;
use transport::{ShellConfig, kafka::KafkaConfig, postgres::PgConfig, relay::RelayConfig};

/// The value of variable `name`, or `default`.
pub fn env_or(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The value of variable `name`; the error says what it is for.
pub fn env_required(name: &str, what: &str) -> anyhow::Result<String> {
    std::env::var(name).map_err(|_| anyhow!("{name} is not set: it holds {what}"))
}

/// The value of variable `name` parsed, or `default` when it is not set.
pub fn env_parse<T: FromStr<Err: std::fmt::Display>>(name: &str, default: T) -> anyhow::Result<T> {
    match std::env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => text.parse().map_err(|e: T::Err| anyhow!("{name}={text} is not valid: {e}")),
    }
}

/// Settings from any source of variables, mostly the environment; an error names the variable.
pub struct Vars<F>(pub F);

impl<F: Fn(&str) -> Option<String>> Vars<F> {
    pub fn get<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &self,
        name: &str,
        default: T,
    ) -> anyhow::Result<T> {
        let Some(text) = (self.0)(name) else { return Ok(default) };
        text.parse().with_context(|| format!("{name}: `{text}` is not valid"))
    }

    /// An address to listen on; `None` when the variable is empty.
    pub fn address(&self, name: &str, default: SocketAddr) -> anyhow::Result<Option<SocketAddr>> {
        match (self.0)(name) {
            None => Ok(Some(default)),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => text.parse().map(Some).with_context(|| format!("{name}: `{text}` is not valid")),
        }
    }

    /// Where the gRPC API of `service` is.
    pub fn url(&self, name: &str, service: &str) -> anyhow::Result<Uri> {
        let default = format!("http://127.0.0.1:{}", default_port(service));
        let uri: Uri = self.get(name, default.parse().context("the address of a service")?)?;
        let complete = uri.scheme().is_some() && uri.authority().is_some();
        anyhow::ensure!(complete, "{name}: `{uri}` is not a complete address such as {default}");
        Ok(uri)
    }

    pub fn millis(&self, name: &str, default: Duration) -> anyhow::Result<Duration> {
        let millis: u64 = self.get(name, default.as_millis() as u64)?;
        anyhow::ensure!((1..=600_000).contains(&millis), "{name}: give milliseconds from 1 to 600000");
        Ok(Duration::from_millis(millis))
    }

    pub fn count(&self, name: &str, default: usize) -> anyhow::Result<usize> {
        let count = self.get(name, default)?;
        anyhow::ensure!((1..=1_000_000).contains(&count), "{name}: give a number from 1 to 1000000");
        Ok(count)
    }
}

/// What a role that owns a context is started with.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// `MALLBOTS_KAFKA`: bootstrap servers. `MALLBOTS_TOPIC_PREFIX`: before every topic and group (tests).
    pub kafka: KafkaConfig,
    /// `MALLBOTS_POSTGRES`: server URL without a database; the context's database is `<MALLBOTS_DATABASE_PREFIX, default
    /// mallbots>_<context>`. `MALLBOTS_<CONTEXT>_DATABASE_URL` overrides both.
    pub postgres: PgConfig,
    /// `MALLBOTS_REGISTRY`: base URL of the Confluent-compatible schema registry.
    pub registry: String,
    /// `MALLBOTS_<CONTEXT>_LISTEN`: address of the gRPC API.
    pub listen: SocketAddr,
    /// `MALLBOTS_<CONTEXT>_HTTP`: address of metrics and health; none when empty.
    pub http: Option<SocketAddr>,
    pub shell: ShellConfig,
    pub relay: RelayConfig,
    /// True while the role serves. Not from the environment: who runs several roles keeps a clone of each.
    pub ready: Ready,
}

/// gRPC ports when nothing is said, by context.
const PORTS: &[(&str, u16)] = &[
    ("stores", 7101),
    ("orders", 7102),
    ("payments", 7103),
    ("depot", 7104),
    ("notifications", 7105),
    ("search", 7106),
    ("orchestrator", 7107),
    ("robot-gateway", 7108),
];

/// The gRPC port of `context` when nothing is said; its HTTP port is 50 higher.
pub fn default_port(context: &str) -> u16 {
    PORTS.iter().find(|(name, _)| *name == context).map_or(0, |(_, port)| *port)
}

impl ServiceConfig {
    /// Reads the environment for `context`.
    pub fn from_env(context: &str) -> anyhow::Result<Self> {
        let upper = context.to_uppercase().replace('-', "_");
        let port = default_port(context);
        let listen = env_parse(&format!("MALLBOTS_{upper}_LISTEN"), SocketAddr::from(([127, 0, 0, 1], port)))?;
        let http = env_or(&format!("MALLBOTS_{upper}_HTTP"), &format!("127.0.0.1:{}", port + 50));
        let http = (!http.is_empty()).then(|| http.parse()).transpose();
        Ok(Self {
            kafka: kafka_from_env(context)?,
            postgres: PgConfig {
                max_connections: env_parse("MALLBOTS_DATABASE_CONNECTIONS", 6)?,
                ..PgConfig::new(database_url(context)?)
            },
            registry: env_required("MALLBOTS_REGISTRY", "the schema registry's base URL")?,
            listen,
            http: http.with_context(|| format!("MALLBOTS_{upper}_HTTP"))?,
            shell: ShellConfig {
                max_batch: env_parse("MALLBOTS_MAX_BATCH", ShellConfig::default().max_batch)?,
                reply_topics: reply_topics(),
                outbox_limit: env_parse("MALLBOTS_OUTBOX_LIMIT", ShellConfig::default().outbox_limit)?,
                waiting_limit: env_parse("MALLBOTS_WAITING_LIMIT", ShellConfig::default().waiting_limit)?,
                ..ShellConfig::default()
            },
            relay: RelayConfig::default(),
            ready: Ready::default(),
        })
    }
}

/// Where commands may ask to be answered: the orchestrator's topic, and those of other orchestrators that are named.
fn reply_topics() -> Vec<String> {
    let others = env_or("MALLBOTS_REPLY_TOPICS", "");
    let others = others.split(',').map(str::trim).filter(|topic| !topic.is_empty());
    others.chain([schemas::topics::ORCHESTRATOR_REPLIES]).map(str::to_owned).collect()
}

/// The Kafka client's configuration, also for tools.
pub fn kafka_from_env(client: &str) -> anyhow::Result<KafkaConfig> {
    let mut kafka = KafkaConfig::new(env_required("MALLBOTS_KAFKA", "the Kafka bootstrap servers, host:port")?);
    kafka.topic_prefix = env_or("MALLBOTS_TOPIC_PREFIX", "");
    kafka.client_id = format!("mallbots-{client}");
    let session: u64 = env_parse("MALLBOTS_KAFKA_SESSION_MS", 6_000)?;
    kafka.session_timeout = Duration::from_millis(session);
    let extra = env_or("MALLBOTS_KAFKA_EXTRA", "");
    for pair in extra.split(',').filter(|p| !p.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| anyhow!("MALLBOTS_KAFKA_EXTRA: `{pair}` is not name=value"))?;
        kafka.extra.push((name.to_owned(), value.to_owned()));
    }
    Ok(kafka)
}

/// The database of `context`.
pub fn database_url(context: &str) -> anyhow::Result<String> {
    let upper = context.to_uppercase().replace('-', "_");
    if let Ok(url) = std::env::var(format!("MALLBOTS_{upper}_DATABASE_URL")) {
        return Ok(url);
    }
    let server = env_required("MALLBOTS_POSTGRES", "the PostgreSQL server's URL, postgres://user:password@host:port")?;
    let prefix = env_or("MALLBOTS_DATABASE_PREFIX", "mallbots");
    Ok(format!("{}/{prefix}_{context}", server.trim_end_matches('/')))
}
