//! Timers, by the store's clock.

use super::{SECONDS, World, commit, ids};
use std::time::Duration;
use testkit::eventually;
use transport::ports::{Changes, Store};
use uuid::Uuid;

fn arm(id: Uuid, due_ms: i64) -> Changes {
    Changes { arm: vec![("thing", id, due_ms)], ..Changes::default() }
}

pub async fn what_is_due_comes_oldest_first(world: impl World) {
    let [a, b, c, d] = ids();
    let store = world.store();
    let now = store.now_ms().await.unwrap();
    let arm = vec![("thing", a, now - 10), ("spot", b, now - 30), ("thing", c, now - 20), ("thing", d, now + 60_000)];
    commit(store, &Changes { arm, ..Changes::default() }).await.unwrap();
    let [a, b, c] = [("thing", a, now - 10), ("spot", b, now - 30), ("thing", c, now - 20)];
    let due = async |limit| -> Vec<_> { store.due(None, limit).await.unwrap() };
    let named = |timers: &[(&str, Uuid, i64)]| -> Vec<_> {
        timers.iter().map(|(kind, id, due)| ((*kind).to_owned(), *id, *due)).collect()
    };
    assert_eq!(due(10).await, named(&[b, c, a]));
    assert_eq!(due(1).await, named(&[b]));
    let behind = async |(_, id, due_ms): (&str, Uuid, i64)| store.due(Some((due_ms, id)), 10).await.unwrap();
    assert_eq!((behind(b).await, behind(c).await), (named(&[c, a]), named(&[a])));
    assert_eq!(behind(a).await, []);
}

pub async fn those_due_at_the_same_time_come_by_their_ids(world: impl World) {
    let mut all: [Uuid; 3] = ids();
    all.sort_unstable();
    let store = world.store();
    let due_ms = store.now_ms().await.unwrap() - 10;
    let arm = all.iter().rev().map(|id| ("thing", *id, due_ms)).collect();
    commit(store, &Changes { arm, ..Changes::default() }).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    while let Some((_, id, due_ms)) = store.due(after, 1).await.unwrap().pop() {
        seen.push(id);
        after = Some((due_ms, id));
    }
    assert_eq!(seen, all);
}

pub async fn an_aggregate_has_one_timer_which_moves_and_goes(world: impl World) {
    let [id] = ids();
    let store = world.store();
    let now = store.now_ms().await.unwrap();
    commit(store, &arm(id, now - 10)).await.unwrap();
    commit(store, &arm(id, now + 60_000)).await.unwrap();
    assert_eq!(store.due(None, 10).await.unwrap(), []);
    commit(store, &arm(id, now - 5)).await.unwrap();
    assert_eq!(store.due(None, 10).await.unwrap(), [("thing".to_owned(), id, now - 5)]);
    commit(store, &Changes { disarm: vec![("thing", id)], ..Changes::default() }).await.unwrap();
    assert_eq!(store.due(None, 10).await.unwrap(), []);
}

pub async fn a_timer_is_due_when_its_time_has_come(world: impl World) {
    let [id] = ids();
    let store = world.store();
    let due_ms = store.now_ms().await.unwrap() + 300;
    commit(store, &arm(id, due_ms)).await.unwrap();
    let seen_at = eventually(SECONDS, async || {
        let due = store.due(None, 10).await.unwrap();
        let now = store.now_ms().await.unwrap();
        world.pass(Duration::from_millis(20)).await;
        (!due.is_empty()).then_some(now)
    });
    let seen_at = seen_at.await;
    assert!(seen_at >= due_ms, "{} ms too early", due_ms - seen_at);
}
