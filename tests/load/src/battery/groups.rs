//! What an operator does to have a topic read again: a consumer group is set back to the start.

use anyhow::Result;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};
use std::time::{Duration, Instant};

/// A killed consumer's session ends within this time, and its group is empty then.
const GROUP_EMPTY_WITHIN: Duration = Duration::from_secs(25);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Sets a group's offsets to the start of every partition that it has read; answers whether that succeeded. A broker lets
/// a stranger do so once the group is empty.
pub(super) fn forget_offsets(kafka: &str, prefix: &str, context: &str) -> Result<bool> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", format!("{prefix}{context}"))
        .set("enable.auto.commit", "false")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Critical)
        .create()?;
    let started = Instant::now();
    while started.elapsed() < GROUP_EMPTY_WITHIN {
        if let Ok(done) = try_to_forget(&consumer, prefix)
            && done
        {
            return Ok(true);
        }
        // Until a broker that is away is back, or the sessions of the dead have ended.
        let _ = consumer.poll(Duration::from_millis(500));
    }
    Ok(false)
}

fn try_to_forget(consumer: &BaseConsumer, prefix: &str) -> Result<bool> {
    let metadata = consumer.fetch_metadata(None, REQUEST_TIMEOUT)?;
    let mut asked = TopicPartitionList::new();
    for topic in metadata.topics().iter().filter(|topic| topic.name().starts_with(prefix)) {
        for partition in topic.partitions() {
            asked.add_partition(topic.name(), partition.id());
        }
    }
    let committed = consumer.committed_offsets(asked, REQUEST_TIMEOUT)?;
    let mut start = TopicPartitionList::new();
    for read in committed.elements().iter().filter(|e| matches!(e.offset(), Offset::Offset(_))) {
        start.add_partition_offset(read.topic(), read.partition(), Offset::Offset(0))?;
    }
    if start.count() == 0 {
        return Ok(false);
    }
    consumer.commit(&start, CommitMode::Sync)?;
    Ok(true)
}
