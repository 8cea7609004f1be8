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
    ports::{Log, LogConsumer, Polled, Record},
    registry::Registry,
};
use uuid::Uuid;

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
    // Each process needs every event, so each is a group of its own.
    let consumer = log.subscribe(&format!("kiosk-gateway-{}", Uuid::now_v7()), Follower::topics())?;
    let follower = Follower::new(live, codec.clone());
    loop {
        match consumer.poll().await {
            Ok(Polled::Record(record)) => take(&follower, &codec, &registry, &record).await,
            Ok(Polled::Revoked(_) | Polled::Assigned(_)) => {}
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

async fn codec(registry: &Registry) -> Codec {
    let mut told = false;
    loop {
        match registry.codec().await {
            Ok(codec) => return codec,
            Err(error) if !told => {
                tracing::warn!(role = "kiosk-gateway", %error, "live views wait for the schema registry");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}
