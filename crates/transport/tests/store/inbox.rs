//! Marks and idempotency answers: what makes a repetition harmless.

use super::{ME, World, commit, is_retry};
use message::Stream;
use transport::ports::{Changes, IdempotencyKey, Mark, Store, StoredAnswer, Tx, Wanted};

fn stream(id: &str) -> Stream {
    Stream::new("orders", "order", id, "events")
}

fn mark(last_seq: u64, parked: u32) -> Mark {
    Mark { last_seq, parked }
}

fn advance(stream: &Stream, before: Mark, after: Mark) -> Changes {
    Changes { marks: vec![(stream.clone(), before, after)], ..Changes::default() }
}

async fn marks<S: Store>(store: &S, consumer: &str, streams: &[Stream]) -> Vec<(Stream, Mark)> {
    let wanted = Wanted { marks: streams.to_vec(), ..Wanted::default() };
    let mut marks = store.begin().await.unwrap().load(consumer, &wanted).await.unwrap().marks;
    marks.sort_by(|a, b| a.0.cmp(&b.0));
    marks
}

pub async fn marks_change_by_compare_and_set(world: impl World) {
    let (store, a) = (world.store(), stream("a"));
    assert_eq!(marks(store, ME, std::slice::from_ref(&a)).await, []);
    commit(store, &advance(&a, Mark::default(), mark(2, 0))).await.unwrap();
    assert!(is_retry(&commit(store, &advance(&a, Mark::default(), mark(9, 0))).await));
    assert!(is_retry(&commit(store, &advance(&a, mark(1, 0), mark(9, 0))).await));
    assert!(is_retry(&commit(store, &advance(&a, mark(2, 1), mark(9, 0))).await), "the parked count is compared too");
    commit(store, &advance(&a, mark(2, 0), mark(2, 3))).await.unwrap();
    assert_eq!(marks(store, ME, std::slice::from_ref(&a)).await, [(a, mark(2, 3))]);
}

pub async fn marks_of_consumers_and_streams_are_apart(world: impl World) {
    let (store, a, b) = (world.store(), stream("a"), stream("b"));
    let both = Changes {
        marks: vec![(a.clone(), Mark::default(), mark(1, 0)), (b.clone(), Mark::default(), mark(7, 0))],
        ..Changes::default()
    };
    commit(store, &both).await.unwrap();
    let other = advance(&a, Mark::default(), mark(5, 0));
    store.begin().await.unwrap().commit("other", &other).await.unwrap();
    let streams = [a.clone(), b.clone()];
    assert_eq!(marks(store, ME, &streams).await, [(a.clone(), mark(1, 0)), (b, mark(7, 0))]);
    assert_eq!(marks(store, "other", &streams).await, [(a, mark(5, 0))]);
}

fn key(caller: &str, route: &'static str, key: &str) -> IdempotencyKey {
    IdempotencyKey { caller: caller.into(), route, key: key.into() }
}

fn answer(key: &IdempotencyKey, request_hash: u64, answer: &str) -> Changes {
    let answer = StoredAnswer { request_hash, answer: answer.into() };
    Changes { answers: vec![(key.clone(), answer)], ..Changes::default() }
}

async fn answers<S: Store>(store: &S, keys: &[IdempotencyKey]) -> Vec<(IdempotencyKey, StoredAnswer)> {
    let wanted = Wanted { idempotency: keys.to_vec(), ..Wanted::default() };
    store.begin().await.unwrap().load(ME, &wanted).await.unwrap().answers
}

pub async fn the_first_answer_to_an_idempotency_key_stands(world: impl World) {
    let (store, asked) = (world.store(), key("kiosk", "Buy", "1"));
    let hash = i64::MAX as u64;
    commit(store, &answer(&asked, hash, "\"first\"")).await.unwrap();
    assert!(is_retry(&commit(store, &answer(&asked, hash, "\"second\"")).await));
    let others = [key("robot", "Buy", "1"), key("kiosk", "Pay", "1"), key("kiosk", "Buy", "2")];
    let all: Vec<_> = others.iter().chain([&asked]).cloned().collect();
    let first = StoredAnswer { request_hash: hash, answer: "\"first\"".into() };
    assert_eq!(answers(store, &all).await, [(asked, first)]);
}

pub async fn answers_are_swept_after_a_day(world: impl World) {
    let (store, old, young) = (world.store(), key("kiosk", "Buy", "old"), key("kiosk", "Buy", "young"));
    commit(store, &answer(&old, 1, "{}")).await.unwrap();
    world.age_answers(23).await;
    assert_eq!(store.sweep().await.unwrap(), 0);
    commit(store, &answer(&young, 1, "{}")).await.unwrap();
    world.age_answers(2).await;
    assert_eq!(store.sweep().await.unwrap(), 1);
    let left: Vec<_> = answers(store, &[old, young.clone()]).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [young]);
}
