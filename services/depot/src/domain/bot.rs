//! Robots: `offline → idle → busy → idle`, `busy → lost` when the heartbeat stops.
//!
//! Every instruction has an epoch. A report under another epoch comes from a robot that has not heard of its last
//! instruction (or from an impostor that took its place), so it is refused; a report number that was seen is a repeat.

use super::refusals;
use message::Refusal;
use schemas::{ids::OrderId, stores::Location};
use serde::{Deserialize, Serialize};
use transport::Aggregate;

/// The status claims choose from.
pub const IDLE: &str = "idle";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bot {
    pub name: String,
    /// Where it was seen last.
    pub location: Location,
    /// Rises with each registration and each instruction.
    pub epoch: i64,
    /// Highest report number since the registration.
    pub last_report: i64,
    pub heard_ms: i64,
    /// Without a sign of life until then it is given up.
    pub silent_at_ms: i64,
    #[serde(flatten)]
    pub state: BotState,
}

/// A busy robot has one order: it cannot have two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum BotState {
    Offline,
    Idle,
    Busy { order: OrderId, job: Job },
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// From the stores to the bay.
    Collect,
    /// From the robot or the bay to the stores.
    Return,
}

/// How a report is to be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// Seen before: answer, do nothing.
    Repeated,
    Stale(Refusal),
    New,
}

impl Aggregate for Bot {
    const KIND: &'static str = "bot";

    fn status(&self) -> &'static str {
        match self.state {
            BotState::Offline => "offline",
            BotState::Idle => IDLE,
            BotState::Busy { .. } => "busy",
            BotState::Lost => "lost",
        }
    }

    fn wake_at_ms(&self) -> Option<i64> {
        self.in_service().then_some(self.silent_at_ms)
    }
}

impl Bot {
    /// Comes online: what it was told before is void, but a busy robot keeps its list and resumes.
    pub fn register(known: Option<Self>, name: String, location: Location) -> Self {
        let (epoch, state) = known.map_or((0, BotState::Offline), |bot| (bot.epoch, bot.state));
        let state = match state {
            BotState::Offline | BotState::Idle | BotState::Lost => BotState::Idle,
            busy @ BotState::Busy { .. } => busy,
        };
        Self { name, location, epoch: epoch + 1, last_report: 0, heard_ms: 0, silent_at_ms: 0, state }
    }

    /// A sign of life.
    pub fn heard(self, now_ms: i64, silence_ms: i64) -> Self {
        Self { heard_ms: now_ms, silent_at_ms: now_ms.saturating_add(silence_ms), ..self }
    }

    /// Judges a report by its epoch and number.
    pub fn meet(&self, epoch: i64, report_no: i64) -> Met {
        if report_no <= self.last_report && epoch <= self.epoch {
            Met::Repeated
        } else if epoch != self.epoch {
            Met::Stale(refusals::stale_epoch(epoch, self.epoch))
        } else {
            Met::New
        }
    }

    /// Whether it is counted on; otherwise it has to register again.
    pub fn in_service(&self) -> bool {
        matches!(self.state, BotState::Idle | BotState::Busy { .. })
    }

    pub fn order(&self) -> Option<OrderId> {
        match self.state {
            BotState::Busy { order, .. } => Some(order),
            BotState::Offline | BotState::Idle | BotState::Lost => None,
        }
    }

    pub fn assign(self, order: OrderId, job: Job) -> Result<Self, Refusal> {
        match self.state {
            BotState::Idle => Ok(self.instructed(BotState::Busy { order, job })),
            BotState::Offline | BotState::Busy { .. } | BotState::Lost => Err(self.refuse("busy")),
        }
    }

    /// Did what it was told to do for that order.
    pub fn finish(self, done: OrderId) -> Result<Self, Refusal> {
        match self.state {
            BotState::Busy { order, .. } if order == done => Ok(Self { state: BotState::Idle, ..self }),
            BotState::Offline | BotState::Idle | BotState::Busy { .. } | BotState::Lost => Err(self.refuse(IDLE)),
        }
    }

    /// Is told to forget that order.
    pub fn stand_down(self, dropped: OrderId) -> Result<Self, Refusal> {
        self.finish(dropped).map(|bot| bot.instructed(BotState::Idle))
    }

    /// Is told to bring back what it has.
    pub fn turn_round(self) -> Result<Self, Refusal> {
        match self.state {
            BotState::Busy { order, job: Job::Collect } => {
                Ok(self.instructed(BotState::Busy { order, job: Job::Return }))
            }
            BotState::Offline | BotState::Idle | BotState::Busy { job: Job::Return, .. } | BotState::Lost => {
                Err(self.refuse("busy with a return"))
            }
        }
    }

