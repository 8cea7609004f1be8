//! Atomicity, isolation and what is known after a lost answer.

use super::{ME, SECONDS, World, commit, get, ids, is_retry, message, row, save, saves, wanted};
use message::{Headers, Stream};
use testkit::eventually;
use transport::{
    Error,
    ports::{
        Changes, CommitError, IdempotencyKey, JournalEntry, Mark, Parked, Record, Row, Store, StoredAnswer, Tx, Wanted,
    },
};
use uuid::Uuid;

fn stream() -> Stream {
    Stream::new("a", "b", "c", "d")
}

fn key() -> IdempotencyKey {
    IdempotencyKey { caller: "kiosk".into(), route: "Buy", key: "1".into() }
}

/// Changes of every kind, around one aggregate.
fn everything(id: Uuid, version: i64) -> Changes {
    let record = Record { topic: "d".into(), partition: 0, offset: 9, key: None, headers: Headers::new(), value: None };
    let position = Some((stream(), 5));
    let parked = Parked { id: 0, position, strict: true, record, reason: "test".into(), gap: false, since_ms: 0 };
    Changes {
        unchanged: Vec::new(),
        saves: vec![save("thing", row(id, version))],
        marks: vec![(stream(), Mark::default(), Mark { last_seq: 3, parked: 1 })],
        outbox: vec![message("s", 1)],
        arm: vec![("thing", id, 0)],
        disarm: Vec::new(),
        park: vec![parked],
        unpark: Vec::new(),
        answers: vec![(key(), StoredAnswer { request_hash: 1, answer: "{}".into() })],
        journal: vec![JournalEntry { kind: "thing", id, version, at_ms: 0, entries: "[]".into() }],
    }
}

/// How many things of any kind the store holds.
async fn held<S: Store>(store: &S, id: Uuid) -> usize {
    let wanted = Wanted { marks: vec![stream()], idempotency: vec![key()], ..wanted("thing", &[id]) };
    let loaded = store.begin().await.unwrap().load(ME, &wanted).await.unwrap();
    loaded.rows.len()
        + loaded.marks.len()
        + loaded.answers.len()
        + store.unsent(&[0], 10).await.unwrap().len()
        + store.due(None, 10).await.unwrap().len()
        + store.journal("thing", id).await.unwrap().len()
}

pub async fn a_commit_that_fails_writes_nothing(world: impl World) {
    let [id, other] = ids();
    let mut changes = everything(id, 1);
    changes.saves.push(save("spot", row(other, 2)));
    assert!(is_retry(&commit(world.store(), &changes).await));
    assert_eq!(held(world.store(), id).await, 0);
    changes.saves.pop();
    commit(world.store(), &changes).await.unwrap();
    assert_eq!(held(world.store(), id).await, 6);
}

pub async fn a_stale_version_is_tried_again(world: impl World) {
    let [id] = ids();
    commit(world.store(), &saves("thing", [row(id, 1)])).await.unwrap();
    commit(world.store(), &saves("thing", [row(id, 2)])).await.unwrap();
    let late = Row { status: "late".into(), ..row(id, 2) };
    assert!(is_retry(&commit(world.store(), &saves("thing", [late])).await));
    assert_eq!(get(world.store(), "thing", id).await.unwrap().status, "open");
}

pub async fn a_row_is_created_once(world: impl World) {
    let [id] = ids();
    let create = saves("thing", [row(id, 1)]);
    commit(world.store(), &create).await.unwrap();
    assert!(is_retry(&commit(world.store(), &create).await));
}

pub async fn a_dropped_transaction_changes_nothing_and_frees_its_rows(world: impl World) {
    let [id] = ids();
    commit(world.store(), &saves("thing", [row(id, 1)])).await.unwrap();
    let mut tx = world.store().begin().await.unwrap();
    tx.load(ME, &wanted("thing", &[id])).await.unwrap();
    drop(tx);
    let next = async {
        let mut tx = world.store().begin().await.unwrap();
        tx.load(ME, &wanted("thing", &[id])).await.unwrap().rows[0].1.version
    };
    assert_eq!(tokio::time::timeout(SECONDS, next).await.expect("the row stays locked"), 1);
}

