//! What the orchestrator decides, by the production `start` and `decide`. Each different decision is taken once, and checked
//! by itself; what holds of every decision holds of every history that is made of them.

use crate::{
    Limits,
    errand::errand,
    known::{Known, Memo, Register, Set},
    participant::Participant,
    rules::Rule,
};
use message::{Direction, Outcome, SagaRef};
use saga::{
    AlarmCode, Course, Definition, Effect, Input, Progress, Reply, Timer, TimerKind, decide, harness::SAGA_ID, start,
};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc};

/// What follows from one input: committed as a whole, or not at all.
#[derive(Clone)]
pub struct Decision {
    /// The input, for people.
    pub on: Arc<str>,
    pub row: Known<Progress>,
    /// The commands that go into the outbox.
    pub sends: Set,
    pub broken: Option<Rule>,
}

/// The definition, and everything that was decided so far.
pub struct Orchestration {
    definition: Arc<Definition>,
    sends: u32,
    rows: Register<Progress>,
    commands: Register<SagaRef>,
    by_itself: Memo<u32, Decision>,
    on_reply: Memo<(u32, String), Decision>,
    on_replies: Memo<(u32, u32), Decision>,
    begun: Memo<(), Decision>,
}

impl Orchestration {
    pub fn new(limits: &Limits) -> Self {
        Self {
            definition: errand(limits).erase(),
            sends: limits.sends,
            rows: Register::default(),
            commands: Register::default(),
            by_itself: Memo::default(),
            on_reply: Memo::default(),
            on_replies: Memo::default(),
            begun: Memo::default(),
        }
    }

    /// How many different rows the saga has had.
    pub fn rows(&self) -> usize {
        self.rows.count()
    }

    pub fn command(&self, number: u32) -> Known<SagaRef> {
        self.commands.get(number)
    }

    /// The start event comes, and there is no row.
    pub fn begin(&self) -> Arc<[Decision]> {
        self.begun.get((), || {
            let (row, effects) = start(&self.definition, SAGA_ID, &json!({})).unwrap_or_else(|e| panic!("{e}"));
            let broken = check_effects(&BTreeSet::new(), &BTreeSet::new(), &row, &effects);
            vec![self.decision("the start event", row, &BTreeSet::new(), broken)]
        })
    }

    /// What a signal or a timer makes of the row. Every timer that was ever set may fire, at any time and any number of
    /// times; so may the signal come.
    pub fn by_itself(&self, row: &Known<Progress>) -> Arc<[Decision]> {
        self.by_itself.get(row.number(), || {
            let cancel = Input::Cancel { reason: "changed my mind".into(), by: "customer".into() };
            let timers = timers_ever_set(row).into_iter().map(|timer| {
                let name = format!("{} of {}", timer.kind.as_str(), effect_name(&timer));
                (name, Input::Timer(timer))
            });
            let inputs = timers.chain([("the signal to cancel".to_owned(), cancel)]);
            inputs.filter_map(|(name, input)| self.decide(row, &name, input)).collect()
        })
    }

    /// What the participant's answers make of the row: each that was ever given may come, now or again.
    pub fn on_replies(&self, row: &Known<Progress>, participant: &Known<Participant>) -> Arc<[Decision]> {
        self.on_replies.get((row.number(), participant.number()), || {
            let replies = participant.sent.iter();
            replies.flat_map(|(name, reply)| self.on_reply(row, name, reply).to_vec()).collect()
        })
    }

    fn on_reply(&self, row: &Known<Progress>, name: &str, reply: &Reply) -> Arc<[Decision]> {
        self.on_reply.get((row.number(), name.to_owned()), || {
            self.decide(row, &format!("answer {name}"), Input::Reply(reply.clone())).into_iter().collect()
        })
    }

    /// `None` when nothing changes and no rule is broken.
    fn decide(&self, row: &Known<Progress>, name: &str, input: Input) -> Option<Decision> {
        let (after, effects) = decide(&self.definition, (**row).clone(), input.clone());
        let broken = self.check(row, &input, &after, &effects);
        let is_new = after != **row || broken.is_some();
        is_new.then(|| self.decision(name, after, &sent(row), broken))
    }

    fn decision(&self, on: &str, row: Progress, before: &BTreeSet<Sent>, broken: Option<Rule>) -> Decision {
        let mut sends = Set::default();
        for (step, direction, round, attempt) in sent(&row).difference(before) {
            let command = SagaRef {
                saga_type: row.saga_type.clone(),
                effect: row.effect_key(step, *direction, *round),
                attempt: *attempt,
                reply_to: "replies".into(),
                key: row.key.clone(),
            };
            sends.insert(self.commands.know(command).number());
        }
        Decision { on: on.into(), row: self.rows.know(row), sends, broken }
    }

