//! The log in memory: partitioned topics and consumer groups, without a broker.

use super::{group::Group, lock};
use crate::{
    error::Error,
    murmur2,
    ports::{Log, LogConsumer, NewRecord, Polled, Record, Wants},
};
use message::headers::CE_TYPE;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// Topics come into being when they are first named. Clones share everything.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

struct Shared {
    partitions: i32,
    state: Mutex<State>,
    /// Notified on every record and every change of a group.
    changed: Notify,
}

/// What the next append meets.
enum Fault {
    /// Only so many records are acknowledged; the others may be in the log all the same.
    After { acknowledged: usize, took_effect: bool },
    /// The record at this place is lost, and with it what follows it in its partition: a log leaves no gap.
    Partition { at: usize },
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, Vec<Vec<Record>>>,
    groups: BTreeMap<String, Group>,
    fault: Option<Fault>,
    last_member: u64,
}

impl MemoryLog {
    /// A log whose topics have `partitions` partitions each, at least 1.
    pub fn new(partitions: i32) -> Self {
        let shared = Shared { partitions: partitions.max(1), state: Mutex::default(), changed: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Everything in the topic, by partition and offset.
    pub fn records(&self, topic: &str) -> Vec<Record> {
        lock(&self.shared.state).topics.get(topic).into_iter().flatten().flatten().cloned().collect()
    }

    /// What has come to the topic since `read`, how far each partition was read before; notes how far it was read now.
    pub fn records_since(&self, topic: &str, read: &mut Vec<usize>) -> Vec<Record> {
        let state = lock(&self.shared.state);
        let partitions = state.topics.get(topic).map_or(&[][..], Vec::as_slice);
        read.resize(partitions.len(), 0);
        let mut new = Vec::new();
        for (partition, read) in partitions.iter().zip(read) {
            new.extend_from_slice(&partition[*read..]);
            *read = partition.len();
        }
        new
    }

    /// The next append is acknowledged for its first `acknowledged` records only; the others are lost, or in the log all
    /// the same when `took_effect`.
    pub fn fail_next_append(&self, acknowledged: usize, took_effect: bool) {
        lock(&self.shared.state).fault = Some(Fault::After { acknowledged, took_effect });
    }

    /// The next append loses its record number `at`, from 0, and those after it in the same partition; others succeed.
    pub fn lose_in_next_append(&self, at: usize) {
        lock(&self.shared.state).fault = Some(Fault::Partition { at });
    }

    fn append_one(&self, state: &mut State, record: NewRecord) {
        let partition = self.partition_of(&record.key);
        let log = &mut self.topic(state, &record.topic)[partition as usize];
        log.push(Record {
            partition,
            offset: log.len() as i64,
            key: Some(record.key.into_bytes()),
            headers: record.headers,
            value: record.value,
            topic: record.topic,
        });
    }

    fn partition_of(&self, key: &str) -> i32 {
        murmur2::partition(key.as_bytes(), self.shared.partitions)
    }

    fn topic<'a>(&self, state: &'a mut State, topic: &str) -> &'a mut Vec<Vec<Record>> {
        state.topics.entry(topic.to_owned()).or_insert_with(|| vec![Vec::new(); self.shared.partitions as usize])
    }
}

impl Log for MemoryLog {
    type Consumer = MemoryConsumer;

    async fn append(&self, records: Vec<NewRecord>) -> Vec<Result<(), Error>> {
        let mut state = lock(&self.shared.state);
        let fault = state.fault.take().unwrap_or(Fault::After { acknowledged: usize::MAX, took_effect: true });
        let place = |record: &NewRecord| (record.topic.clone(), self.partition_of(&record.key));
        let lost = if let Fault::Partition { at } = fault { records.get(at).map(place) } else { None };
        let mut results = Vec::with_capacity(records.len());
        for (at, record) in records.into_iter().enumerate() {
            let (fails, took_effect) = match fault {
                Fault::After { acknowledged, took_effect } => (at >= acknowledged, took_effect),
                Fault::Partition { at: first } => (at >= first && lost == Some(place(&record)), false),
            };
            if !fails || took_effect {
                self.append_one(&mut state, record);
            }
            results.push(if fails { Err(Error::retry("append", "it was made to fail")) } else { Ok(()) });
        }
        drop(state);
        self.shared.changed.notify_waiters();
        results
    }

    fn subscribe(&self, group: &str, topics: &[&str]) -> Result<MemoryConsumer, Error> {
        let mut state = lock(&self.shared.state);
        state.last_member += 1;
        let member = state.last_member;
        for topic in topics {
            self.topic(&mut state, topic);
        }
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        state.groups.entry(group.to_owned()).or_default().join(member, topics, self.shared.partitions);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(MemoryConsumer { log: self.clone(), group: group.to_owned(), member })
    }

    async fn end_offsets(&self, topic: &str) -> Result<Vec<i64>, Error> {
        let mut state = lock(&self.shared.state);
        Ok(self.topic(&mut state, topic).iter().map(|partition| partition.len() as i64).collect())
    }

    async fn group_offsets(&self, group: &str, places: &[(&str, i32)]) -> Result<HashMap<(String, i32), i64>, Error> {
        let state = lock(&self.shared.state);
        let offset = |place: &(String, i32)| state.groups.get(group).map_or(0, |group| group.offset(place));
        Ok(places.iter().map(|(topic, at)| ((*topic).to_owned(), *at)).map(|p| (p.clone(), offset(&p))).collect())
    }

    async fn partition(&self, _topic: &str, key: &str) -> Result<i32, Error> {
        Ok(self.partition_of(key))
    }
}

/// One member of a group; it leaves when it is dropped, whatever it has not stored is read again by the others.
pub struct MemoryConsumer {
    log: MemoryLog,
    group: String,
    member: u64,
}

impl MemoryConsumer {
    fn group<T>(&self, use_it: impl FnOnce(&mut Group, &BTreeMap<String, Vec<Vec<Record>>>) -> T) -> T {
        let mut state = lock(&self.log.shared.state);
        let State { topics, groups, .. } = &mut *state;
        use_it(groups.entry(self.group.clone()).or_default(), topics)
    }
}

impl LogConsumer for MemoryConsumer {
    async fn poll_for(&self, wants: Wants<'_>) -> Result<Polled, Error> {
        loop {
            // Listening starts before the look, so that no change in between is missed.
            let changed = self.log.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(polled) = self.group(|group, topics| group.poll(self.member, topics)) {
                return Ok(pass_over(polled, wants));
            }
            changed.await;
        }
    }

    fn store_offset(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        self.group(|group, _| group.store(self.member, topic, partition, offset))
    }

    fn pause(&self, paused: bool) -> Result<(), Error> {
        self.group(|group, _| group.pause(self.member, paused));
        self.log.shared.changed.notify_waiters();
        Ok(())
    }

    async fn committed(&self) -> Result<HashMap<(String, i32), i64>, Error> {
        Ok(self.group(|group, _| group.committed(self.member)))
    }
}

fn pass_over(polled: Polled, wants: Wants<'_>) -> Polled {
    let Polled::Record(record) = polled else { return polled };
    let name = record.headers.get(CE_TYPE).and_then(|name| std::str::from_utf8(name).ok());
    if name.is_none_or(|name| name.is_empty() || wants(&record.topic, name)) {
        return Polled::Record(record);
    }
    Polled::Passed(record.topic, record.partition, record.offset)
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let partitions = self.log.shared.partitions;
        self.group(|group, _| group.leave(self.member, partitions));
        self.log.shared.changed.notify_waiters();
    }
}
