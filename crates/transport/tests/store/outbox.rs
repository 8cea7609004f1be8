//! The outbox: nothing lost, nothing out of order, deleted by the owner of its shard only.

use super::{ME, SECONDS, World, commit, ids, is_retry, message, messages, row, saves, wanted};
use message::{Direction, EffectKey, headers};
use std::{collections::BTreeMap, time::Duration};
use testkit::eventually;
use transport::{
    Error,
    ports::{Changes, Lease, NewRecord, OutboxRow, Row, Store, Tx},
};
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);

async fn owner<S: Store>(store: &S) -> Vec<Lease> {
    store.lease(Uuid::now_v7(), 1, MINUTE).await.unwrap()
}

fn place(row: &OutboxRow) -> (i64, i16) {
    (row.id, row.table)
}

pub async fn what_is_committed_is_what_the_scan_finds(world: impl World) {
    let store = world.store();
    let headers = [("ce_id", b"1".to_vec()), ("binary", vec![0, 255]), ("none", vec![])].into_iter().collect();
    let record = NewRecord { topic: "t".into(), key: "k".into(), headers, value: Some(vec![0, 1, 255]) };
    let shard = 3;
    let full = OutboxRow { shard, record: record.clone(), created_ms: 1_700_000_000_001, ..message("a/b/c@t", 1) };
    let tombstone = OutboxRow { seq: 2, record: NewRecord { value: None, ..record }, ..full.clone() };
    let committed = commit(store, &messages([full.clone(), tombstone.clone()])).await.unwrap();
    let found = store.unsent(&[shard], 10).await.unwrap();
    let places: Vec<_> = found.iter().map(place).collect();
    assert_eq!(places, committed.outbox, "the ids of the commit are those of the scan, in order");
    let found: Vec<_> = found.into_iter().map(|row| OutboxRow { id: 0, table: 0, ..row }).collect();
    assert_eq!(found, [full, tombstone]);
}

pub async fn a_scan_keeps_to_its_shards_and_finds_a_prefix_of_each_stream(world: impl World) {
    let store = world.store();
    let on = |shard, stream: &str, seq| OutboxRow { shard, ..message(stream, seq) };
    for seq in 1..=3 {
        commit(store, &messages([on(0, "a", seq), on(1, "b", seq), on(2, "c", seq)])).await.unwrap();
    }
    let scan = async |shards: &[i16], limit| -> Vec<_> {
        let rows = store.unsent(shards, limit).await.unwrap();
        rows.iter().map(|row| format!("{}{}", row.stream, row.seq)).collect()
    };
    assert_eq!(scan(&[1], 10).await, ["b1", "b2", "b3"]);
    assert_eq!(scan(&[0, 2], 4).await, ["a1", "c1", "a2", "c2"]);
    assert_eq!(scan(&[], 10).await, [""; 0]);
}

/// One message of the stream of `id`, as a batch writes it: the row is locked, its number follows the last one.
async fn emit<S: Store>(store: &S, id: Uuid) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    let (_, row) = tx.load(ME, &wanted("thing", &[id])).await?.rows.remove(0);
    let next = Row { version: row.version + 1, rank: row.rank + 1, ..row };
    let outbox = vec![message(&id.to_string(), next.rank as u64)];
    let changes = Changes { outbox, ..saves("thing", [next]) };
    tx.commit(ME, &changes).await.map(|_| ()).map_err(|e| Error::retry("commit", format!("{e:?}")))
}

/// Sends and deletes what it finds, a few at a time; answers streams and numbers in the order they were seen.
async fn relay<S: Store>(store: &S, leases: &[Lease], expected: usize) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    while seen.len() < expected {
        let rows = store.unsent(&[0], 7).await.unwrap();
        seen.extend(rows.iter().map(|row| (row.stream.to_string(), row.seq)));
        store.sent(leases, &rows.iter().map(place).collect::<Vec<_>>()).await.unwrap();
        tokio::task::yield_now().await;
    }
    seen
}

