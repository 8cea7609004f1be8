//! Connects the live view to Kafka and the schema registry, and waits for them as long as it takes.

use crate::{
    config::FeedConfig,
    live::{Follower, Live, Seen},
    metric_names as names,
};
use std::{sync::Arc, time::Duration};
use transport::{
    Error,
    codec::Codec,
    kafka::KafkaLog,
    ports::{LogConsumer, Polled, Record},
    registry::Registry,
};

/// Wait before Kafka or the registry is asked again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Feeds `live` for ever. Ends only when the configuration cannot work; the error has been logged.
pub async fn run(live: Live, config: FeedConfig) {
    if let Err(error) = follow(live, config).await {
        tracing::error!(role = "kiosk-gateway", %error, "live views get no changes");
    }
}

async fn follow(live: Live, config: FeedConfig) -> Result<(), Error> {
    let registry = Registry::new(&config.registry)?;
    let codec = Arc::new(codec(&registry).await);
    let log = KafkaLog::new(config.kafka)?;
    let consumer = tail(&log).await?;
    let follower = Follower::new(live.clone(), codec.clone());
    loop {
        match consumer.poll_for(&|_, _| !live.is_idle()).await {
            Ok(Polled::Record(record)) => take(&follower, &codec, &registry, &record).await,
            Ok(Polled::Passed(..) | Polled::Revoked(_) | Polled::Assigned(_)) => {}
            Err(error) => {
                tracing::warn!(role = "kiosk-gateway", %error, "live views are interrupted");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

async fn take(follower: &Follower, codec: &Codec, registry: &Registry, record: &Record) {
    if let Seen::UnknownSchema(id) = follower.on_record(record) {
        match registry.teach(codec, id).await {
            Ok(()) => drop(follower.on_record(record)),
            Err(_) => metrics::counter!(names::UNREADABLE).increment(1),
        }
    }
}

/// Each process needs every event, so none is in a group. Waits while Kafka is away.
async fn tail(log: &KafkaLog) -> Result<impl LogConsumer, Error> {
    let mut waiting = Waiting("live views wait for Kafka", false);
    loop {
        match log.tail(Follower::topics()).await {
            Err(error @ Error::Retry { .. }) => waiting.on(&error).await,
            found => return found,
        }
    }
}

async fn codec(registry: &Registry) -> Codec {
    let mut waiting = Waiting("live views wait for the schema registry", false);
    loop {
        match registry.codec().await {
            Ok(codec) => return codec,
            Err(error) => waiting.on(&error).await,
        }
    }
}

/// A wait for something outside: what for, and whether it was told.
struct Waiting(&'static str, bool);

impl Waiting {
    /// Waits a while; logs the first time only.
    async fn on(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.1, true) {
            tracing::warn!(role = "kiosk-gateway", %error, "{}", self.0);
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}
