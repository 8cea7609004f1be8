//! What is appended is there, in order, where its key belongs.

use super::{PARTITIONS, Reader, TOPIC, World, a_key_for_each_partition, append, in_time, numbered, record};
use message::Headers;
use std::collections::BTreeMap;
use transport::ports::{Log, LogConsumer, NewRecord, Polled};

pub async fn what_is_appended_is_read_the_same(world: impl World) {
    let headers: Headers =
        [("ce_id", b"1".to_vec()), ("binary", vec![0, 255, 10]), ("ce_id", b"twice".to_vec()), ("empty", Vec::new())]
            .into_iter()
            .collect();
    let full = NewRecord { headers: headers.clone(), value: Some(vec![0, 1, 255]), ..record("schlüssel", "") };
    let tombstone = NewRecord { value: None, ..full.clone() };
    let empty = NewRecord { value: Some(Vec::new()), headers: Headers::new(), ..full.clone() };
    append(world.log(), vec![full.clone(), tombstone, empty]).await;

    let mut reader = Reader::new(world.log(), "group");
    reader.read(3).await;
    let partition = world.log().partition(TOPIC, "schlüssel").await.unwrap();
    for (offset, found) in reader.records.iter().enumerate() {
        assert_eq!((found.topic.as_str(), found.partition, found.offset), (TOPIC, partition, offset as i64));
        assert_eq!(found.key.as_deref(), Some("schlüssel".as_bytes()));
    }
    assert_eq!(reader.records.iter().map(|r| r.value.clone()).collect::<Vec<_>>(), [full.value, None, Some(vec![])]);
    assert_eq!(
        reader.records.iter().map(|r| r.headers.clone()).collect::<Vec<_>>(),
        [headers.clone(), headers, Headers::new()]
    );
}

pub async fn records_of_a_key_keep_their_order(world: impl World) {
    let keys = ["a", "b", "c", "d", "e"];
    // Two appends at once, each with all keys in turn: within an append a key's records keep their order.
    let batch = |from: u32| -> Vec<NewRecord> {
        (from..from + 100).flat_map(|n| keys.map(|key| record(key, &n.to_string()))).collect()
    };
    append(world.log(), batch(0)).await;
    append(world.log(), batch(100)).await;
    let mut reader = Reader::new(world.log(), "group");
    reader.read(keys.len() * 200).await;
    let mut by_key: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for found in &reader.records {
        by_key.entry(found.key.clone().unwrap()).or_default().push(super::value(found));
    }
    for key in keys {
        assert_eq!(by_key[key.as_bytes()], (0..200).map(|n| n.to_string()).collect::<Vec<_>>(), "{key}");
    }
}

/// From the test of Kafka's own `Utils.murmur2`, with the sign masked.
const JAVA: [(&str, i32); 6] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ("abc", 479_470_107),
];

pub async fn a_key_has_the_partition_that_murmur2_gives_it(world: impl World) {
    append(world.log(), JAVA.iter().map(|(key, _)| record(key, key)).collect()).await;
    let mut reader = Reader::new(world.log(), "group");
    reader.read(JAVA.len()).await;
    for (key, hash) in JAVA {
        let expected = (hash & i32::MAX) % PARTITIONS;
        let found = reader.records.iter().find(|r| r.key.as_deref() == Some(key.as_bytes())).unwrap();
        assert_eq!(found.partition, expected, "{key} went elsewhere");
        assert_eq!(world.log().partition(TOPIC, key).await.unwrap(), expected, "{key} is looked for elsewhere");
    }
}

pub async fn end_offsets_are_one_after_the_last_record(world: impl World) {
    assert_eq!(world.log().end_offsets(TOPIC).await.unwrap(), [0; PARTITIONS as usize]);
    let keys = a_key_for_each_partition(world.log()).await;
    for (key, count) in keys.iter().zip(0..) {
        append(world.log(), numbered(key, 1..=count)).await;
    }
    assert_eq!(world.log().end_offsets(TOPIC).await.unwrap(), [0, 1, 2, 3]);
}

pub async fn an_append_answers_once_for_each_record(world: impl World) {
    assert_eq!(world.log().append(Vec::new()).await.len(), 0);
    assert_eq!(world.log().append(numbered("a", 1..=7)).await.len(), 7);
}

/// The broker judges a batch, not a record, by the topic's limit: what may be sent alone must arrive in company too.
pub async fn large_records_that_are_appended_together_arrive(world: impl World) {
    let large = |n: u64| NewRecord { value: Some(noise(n, 250_000)), ..record("a", "") };
    let records: Vec<_> = (1..=12).map(large).collect();
    append(world.log(), records.clone()).await;
    let mut reader = Reader::new(world.log(), "group");
    reader.read(records.len()).await;
    let values = |r: &transport::ports::Record| r.value.clone();
    assert!(
        reader.records.iter().map(values).eq(records.iter().map(|r| r.value.clone())),
        "not the same, or reordered"
    );
}

/// Bytes that no compression makes smaller (xorshift).
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(byte).take(bytes).collect()
}

pub async fn what_is_not_wanted_is_told_by_its_place_alone(world: impl World) {
    let named = |name: &[u8]| {
        let headers = [("ce_id", b"1".as_slice()), ("ce_type", name)].into_iter().collect();
        NewRecord { headers, ..record("a", "") }
    };
    let wanted = [named(b"ours"), named(b"theirs"), named(b""), named(&[0xff]), record("a", ""), named(b"theirs")];
    append(world.log(), wanted.to_vec()).await;
    let consumer = world.log().subscribe("group", &[TOPIC]).unwrap();
    let (mut taken, mut passed) = (Vec::new(), Vec::new());
    in_time("six records", async {
        while taken.len() + passed.len() < 6 {
            match consumer.poll_for(&|topic, name| topic == TOPIC && name == "ours").await.unwrap() {
                Polled::Record(record) => taken.push(record.offset),
                Polled::Passed(topic, _, offset) => passed.push((topic, offset)),
                Polled::Assigned(_) | Polled::Revoked(_) => {}
            }
        }
    })
    .await;
    assert_eq!(taken, [0, 2, 3, 4], "without a name that can be read it must be looked at");
    assert_eq!(passed, [(TOPIC.to_owned(), 1), (TOPIC.to_owned(), 5)]);
}
