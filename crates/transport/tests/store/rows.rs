//! Aggregates and their history.

use super::{ME, World, commit, get, ids, is_retry, row, save, saves, wanted};
use transport::{
    Error,
    ports::{Changes, JournalEntry, Query, Row, Store, StreamMark, Tx, Wanted},
};

/// A row with every column set.
fn full(id: uuid::Uuid, parent: uuid::Uuid) -> Row {
    let mark = StreamMark { topic: "events".into(), last_seq: 7, hash: (1 << 53) - 1 };
    Row {
        status: "waiting".into(),
        parent: Some(parent),
        rank: -5,
        state: r#"{"text":"grüße, \"quoted\"","n":1}"#.into(),
        streams: vec![mark],
        armed_ms: Some(1_700_000_000_123),
        ..row(id, 1)
    }
}

/// A store may write JSON in its own way.
fn same(found: &Row, saved: &Row) {
    let json = |row: &Row| serde_json::from_str::<serde_json::Value>(&row.state).unwrap();
    assert_eq!(json(found), json(saved));
    assert_eq!(Row { state: String::new(), ..found.clone() }, Row { state: String::new(), ..saved.clone() });
}

pub async fn what_is_saved_is_loaded_the_same(world: impl World) {
    let [id, parent] = ids();
    let store = world.store();
    let saved = full(id, parent);
    commit(store, &saves("thing", [saved.clone()])).await.unwrap();
    let wanted = Wanted { peeks: vec![("thing", vec![id])], ..wanted("thing", &[id]) };
    let loaded = store.begin().await.unwrap().load(ME, &wanted).await.unwrap();
    for found in [&loaded.rows[0], &loaded.peeks[0]] {
        assert_eq!(found.0, "thing");
        same(&found.1, &saved);
    }
    same(&get(store, "thing", id).await.unwrap(), &saved);

    let changed = Row { version: 2, status: "done".into(), parent: None, armed_ms: None, ..saved };
    commit(store, &saves("thing", [changed.clone()])).await.unwrap();
    same(&get(store, "thing", id).await.unwrap(), &changed);
}

pub async fn what_does_not_exist_is_absent(world: impl World) {
    let [here, nowhere] = ids();
    commit(world.store(), &saves("thing", [row(here, 1)])).await.unwrap();
    let wanted = Wanted { peeks: vec![("thing", vec![nowhere])], ..wanted("thing", &[here, nowhere]) };
    let loaded = world.store().begin().await.unwrap().load(ME, &wanted).await.unwrap();
    assert_eq!(loaded.rows.iter().map(|(_, row)| row.id).collect::<Vec<_>>(), [here]);
    assert!(loaded.peeks.is_empty());
    assert_eq!(get(world.store(), "spot", here).await, None);
}

pub async fn a_kind_that_is_not_the_contexts_is_fatal(world: impl World) {
    let [id] = ids();
    let store = world.store();
    assert!(matches!(store.get("stranger", &[id]).await, Err(Error::Fatal(_))));
    let loaded = store.begin().await.unwrap().load(ME, &wanted("stranger", &[id])).await;
    assert!(matches!(loaded, Err(Error::Fatal(_))));
    assert!(matches!(commit(store, &saves("stranger", [row(id, 1)])).await, Err(Error::Fatal(_))));
}

pub async fn a_listing_is_newest_first_filtered_and_paged(world: impl World) {
    let [a, b, c, d, parent] = ids();
    let closed = Row { status: "closed".into(), ..row(b, 1) };
    let child = Row { parent: Some(parent), ..row(c, 1) };
    commit(world.store(), &saves("thing", [row(a, 1), closed, child, row(d, 1)])).await.unwrap();
    let list = async |query: Query| -> Vec<_> {
        world.store().list("thing", &query).await.unwrap().iter().map(|row| row.id).collect()
    };
    let all = Query { limit: 500, ..Query::default() };
    assert_eq!(list(all.clone()).await, [d, c, b, a]);
    assert_eq!(list(Query { limit: 2, ..all.clone() }).await, [d, c]);
    assert_eq!(list(Query { limit: 2, before: Some(c), ..all.clone() }).await, [b, a]);
    assert_eq!(list(Query { status: Some("open".into()), ..all.clone() }).await, [d, c, a]);
    assert_eq!(list(Query { parent: Some(parent), ..all.clone() }).await, [c]);
    assert_eq!(list(Query { limit: 0, ..all }).await, [d], "a page has at least one row");
}

pub async fn the_clock_never_runs_back(world: impl World) {
    let store = world.store();
    let mut before = store.now_ms().await.unwrap();
    for _ in 0..5 {
        world.pass(std::time::Duration::from_millis(2)).await;
        let loaded = store.begin().await.unwrap().load(ME, &Wanted::default()).await.unwrap();
        let now = store.now_ms().await.unwrap();
        assert!(before < loaded.now_ms && loaded.now_ms <= now, "{before}, {}, {now}", loaded.now_ms);
        before = now;
    }
}

pub async fn what_a_batch_relied_on_without_loading_it_is_compared_at_its_commit(world: impl World) {
    let [seen, other, nowhere] = ids();
    let store = world.store();
    commit(store, &saves("thing", [row(seen, 1)])).await.unwrap();
    let relying_on = |id, version, saved| {
        let unchanged = vec![("thing", id, version)];
        Changes { unchanged, ..saves("thing", [row(other, saved)]) }
    };
    commit(store, &relying_on(seen, 1, 1)).await.unwrap();
    commit(store, &saves("thing", [row(seen, 2)])).await.unwrap();
    assert!(is_retry(&commit(store, &relying_on(seen, 1, 2)).await));
    assert!(is_retry(&commit(store, &relying_on(nowhere, 1, 2)).await));
    assert_eq!(get(store, "thing", other).await.unwrap().version, 1, "nothing of the batch stands");
    commit(store, &relying_on(seen, 2, 2)).await.unwrap();
}

pub async fn journal_entries_stand_in_the_order_of_versions_and_for_ever(world: impl World) {
    let [id, other] = ids();
    let entry = |id, version, text: &str| {
        let entries = format!("[\"{text}\"]");
        let journal = vec![JournalEntry { kind: "thing", id, version, at_ms: 40 + version, entries }];
        let saves = vec![save("thing", row(id, version))];
        Changes { saves, journal, ..Changes::default() }
    };
    for (id, version) in [(id, 1), (other, 1), (id, 2)] {
        commit(world.store(), &entry(id, version, "first")).await.unwrap();
    }
    let again = Changes { saves: Vec::new(), ..entry(id, 2, "again") };
    assert!(is_retry(&commit(world.store(), &again).await));
    let found = world.store().journal("thing", id).await.unwrap();
    let found: Vec<_> = found.iter().map(|e| (e.kind, e.id, e.version, e.at_ms, e.entries.as_str())).collect();
    assert_eq!(found, [("thing", id, 1, 41, "[\"first\"]"), ("thing", id, 2, 42, "[\"first\"]")]);
}