/// Adds one to the row, as a batch does: load, fold, save what was loaded plus one.
async fn increment<S: Store>(store: S, id: Uuid) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    let (_, row) = tx.load(ME, &wanted("thing", &[id])).await?.rows.remove(0);
    let next = Row { version: row.version + 1, rank: row.rank + 1, ..row };
    tx.commit(ME, &saves("thing", [next])).await.map(|_| ()).map_err(|e| match e {
        CommitError::Failed(error) => error,
        CommitError::Unknown(token) => panic!("the answer to {token:?} got lost"),
    })
}

/// No version conflict can happen to those who lock first: whoever comes second waits and reads what the first one wrote.
pub async fn a_loaded_row_waits_for_the_one_who_has_it(world: impl World) {
    let [id] = ids();
    commit(world.store(), &saves("thing", [row(id, 1)])).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let store = world.store().clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    increment(store.clone(), id).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(get(world.store(), "thing", id).await.unwrap().rank, 40);
}

pub async fn reading_without_a_lock_waits_for_nobody(world: impl World) {
    let [id] = ids();
    commit(world.store(), &saves("thing", [row(id, 1)])).await.unwrap();
    let mut holder = world.store().begin().await.unwrap();
    holder.load(ME, &wanted("thing", &[id])).await.unwrap();
    let peek = async {
        let wanted = Wanted { peeks: vec![("thing", vec![id])], ..Wanted::default() };
        world.store().begin().await.unwrap().load(ME, &wanted).await.unwrap().peeks.len()
    };
    assert_eq!(tokio::time::timeout(SECONDS, peek).await.expect("a peek waits"), 1);
}

pub async fn two_who_wait_for_each_other_do_not_wait_for_ever(world: impl World) {
    let [a, b] = ids();
    commit(world.store(), &saves("thing", [row(a, 1), row(b, 1)])).await.unwrap();
    let mut first = world.store().begin().await.unwrap();
    let mut second = world.store().begin().await.unwrap();
    first.load(ME, &wanted("thing", &[a])).await.unwrap();
    second.load(ME, &wanted("thing", &[b])).await.unwrap();
    let meet = async {
        // A transaction ends with its block: whoever is refused lets the other one on.
        tokio::join!(async move { first.load(ME, &wanted("thing", &[b])).await.map(|_| ()) }, async move {
            second.load(ME, &wanted("thing", &[a])).await.map(|_| ())
        },)
    };
    let (one, two) = tokio::time::timeout(SECONDS, meet).await.expect("they wait for ever");
    assert!(one.is_ok() != two.is_ok(), "{one:?}, {two:?}");
    assert!(is_retry(&one) || is_retry(&two), "{one:?}, {two:?}");
}

pub async fn a_lost_answer_to_a_commit_that_stands_is_found_out(world: impl World) {
    lost_answer(world, true).await;
}

pub async fn a_lost_answer_to_a_commit_that_failed_is_found_out(world: impl World) {
    lost_answer(world, false).await;
}

async fn lost_answer(world: impl World, took_effect: bool) {
    let [id] = ids();
    let store = world.losing_a_commit(took_effect).await;
    let lost = store.begin().await.unwrap().commit(ME, &everything(id, 1)).await;
    let Err(CommitError::Unknown(token)) = lost else { panic!("the answer arrived: {lost:?}") };
    // The server may need a moment to notice that nobody is there any more.
    let known = eventually(SECONDS, async || match store.committed(&token).await {
        Ok(known) => Some(known),
        Err(Error::Retry { .. }) => None,
        Err(other) => panic!("{other}"),
    });
    assert_eq!(known.await, took_effect);
    assert_eq!(held(world.store(), id).await, if took_effect { 6 } else { 0 });
    let again = commit(&store, &everything(id, 1)).await;
    assert_eq!(again.is_ok(), !took_effect, "doing it again is refused exactly when it stands");
}
