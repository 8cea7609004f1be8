//! What one robot does, as a pure state machine: time and the mall's words come in, reports go out.
//!
//! A report stays with the robot until it is acknowledged, and is said again under the same number after the line was cut.
//! Only an instruction with a higher epoch, or the answer to its own reports, changes what the robot does.

use message::Refusal;
use schemas::{
    ids::{OrderId, StoreId},
    lines::LineCount,
};
use std::collections::VecDeque;

/// Most reports of one robot at once; a longer walk is reported in parts.
pub const MAX_AT_ONCE: usize = 64;
/// Silence of a robot after a refusal that is not about its epoch.
const HESITATE_MS: u64 = 500;

/// What a robot was told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub order: OrderId,
    pub job: Job,
    /// In the order in which to visit them.
    pub stops: Vec<Stop>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// From the stores to the bay.
    Collect,
    /// From the robot or the bay to the stores.
    Return,
}

/// A store to visit, and what will be found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub store: StoreId,
    pub picked: Vec<LineCount>,
    pub missing: Vec<LineCount>,
}

/// What the depot says to one robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    pub epoch: i64,
    /// `None`: wait.
    pub assignment: Option<Assignment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub epoch: i64,
    pub number: i64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Visited { order: OrderId, stop: Stop },
    Delivered(OrderId),
    Returned(OrderId),
    Heartbeat,
    GoOffline,
}

/// The mall's answer to a robot's reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Reports up to this number were judged.
    pub acknowledged: i64,
    /// Of those: which changed nothing, and why.
    pub refused: Vec<(i64, Refusal)>,
    pub now: Instruction,
}

/// One robot; a new one knows of no instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brain {
    pace_ms: u64,
    beat_ms: u64,
    /// Of its last instruction; 0 for none.
    epoch: i64,
    /// Rises for ever, so that no acknowledgement is taken for another report's.
    next_number: i64,
    state: State,
    /// Said, or to be said again, and not acknowledged.
    unanswered: Vec<Report>,
    /// It has said hello, or reports, and waits for the answer.
    talking: bool,
    said_ms: u64,
    /// Until then it says nothing.
    silent_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Does not know what it is to do.
    Asking,
    Idle,
    /// The next stop is done, or after the last one the way is, at `next_ms`.
    Working {
        order: OrderId,
        job: Job,
        stops: VecDeque<Stop>,
        next_ms: u64,
    },
}

impl Brain {
    /// `pace_ms` for each stop and for the last way, 0 for none; `beat_ms` is its longest silence.
    pub fn new(pace_ms: u64, beat_ms: u64) -> Self {
        Self {
            pace_ms,
            beat_ms,
            epoch: 0,
            next_number: 1,
            state: State::Asking,
            unanswered: Vec::new(),
            talking: false,
            said_ms: 0,
            silent_ms: 0,
        }
    }

    /// A new line is open: what it says of itself first, the epoch it knows.
    pub fn hello(&mut self) -> i64 {
        self.talking = true;
        self.epoch
    }

    /// Hello is answered, or the mall had given the robot up and it begins anew: then whatever it has not been answered is void.
    pub fn welcome(&mut self, now_ms: u64, now: Instruction, acknowledged: i64) {
        self.talking = false;
        self.next_number = self.next_number.max(acknowledged.saturating_add(1));
        if now.epoch != self.epoch {
            self.unanswered.clear();
            return self.obey(now_ms, now);
        }
        self.unanswered.retain(|report| report.number > acknowledged);
        // What is to be said again may end the job; until then it goes on with it.
        if self.unanswered.is_empty() && !self.works_for(&now) {
            self.obey(now_ms, now);
        }
    }

    /// When it has something to say; `None` while it waits for an answer.
    pub fn due_ms(&self) -> Option<u64> {
        if self.talking {
            return None;
        }
        let beat = self.said_ms.saturating_add(self.beat_ms);
        let due = match &self.state {
            _ if !self.unanswered.is_empty() => 0,
            State::Asking => 0,
            State::Idle => beat,
            State::Working { next_ms, .. } => beat.min(*next_ms),
        };
        Some(due.max(self.silent_ms))
    }

    /// What it says now, nothing if nothing is due. Must be followed by [`Brain::heard`], [`Brain::welcome`] or [`Brain::cut`].
    pub fn speak(&mut self, now_ms: u64) -> Vec<Report> {
        if self.due_ms().is_none_or(|due| due > now_ms) {
            return Vec::new();
        }
        (self.talking, self.said_ms) = (true, now_ms);
        if self.unanswered.is_empty() {
            self.work(now_ms);
        }
        if self.unanswered.is_empty() {
            self.report(What::Heartbeat);
        }
        self.unanswered.clone()
    }

