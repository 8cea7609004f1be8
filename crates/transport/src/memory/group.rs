//! A consumer group: who reads which partition, from where, and what is committed.

use crate::{
    error::Error,
    ports::{Polled, Record},
};
use std::collections::{BTreeMap, HashMap, VecDeque};

type Place = (String, i32);

#[derive(Default)]
pub(super) struct Group {
    /// By the number they joined with.
    members: BTreeMap<u64, Member>,
    committed: BTreeMap<Place, i64>,
}

#[derive(Default)]
struct Member {
    topics: Vec<String>,
    /// What is assigned, with the offset that is read next.
    positions: BTreeMap<Place, i64>,
    /// Changes of the assignment that the member has not polled yet.
    news: VecDeque<Polled>,
    paused: bool,
    /// The partition that was read last: the next poll looks at the others first.
    last: Option<Place>,
}

impl Group {
    pub fn join(&mut self, member: u64, topics: Vec<String>, partitions: i32) {
        self.members.insert(member, Member { topics, ..Member::default() });
        self.rebalance(partitions);
    }

    pub fn leave(&mut self, member: u64, partitions: i32) {
        self.members.remove(&member);
        self.rebalance(partitions);
    }

    /// A range of each topic's partitions for each member, in an order that another topic does not have: who reads one topic's
    /// partition need not read the same partition of another, as with Kafka's sticky assignment.
    fn rebalance(&mut self, partitions: i32) {
        let mut assignment: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
        let mut readers: BTreeMap<&String, Vec<u64>> = BTreeMap::new();
        for (id, member) in &self.members {
            member.topics.iter().for_each(|topic| readers.entry(topic).or_default().push(*id));
        }
        for (nth, (topic, mut members)) in readers.into_iter().enumerate() {
            let first = nth % members.len();
            members.rotate_left(first);
            for partition in 0..partitions {
                let reader = members[partition as usize * members.len() / partitions as usize];
                assignment.entry(reader).or_default().push((topic.clone(), partition));
            }
        }
        for (id, member) in &mut self.members {
            member.assign(&assignment.remove(id).unwrap_or_default(), &self.committed);
        }
    }

    /// The next change of the assignment, else the next record; `None` when there is neither.
    pub fn poll(&mut self, member: u64, topics: &BTreeMap<String, Vec<Vec<Record>>>) -> Option<Polled> {
        let member = self.members.get_mut(&member)?;
        if let Some(news) = member.news.pop_front() {
            return Some(news);
        }
        if member.paused {
            return None;
        }
        member.read(topics).map(Polled::Record)
    }

    /// Refused for a partition that belongs to somebody else now: it is no longer ours to say how far it is processed.
    pub fn store(&mut self, member: u64, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        let place = (topic.to_owned(), partition);
        let ours = self.members.get(&member).is_some_and(|m| m.positions.contains_key(&place));
        if !ours {
            return Err(Error::retry("store offset", format!("{topic} {partition} is not assigned to this member")));
        }
        self.committed.insert(place, offset);
        Ok(())
    }

    pub fn pause(&mut self, member: u64, paused: bool) {
        if let Some(member) = self.members.get_mut(&member) {
            member.paused = paused;
        }
    }

    pub fn committed(&self, member: u64) -> HashMap<Place, i64> {
        let places = self.members.get(&member).into_iter().flat_map(|m| m.positions.keys());
        places.map(|place| (place.clone(), self.offset(place))).collect()
    }

    /// How far the group has read this partition, 0 where nobody has.
    pub fn offset(&self, place: &Place) -> i64 {
        self.committed.get(place).copied().unwrap_or(0)
    }
}

impl Member {
    /// What stays keeps its position; what is new starts at the committed offset.
    fn assign(&mut self, places: &[Place], committed: &BTreeMap<Place, i64>) {
        let revoked: Vec<Place> = self.positions.keys().filter(|place| !places.contains(place)).cloned().collect();
        let assigned: Vec<Place> = places.iter().filter(|p| !self.positions.contains_key(*p)).cloned().collect();
        self.positions.retain(|place, _| places.contains(place));
        for place in &assigned {
            self.positions.insert(place.clone(), committed.get(place).copied().unwrap_or(0));
        }
        if !revoked.is_empty() {
            self.news.push_back(Polled::Revoked(revoked));
        }
        if !assigned.is_empty() {
            self.news.push_back(Polled::Assigned(assigned));
        }
    }

    fn read(&mut self, topics: &BTreeMap<String, Vec<Vec<Record>>>) -> Option<Record> {
        let next = |(topic, partition): &Place, offset: i64| {
            topics.get(topic)?.get(usize::try_from(*partition).ok()?)?.get(usize::try_from(offset).ok()?)
        };
        let after = self.positions.iter().filter(|(place, _)| self.last.as_ref().is_none_or(|last| *place > last));
        let before = self.positions.iter().filter(|(place, _)| self.last.as_ref().is_some_and(|last| *place <= last));
        let (place, record) =
            after.chain(before).find_map(|(place, at)| Some((place.clone(), next(place, *at)?.clone())))?;
        self.positions.insert(place.clone(), record.offset + 1);
        self.last = Some(place);
        Some(record)
    }
}
