//! The topic file, the constants and the messages name the same topics, with settings that keep the platform's promises.

use schemas::{Kind, all, topics};
use serde_yaml_ng::Value;
use std::{collections::BTreeSet, fs};

fn declared() -> Vec<Value> {
    // Cargo runs tests in their package's folder. Where it was compiled may be another clone, gone since.
    let path = "../infra/kafka/topics.yaml";
    let file: Value = serde_yaml_ng::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    file["topics"].as_sequence().unwrap().clone()
}

fn names<'a>(topics: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    topics.into_iter().map(str::to_owned).collect()
}

#[test]
fn file_constants_and_messages_name_the_same_topics() {
    let file = declared();
    let in_file = names(file.iter().map(|topic| topic["name"].as_str().unwrap()));
    assert_eq!(in_file.len(), file.len(), "a topic is declared twice");
    assert_eq!(in_file, names(topics::ALL.iter().copied()));
    assert_eq!(in_file, names(all().iter().map(|schema| schema.topic)));
}

#[test]
fn what_must_never_be_forgotten_is_compacted_and_the_rest_is_kept_a_week() {
    let compacted = names(all().iter().filter(|s| s.kind == Kind::Catalogue).map(|s| s.topic));
    for topic in declared() {
        let name = topic["name"].as_str().unwrap();
        let (policy, retention) = match compacted.contains(name) {
            true => ("compact", -1),
            false => ("delete", 7 * 24 * 3600 * 1000),
        };
        assert_eq!(topic["cleanup_policy"].as_str(), Some(policy), "{name}");
        assert_eq!(topic["retention_ms"].as_i64(), Some(retention), "{name}");
    }
}

/// A topic's partition count never changes once a record was written: the same key would lie on two partitions and
/// overtake itself. A new topic may have another count.
const PARTITIONS: u64 = 2;

#[test]
fn every_topic_keeps_its_partitions_and_has_room_for_the_largest_record() {
    for topic in declared() {
        assert_eq!(topic["partitions"].as_u64(), Some(PARTITIONS), "{topic:?}");
        assert!(topic["max_message_bytes"].as_u64() > Some(256 * 1024), "{topic:?}");
    }
}