    fn check(&self, before: &Progress, input: &Input, after: &Progress, effects: &[Effect]) -> Option<Rule> {
        let mut timers: BTreeSet<Timer> = before.timers().into_iter().collect();
        let fired = matches!(input, Input::Timer(timer) if timers.remove(timer));
        if !self.ignores_the_attempt(before, input, after) {
            return Some(Rule::AttemptOnlyEchoes);
        }
        if before == after && effects.iter().all(|e| matches!(e, Effect::Count(_) | Effect::Emit(_))) {
            return fired.then_some(Rule::TimersMatch);
        }
        let acts = |e: &Effect| matches!(e, Effect::Send { .. } | Effect::SetTimer { .. });
        let was_terminal = before.phase().is_terminal();
        if was_terminal && (before != after || effects.iter().any(acts)) {
            return Some(Rule::TerminalIsFinal);
        }
        if before.course == Course::Back && matches!(after.course, Course::Forward | Course::Completed) {
            return Some(Rule::NoTurningForward);
        }
        let again = decide(&self.definition, before.clone(), input.clone());
        if (&again.0, &again.1[..]) != (after, effects) || through_json(after).as_ref() != Some(after) {
            return Some(Rule::Stored);
        }
        if !self.replays(before, after, effects) {
            return Some(Rule::HistoryReplays);
        }
        let stuck = |p: &Progress| p.stuck_steps().len();
        let alarmed = effects.iter().any(|e| matches!(e, Effect::Alarm { code: AlarmCode::Stuck, .. }));
        if stuck(after) > stuck(before) && !alarmed {
            return Some(Rule::StuckIsAlarmed);
        }
        check_effects(&timers, &sent(before), after, effects)
    }

    /// Participants' answers are kept without their attempt but for refusals of undos: this is what allows it.
    fn ignores_the_attempt(&self, before: &Progress, input: &Input, after: &Progress) -> bool {
        let Input::Reply(reply) = input else { return true };
        if (reply.effect.direction, reply.outcome) == (Direction::Undo, Outcome::Refused) {
            return true;
        }
        (reply.attempt + 1..=self.sends).all(|attempt| {
            let other = Input::Reply(Reply { attempt, ..reply.clone() });
            decide(&self.definition, before.clone(), other).0 == *after
        })
    }

    /// A history is replayed by what its entries say came: the first entry of each decision must lead to the same decision,
    /// and a decision without an entry must change nothing.
    fn replays(&self, before: &Progress, after: &Progress, effects: &[Effect]) -> bool {
        let entries = |effects: &[Effect]| -> Vec<_> {
            effects.iter().filter(|e| matches!(e, Effect::Record(_))).cloned().collect()
        };
        let recorded = entries(effects);
        let Some(Effect::Record(first)) = recorded.first() else { return before == after };
        let Some(input) = first.to_input(SAGA_ID) else { return false };
        let (row, effects) = decide(&self.definition, before.clone(), input);
        row == *after && entries(&effects) == recorded
    }
}

/// (step, direction, round, attempt) of a command.
type Sent = (String, Direction, u32, u32);

/// Every command that the row says was sent.
fn sent(row: &Progress) -> BTreeSet<Sent> {
    legs(row).flat_map(|(s, d, r, sent)| (1..=sent).map(move |attempt| (s.to_owned(), d, r, attempt))).collect()
}

/// (step, direction, round, commands sent).
fn legs(row: &Progress) -> impl Iterator<Item = (&str, Direction, u32, u32)> {
    row.steps.iter().flat_map(|(step, s)| {
        (1..).zip(&s.rounds).flat_map(move |(round, r)| {
            let back = r.back.as_ref().map(|b| (step.as_str(), Direction::Undo, round, b.sent));
            [(step.as_str(), Direction::Do, round, r.forward.sent)].into_iter().chain(back)
        })
    })
}

/// More than were: the engine must take a timer it never set as calmly as one that is over.
fn timers_ever_set(row: &Progress) -> Vec<Timer> {
    legs(row)
        .flat_map(|(step, direction, round, sent)| {
            (0..=sent).flat_map(move |attempt| {
                [TimerKind::Deadline, TimerKind::Retry].map(|kind| Timer {
                    kind,
                    step: step.to_owned(),
                    direction,
                    round,
                    attempt,
                })
            })
        })
        .collect()
}

/// `timers` are those set before, without the one that fired.
fn check_effects(
    timers: &BTreeSet<Timer>,
    before: &BTreeSet<Sent>,
    after: &Progress,
    effects: &[Effect],
) -> Option<Rule> {
    let (mut timers, mut all) = (timers.clone(), before.clone());
    for effect in effects {
        let broken = match effect {
            Effect::SetTimer { timer, .. } => (!timers.insert(timer.clone())).then_some(Rule::TimersMatch),
            Effect::CancelTimer(timer) => (!timers.remove(timer)).then_some(Rule::TimersMatch),
            Effect::Send { step, direction, round, attempt, .. } => {
                (!all.insert((step.clone(), *direction, *round, *attempt))).then_some(Rule::SentOnce)
            }
            Effect::Alarm { code: AlarmCode::Stuck, .. } => None,
            Effect::Alarm { .. } => Some(Rule::NoAlarm),
            Effect::Park { .. } => Some(Rule::NothingParked),
            Effect::StartChild { .. } | Effect::Emit(_) | Effect::Record(_) => None,
            Effect::Count(_) | Effect::Rejected { .. } => None,
        };
        if broken.is_some() {
            return broken;
        }
    }
    if after.wakes().is_empty() != after.phase().is_terminal() {
        return Some(Rule::HasAWake);
    }
    if timers != after.timers().into_iter().collect() {
        return Some(Rule::TimersMatch);
    }
    (all != sent(after)).then_some(Rule::SentOnce)
}

fn effect_name(timer: &Timer) -> String {
    format!("{}/{}/{} attempt {}", timer.step, timer.direction, timer.round, timer.attempt)
}

fn through_json(row: &Progress) -> Option<Progress> {
    serde_json::from_str(&serde_json::to_string(row).ok()?).ok()
}
