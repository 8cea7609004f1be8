//! Parked records: who waits for whom, and what lets them go.

use super::{ME, World, commit, is_retry};
use message::Stream;
use transport::ports::{Changes, Mark, Parked, ParkedAction, Record, Store, Tx, Waiting};

fn stream(id: &str) -> Stream {
    Stream::new("orders", "order", id, "cmds")
}

/// Record `seq` of stream `id`; its place in the log follows from both.
fn parked(id: &str, seq: u64) -> Parked {
    let offset = i64::from(id.as_bytes()[0]) * 1000 + seq as i64;
    let headers = [("h", [0, 255])].into_iter().collect();
    let record =
        Record { topic: "cmds".into(), partition: 1, offset, key: Some(vec![7]), headers, value: Some(vec![1]) };
    let (position, reason) = (Some((stream(id), seq)), "does not decode".to_owned());
    Parked { id: 0, position, strict: true, record, reason, gap: false, since_ms: 42 }
}

fn gap(id: &str, seq: u64) -> Parked {
    Parked { gap: true, ..parked(id, seq) }
}

async fn park<S: Store>(store: &S, records: impl IntoIterator<Item = Parked>) {
    commit(store, &Changes { park: records.into_iter().collect(), ..Changes::default() }).await.unwrap();
}

async fn unpark<S: Store>(store: &S, id: i64) -> Result<(), transport::Error> {
    commit(store, &Changes { unpark: vec![id], ..Changes::default() }).await.map(|_| ())
}

async fn mark<S: Store>(store: &S, id: &str, before: u64, after: u64) {
    let mark = |last_seq| Mark { last_seq, parked: 0 };
    let marks = vec![(stream(id), mark(before), mark(after))];
    commit(store, &Changes { marks, ..Changes::default() }).await.unwrap();
}

/// What may go now, as `a1` for number 1 of stream a, with what is to be done.
async fn released<S: Store>(store: &S) -> Vec<(String, ParkedAction)> {
    let found = store.released(ME, 10).await.unwrap();
    found.into_iter().map(|(parked, action)| (name(&parked), action)).collect()
}

fn name(parked: &Parked) -> String {
    parked.position.as_ref().map_or("alone".into(), |(stream, seq)| format!("{}{seq}", stream.aggregate_id()))
}

fn release(name: &str) -> (String, ParkedAction) {
    (name.to_owned(), ParkedAction::Release)
}

pub async fn a_parked_record_waits_for_a_decision(world: impl World) {
    let store = world.store();
    park(store, [parked("a", 1), parked("b", 4)]).await;
    assert_eq!(released(store).await, []);
    world.decide(2, ParkedAction::Skip).await;
    assert_eq!(released(store).await, [("b4".to_owned(), ParkedAction::Skip)]);
    world.decide(1, ParkedAction::Release).await;
    let found = store.released(ME, 10).await.unwrap();
    assert_eq!(found[0].0, Parked { id: 1, ..parked("a", 1) }, "it comes back as it was parked");
    assert_eq!(store.released(ME, 1).await.unwrap().len(), 1);
    unpark(store, 1).await.unwrap();
    assert_eq!(released(store).await, [("b4".to_owned(), ParkedAction::Skip)]);
    assert!(is_retry(&unpark(store, 1).await), "somebody was faster");
}

pub async fn the_lowest_of_a_stream_goes_first_whatever_was_decided_about_the_others(world: impl World) {
    let store = world.store();
    park(store, [parked("a", 5), parked("a", 3), parked("a", 4)]).await;
    world.decide(1, ParkedAction::Release).await;
    world.decide(3, ParkedAction::Release).await;
    assert_eq!(released(store).await, []);
    world.decide(2, ParkedAction::Skip).await;
    assert_eq!(released(store).await, [("a3".to_owned(), ParkedAction::Skip)]);
    unpark(store, 2).await.unwrap();
    assert_eq!(released(store).await, [release("a4")]);
    unpark(store, 3).await.unwrap();
    assert_eq!(released(store).await, [release("a5")]);
}

