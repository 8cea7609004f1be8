//! What the contexts' stores, the topics and the ledgers say, as the rules take it. Who loads it hands it over piece by
//! piece: a context's rows, unsent messages and histories as its store has them, each topic's records in their order.

use crate::ledger::Entry;
use message::{Direction, Envelope, Headers};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use transport::{
    FENCE,
    journal::Chapter,
    ports::{OutboxRow, StreamMark},
};
use uuid::Uuid;

/// An aggregate's row, with its state as JSON.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: Uuid,
    pub status: String,
    pub state: Value,
}

/// A stream as its source keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub last_seq: u64,
    pub hash: u64,
}

/// A stream as the topic has it, deduplicated.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub last_seq: u64,
    pub hash: u64,
    pub duplicates: u64,
    /// What is wrong: a gap or an inversion of first occurrences.
    pub broken: Option<String>,
}

/// All that the rules are functions of.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// By kind.
    pub rows: BTreeMap<&'static str, Vec<Row>>,
    pub marks: BTreeMap<String, Mark>,
    pub seen: BTreeMap<String, Seen>,
    /// Unsent rows by stream: (seq, message id, value).
    pub unsent: HashMap<String, Vec<(u64, Uuid, Option<Vec<u8>>)>>,
    /// (context, conversation).
    pub fences: Vec<(&'static str, Uuid, Value)>,
    /// By saga: entries in order.
    pub journals: BTreeMap<Uuid, Vec<Value>>,
    /// The ledger of payments, in its documented form.
    pub payments: Vec<Entry>,
    /// The acquirer's ledger; `None` when no acquirer was named.
    pub acquirer: Option<Vec<Entry>>,
    /// The different answers on the topic to each do, by saga and effect: (outcome, hash of the value).
    pub replies: BTreeMap<(Uuid, String), BTreeSet<(String, u64)>>,
    pub told: Option<Vec<Value>>,
    /// Those the orchestrator runs with: part of its definitions.
    pub deadlines: orchestrator::sagas::Deadlines,
}

impl Facts {
    /// A context's row of this kind, and how far it has emitted its streams.
    pub fn add_row(
        &mut self,
        context: &'static str,
        kind: &'static str,
        id: Uuid,
        status: String,
        state: Value,
        streams: Vec<StreamMark>,
    ) {
        for mark in streams {
            let stream = format!("{context}/{kind}/{id}@{}", mark.topic);
            self.marks.insert(stream, Mark { last_seq: mark.last_seq, hash: mark.hash });
        }
        if kind == FENCE {
            self.fences.push((context, id, state));
        } else {
            self.rows.entry(kind).or_default().push(Row { id, status, state });
        }
    }

    /// A message that waits in an outbox; those of one stream in their order.
    pub fn add_unsent(&mut self, row: OutboxRow) {
        let id = row.record.headers.get(message::headers::CE_ID);
        let id = id.and_then(|v| std::str::from_utf8(v).ok()?.parse().ok()).unwrap_or_default();
        self.unsent.entry(row.stream.to_string()).or_default().push((row.seq, id, row.record.value));
    }

    /// What one change added to a saga's history; changes in their order.
    pub fn add_chapters(&mut self, saga: Uuid, chapters: Vec<Chapter<Value>>) {
        let entries = chapters.into_iter().flat_map(|chapter| chapter.entries);
        self.journals.entry(saga).or_default().extend(entries);
    }

    /// A topic's next record; those of one partition in their order. One whose headers cannot be read says nothing.
    pub fn see(&mut self, topic: &str, key: Option<&[u8]>, headers: &Headers, value: Option<&[u8]>) {
        let Ok(envelope) = Envelope::from_headers(topic, key, headers.iter()) else { return };
        if let (Some(saga), Some(outcome)) = (&envelope.saga, envelope.outcome)
            && saga.effect.direction == Direction::Do
        {
            let (effect, hash) = (&saga.effect, transport::running_hash(0, &Uuid::nil(), value));
            let effect = (effect.saga_id, format!("{}/{}/{}", effect.step, effect.direction, effect.round));
            self.replies.entry(effect).or_default().insert((outcome.as_str().to_owned(), hash));
        }
        let seen = self.seen.entry(envelope.stream.to_string()).or_default();
        if envelope.seq <= seen.last_seq {
            seen.duplicates += 1;
        } else if envelope.seq == seen.last_seq + 1 {
            seen.last_seq = envelope.seq;
            seen.hash = transport::running_hash(seen.hash, &envelope.id, value);
        } else if seen.broken.is_none() {
            seen.broken = Some(format!("{} follows {}", envelope.seq, seen.last_seq));
        }
    }
}
