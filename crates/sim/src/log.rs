//! The log as one process sees it.

use crate::process::Process;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use transport::{
    Error,
    memory::{MemoryConsumer, MemoryLog},
    ports::{Log, LogConsumer, NewRecord, Polled, Wants},
};

#[derive(Clone)]
pub struct SimLog {
    inner: MemoryLog,
    process: Arc<Process>,
}

impl SimLog {
    pub fn new(inner: MemoryLog, process: Arc<Process>) -> Self {
        Self { inner, process }
    }
}

impl SimLog {
    async fn present(&self) {
        present(&self.process).await;
    }
}

/// Waits while the log is away.
async fn present(process: &Process) {
    while process.world.is_away("log") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Log for SimLog {
    type Consumer = SimConsumer;

    async fn append(&self, records: Vec<NewRecord>) -> Vec<Result<(), Error>> {
        let faults = &self.process.world.faults;
        let reached = self.process.reach("append").await;
        // An append has no timeout: while the log is away it hangs.
        self.present().await;
        let count = records.len() as u64;
        // Taken by this append: nothing is awaited in between.
        if reached.fails(faults.append_fails, "append fails") {
            let acknowledged = reached.choose("acknowledged", count + 1) as usize;
            self.inner.fail_next_append(acknowledged, reached.choose("effect", 2) == 0);
        } else if reached.fails(faults.append_loses, "append loses one") {
            self.inner.lose_in_next_append(reached.choose("lost", count) as usize);
        }
        let results = self.inner.append(records).await;
        reached.travel("back").await;
        results
    }

    fn subscribe(&self, group: &str, topics: &[&str]) -> Result<SimConsumer, Error> {
        let inner = self.inner.subscribe(group, topics)?;
        Ok(SimConsumer { inner, process: self.process.clone(), lingering: Mutex::default() })
    }

    async fn end_offsets(&self, topic: &str) -> Result<Vec<i64>, Error> {
        let reached = self.process.reach("ends").await;
        if self.process.world.is_away("log") {
            return Err(Error::retry("ends", "the log is away"));
        }
        reached.may_fail(self.process.world.faults.ends_fail, "ends fail")?;
        let ends = self.inner.end_offsets(topic).await;
        reached.travel("back").await;
        ends
    }

    async fn group_offsets(&self, group: &str, places: &[(&str, i32)]) -> Result<HashMap<(String, i32), i64>, Error> {
        let reached = self.process.reach("group offsets").await;
        if self.process.world.is_away("log") {
            return Err(Error::retry("group offsets", "the log is away"));
        }
        reached.may_fail(self.process.world.faults.ends_fail, "ends fail")?;
        let offsets = self.inner.group_offsets(group, places).await;
        reached.travel("back").await;
        offsets
    }

    async fn partition(&self, topic: &str, key: &str) -> Result<i32, Error> {
        self.inner.partition(topic, key).await
    }
}

/// Between commits of what was stored, whether or not more comes: as the real client does.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// A member of a group. What it stores is committed a while later, or never, when it dies before.
pub struct SimConsumer {
    inner: MemoryConsumer,
    process: Arc<Process>,
    lingering: Mutex<BTreeMap<(String, i32), i64>>,
}

impl LogConsumer for SimConsumer {
    /// Whoever waits here may turn to something else at any await: nothing may be awaited once a record is taken.
    async fn poll_for(&self, wants: Wants<'_>) -> Result<Polled, Error> {
        let faults = &self.process.world.faults;
        loop {
            let reached = self.process.reach("poll").await;
            present(&self.process).await;
            reached.may_fail(faults.poll_fails, "poll fails")?;
            if !reached.fails(faults.offsets_linger, "offsets linger") {
                let lingering = std::mem::take(&mut *self.lingering.lock().unwrap_or_else(PoisonError::into_inner));
                for ((topic, partition), offset) in lingering {
                    let _ = self.inner.store_offset(&topic, partition, offset);
                }
            }
            if let Ok(polled) = tokio::time::timeout(COMMIT_EVERY, self.inner.poll_for(wants)).await {
                return polled;
            }
        }
    }

    fn store_offset(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        let mut lingering = self.lingering.lock().unwrap_or_else(PoisonError::into_inner);
        lingering.insert((topic.to_owned(), partition), offset);
        Ok(())
    }

    fn pause(&self, paused: bool) -> Result<(), Error> {
        self.inner.pause(paused)
    }

    async fn committed(&self) -> Result<HashMap<(String, i32), i64>, Error> {
        let reached = self.process.reach("committed offsets").await;
        reached.may_fail(self.process.world.faults.poll_fails, "poll fails")?;
        self.inner.committed().await
    }
}
