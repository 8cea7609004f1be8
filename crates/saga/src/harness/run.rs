//! A saga run against modelled participants: they keep fences as real ones do, answer from a script, and are asked at
//! the end whether what they hold is what the saga's end promises.

use super::{Driver, Sent};
use crate::{AlarmCode, ChildEnd, Definition, Input, Phase, Reply, WakeOn, definition::Kind};
use message::{Command, Direction, EffectKey, Event, Message, Outcome, Refusal};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the world answers when all goes well: a reply to each command, undos included, and the events that are
/// waited for.
#[derive(Default)]
pub struct Script {
    answers: BTreeMap<&'static str, (&'static str, Value)>,
    events: BTreeMap<&'static str, Value>,
}

impl Script {
    pub fn new() -> Self {
        Self::default()
    }

    /// The reply to every command `C`.
    pub fn answer<C: Command>(mut self, reply: C::Reply) -> Self {
        self.answers.insert(C::NAME, (C::Reply::NAME, json!(reply)));
        self
    }

    /// An event that comes once a step waits for it.
    pub fn event<E: Event>(mut self, event: E) -> Self {
        self.events.insert(E::NAME, json!(event));
        self
    }
}

/// How a participant reacts to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    Accept,
    Refuse,
    RefuseRetryably,
    /// Does as asked, but the reply is lost or late.
    ActSilently,
    /// The command is lost or late.
    Lose,
}

/// What a participant has on record for one effect key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fence {
    Applied,
    /// Its undo came: before it, or after it.
    Undone,
}

/// One thing that can happen next.
pub(super) enum Next {
    /// A participant takes this command.
    Command(Sent),
    /// The event comes for which `step` waits.
    Event { step: String, event: Input },
}

impl Next {
    /// The step that it happens to.
    pub fn step(&self) -> &str {
        match self {
            Self::Command(sent) => &sent.effect.step,
            Self::Event { step, .. } => step,
        }
    }
}

/// One run of a saga from its start.
pub(super) struct Run<'a> {
    pub driver: Driver<'a>,
    script: &'a Script,
    fences: BTreeMap<EffectKey, Fence>,
    /// Commands that no participant has taken yet, in the order they were sent.
    on_the_way: Vec<Sent>,
    /// How many of `driver.sent` were put on their way.
    put: usize,
    /// Every reply and event that came, for bringing them again.
    pub came: Vec<Input>,
    /// The wait whose event never comes.
    pub held_back: Option<&'a str>,
}

/// More steps than any scenario takes; a run that needs more does not end.
const MAX_STEPS: usize = 10_000;

impl<'a> Run<'a> {
    pub fn start(definition: &'a Definition, event: &Value, script: &'a Script) -> Self {
        let driver = Driver::start(definition, event);
        let (fences, on_the_way, came) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { driver, script, fences, on_the_way, put: 0, came, held_back: None }
    }

    /// Lets one thing happen: a participant takes a command, else an event comes, else time passes. False when nothing
    /// is left to happen.
    pub fn step(&mut self, react: &mut dyn FnMut(&Sent) -> Reaction) -> bool {
        self.step_in(&mut |_| 0, react)
    }

    /// As [`Run::step`], and `choose` says which of the things that can happen next does.
    fn step_in(&mut self, choose: &mut dyn FnMut(&[Next]) -> usize, react: &mut dyn FnMut(&Sent) -> Reaction) -> bool {
        let mut possible = self.possible();
        if possible.is_empty() {
            return self.driver.fire_next();
        }
        match possible.swap_remove(choose(&possible)) {
            Next::Command(sent) => {
                self.on_the_way.retain(|s| *s != sent);
                self.take(&sent, react(&sent));
            }
            Next::Event { event, .. } => self.come(event),
        }
        true
    }

    /// Steps until nothing is left to happen, which is the end or an operator's turn.
    pub fn finish(&mut self, react: &mut dyn FnMut(&Sent) -> Reaction) {
        self.finish_in(&mut |_| 0, react);
    }

    /// As [`Run::finish`], in the order that `choose` says.
    pub fn finish_in(&mut self, choose: &mut dyn FnMut(&[Next]) -> usize, react: &mut dyn FnMut(&Sent) -> Reaction) {
        for _ in 0..MAX_STEPS {
            if !self.step_in(choose, react) {
                return;
            }
        }
        panic!("the saga does not come to an end: {:#?}", self.driver.progress);
    }

    /// Whatever can happen without time passing. Commands of one step come in the order they were sent.
    fn possible(&mut self) -> Vec<Next> {
        self.on_the_way.extend_from_slice(&self.driver.sent[self.put..]);
        self.put = self.driver.sent.len();
        let is_first = |at: usize, sent: &Sent| self.on_the_way[..at].iter().all(|s| s.effect.step != sent.effect.step);
        let commands = self.on_the_way.iter().enumerate().filter(|(at, sent)| is_first(*at, sent));
        commands.map(|(_, sent)| Next::Command(sent.clone())).chain(self.awaited_events()).collect()
    }