    /// Its heartbeat stopped: a busy robot is lost, an idle one is not counted on any more.
    pub fn give_up(self) -> Self {
        let state = match self.state {
            BotState::Busy { .. } => BotState::Lost,
            BotState::Idle => BotState::Offline,
            BotState::Offline | BotState::Lost => self.state,
        };
        Self { state, ..self }
    }

    /// Leaves service by itself.
    pub fn go_offline(self) -> Result<Self, Refusal> {
        match self.state {
            BotState::Idle => Ok(Self { state: BotState::Offline, ..self }),
            BotState::Offline | BotState::Busy { .. } | BotState::Lost => Err(self.refuse("offline")),
        }
    }

    fn instructed(self, state: BotState) -> Self {
        Self { epoch: self.epoch + 1, state, ..self }
    }

    fn refuse(&self, to: &str) -> Refusal {
        refusals::wrong_state(format_args!("robot {}", self.name), self.status(), to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{place::DEPOT, samples::order};

    fn bot(state: BotState) -> Bot {
        Bot { state, ..Bot::register(None, "R1".into(), DEPOT) }
    }

    fn busy(job: Job) -> BotState {
        BotState::Busy { order: order(1), job }
    }

    const ALL: [BotState; 3] = [BotState::Offline, BotState::Idle, BotState::Lost];

    #[test]
    fn every_state_meets_every_event_as_the_state_machine_says() {
        use BotState::{Idle, Lost, Offline};
        let (collect, back) = (busy(Job::Collect), busy(Job::Return));
        let ok = |result: Result<Bot, Refusal>| result.ok().map(|bot| bot.state);
        for (state, assign, finish, turn, offline, silent) in [
            (Offline, None, None, None, None, Offline),
            (Idle, Some(collect), None, None, Some(Offline), Offline),
            (collect, None, Some(Idle), Some(back), None, Lost),
            (back, None, Some(Idle), None, None, Lost),
            (Lost, None, None, None, None, Lost),
        ] {
            assert_eq!(ok(bot(state).assign(order(1), Job::Collect)), assign, "{state:?} assign");
            assert_eq!(ok(bot(state).finish(order(1))), finish, "{state:?} finish");
            assert_eq!(ok(bot(state).stand_down(order(1))), finish, "{state:?} stand down");
            assert_eq!(ok(bot(state).turn_round()), turn, "{state:?} turn round");
            assert_eq!(ok(bot(state).go_offline()), offline, "{state:?} go offline");
            assert_eq!(bot(state).give_up().state, silent, "{state:?} silent");
        }
    }

    #[test]
    fn registering_makes_idle_but_a_busy_robot_resumes() {
        for state in ALL {
            assert_eq!(Bot::register(Some(bot(state)), "R1".into(), DEPOT).state, BotState::Idle);
        }
        let resumed = Bot::register(Some(bot(busy(Job::Collect))), "R1".into(), DEPOT);
        assert_eq!(resumed.state, busy(Job::Collect));
    }

    #[test]
    fn every_instruction_and_registration_has_a_higher_epoch() {
        let idle = bot(BotState::Idle);
        let epoch = idle.epoch;
        let sent = idle.assign(order(1), Job::Collect).unwrap();
        assert_eq!(sent.epoch, epoch + 1);
        assert_eq!(sent.clone().turn_round().unwrap().epoch, epoch + 2);
        assert_eq!(sent.clone().stand_down(order(1)).unwrap().epoch, epoch + 2);
        assert_eq!(Bot::register(Some(sent), "R1".into(), DEPOT).epoch, epoch + 2);
    }

    #[test]
    fn a_repeat_is_recognised_and_another_epoch_refused() {
        let bot = Bot { epoch: 5, last_report: 3, ..bot(BotState::Idle) };
        assert_eq!(bot.meet(5, 4), Met::New);
        assert_eq!(bot.meet(5, 3), Met::Repeated);
        assert_eq!(bot.meet(4, 3), Met::Repeated, "its answer may have got lost with the new epoch in it");
        for (epoch, report_no) in [(4, 4), (6, 4), (6, 1)] {
            assert!(matches!(bot.meet(epoch, report_no), Met::Stale(r) if r.code == "depot.stale_epoch"));
        }
    }

    #[test]
    fn only_its_own_order_is_finished() {
        assert!(bot(busy(Job::Collect)).finish(order(2)).is_err());
    }

    #[test]
    fn robots_in_service_have_a_wake_up_and_others_none() {
        let heard = |state| bot(state).heard(100, 30).wake_at_ms();
        assert_eq!((heard(BotState::Idle), heard(busy(Job::Return))), (Some(130), Some(130)));
        assert_eq!((heard(BotState::Offline), heard(BotState::Lost)), (None, None));
    }
}