pub async fn a_gap_is_released_when_its_predecessor_is_there(world: impl World) {
    let store = world.store();
    park(store, [gap("a", 3), gap("a", 4), gap("b", 2)]).await;
    assert_eq!(released(store).await, []);
    mark(store, "a", 0, 1).await;
    assert_eq!(released(store).await, []);
    mark(store, "a", 1, 2).await;
    assert_eq!(released(store).await, [release("a3")]);
    mark(store, "b", 0, 9).await;
    assert_eq!(released(store).await, [release("a3"), release("b2")], "one that was overtaken goes as well");
}

pub async fn a_gap_in_events_is_no_gap(world: impl World) {
    let store = world.store();
    let waits_behind = |seq| Parked { strict: false, ..gap("a", seq) };
    park(store, [Parked { strict: false, ..parked("a", 3) }, waits_behind(9)]).await;
    assert_eq!(released(store).await, []);
    unpark(store, 1).await.unwrap();
    assert_eq!(released(store).await, [release("a9")]);
}

pub async fn a_record_is_parked_once(world: impl World) {
    let store = world.store();
    let first = parked("a", 1);
    park(store, [first.clone()]).await;
    let elsewhere = Record { offset: 99, ..first.record.clone() };
    park(store, [Parked { reason: "again".into(), ..first.clone() }]).await;
    park(store, [Parked { record: elsewhere, ..first.clone() }]).await;
    park(store, [Parked { position: None, ..first.clone() }]).await;
    world.decide(1, ParkedAction::Release).await;
    let found = store.released(ME, 10).await.unwrap();
    assert_eq!(found, [(Parked { id: 1, ..first }, ParkedAction::Release)]);
    for id in 2..=4 {
        assert!(is_retry(&unpark(store, id).await), "{id} was parked too");
    }
}

pub async fn a_record_that_is_parked_again_takes_its_place_anew(world: impl World) {
    let store = world.store();
    park(store, [parked("a", 1)]).await;
    world.decide(1, ParkedAction::Release).await;
    let again = Changes {
        unpark: vec![1],
        park: vec![Parked { reason: "still".into(), ..parked("a", 1) }],
        ..Changes::default()
    };
    commit(store, &again).await.unwrap();
    assert_eq!(released(store).await, [], "the decision was about the first try");
    world.decide(2, ParkedAction::Release).await;
    assert_eq!(store.released(ME, 10).await.unwrap()[0].0.reason, "still");
}

pub async fn a_record_without_a_position_holds_nothing(world: impl World) {
    let store = world.store();
    let alone = |id| Parked { position: None, strict: false, ..parked(id, 1) };
    park(store, [alone("x"), alone("y"), alone("z")]).await;
    world.decide(3, ParkedAction::Release).await;
    world.decide(2, ParkedAction::Skip).await;
    let found = store.released(ME, 10).await.unwrap();
    let found: Vec<_> = found.iter().map(|(parked, action)| (parked.id, *action)).collect();
    assert_eq!(found, [(2, ParkedAction::Skip), (3, ParkedAction::Release)]);
}

pub async fn consumers_park_apart(world: impl World) {
    let store = world.store();
    park(store, [gap("a", 1)]).await;
    let other = Changes { park: vec![gap("a", 1)], ..Changes::default() };
    store.begin().await.unwrap().commit("other", &other).await.unwrap();
    assert_eq!(released(store).await, [release("a1")]);
    let id = store.released(ME, 10).await.unwrap()[0].0.id;
    unpark(store, id).await.unwrap();
    assert_eq!(released(store).await, []);
    assert_eq!(store.released("other", 10).await.unwrap().len(), 1);
}

pub async fn what_is_held_is_counted_by_stream(world: impl World) {
    let store = world.store();
    assert_eq!(store.held(ME).await.unwrap(), Waiting::default());
    let alone = Parked { position: None, ..parked("z", 1) };
    park(store, [parked("a", 1), parked("a", 2), parked("b", 4), alone]).await;
    let held = store.held(ME).await.unwrap();
    assert_eq!(held.streams, 3);
    assert!(held.oldest_ms > 0);
    assert_eq!(store.held("somebody else").await.unwrap(), Waiting::default());
}
