//! What one robot does, as a pure state machine: time and the depot's words come in, reports go out.
//!
//! A report stays with the robot until the depot has answered it, and is said again under the same number when no answer
//! came. Only an instruction with a higher epoch, or the answer to its own reports, changes what the robot does.

use message::Refusal;
use schemas::{
    ids::{OrderId, StoreId},
    lines::LineCount,
};
use std::collections::VecDeque;

/// Most reports of one robot at once; a longer walk is reported in parts.
pub const MAX_AT_ONCE: usize = 64;
/// Silence of a robot after a refusal that is not about its epoch, or when the depot could not judge its reports.
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

/// What a robot has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    Register,
    Report(Vec<Report>),
}

/// The depot's answer to a robot's reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Judged: a refusal or none for each report in turn, and what the robot is to do now.
    Judged { refusals: Vec<Option<Refusal>>, now: Instruction },
    /// The depot does not know the robot.
    Unknown,
    /// The depot could not judge them; the same reports may be said again.
    Later(Refusal),
}

/// One robot; new ones have to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brain {
    pace_ms: u64,
    beat_ms: u64,
    epoch: i64,
    next_number: i64,
    state: State,
    /// Said, or to be said again, and not answered.
    unanswered: Vec<Report>,
    /// An answer is on its way.
    talking: bool,
    said_ms: u64,
    /// Until then it says nothing.
    silent_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Offline,
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
            state: State::Offline,
            unanswered: Vec::new(),
            talking: false,
            said_ms: 0,
            silent_ms: 0,
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
            State::Offline | State::Asking => 0,
            State::Idle => beat,
            State::Working { next_ms, .. } => beat.min(*next_ms),
        };
        Some(due.max(self.silent_ms))
    }

    /// What it says now, if anything. Must be followed by [`Brain::registered`], [`Brain::heard`] or [`Brain::unheard`].
    pub fn speak(&mut self, now_ms: u64) -> Option<Say> {
        if self.due_ms().is_none_or(|due| due > now_ms) {
            return None;
        }
        (self.talking, self.said_ms) = (true, now_ms);
        if self.state == State::Offline {
            return Some(Say::Register);
        }
        if self.unanswered.is_empty() {
            self.work(now_ms);
        }
        if self.unanswered.is_empty() {
            self.report(What::Heartbeat);
        }
        Some(Say::Report(self.unanswered.clone()))
    }

    /// The depot let it in, under this epoch.
    pub fn registered(&mut self, epoch: i64) {
        (self.epoch, self.next_number, self.talking) = (epoch, 1, false);
        self.state = State::Asking;
        self.unanswered.clear();
    }

    /// The depot answered what was said last. Answers the order that it took as delivered.
    pub fn heard(&mut self, now_ms: u64, answer: Answer) -> Option<OrderId> {
        self.talking = false;
        match answer {
            Answer::Later(_) => {
                self.keep_news();
                self.silent_ms = now_ms.saturating_add(HESITATE_MS);
                None
            }
            Answer::Unknown => {
                self.state = State::Offline;
                self.unanswered.clear();
                None
            }
            Answer::Judged { refusals, now } => {
                let said = std::mem::take(&mut self.unanswered);
                self.judged(now_ms, &refusals, now);
                let taken = said.into_iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
                taken.map(|(report, _)| report.what).find_map(What::delivered)
            }
        }
    }

    /// No answer came: whether the depot knows what was said is unknown.
    pub fn unheard(&mut self) {
        self.talking = false;
        self.keep_news();
    }

    /// The depot says this unasked. Nothing older than what the robot knows is news.
    pub fn told(&mut self, now_ms: u64, instruction: Instruction) {
        if instruction.epoch > self.epoch && self.state != State::Offline {
            self.obey(now_ms, instruction);
        }
    }

    /// Whether an assignment may come to it unasked.
    pub fn listens(&self) -> bool {
        self.state == State::Idle
    }

    /// Whether what it says next is that it comes online.
    pub fn is_offline(&self) -> bool {
        self.state == State::Offline
    }

    /// Leaves service: what an idle robot says last, nothing for others. The answer does not matter.
    pub fn leave(&mut self) -> Option<Report> {
        if self.state != State::Idle {
            return None;
        }
        self.state = State::Offline;
        self.report(What::GoOffline);
        self.unanswered.pop()
    }

    fn judged(&mut self, now_ms: u64, refusals: &[Option<Refusal>], now: Instruction) {
        // It has been told something newer in the meantime.
        if now.epoch < self.epoch {
            return;
        }
        let refusal = refusals.iter().flatten().next();
        let goes_on = refusal.is_none() && now.epoch == self.epoch && self.works_for(&now);
        if goes_on {
            return;
        }
        // The same again would be refused again; a new epoch is a new beginning.
        if refusal.is_some() && now.epoch == self.epoch {
            self.silent_ms = now_ms.saturating_add(HESITATE_MS);
        }
        self.obey(now_ms, now);
    }

    fn works_for(&self, told: &Instruction) -> bool {
        let working = match &self.state {
            State::Working { order, .. } => Some(*order),
            State::Offline | State::Asking | State::Idle => None,
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

    /// A heartbeat that was not heard is not worth repeating.
    fn keep_news(&mut self) {
        self.unanswered.retain(|report| report.what != What::Heartbeat);
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