    /// The answer to what was said last. Answers the order that the depot took as delivered.
    pub fn heard(&mut self, now_ms: u64, answer: Answer) -> Option<OrderId> {
        let Answer { acknowledged, refused, now } = answer;
        let judged: Vec<_> = self.unanswered.extract_if(.., |report| report.number <= acknowledged).collect();
        // Of a time before it was welcomed anew.
        if judged.is_empty() {
            return None;
        }
        self.talking = false;
        // A stale epoch is answered by the instruction that has the new one.
        self.judged(now_ms, refused.iter().any(|(_, refusal)| refusal.code != "depot.stale_epoch"), now);
        let taken = judged.into_iter().filter(|report| refused.iter().all(|(number, _)| *number != report.number));
        taken.map(|report| report.what).find_map(What::delivered)
    }

    /// The line is cut: whether the depot knows what was said is unknown.
    pub fn cut(&mut self) {
        self.talking = false;
        // A heartbeat that was not heard is not worth repeating.
        self.unanswered.retain(|report| report.what != What::Heartbeat);
    }

    /// Says nothing before then.
    pub fn hush(&mut self, until_ms: u64) {
        self.silent_ms = self.silent_ms.max(until_ms);
    }

    /// The mall says this unasked. Nothing older than what the robot knows is news.
    pub fn told(&mut self, now_ms: u64, instruction: Instruction) {
        if instruction.epoch > self.epoch {
            self.obey(now_ms, instruction);
        }
    }

    /// Of its last instruction; 0 for none.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Whether it waits for an answer.
    pub fn is_talking(&self) -> bool {
        self.talking
    }

    /// Leaves service: what an idle robot says last, nothing for others. The answer does not matter.
    pub fn leave(&mut self) -> Option<Report> {
        if self.state != State::Idle {
            return None;
        }
        self.state = State::Asking;
        self.report(What::GoOffline);
        self.unanswered.pop()
    }

    fn judged(&mut self, now_ms: u64, refused: bool, now: Instruction) {
        // It has been told something newer in the meantime.
        if now.epoch < self.epoch {
            return;
        }
        let goes_on = !refused && now.epoch == self.epoch && self.works_for(&now);
        if goes_on {
            return;
        }
        // The same again would be refused again; a new epoch is a new beginning.
        if refused && now.epoch == self.epoch {
            self.hush(now_ms.saturating_add(HESITATE_MS));
        }
        self.obey(now_ms, now);
    }

    fn works_for(&self, told: &Instruction) -> bool {
        let working = match &self.state {
            State::Working { order, .. } => Some(*order),
            State::Asking | State::Idle => None,
        };
        working.is_some() && working == told.assignment.as_ref().map(|a| a.order)
    }

    fn obey(&mut self, now_ms: u64, Instruction { epoch, assignment }: Instruction) {
        self.epoch = epoch;
        self.state = match assignment {
            None => State::Idle,
            Some(Assignment { order, job, stops }) => {
                State::Working { order, job, stops: stops.into(), next_ms: now_ms.saturating_add(self.pace_ms) }
            }
        };
    }

    /// Does what is due, and puts it into reports.
    fn work(&mut self, now_ms: u64) {
        while self.unanswered.len() < MAX_AT_ONCE {
            let State::Working { order, job, stops, next_ms } = &mut self.state else { return };
            if *next_ms > now_ms {
                return;
            }
            *next_ms = now_ms.saturating_add(self.pace_ms);
            let (order, job, stop) = (*order, *job, stops.pop_front());
            self.step(order, job, stop);
        }
    }

    fn step(&mut self, order: OrderId, job: Job, stop: Option<Stop>) {
        let done = match (job, stop) {
            (Job::Collect, Some(stop)) => return self.report(What::Visited { order, stop }),
            // On the way back only the end is reported.
            (Job::Return, Some(_)) => return,
            (Job::Collect, None) => What::Delivered(order),
            (Job::Return, None) => What::Returned(order),
        };
        self.report(done);
        self.state = State::Asking;
    }

    fn report(&mut self, what: What) {
        self.unanswered.push(Report { epoch: self.epoch, number: self.next_number, what });
        self.next_number += 1;
    }
}

impl What {
    fn delivered(self) -> Option<OrderId> {
        match self {
            Self::Delivered(order) => Some(order),
            Self::Visited { .. } | Self::Returned(_) | Self::Heartbeat | Self::GoOffline => None,
        }
    }
}

#[cfg(test)]
mod tests;
