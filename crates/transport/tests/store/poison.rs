//! What a server refuses for ever must not look like something that passes.

use super::{OnPostgres, World, commit, ids, message, row, saves};
use transport::{
    Error,
    ports::{Changes, IdempotencyKey, Mark, Row, StoredAnswer},
};

fn stream(topic: &str) -> message::Stream {
    message::Stream::new("a", "b", "c", topic)
}

/// A batch that touches every table, in which one thing cannot be stored.
fn batch(spoil: impl FnOnce(&mut Changes)) -> Changes {
    let [id, other] = ids();
    let key = IdempotencyKey { caller: "kiosk".into(), route: "Buy", key: id.to_string() };
    let mut changes = saves("thing", [row(id, 1), row(other, 1)]);
    let topic = id.to_string();
    changes.marks = vec![(stream(&topic), Mark::default(), Mark { last_seq: 1, parked: 0 })];
    changes.outbox = vec![message("s", 1)];
    changes.arm = vec![("thing", id, i64::MAX)];
    changes.answers = vec![(key, StoredAnswer { request_hash: 1, answer: "{}".into() })];
    spoil(&mut changes);
    changes
}

/// Retrying would never end; so it is poison also when the other statements of the batch failed only in its wake.
pub async fn text_that_cannot_be_stored_is_poison(world: OnPostgres) {
    let spoilers: [(&str, fn(&mut Changes)); 3] = [
        ("state", |c| c.saves[1].row = Row { state: "\"nul \0\"".into(), ..c.saves[1].row.clone() }),
        ("mark", |c| c.marks[0].0 = stream("nul \0")),
        ("answer", |c| c.answers[0].1.answer = "\"cut".into()),
    ];
    // Twice: the second time every statement is prepared, and all are on their way at once.
    for round in 1..=2 {
        for (what, spoil) in spoilers {
            let failed = commit(world.store(), &batch(spoil)).await;
            assert!(matches!(failed, Err(Error::Poison(_))), "{what}, round {round}: {failed:?}");
        }
        commit(world.store(), &batch(|_| {})).await.unwrap();
    }
}
