//! What has struck, and how often: a run in which a fault never fired proves nothing of it.

use serde::Serialize;
use std::collections::BTreeMap;
use transport::failpoint::Place;

/// Faults that strike servers, processes, connections and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Kill,
    KillAll,
    Pause,
    Overtaken,
    ShardLost,
    Broker,
    TwoBrokers,
    Postgres,
    CommitCutBefore,
    CommitCutAfter,
    Double,
    LateDouble,
    Replay,
    Garbage,
    Provider,
    StubbornVoid,
    RobotGone,
}

impl Fault {
    pub const ALL: [Self; 17] = [
        Self::Kill,
        Self::KillAll,
        Self::Pause,
        Self::Overtaken,
        Self::ShardLost,
        Self::Broker,
        Self::TwoBrokers,
        Self::Postgres,
        Self::CommitCutBefore,
        Self::CommitCutAfter,
        Self::Double,
        Self::LateDouble,
        Self::Replay,
        Self::Garbage,
        Self::Provider,
        Self::StubbornVoid,
        Self::RobotGone,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "process killed",
            Self::KillAll => "all processes killed at once",
            Self::Pause => "process stopped for longer than its leases",
            Self::Overtaken => "commit refused that another was faster than, after a stop",
            Self::ShardLost => "shard that another had taken over, after a stop",
            Self::Broker => "broker killed",
            Self::TwoBrokers => "two of three brokers killed",
            Self::Postgres => "Postgres killed",
            Self::CommitCutBefore => "connection cut before COMMIT arrived",
            Self::CommitCutAfter => "connection cut after COMMIT, before its answer",
            Self::Double => "record repeated at once",
            Self::LateDouble => "record repeated late",
            Self::Replay => "topics of a context replayed from their start",
            Self::Garbage => "unreadable record",
            Self::Provider => "order whose payment provider misbehaves",
            Self::StubbornVoid => "order whose money is given up only after many tries",
            Self::RobotGone => "robot gone for ever with a list in hand",
        }
    }
}

/// How often each fault struck.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    pub faults: BTreeMap<&'static str, u64>,
    /// Processes that died at a fail-point, by its name.
    pub places: BTreeMap<&'static str, u64>,
    /// All processes that died, whatever killed them.
    pub deaths: u64,
    /// Processes that ended though nobody had killed them, with the end of their log.
    pub unexplained: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, fault: Fault, times: u64) {
        *self.faults.entry(fault.name()).or_default() += times;
    }

    pub fn died_at(&mut self, place: Place) {
        *self.places.entry(place.name()).or_default() += 1;
        self.deaths += 1;
    }

    pub fn at(&self, place: Place) -> u64 {
        self.places.get(place.name()).copied().unwrap_or(0)
    }

    pub fn merge(&mut self, other: &Self) {
        for (name, times) in &other.faults {
            *self.faults.entry(name).or_default() += times;
        }
        for (name, times) in &other.places {
            *self.places.entry(name).or_default() += times;
        }
        self.deaths += other.deaths;
        self.unexplained.extend(other.unexplained.iter().cloned());
    }

    /// Faults and fail-points that never struck.
    pub fn missing(&self) -> Vec<&'static str> {
        let never = |counts: &BTreeMap<&str, u64>, name: &str| counts.get(name).is_none_or(|times| *times == 0);
        let faults = Fault::ALL.map(Fault::name).into_iter().filter(|name| never(&self.faults, name));
        let places = Place::ALL.map(Place::name).into_iter().filter(|name| never(&self.places, name));
        faults.chain(places).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_struck_is_missed() {
        let mut tally = Tally::default();
        assert_eq!(tally.missing().len(), Fault::ALL.len() + Place::ALL.len());
        let mut other = Tally::default();
        other.add(Fault::Kill, 2);
        other.add(Fault::CommitCutAfter, 0);
        other.died_at(Place::CommitSent);
        tally.merge(&other);
        tally.merge(&other);
        assert_eq!((tally.deaths, tally.at(Place::CommitSent), tally.faults["process killed"]), (2, 2, 4));
        assert!(!tally.missing().contains(&"process killed") && !tally.missing().contains(&"commit.sent"));
        assert!(tally.missing().contains(&Fault::CommitCutAfter.name()));
    }
}