pub async fn concurrent_writers_and_rotations_lose_and_reorder_nothing(world: impl World) {
    const EACH: u64 = 25;
    let store = world.store();
    let things: [Uuid; 3] = ids();
    commit(store, &saves("thing", things.map(|id| row(id, 1)))).await.unwrap();
    let leases = owner(store).await;
    // Two writers a stream, so that transactions of one stream meet and commit out of the order they began in.
    let writers: Vec<_> = things
        .into_iter()
        .flat_map(|id| [id, id])
        .map(|id| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    emit(&store, id).await.unwrap();
                }
            })
        })
        .collect();
    let rotating = store.clone();
    let rotator = tokio::spawn(async move {
        let mut rotations = 0;
        loop {
            rotations += usize::from(rotating.rotate().await.unwrap());
            tokio::time::sleep(Duration::from_millis(3 + rotations as u64 % 5)).await;
        }
    });
    let expected = things.len() * 2 * EACH as usize;
    let seen = tokio::time::timeout(MINUTE, relay(store, &leases, expected)).await.expect("rows were lost");
    rotator.abort();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut streams: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    seen.into_iter().for_each(|(stream, seq)| streams.entry(stream).or_default().push(seq));
    for id in things {
        assert_eq!(streams[&id.to_string()], (1..=2 * EACH).collect::<Vec<_>>(), "{id}");
    }
    assert_eq!(store.unsent(&[0], 10).await.unwrap(), []);
}

