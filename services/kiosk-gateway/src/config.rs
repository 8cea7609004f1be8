//! The gateway's settings, read from the environment once at the start.

use service_kit::{
    config::{Vars, kafka_from_env},
    env_required,
    health::Ready,
};
use std::{net::SocketAddr, time::Duration};
use tonic::transport::Uri;
use transport::kafka::KafkaConfig;

/// Everything that can be set. A bad value stops the start with the variable's name.
#[derive(Debug, Clone)]
pub struct Config {
    pub api: ApiConfig,
    pub feed: FeedConfig,
    /// True while every service says that it serves. Not from the environment: a process of several roles keeps a clone.
    pub ready: Ready,
}

/// What the API needs.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where kiosks connect: `MALLBOTS_KIOSK_LISTEN`, 127.0.0.1:8080; port 0 picks a free one.
    pub listen: SocketAddr,
    pub backends: BackendUrls,
    pub limits: Limits,
}

/// What the live view's feed needs.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    /// `MALLBOTS_KAFKA` and its kin, see [`service_kit::ServiceConfig`].
    pub kafka: KafkaConfig,
    /// Base URL of the schema registry: `MALLBOTS_REGISTRY`.
    pub registry: String,
}

/// Where the services' gRPC APIs are.
#[derive(Debug, Clone)]
pub struct BackendUrls {
    /// `MALLBOTS_STORES_URL`, `http://127.0.0.1:7101`.
    pub stores: Uri,
    /// `MALLBOTS_ORDERS_URL`, `http://127.0.0.1:7102`.
    pub orders: Uri,
    /// `MALLBOTS_PAYMENTS_URL`, `http://127.0.0.1:7103`.
    pub payments: Uri,
}

/// What one process takes on at most, so that a crowd makes it refuse and not fall.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the request's head to the answer's: `MALLBOTS_KIOSK_TIMEOUT_MS`, 10000.
    pub timeout: Duration,
    /// Requests under way at once, live views apart: `MALLBOTS_KIOSK_MAX_REQUESTS`, 1024; more get 503.
    /// A quarter is kept for requests about orders, and a quarter at most is for those that begin a basket.
    pub requests: usize,
    /// Live views open at once: `MALLBOTS_KIOSK_MAX_STREAMS`, 4096; more get 503.
    pub streams: usize,
    /// Between two signs of life of a live view: `MALLBOTS_KIOSK_HEARTBEAT_MS`, 15000. Below the 60 s after which
    /// proxies give a silent connection up.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), requests: 1024, streams: 4096, heartbeat: Duration::from_secs(15) }
    }
}

impl Config {
    pub fn from_env() -> anyhow::Result<Self> {
        let registry = env_required("MALLBOTS_REGISTRY", "the schema registry's base URL")?;
        Ok(Self {
            api: ApiConfig::from_lookup(|name| std::env::var(name).ok())?,
            feed: FeedConfig { kafka: kafka_from_env("kiosk-gateway")?, registry },
            ready: Ready::default(),
        })
    }
}

impl ApiConfig {
    /// From any source of variables.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let (vars, standard) = (Vars(lookup), Limits::default());
        Ok(Self {
            listen: vars.get("MALLBOTS_KIOSK_LISTEN", SocketAddr::from(([127, 0, 0, 1], 8080)))?,
            backends: BackendUrls {
                stores: vars.url("MALLBOTS_STORES_URL", "stores")?,
                orders: vars.url("MALLBOTS_ORDERS_URL", "orders")?,
                payments: vars.url("MALLBOTS_PAYMENTS_URL", "payments")?,
            },
            limits: Limits {
                timeout: vars.millis("MALLBOTS_KIOSK_TIMEOUT_MS", standard.timeout)?,
                requests: vars.count("MALLBOTS_KIOSK_MAX_REQUESTS", standard.requests)?,
                streams: vars.count("MALLBOTS_KIOSK_MAX_STREAMS", standard.streams)?,
                heartbeat: vars.millis("MALLBOTS_KIOSK_HEARTBEAT_MS", standard.heartbeat)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &'static [(&str, &str)]) -> anyhow::Result<ApiConfig> {
        ApiConfig::from_lookup(move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn nothing_set_gives_addresses_of_this_machine() {
        let config = read(&[]).unwrap();
        assert!(config.listen.ip().is_loopback());
        assert_eq!(config.backends.orders.to_string(), "http://127.0.0.1:7102/");
    }

    #[test]
    fn a_bad_value_is_reported_with_the_name_of_its_variable() {
        for vars in [
            &[("MALLBOTS_KIOSK_LISTEN", "here")] as &'static [_],
            &[("MALLBOTS_ORDERS_URL", "orders:50051 x")],
            &[("MALLBOTS_STORES_URL", "/relative")],
            &[("MALLBOTS_KIOSK_TIMEOUT_MS", "0")],
            &[("MALLBOTS_KIOSK_MAX_REQUESTS", "-1")],
        ] {
            let error = format!("{:#}", read(vars).unwrap_err());
            assert!(error.contains(vars[0].0), "{error}");
        }
    }

    #[test]
    fn what_is_set_is_used() {
        let config = read(&[("MALLBOTS_ORDERS_URL", "http://orders:1"), ("MALLBOTS_KIOSK_MAX_STREAMS", "7")]).unwrap();
        assert_eq!((config.backends.orders.to_string(), config.limits.streams), ("http://orders:1/".into(), 7));
    }
}
