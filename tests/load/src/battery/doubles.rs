//! What a network and relays that crash do to topics, at will: records appear again, at once or long after, behind records that
//! came later.

use super::tally::Fault;
use crate::plan::Draw;
use anyhow::Result;
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{Consumer as _, StreamConsumer},
    message::OwnedMessage,
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};
use schemas::topics;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// One record in so many is repeated.
const ONE_IN: u64 = 25;
/// The latest that a late repetition comes: after most deadlines.
const LATEST: u64 = 20_000;
/// Repetitions of one record.
const MOST: u64 = 3;
const TICK: Duration = Duration::from_millis(100);
/// Records held back at a time.
const HELD: usize = 20_000;

/// Repeats records of the platform with this environment until `stop` resolves; answers how many times at once and late.
/// The catalogue is left alone: the last record of a key is its newest there, which is promised (docs/correctness.md).
pub async fn run(
    env: &BTreeMap<String, String>,
    seed: u64,
    stop: impl Future<Output = ()>,
) -> Result<Vec<(Fault, u64)>> {
    let kafka = crate::platform::address("MALLBOTS_KAFKA")?;
    let prefix = env.get("MALLBOTS_TOPIC_PREFIX").cloned().unwrap_or_default();
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &kafka).set_log_level(rdkafka::config::RDKafkaLogLevel::Critical);
    let producer: FutureProducer = client.clone().set("message.timeout.ms", "60000").create()?;
    let consumer: StreamConsumer = client
        .set("group.id", format!("{prefix}doubles"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    let names: Vec<String> =
        topics::ALL.iter().filter(|t| **t != topics::STORES_CATALOGUE).map(|t| format!("{prefix}{t}")).collect();
    consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let mut doubler = Doubler { producer, draw: Draw(seed), held: BTreeMap::new(), sent: Vec::new() };
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            // A broker may be away: the client goes on by itself.
            message = consumer.recv() => if let Ok(message) = message {
                doubler.meet(message.detach());
            },
            () = tokio::time::sleep(TICK) => {}
        }
        doubler.send_due(Instant::now());
    }
    Ok(doubler.count().await)
}

struct Doubler {
    producer: FutureProducer,
    draw: Draw,
    held: BTreeMap<(Instant, u64), OwnedMessage>,
    sent: Vec<(Fault, DeliveryFuture)>,
}

impl Doubler {
    fn meet(&mut self, message: OwnedMessage) {
        if self.draw.below(ONE_IN) > 0 || self.held.len() > HELD {
            return;
        }
        for _ in 0..1 + self.draw.below(MOST) {
            if self.draw.below(2) == 0 {
                self.send(Fault::Double, &message);
            } else {
                let due = Instant::now() + Duration::from_millis(self.draw.below(LATEST));
                let key = (due, self.draw.next());
                self.held.insert(key, message.clone());
            }
        }
    }

    fn send_due(&mut self, now: Instant) {
        let later = self.held.split_off(&(now, 0));
        for message in std::mem::replace(&mut self.held, later).into_values() {
            self.send(Fault::LateDouble, &message);
        }
    }

    fn send(&mut self, fault: Fault, message: &OwnedMessage) {
        let mut record = FutureRecord::<[u8], [u8]>::to(message.topic()).partition(message.partition());
        if let Some(key) = message.key() {
            record = record.key(key);
        }
        if let Some(value) = message.payload() {
            record = record.payload(value);
        }
        if let Some(headers) = message.headers() {
            record = record.headers(headers.clone());
        }
        // A full queue means that brokers are away: there will be other records.
        if let Ok(delivery) = self.producer.send_result(record) {
            self.sent.push((fault, delivery));
        }
    }

    /// How many of each arrived.
    async fn count(self) -> Vec<(Fault, u64)> {
        let mut arrived = BTreeMap::from([(Fault::Double, 0), (Fault::LateDouble, 0)]);
        for (fault, delivery) in self.sent {
            if matches!(delivery.await, Ok(Ok(_))) {
                *arrived.entry(fault).or_default() += 1;
            }
        }
        arrived.into_iter().collect()
    }
}
