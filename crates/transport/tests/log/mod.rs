//! The two worlds that the log's properties hold in, and what the properties are written with.

pub mod groups;
pub mod records;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};
use transport::{
    kafka::{KafkaConfig, KafkaLog},
    memory::MemoryLog,
    ports::{Log, LogConsumer, NewRecord, Polled, Record},
};

pub const TOPIC: &str = "contract.events";
pub const PARTITIONS: i32 = 4;
/// Longer than any rebalance takes here.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub trait World {
    type Log: Log;

    fn log(&self) -> &Self::Log;
}

pub struct InMemory(MemoryLog);

impl Default for InMemory {
    fn default() -> Self {
        Self(MemoryLog::new(PARTITIONS))
    }
}

impl World for InMemory {
    type Log = MemoryLog;

    fn log(&self) -> &MemoryLog {
        &self.0
    }
}

pub struct OnKafka(KafkaLog);

impl OnKafka {
    pub async fn create() -> Self {
        let config = KafkaConfig { topic_prefix: testkit::prefix(), ..KafkaConfig::new(&testkit::servers().kafka) };
        testkit::create_topics(&config.topic_prefix, &[(TOPIC, PARTITIONS)]).await;
        Self(KafkaLog::new(config).unwrap())
    }
}

impl World for OnKafka {
    type Log = KafkaLog;

    fn log(&self) -> &KafkaLog {
        &self.0
    }
}

pub fn record(key: &str, value: &str) -> NewRecord {
    NewRecord { topic: TOPIC.into(), key: key.into(), headers: message::Headers::new(), value: Some(value.into()) }
}

/// `key` and `n` as text, for n in `range`.
pub fn numbered(key: &str, range: std::ops::RangeInclusive<u32>) -> Vec<NewRecord> {
    range.map(|n| record(key, &format!("{key} {n}"))).collect()
}

/// Keys of which each has a partition of its own, in the order of partitions.
pub async fn a_key_for_each_partition<L: Log>(log: &L) -> Vec<String> {
    let mut keys = BTreeMap::new();
    for n in 0.. {
        let key = format!("key-{n}");
        keys.entry(log.partition(TOPIC, &key).await.unwrap()).or_insert(key);
        if keys.len() == PARTITIONS as usize {
            break;
        }
    }
    keys.into_values().collect()
}

pub async fn append<L: Log>(log: &L, records: Vec<NewRecord>) {
    for result in log.append(records).await {
        result.unwrap();
    }
}

pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}

/// A member with what it has been told and given.
pub struct Reader<K> {
    pub consumer: K,
    pub assigned: BTreeSet<i32>,
    pub revoked: BTreeSet<i32>,
    pub records: Vec<Record>,
}

impl<K: LogConsumer> Reader<K> {
    pub fn new<L: Log<Consumer = K>>(log: &L, group: &str) -> Self {
        let consumer = log.subscribe(group, &[TOPIC]).unwrap();
        Self { consumer, assigned: BTreeSet::new(), revoked: BTreeSet::new(), records: Vec::new() }
    }

    /// Takes what comes next, whatever it is.
    pub async fn poll(&mut self) {
        match self.consumer.poll().await.unwrap() {
            Polled::Record(record) => self.records.push(record),
            Polled::Passed(..) => panic!("everything is wanted"),
            Polled::Assigned(places) => self.assigned.extend(places.iter().map(|(_, partition)| *partition)),
            Polled::Revoked(places) => {
                for (_, partition) in places {
                    self.assigned.remove(&partition);
                    self.revoked.insert(partition);
                }
            }
        }
    }

    /// Polls until `done`.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        in_time(what, async {
            while !done(self) {
                self.poll().await;
            }
        })
        .await;
    }

    /// Polls until `count` records have come altogether.
    pub async fn read(&mut self, count: usize) {
        self.until(&format!("{count} records"), |reader| reader.records.len() >= count).await;
    }

    pub fn values(&self) -> Vec<String> {
        self.records.iter().map(value).collect()
    }

    /// Stores everything that was read, and waits until it is committed.
    pub async fn commit(&mut self) {
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        for record in &self.records {
            ends.insert(record.partition, record.offset + 1);
        }
        for (partition, offset) in &ends {
            self.consumer.store_offset(TOPIC, *partition, *offset).unwrap();
        }
        testkit::eventually(DEADLINE, async || {
            let committed = self.consumer.committed().await.unwrap();
            let is = |(partition, offset): (&i32, &i64)| committed.get(&(TOPIC.into(), *partition)) == Some(offset);
            ends.iter().all(is).then_some(())
        })
        .await;
    }
}

pub fn value(record: &Record) -> String {
    String::from_utf8(record.value.clone().unwrap()).unwrap()
}

pub fn all_partitions() -> BTreeSet<i32> {
    (0..PARTITIONS).collect()
}
