//! What the Kafka client refuses before it is on its way.

use transport::{
    kafka::{KafkaConfig, KafkaLog},
    ports::{Log, NewRecord},
};

const TOPIC: &str = "refused.events";

fn record(bytes: usize) -> NewRecord {
    let (topic, key) = (TOPIC.into(), "a".into());
    NewRecord { topic, key, headers: message::Headers::new(), value: Some(vec![7; bytes]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_record_that_the_client_refuses_nothing_of_its_append_comes_to_the_partition() {
    let prefix = testkit::prefix();
    testkit::create_topics(&prefix, &[(TOPIC, 1)]).await;
    let config = KafkaConfig { topic_prefix: prefix.clone(), ..KafkaConfig::new(&testkit::servers().kafka) };
    let log = KafkaLog::new(config).unwrap();
    let results = log.append(vec![record(1), record(4 * 1024 * 1024), record(1)]).await;
    let acknowledged: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(acknowledged, [true, false, false], "{results:?}");
    assert_eq!(log.end_offsets(TOPIC).await.unwrap(), [1], "a gap");
}
