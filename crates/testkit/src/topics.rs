//! Topics of one's own on the shared broker.

use crate::servers::servers;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use std::time::Duration;
use uuid::Uuid;

/// A prefix for topics and groups that nobody else uses: goes into `KafkaConfig::topic_prefix`.
pub fn prefix() -> String {
    format!("t{}.", Uuid::now_v7().simple())
}

/// As in `infra/kafka/topics.yaml`.
const MAX_MESSAGE_BYTES: &str = "307200";

/// Creates topics (name without prefix, partitions) and waits until the broker has them. Panics when it refuses one.
pub async fn create_topics(prefix: &str, topics: &[(&str, i32)]) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &servers().kafka)
        .create()
        .unwrap_or_else(|e| panic!("Kafka admin client: {e}"));
    let names: Vec<String> = topics.iter().map(|(name, _)| format!("{prefix}{name}")).collect();
    let wanted: Vec<NewTopic<'_>> = names
        .iter()
        .zip(topics)
        .map(|(name, (_, partitions))| {
            NewTopic::new(name, *partitions, TopicReplication::Fixed(1)).set("max.message.bytes", MAX_MESSAGE_BYTES)
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    let created = admin.create_topics(&wanted, &options).await.unwrap_or_else(|e| panic!("create topics: {e}"));
    for result in created {
        result.unwrap_or_else(|(topic, why)| panic!("create topic {topic}: {why}"));
    }
}
