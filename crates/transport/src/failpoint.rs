//! Fail-points: named places around every commit point at which a process can be told to die, so that crash runs hit the gap
//! they mean. They stand in the programs that people run, for another program's proof would prove little of these; a process
//! that was told nothing pays one load for each.

use std::{
    fmt,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Where a process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A batch is folded; nothing of it is written.
    SaveBefore,
    /// State, inbox marks, outbox rows and timers are written, and not committed.
    CommitBefore,
    /// COMMIT is on its way: it takes effect, or does not.
    CommitSent,
    CommitAfter,
    /// The relay holds committed rows and has appended nothing.
    ProduceBefore,
    /// Records are with the client library: some are written, perhaps.
    ProduceSent,
    /// The broker has acknowledged; the outbox still has the rows.
    ProduceAfter,
    DeleteAfter,
    /// A batch has committed and its callers were answered; no offset is stored.
    OffsetBefore,
    OffsetStored,
    OffsetCommitted,
    /// Timers are due and read.
    TimerBefore,
    /// They are on their way into a batch.
    TimerAfter,
    /// The payment provider is about to be asked.
    CallBefore,
    /// It has answered, and only this process knows.
    CallAfter,
}

impl Place {
    pub const ALL: [Self; 15] = [
        Self::SaveBefore,
        Self::CommitBefore,
        Self::CommitSent,
        Self::CommitAfter,
        Self::ProduceBefore,
        Self::ProduceSent,
        Self::ProduceAfter,
        Self::DeleteAfter,
        Self::OffsetBefore,
        Self::OffsetStored,
        Self::OffsetCommitted,
        Self::TimerBefore,
        Self::TimerAfter,
        Self::CallBefore,
        Self::CallAfter,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::SaveBefore => "save.before",
            Self::CommitBefore => "commit.before",
            Self::CommitSent => "commit.sent",
            Self::CommitAfter => "commit.after",
            Self::ProduceBefore => "produce.before",
            Self::ProduceSent => "produce.sent",
            Self::ProduceAfter => "produce.after",
            Self::DeleteAfter => "delete.after",
            Self::OffsetBefore => "offset.before",
            Self::OffsetStored => "offset.stored",
            Self::OffsetCommitted => "offset.committed",
            Self::TimerBefore => "timer.before",
            Self::TimerAfter => "timer.after",
            Self::CallBefore => "call.before",
            Self::CallAfter => "call.after",
        }
    }
}

/// A death to come, written `place@n`: when the process passes `place` for the `n`th time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    pub place: Place,
    pub nth: u64,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.place.name(), self.nth)
    }
}

impl FromStr for Death {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let places = || Place::ALL.map(Place::name).join(", ");
        let wrong = || format!("`{text}` is not `place@n` with n from 1 and a place of {}", places());
        let (name, nth) = text.split_once('@').ok_or_else(wrong)?;
        let place = Place::ALL.into_iter().find(|place| place.name() == name).ok_or_else(wrong)?;
        let nth = nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(wrong)?;
        Ok(Self { place, nth })
    }
}

struct Armed {
    place: Place,
    left: AtomicU64,
}

static ARMED: OnceLock<Armed> = OnceLock::new();
/// About how long a statement or a request is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(1);

/// From now on this process dies so. Only the first call counts.
pub fn arm(death: Death) {
    let _ = ARMED.set(Armed { place: death.place, left: AtomicU64::new(death.nth) });
}

/// Dies here, if so told.
#[inline]
pub fn pass(place: Place) {
    if due(place) {
        die(place);
    }
}

/// Dies in a moment, if so told: in the middle of what comes next.
#[inline]
pub fn pass_soon(place: Place) {
    if due(place) {
        tokio::spawn(async move {
            tokio::time::sleep(ON_ITS_WAY).await;
            die(place);
        });
    }
}

#[inline]
fn due(place: Place) -> bool {
    ARMED.get().is_some_and(|armed| armed.place == place && armed.left.fetch_sub(1, Ordering::Relaxed) == 1)
}

/// As `kill -9` would: nothing is dropped, flushed or told to anybody but the standard error.
fn die(place: Place) -> ! {
    eprintln!("fail-point {}: this process was told to die here", place.name());
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_death_is_read_as_it_is_written() {
        for (nth, place) in (1..).zip(Place::ALL) {
            let death = Death { place, nth };
            assert_eq!(death.to_string().parse(), Ok(death));
        }
    }

    #[test]
    fn a_death_that_cannot_come_is_refused_with_the_places_there_are() {
        for text in ["", "commit.after", "commit.after@0", "commit.after@x", "nowhere@1"] {
            assert!(text.parse::<Death>().unwrap_err().contains("commit.sent"), "{text}");
        }
    }
}
