//! Consumer groups: who reads what, from where, and what is not lost when a member is.

use super::{
    DEADLINE, PARTITIONS, Reader, TOPIC, World, a_key_for_each_partition, all_partitions, append, in_time, numbered,
    record, value,
};
use std::collections::BTreeSet;
use transport::ports::{Log, LogConsumer, Record};

pub async fn a_new_group_starts_at_the_beginning(world: impl World) {
    append(world.log(), numbered("a", 1..=3)).await;
    let mut reader = Reader::new(world.log(), "group");
    reader.read(3).await;
    assert_eq!(reader.values(), ["a 1", "a 2", "a 3"]);
    assert_eq!(reader.assigned, all_partitions());
}

pub async fn stored_offsets_survive_the_member(world: impl World) {
    append(world.log(), numbered("a", 1..=3)).await;
    let mut first = Reader::new(world.log(), "group");
    first.read(3).await;
    first.commit().await;
    drop(first);
    append(world.log(), numbered("a", 4..=5)).await;
    let mut second = Reader::new(world.log(), "group");
    second.read(2).await;
    assert_eq!(second.values(), ["a 4", "a 5"]);
}

pub async fn what_was_not_stored_is_read_again(world: impl World) {
    append(world.log(), numbered("a", 1..=3)).await;
    let mut first = Reader::new(world.log(), "group");
    first.read(2).await;
    first.records.truncate(1);
    first.commit().await;
    drop(first);
    let mut second = Reader::new(world.log(), "group");
    second.read(2).await;
    assert_eq!(second.values(), ["a 2", "a 3"]);
}

pub async fn an_offset_of_nobody_is_nothing_committed(world: impl World) {
    let keys = a_key_for_each_partition(world.log()).await;
    append(world.log(), numbered(&keys[2], 1..=2)).await;
    let mut reader = Reader::new(world.log(), "group");
    reader.read(2).await;
    reader.until("every partition", |reader| reader.assigned == all_partitions()).await;
    reader.commit().await;
    let committed = reader.consumer.committed().await.unwrap();
    let expected = [(0, 0), (1, 0), (2, 2), (3, 0)].map(|(partition, offset)| ((TOPIC.to_owned(), partition), offset));
    assert_eq!(committed, expected.into());
}

