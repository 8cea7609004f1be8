//! Retention deletes records that nobody has read: what the log says of a partition then.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use transport::{
    kafka::{KafkaConfig, KafkaLog},
    ports::{Log, NewRecord},
};

const TOPIC: &str = "retention.events";

fn record(key: &str) -> NewRecord {
    NewRecord { topic: TOPIC.into(), key: key.into(), headers: message::Headers::new(), value: Some(b"x".to_vec()) }
}

/// Deletes what lies before `offset` in partition 0, as retention does.
async fn delete_before(prefix: &str, offset: i64) {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &testkit::servers().kafka);
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let mut places = TopicPartitionList::new();
    places.add_partition_offset(&format!("{prefix}{TOPIC}"), 0, Offset::Offset(offset)).unwrap();
    admin.delete_records(&places, &AdminOptions::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_whose_records_are_all_gone_has_nothing_to_be_read_up_to() {
    let prefix = testkit::prefix();
    testkit::create_topics(&prefix, &[(TOPIC, 1)]).await;
    let config = KafkaConfig { topic_prefix: prefix.clone(), ..KafkaConfig::new(&testkit::servers().kafka) };
    let log = KafkaLog::new(config).unwrap();
    for result in log.append(vec![record("a"), record("b"), record("c")]).await {
        result.unwrap();
    }
    assert_eq!(log.end_offsets(TOPIC).await.unwrap(), [3]);

    delete_before(&prefix, 2).await;
    assert_eq!(log.end_offsets(TOPIC).await.unwrap(), [3], "one is left");
    delete_before(&prefix, 3).await;
    assert_eq!(log.end_offsets(TOPIC).await.unwrap(), [0], "none is left");

    log.append(vec![record("d")]).await.remove(0).unwrap();
    assert_eq!(log.end_offsets(TOPIC).await.unwrap(), [4]);
}
