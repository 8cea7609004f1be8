//! A producer without manners: sends whatever it is given to the platform's topics, past outbox and relay.

use anyhow::{Context as _, Result};
use message::{Envelope, Headers};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};
use std::collections::BTreeMap;

/// A record to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Stray {
    pub topic: &'static str,
    pub key: String,
    pub headers: Headers,
    pub value: Vec<u8>,
}

impl Stray {
    /// A record with the headers of `envelope` and a body of its own.
    pub fn new(topic: &'static str, key: &str, envelope: &Envelope, value: Vec<u8>) -> Self {
        Self { topic, key: key.to_owned(), headers: envelope.to_headers(), value }
    }
}

/// Where a record is: `topic/partition@offset`, as `mallctl parked list` writes it.
pub type Place = String;

pub struct Sender {
    producer: FutureProducer,
    prefix: String,
}

impl Sender {
    /// `env` is the platform's: its topic prefix. The broker's address is that of the environment.
    pub fn new(env: &BTreeMap<String, String>) -> Result<Self> {
        let kafka = crate::platform::address("MALLBOTS_KAFKA")?;
        let producer = ClientConfig::new()
            .set("bootstrap.servers", kafka)
            // So that the broker is the one to refuse, and refuses nobody for another's size.
            .set("message.max.bytes", "8000000")
            .set("batch.size", "100000")
            .set("partitioner", "murmur2_random")
            .set("delivery.timeout.ms", "30000")
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Critical)
            .create()?;
        Ok(Self { producer, prefix: env.get("MALLBOTS_TOPIC_PREFIX").cloned().unwrap_or_default() })
    }

    /// Sends all and waits: where each came to lie, or why the broker refused it.
    pub async fn send(&self, strays: &[Stray]) -> Result<Vec<Result<Place, RDKafkaErrorCode>>> {
        let sent: Vec<_> = strays.iter().map(|stray| self.enqueue(stray)).collect::<Result<_>>()?;
        let mut places = Vec::with_capacity(sent.len());
        for (delivery, stray) in sent.into_iter().zip(strays) {
            places.push(match delivery.await.context("the producer was closed")? {
                Ok(at) => Ok(format!("{}/{}@{}", stray.topic, at.partition, at.offset)),
                Err((KafkaError::MessageProduction(code), _)) => Err(code),
                Err((error, _)) => return Err(error.into()),
            });
        }
        Ok(places)
    }

    /// Sends one record that must be taken.
    pub async fn send_one(&self, stray: Stray) -> Result<Place> {
        let places = self.send(&[stray]).await?;
        Ok(places.into_iter().next().context("no answer")??)
    }

    fn enqueue(&self, stray: &Stray) -> Result<DeliveryFuture> {
        let headers = stray
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let topic = format!("{}{}", self.prefix, stray.topic);
        let record = FutureRecord::to(&topic).key(&stray.key).headers(headers).payload(&stray.value);
        Ok(self.producer.send_result(record).map_err(|(error, _)| error)?)
    }
}