pub async fn anybody_may_ask_how_far_a_group_has_read_whoever_of_it_reads_what(world: impl World) {
    let keys = a_key_for_each_partition(world.log()).await;
    let (mut a, mut b) = (Reader::new(world.log(), "group"), Reader::new(world.log(), "group"));
    share(&mut a, &mut b).await;
    for key in &keys {
        append(world.log(), numbered(key, 1..=2)).await;
    }
    a.read(4).await;
    b.read(4).await;
    a.commit().await;
    b.commit().await;
    let places: Vec<_> = (0..PARTITIONS).map(|partition| (TOPIC, partition)).collect();
    let offset = |read| move |(topic, partition): &(&str, i32)| (((*topic).to_owned(), *partition), read);
    // Committed in the background, on one's own way to the other's log.
    in_time("everything committed", async {
        while world.log().group_offsets("group", &places).await.unwrap() != places.iter().map(offset(2)).collect() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(world.log().group_offsets("nobody", &places).await.unwrap(), places.iter().map(offset(0)).collect());
}

/// Polls both until each has its half.
async fn share<K: LogConsumer>(a: &mut Reader<K>, b: &mut Reader<K>) {
    let halves = |a: &Reader<K>, b: &Reader<K>| {
        (a.assigned.len(), b.assigned.len()) == (2, 2) && a.assigned.is_disjoint(&b.assigned)
    };
    in_time("two halves", async {
        while !halves(a, b) {
            tokio::select! {
                () = a.poll() => {}
                () = b.poll() => {}
            }
        }
    })
    .await;
}

pub async fn members_share_the_partitions_and_miss_nothing(world: impl World) {
    let keys = a_key_for_each_partition(world.log()).await;
    let (mut a, mut b) = (Reader::new(world.log(), "group"), Reader::new(world.log(), "group"));
    share(&mut a, &mut b).await;
    for key in &keys {
        append(world.log(), numbered(key, 1..=5)).await;
    }
    a.read(10).await;
    b.read(10).await;
    for reader in [&a, &b] {
        let read: BTreeSet<i32> = reader.records.iter().map(|record| record.partition).collect();
        assert_eq!(read, reader.assigned);
    }
    let mut all: Vec<_> = a.values().into_iter().chain(b.values()).collect();
    all.sort();
    let mut expected: Vec<_> = keys.iter().flat_map(|key| (1..=5).map(move |n| format!("{key} {n}"))).collect();
    expected.sort();
    assert_eq!(all, expected);
}

pub async fn a_member_that_must_share_is_told_what_it_loses(world: impl World) {
    let mut first = Reader::new(world.log(), "group");
    first.until("every partition", |reader| reader.assigned == all_partitions()).await;
    assert!(first.revoked.is_empty());
    let mut second = Reader::new(world.log(), "group");
    share(&mut first, &mut second).await;
    assert_eq!(first.revoked, second.assigned);
}

pub async fn the_partitions_of_a_member_that_left_go_to_the_others(world: impl World) {
    let keys = a_key_for_each_partition(world.log()).await;
    let (mut stays, mut leaves) = (Reader::new(world.log(), "group"), Reader::new(world.log(), "group"));
    share(&mut stays, &mut leaves).await;
    append(world.log(), keys.iter().map(|key| record(key, key)).collect()).await;
    leaves.read(2).await;
    drop(leaves);
    // It stored nothing, so its records are read again.
    let all = |reader: &Reader<_>| reader.assigned == all_partitions() && distinct(&reader.records).len() == 4;
    stays.until("everything", all).await;
    assert_eq!(distinct(&stays.records), keys.into_iter().collect());
}

fn distinct(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(value).collect()
}

pub async fn the_offset_of_a_partition_that_is_lost_cannot_be_stored(world: impl World) {
    let mut first = Reader::new(world.log(), "group");
    first.until("every partition", |reader| reader.assigned == all_partitions()).await;
    let mut second = Reader::new(world.log(), "group");
    share(&mut first, &mut second).await;
    for partition in &first.revoked {
        assert!(first.consumer.store_offset(TOPIC, *partition, 1).is_err(), "{partition}");
    }
    for partition in &first.assigned {
        first.consumer.store_offset(TOPIC, *partition, 0).unwrap();
    }
}

pub async fn groups_do_not_see_each_other(world: impl World) {
    append(world.log(), numbered("a", 1..=2)).await;
    let (mut one, mut other) = (Reader::new(world.log(), "one"), Reader::new(world.log(), "other"));
    one.read(2).await;
    one.commit().await;
    other.read(2).await;
    assert_eq!(one.values(), other.values());
    assert!(other.consumer.committed().await.unwrap().values().all(|offset| *offset == 0));
}

pub async fn a_paused_member_stays_and_reads_nothing(world: impl World) {
    let mut paused = Reader::new(world.log(), "paused");
    append(world.log(), numbered("a", 1..=1)).await;
    paused.read(1).await;
    paused.until("every partition", |reader| reader.assigned == all_partitions()).await;
    paused.consumer.pause(true).unwrap();
    append(world.log(), numbered("a", 2..=3)).await;
    // Once somebody else has read them they are there for everyone.
    let mut witness = Reader::new(world.log(), "witness");
    witness.read(3).await;
    let listening = std::time::Duration::from_millis(300);
    let heard = tokio::time::timeout(listening, paused.poll()).await;
    assert!(heard.is_err(), "a paused member got {:?}", paused.records.last());
    assert_eq!(paused.assigned, all_partitions());
    paused.consumer.pause(false).unwrap();
    paused.read(3).await;
    assert_eq!(paused.values(), ["a 1", "a 2", "a 3"]);
}

pub async fn waiting_ends_when_a_record_comes(world: impl World) {
    let mut reader = Reader::new(world.log(), "group");
    reader.until("every partition", |reader| reader.assigned == all_partitions()).await;
    let waiting = tokio::spawn(async move {
        reader.read(1).await;
        reader.values()
    });
    append(world.log(), numbered("a", 1..=1)).await;
    assert_eq!(tokio::time::timeout(DEADLINE, waiting).await.unwrap().unwrap(), ["a 1"]);
}
