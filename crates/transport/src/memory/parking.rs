//! Parked records, and which of them may be looked at again.

use crate::{
    error::Error,
    ports::{Changes, Mark, Parked, ParkedAction, Record, Waiting},
};
use message::Stream;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Parking {
    last_id: i64,
    spaces: BTreeMap<i64, Space>,
}

struct Space {
    consumer: String,
    parked: Parked,
    action: Option<ParkedAction>,
}

impl Space {
    /// One record has one space: by its position in its stream, and by its place in the log.
    fn is_of(&self, consumer: &str, other: &Parked) -> bool {
        let (mine, theirs) = (&self.parked.record, &other.record);
        let same_position = other.position.is_some() && self.parked.position == other.position;
        let same_place = (&mine.topic, mine.partition, mine.offset) == (&theirs.topic, theirs.partition, theirs.offset);
        self.consumer == consumer && (same_position || same_place)
    }

    /// What is to be done with it now, if anything.
    fn verdict(&self, mark: impl Fn(&Stream) -> Mark) -> Option<ParkedAction> {
        let follows = |(stream, seq): &(Stream, u64)| !self.parked.strict || *seq <= mark(stream).last_seq + 1;
        let arrived = self.parked.gap && self.parked.position.as_ref().is_none_or(follows);
        let passed = self.parked.position.as_ref().is_some_and(|(stream, seq)| *seq <= mark(stream).last_seq);
        self.action.or((arrived || passed).then_some(ParkedAction::Release))
    }
}

impl Parking {
    pub fn held(&self, consumer: &str, now_ms: i64) -> Waiting {
        let ours = || self.spaces.iter().filter(|(_, space)| space.consumer == consumer);
        let streams: BTreeSet<_> = ours()
            .map(|(id, space)| space.parked.position.as_ref().map_or(id.to_string(), |(stream, _)| stream.to_string()))
            .collect();
        let oldest_ms = ours().map(|(_, space)| now_ms - space.parked.since_ms).max().unwrap_or_default();
        Waiting { streams: streams.len() as u64, oldest_ms }
    }

    pub fn holds(&self, id: i64) -> bool {
        self.spaces.contains_key(&id)
    }

    pub fn check(&self, unpark: &[i64]) -> Result<(), Error> {
        let gone = unpark.iter().find(|id| !self.spaces.contains_key(id));
        gone.map_or(Ok(()), |id| Err(Error::overtaken(format!("{id} is not parked any more"))))
    }

    /// Removes first: a record that is parked again has the same position. One that is parked already stays as it is.
    pub fn apply(&mut self, consumer: &str, changes: &Changes) {
        self.spaces.retain(|id, _| !changes.unpark.contains(id));
        for parked in &changes.park {
            if self.spaces.values().any(|space| space.is_of(consumer, parked)) {
                continue;
            }
            self.last_id += 1;
            let parked = Parked { id: self.last_id, ..parked.clone() };
            self.spaces.insert(self.last_id, Space { consumer: consumer.to_owned(), parked, action: None });
        }
    }

    pub fn decide(&mut self, id: i64, action: ParkedAction) -> bool {
        self.spaces.get_mut(&id).map(|space| space.action = Some(action)).is_some()
    }

    /// The record that holds this position.
    pub fn at(&self, consumer: &str, position: &(Stream, u64)) -> Option<Record> {
        let holds = |space: &&Space| space.consumer == consumer && space.parked.position.as_ref() == Some(position);
        self.spaces.values().find(holds).map(|space| space.parked.record.clone())
    }

    pub fn all(&self) -> Vec<Parked> {
        self.spaces.values().map(|space| space.parked.clone()).collect()
    }

    /// The lowest record of each stream, when an operator decided about it, its predecessor has arrived, or the stream
    /// went on without it.
    pub fn released(
        &self,
        consumer: &str,
        limit: usize,
        mark: impl Fn(&Stream) -> Mark,
    ) -> Vec<(Parked, ParkedAction)> {
        let mut lowest: BTreeMap<(String, u64), &Space> = BTreeMap::new();
        for (id, space) in self.spaces.iter().filter(|(_, space)| space.consumer == consumer) {
            let (stream, seq) = match &space.parked.position {
                Some((stream, seq)) => (stream.to_string(), *seq),
                None => (id.to_string(), 0),
            };
            lowest.insert((stream, seq), space);
        }
        let mut seen = None;
        let first_of_each = lowest.iter().filter(|((stream, _), _)| seen.replace(stream) != Some(stream));
        let ready = first_of_each.filter_map(|(_, space)| Some((space.parked.clone(), space.verdict(&mark)?)));
        ready.take(limit).collect()
    }
}
