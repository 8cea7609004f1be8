//! Claims: rows that anybody may have, and nobody twice.

use super::{ME, World, commit, get, ids, row, saves, wanted};
use std::{collections::BTreeSet, time::Duration};
use transport::ports::{ClaimRows, CommitError, Row, Store, Tx, Wanted};
use uuid::Uuid;

fn free(id: Uuid, rank: i64) -> Row {
    Row { status: "free".into(), rank, ..row(id, 1) }
}

fn claim(min_rank: i64, count: usize) -> Wanted {
    let claims = vec![ClaimRows { kind: "spot", status: "free", min_rank, count }];
    Wanted { claims, ..Wanted::default() }
}

/// What the claim brings, in order.
async fn claimed<T: Tx>(tx: &mut T, wanted: &Wanted) -> Vec<Uuid> {
    tx.load(ME, wanted).await.unwrap().claimed.iter().map(|(_, row)| row.id).collect()
}

pub async fn a_claim_takes_the_lowest_rank_that_will_do(world: impl World) {
    let [a, b, c, d, e] = ids();
    let taken = Row { status: "taken".into(), ..free(d, 6) };
    commit(world.store(), &saves("spot", [free(a, 30), free(b, 5), free(c, 10), taken, free(e, 10)])).await.unwrap();
    let mut tx = world.store().begin().await.unwrap();
    assert_eq!(claimed(&mut tx, &claim(6, 2)).await, [c, e]);
    assert_eq!(claimed(&mut tx, &claim(6, 100)).await, [c, e, a], "what is ours already is given again");
    assert!(claimed(&mut tx, &claim(31, 1)).await.is_empty());
}

pub async fn what_waits_is_counted_no_further_than_asked(world: impl World) {
    let store = world.store();
    let [a, b, c, d, e] = ids();
    let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
    assert_eq!(store.waiting("spot", day, 10).await.unwrap(), 0);
    let now = store.now_ms().await.unwrap();
    let rows = [free(a, now), free(b, now - 3_600_000), free(c, 0), free(d, i64::MAX), free(e, now - 1)];
    commit(store, &saves("spot", rows)).await.unwrap();
    for (since, at_most, expected) in [(minute, u64::MAX, 3), (day, 10, 4), (day, 4, 4), (day, 2, 2), (minute, 0, 0)] {
        assert_eq!(store.waiting("spot", since, at_most).await.unwrap(), expected, "{since:?}, at most {at_most}");
    }
    assert!(store.waiting("nowhere", day, 1).await.is_err());
}

pub async fn a_claim_passes_over_what_others_hold(world: impl World) {
    let [a, b, c] = ids();
    commit(world.store(), &saves("spot", [free(a, 1), free(b, 2), free(c, 3)])).await.unwrap();
    let mut first = world.store().begin().await.unwrap();
    let mut second = world.store().begin().await.unwrap();
    let mut third = world.store().begin().await.unwrap();
    assert_eq!(claimed(&mut first, &claim(0, 1)).await, [a]);
    first.load(ME, &wanted("spot", &[b])).await.unwrap();
    assert_eq!(claimed(&mut second, &claim(0, 2)).await, [c]);
    assert!(claimed(&mut third, &claim(0, 2)).await.is_empty());
    drop(first);
    // What is not taken is free again once it is let go.
    let found = testkit::eventually(super::SECONDS, async || {
        let mut tx = world.store().begin().await.unwrap();
        Some(claimed(&mut tx, &claim(0, 2)).await).filter(|found| found.len() == 2)
    });
    assert_eq!(found.await, [a, b]);
}

/// Takes one free row for good, when there is one.
async fn take<S: Store>(store: S) -> Option<Uuid> {
    let mut tx = store.begin().await.unwrap();
    let (_, row) = tx.load(ME, &claim(0, 1)).await.unwrap().claimed.pop()?;
    let id = row.id;
    let taken = Row { status: "taken".into(), version: row.version + 1, ..row };
    match tx.commit(ME, &saves("spot", [taken])).await {
        Ok(_) => Some(id),
        Err(CommitError::Failed(e)) => panic!("a claimed row was changed by another: {e}"),
        Err(CommitError::Unknown(token)) => panic!("the answer to {token:?} got lost"),
    }
}

pub async fn no_row_is_ever_given_to_two(world: impl World) {
    let spots: [Uuid; 12] = ids();
    commit(world.store(), &saves("spot", spots.map(|id| free(id, 1)))).await.unwrap();
    let takers: Vec<_> = (0..20).map(|_| tokio::spawn(take(world.store().clone()))).collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.unwrap());
    }
    assert_eq!(taken.len(), spots.len());
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), spots.into_iter().collect());
    for id in spots {
        assert_eq!(get(world.store(), "spot", id).await.unwrap().version, 2);
    }
}