    /// Delivers a command to the participant that it is for.
    pub fn take(&mut self, sent: &Sent, reaction: Reaction) {
        let refusal = |retryable| Refusal { code: "test.refused".into(), message: "no".into(), retryable };
        match reaction {
            Reaction::Accept => {
                let input = self.obey(sent);
                self.come(input);
            }
            Reaction::ActSilently => drop(self.obey(sent)),
            Reaction::Lose => {}
            Reaction::Refuse => self.come(refused(sent, refusal(false))),
            Reaction::RefuseRetryably => self.come(refused(sent, refusal(true))),
        }
    }

    /// Feeds an input and remembers it, for bringing it again.
    pub fn come(&mut self, input: Input) {
        self.came.push(input.clone());
        self.driver.apply(input);
    }

    /// What the participant does, by its fence, and what it answers.
    fn obey(&mut self, sent: &Sent) -> Input {
        let barred = Refusal::new("test.undone", "its undo came first");
        match sent.effect.direction {
            Direction::Do if self.fences.get(&sent.effect) == Some(&Fence::Undone) => refused(sent, barred),
            Direction::Do => {
                self.fences.insert(sent.effect.clone(), Fence::Applied);
                self.accepted(sent)
            }
            Direction::Undo => {
                self.fences.insert(sent.effect.counterpart(), Fence::Undone);
                self.accepted(sent)
            }
        }
    }

    fn accepted(&self, sent: &Sent) -> Input {
        if sent.is_child {
            return Input::ChildEnded { effect: sent.effect.clone(), end: ChildEnd::Completed };
        }
        let answer = self.script.answers.get(sent.name.as_str());
        let (name, body) = answer.unwrap_or_else(|| panic!("the script has no answer to {}", sent.name));
        reply(sent, Outcome::Ok, name, body.clone())
    }

    /// How many alarms of this kind there were.
    pub fn alarms(&self, code: AlarmCode) -> usize {
        self.driver.alarms.iter().filter(|(c, _)| *c == code).count()
    }

    fn awaited_events(&self) -> Vec<Next> {
        let is_answer = |on: &WakeOn| matches!(on, WakeOn::AnswerOrDeadline(_) | WakeOn::Operator);
        let wakes = self
            .driver
            .progress
            .wakes()
            .into_iter()
            .filter(|w| is_answer(&w.on) && self.held_back != Some(w.step.as_str()));
        let steps = wakes.filter_map(|wake| self.driver.definition.step(&wake.step));
        let events = steps.filter_map(|step| match &step.kind {
            Kind::Wait(wait) => {
                let body = self.script.events.get(wait.on.name)?.clone();
                let event = Input::Event { name: wait.on.name.to_owned(), body };
                Some(Next::Event { step: step.name.clone(), event })
            }
            Kind::Started | Kind::Call(_) | Kind::Child(_) => None,
        });
        events.collect()
    }

    /// The slate is as clean as the saga's end promises, and the history replays.
    pub fn check_end(&self, expected: Phase, scenario: &str) {
        let driver = &self.driver;
        assert_eq!(driver.phase(), expected, "{scenario}: the end is not the expected one: {:#?}", driver.progress);
        for step in driver.definition.steps().filter(|s| s.acts()) {
            let applied = |f: &&EffectKey| f.step == step.name && self.fences[*f] == Fence::Applied;
            let live = self.fences.keys().filter(applied).count();
            match expected {
                Phase::Completed => assert_eq!(live, 1, "{scenario}: {} took effect {live} times", step.name),
                Phase::Compensated if step.undo.is_some() => {
                    assert_eq!(live, 0, "{scenario}: {} is left behind", step.name);
                }
                Phase::Compensated | Phase::Running | Phase::Compensating | Phase::Stuck => {}
            }
        }
        driver.check_replay();
    }
}

fn refused(sent: &Sent, refusal: Refusal) -> Input {
    if sent.is_child {
        let end = ChildEnd::Compensated { code: refusal.code, reason: refusal.message };
        return Input::ChildEnded { effect: sent.effect.clone(), end };
    }
    reply(sent, Outcome::Refused, Refusal::NAME, json!(refusal))
}

fn reply(sent: &Sent, outcome: Outcome, name: &str, body: Value) -> Input {
    let (effect, attempt) = (sent.effect.clone(), sent.attempt);
    Input::Reply(Reply { effect, attempt, outcome, name: name.to_owned(), body })
}

/// For tests of what is said of runs that go wrong.
#[cfg(test)]
impl Run<'_> {
    /// The participant has carried out the step, whoever asked for it.
    pub fn apply(&mut self, step: &str, round: u32) {
        self.fences.insert(self.driver.progress.effect_key(step, Direction::Do, round), Fence::Applied);
    }

    /// The participant has lost what it had on record.
    pub fn forget(&mut self, step: &str, round: u32) {
        self.fences.remove(&self.driver.progress.effect_key(step, Direction::Do, round));
    }

    pub fn has_applied(&self, step: &str, round: u32) -> bool {
        let effect = self.driver.progress.effect_key(step, Direction::Do, round);
        self.fences.get(&effect) == Some(&Fence::Applied)
    }
}