pub async fn rotation_waits_for_the_other_table_to_be_drained(world: impl World) {
    let store = world.store();
    let leases = owner(store).await;
    commit(store, &messages([message("a", 1)])).await.unwrap();
    assert!(store.rotate().await.unwrap());
    commit(store, &messages([message("a", 2)])).await.unwrap();
    assert!(!store.rotate().await.unwrap(), "the other table still has a row");
    commit(store, &messages([message("a", 3)])).await.unwrap();
    let rows = store.unsent(&[0], 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(rows.iter().map(|row| row.table != rows[0].table).collect::<Vec<_>>(), [false, true, true]);
    store.sent(&leases, &[place(&rows[0])]).await.unwrap();
    assert!(store.rotate().await.unwrap());
    commit(store, &messages([message("a", 4)])).await.unwrap();
    let rows = store.unsent(&[0], 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [2, 3, 4]);
}

fn shards(leases: &[Lease]) -> Vec<(i16, i64)> {
    let mut held: Vec<_> = leases.iter().map(|lease| (lease.shard, lease.epoch)).collect();
    held.sort_unstable();
    held
}

pub async fn a_shard_has_one_owner_until_its_time_is_over(world: impl World) {
    let [a, b] = ids();
    let store = world.store();
    let short = Duration::from_millis(400);
    assert_eq!(shards(&store.lease(a, 2, short).await.unwrap()), [(0, 1), (1, 1)]);
    assert_eq!(shards(&store.lease(a, 2, short).await.unwrap()), [(0, 1), (1, 1)], "renewing keeps the epoch");
    assert_eq!(store.lease(b, 2, MINUTE).await.unwrap(), []);
    assert_eq!(shards(&store.lease(b, 3, MINUTE).await.unwrap()), [(2, 1)], "a shard nobody has is free");
    let taken = eventually(SECONDS, async || {
        world.pass(Duration::from_millis(50)).await;
        let held = store.lease(b, 3, MINUTE).await.unwrap();
        (held.len() == 3).then_some(held)
    });
    assert_eq!(shards(&taken.await), [(0, 2), (1, 2), (2, 1)], "a new owner, a new epoch");
    assert_eq!(store.lease(a, 3, short).await.unwrap(), []);
}

pub async fn a_lease_that_is_given_back_is_free_at_once(world: impl World) {
    let [a, b] = ids();
    let store = world.store();
    store.lease(a, 2, MINUTE).await.unwrap();
    store.release(b).await.unwrap();
    assert_eq!(store.lease(b, 2, MINUTE).await.unwrap(), [], "who has none gives none back");
    store.release(a).await.unwrap();
    assert_eq!(shards(&store.lease(b, 2, MINUTE).await.unwrap()), [(0, 2), (1, 2)]);
}

pub async fn only_the_one_who_holds_the_lease_deletes(world: impl World) {
    let store = world.store();
    let old = owner(store).await;
    let on = |shard| OutboxRow { shard, ..message("a", 1) };
    commit(store, &messages([on(0), on(1)])).await.unwrap();
    let rows: Vec<_> = store.unsent(&[0, 1], 10).await.unwrap().iter().map(place).collect();
    store.release(old[0].owner).await.unwrap();
    let new = owner(store).await;
    let stranger = [Lease { owner: Uuid::now_v7(), ..new[0].clone() }];
    for leases in [&old[..], &stranger, &[]] {
        store.sent(leases, &rows).await.unwrap();
        assert_eq!(store.unsent(&[0, 1], 10).await.unwrap().len(), 2, "{leases:?}");
    }
    store.sent(&new, &rows).await.unwrap();
    let left = store.unsent(&[0, 1], 10).await.unwrap();
    assert_eq!(left.iter().map(|row| row.shard).collect::<Vec<_>>(), [1], "the other shard is not ours");
    store.sent(&new, &rows).await.unwrap();
}

pub async fn the_backlog_tells_rows_and_age(world: impl World) {
    let store = world.store();
    let empty = store.backlog().await.unwrap();
    assert_eq!((empty.rows, empty.oldest_ms), (0, 0));
    let created_ms = store.now_ms().await.unwrap() - 5_000;
    let old = OutboxRow { created_ms, ..message("a", 1) };
    commit(store, &messages([old, OutboxRow { created_ms: created_ms + 4_000, ..message("a", 2) }])).await.unwrap();
    store.rotate().await.unwrap();
    commit(store, &messages([OutboxRow { created_ms: created_ms + 4_000, ..message("a", 3) }])).await.unwrap();
    let backlog = store.backlog().await.unwrap();
    assert_eq!(backlog.rows, 3, "both tables count");
    assert!((5_000..60_000).contains(&backlog.oldest_ms), "{backlog:?}");
}

pub async fn a_waiting_command_is_found_by_its_effect_key(world: impl World) {
    let [saga_id, other] = ids();
    let store = world.store();
    let effect = EffectKey { saga_id, step: "authorize-payment".into(), direction: Direction::Do, round: 1 };
    let headers = [
        (headers::SAGA_ID, saga_id.to_string()),
        (headers::SAGA_STEP, effect.step.clone()),
        (headers::SAGA_DIRECTION, effect.direction.to_string()),
        (headers::SAGA_ROUND, effect.round.to_string()),
    ];
    let mut command = message(&format!("orchestrator/saga/{saga_id}@mallbots.payments.commands"), 1);
    command.record.headers = headers.into_iter().collect();
    commit(store, &messages([command, message("a", 1)])).await.unwrap();
    let keys = [
        EffectKey { round: 2, ..effect.clone() },
        EffectKey { saga_id: other, ..effect.clone() },
        effect.clone(),
        effect.counterpart(),
        EffectKey { step: "plan-shopping".into(), ..effect.clone() },
    ];
    assert_eq!(store.in_outbox(&keys).await.unwrap(), std::slice::from_ref(&effect));
    store.rotate().await.unwrap();
    assert_eq!(store.in_outbox(&keys).await.unwrap(), [effect]);
    let leases = owner(store).await;
    let rows: Vec<_> = store.unsent(&[0], 10).await.unwrap().iter().map(place).collect();
    store.sent(&leases, &rows).await.unwrap();
    assert_eq!(store.in_outbox(&keys).await.unwrap(), []);
    assert!(!is_retry(&store.in_outbox(&[]).await));
}
