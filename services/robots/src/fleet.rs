//! All robots of a process: who has something to say, and who waits to be told.

use crate::{
    Config,
    brain::{Answer, Brain, Instruction, MAX_AT_ONCE, Report, Say},
};
use schemas::ids::{BotId, OrderId};
use std::collections::HashMap;
use uuid::Uuid;

pub struct Fleet {
    members: Vec<Member>,
    places: HashMap<BotId, usize>,
    /// Who may speak first next time, so that nobody is passed over for ever.
    turn: usize,
}

struct Member {
    id: BotId,
    brain: Brain,
    /// A call waits for its assignment.
    listening: bool,
}

/// What one request can carry.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub registrations: usize,
    pub reports: usize,
}

/// What the fleet has to say at one moment.
#[derive(Debug, Default)]
pub struct Speech {
    pub registrations: Vec<(BotId, String)>,
    pub reports: Vec<(BotId, Vec<Report>)>,
}

impl Room {
    /// Whether whatever the robot says next has room.
    fn fits(self, brain: &Brain) -> bool {
        if brain.is_offline() { self.registrations > 0 } else { self.reports >= MAX_AT_ONCE }
    }
}

impl Fleet {
    /// Robots with the same ids whenever the configuration is the same.
    pub fn new(config: &Config) -> Self {
        let (pace, beat) = (config.pace.as_millis() as u64, config.beat.as_millis() as u64);
        let member =
            |number: usize| Member { id: bot_id(config.base, number), brain: Brain::new(pace, beat), listening: false };
        let members: Vec<_> = (0..config.count).map(member).collect();
        let places = members.iter().enumerate().map(|(place, m)| (m.id, place)).collect();
        Self { members, places, turn: 0 }
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// When the next robot has something to say for which there is room; `None` while all wait for answers.
    pub fn due_ms(&self, room: Room) -> Option<u64> {
        self.members.iter().filter(|m| room.fits(&m.brain)).filter_map(|m| m.brain.due_ms()).min()
    }

    /// What is due, as far as there is room. Each robot in it must be answered by [`Fleet::registered`], [`Fleet::heard`] or
    /// [`Fleet::unheard`].
    pub fn speak(&mut self, now_ms: u64, mut room: Room) -> Speech {
        let (mut speech, count) = (Speech::default(), self.members.len());
        let mut passed_over = None;
        for place in (0..count).map(|n| (self.turn + n) % count) {
            let member = &mut self.members[place];
            if !room.fits(&member.brain) {
                passed_over = passed_over.or(Some(place));
                continue;
            }
            match member.brain.speak(now_ms) {
                None => {}
                Some(Say::Register) => {
                    room.registrations -= 1;
                    speech.registrations.push((member.id, format!("Robot {}", place + 1)));
                }
                Some(Say::Report(reports)) => {
                    room.reports -= reports.len();
                    speech.reports.push((member.id, reports));
                }
            }
        }
        self.turn = passed_over.unwrap_or(self.turn);
        speech
    }

    pub fn registered(&mut self, bot: BotId, epoch: i64) {
        if let Some(member) = self.member(bot) {
            member.brain.registered(epoch);
        }
    }

    /// Answers the order that the depot took as delivered.
    pub fn heard(&mut self, now_ms: u64, bot: BotId, answer: Answer) -> Option<OrderId> {
        self.member(bot)?.brain.heard(now_ms, answer)
    }

    pub fn unheard(&mut self, bots: impl IntoIterator<Item = BotId>) {
        for bot in bots {
            if let Some(member) = self.member(bot) {
                member.brain.unheard();
            }
        }
    }

    pub fn told(&mut self, now_ms: u64, bot: BotId, instruction: Instruction) {
        if let Some(member) = self.member(bot) {
            member.brain.told(now_ms, instruction);
        }
    }

    /// Idle robots that no call waits for; now one does.
    pub fn listen(&mut self) -> Vec<BotId> {
        let free = self.members.iter_mut().filter(|m| m.brain.listens() && !m.listening);
        free.map(|member| {
            member.listening = true;
            member.id
        })
        .collect()
    }

    /// The call that waited for them is over.
    pub fn unlisten(&mut self, bots: impl IntoIterator<Item = BotId>) {
        for bot in bots {
            if let Some(member) = self.member(bot) {
                member.listening = false;
            }
        }
    }

    /// The last words of all idle robots.
    pub fn leave(&mut self) -> Vec<(BotId, Vec<Report>)> {
        self.members.iter_mut().filter_map(|m| Some((m.id, vec![m.brain.leave()?]))).collect()
    }

    fn member(&mut self, bot: BotId) -> Option<&mut Member> {
        let place = *self.places.get(&bot)?;
        self.members.get_mut(place)
    }
}

fn bot_id(base: Uuid, number: usize) -> BotId {
    Uuid::new_v5(&base, format!("robot {number}").as_bytes()).into()
}
