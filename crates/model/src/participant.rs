//! The participant of one step: the production fence around a thing that is done or undone, and the answers it has given.
//! Fence, effect and answer change together, as they do in a participant's transaction.

use crate::{Fence, Limits, errand::reply_name, rules::Rule};
use message::{Direction, EffectKey, Message, Outcome, Refusal, SagaRef};
use saga::Reply;
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use transport::{Conversation, Fenced};

/// Everything a participant has stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Participant {
    fence: Option<Conversation>,
    /// The last attempt of each round's undo that its inbox has let through. Of dos none is noted: one that comes again,
    /// or out of order, is answered like the first.
    inbox: BTreeMap<u32, u32>,
    /// What became of the step, by round.
    effects: BTreeMap<u32, Effect>,
    /// The answers it has put into its outbox, by name. They stay: each may come late, and again.
    pub sent: BTreeMap<String, Reply>,
}

/// The business side of one round, and what is known for the proof.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Effect {
    done: u8,
    undone: u8,
    /// The do is under way at somebody outside, and nobody knows how it will end.
    open: bool,
    /// An undo came meanwhile: it is carried out, and answered, when the do has ended.
    undo_waits: bool,
    /// Its undo was carried out, whether there was something to undo or not.
    closed: bool,
    answer: Option<Outcome>,
}

/// What a participant makes of a command.
pub struct Handled {
    /// The command and what was chosen, for people.
    pub what: Arc<str>,
    pub participant: Participant,
    pub broken: Option<Rule>,
    /// A do came that its undo had barred.
    pub barred: bool,
}

/// What a participant may answer to what it has not seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Accept,
    Refuse { retryable: bool },
}

impl Participant {
    /// How many effects stand: done and not undone.
    pub fn standing(&self) -> usize {
        self.effects.values().map(|e| usize::from(e.done.saturating_sub(e.undone))).sum()
    }

    /// Every way in which a command can be met.
    pub fn take(&self, command: &SagaRef, limits: &Limits) -> Vec<Handled> {
        let mut next = self.clone();
        if limits.inbox && !next.let_through(command) {
            return Vec::new();
        }
        let met = next.fence.get_or_insert_with(|| Conversation::new(command)).admit(command);
        let barred = matches!(met, Fenced::Barred(_));
        let what = format!("{} attempt {}", name(&command.effect), command.attempt);
        let mut all = match (met, limits.fence) {
            (Fenced::New, _) | (_, Fence::Missing) | (Fenced::Barred(_), Fence::WithoutBar) => {
                next.carry_out(&what, command, limits)
            }
            (Fenced::Waiting, _) => vec![next.handled(format!("{what}: under way"), None)],
            (Fenced::Answered(given), _) => {
                let body = serde_json::from_slice(&given.value).unwrap_or_default();
                next.send(&command.effect, command.attempt, given.outcome, given.name, body);
                vec![next.handled(format!("{what}: answered again"), None)]
            }
            (Fenced::Barred(refusal), Fence::Kept) => {
                let broken = next.answer(&command.effect, Err(refusal));
                vec![next.handled(format!("{what}: barred"), broken)]
            }
        };
        all.iter_mut().for_each(|handled| handled.barred = barred);
        all
    }

    /// Every way in which what is under way can end.
    pub fn resolve(&self, step: &str, limits: &Limits) -> Vec<Handled> {
        let open = self.effects.iter().filter(|(_, e)| e.open).map(|(round, _)| *round);
        open.flat_map(|round| choices(limits).map(move |choice| (round, choice)))
            .filter_map(|(round, choice)| self.end(step, round, choice))
            .collect()
    }

    /// Attempts at an undo come in their order and once: what comes too early comes again.
    fn let_through(&mut self, command: &SagaRef) -> bool {
        if command.effect.direction == Direction::Do {
            return true;
        }
        let before = self.inbox.insert(command.effect.round, command.attempt).unwrap_or_default();
        command.attempt == before + 1
    }

    fn carry_out(self, what: &str, command: &SagaRef, limits: &Limits) -> Vec<Handled> {
        let (key, round) = (&command.effect, command.effect.round);
        let effect = self.effects.get(&round).cloned().unwrap_or_default();
        match key.direction {
            Direction::Do if limits.answers_later(&key.step) => {
                let mut next = self;
                next.effects.entry(round).or_default().open = true;
                vec![next.handled(format!("{what}: begun"), None)]
            }
            Direction::Do => choices(limits).map(|choice| self.clone().do_it(what, key, choice)).collect(),
            Direction::Undo if effect.open => {
                let mut next = self;
                next.effects.entry(round).or_default().undo_waits = true;
                vec![next.handled(format!("{what}: waits for the do's end"), None)]
            }
            Direction::Undo => {
                let may_refuse = limits.undo_refusals && effect.done > effect.undone;
                let refused = may_refuse.then(|| self.clone().refuse_undo(what, key));
                std::iter::once(self.clone().undo_it(what, key)).chain(refused).collect()
            }
        }
    }

    fn do_it(mut self, what: &str, key: &EffectKey, choice: Choice) -> Handled {
        match choice {
            Choice::Accept => {
                let effect = self.effects.entry(key.round).or_default();
                effect.done = (effect.done + 1).min(2);
                let twice = (effect.done > 1).then_some(Rule::AppliedOnce);
                let late = effect.closed.then_some(Rule::UndoBars);
                let two = self.answer(key, Ok(reply_name(&key.step, Direction::Do)));
                self.handled(format!("{what}: carried out"), late.or(twice).or(two))
            }
            Choice::Refuse { retryable } => {
                let refusal = Refusal { code: "model.refused".into(), message: "no".into(), retryable };
                let two = self.answer(key, Err(refusal));
                let how = if retryable { "refused, may be tried again" } else { "refused" };
                self.handled(format!("{what}: {how}"), two)
            }
        }
    }

    /// Also of what was never done, or refused: there is nothing to undo, and that is an answer.
    fn undo_it(mut self, what: &str, key: &EffectKey) -> Handled {
        let effect = self.effects.entry(key.round).or_default();
        (effect.undone, effect.closed) = (effect.done, true);
        let two = self.answer(key, Ok(reply_name(&key.step, Direction::Undo)));
        self.handled(format!("{what}: undone"), two)
    }

    fn refuse_undo(mut self, what: &str, key: &EffectKey) -> Handled {
        let two = self.answer(key, Err(Refusal::new("model.refused", "not now")));
        self.handled(format!("{what}: refused"), two)
    }

    fn end(&self, step: &str, round: u32, choice: Choice) -> Option<Handled> {
        let mut next = self.clone();
        let effect = next.effects.get_mut(&round)?;
        effect.open = false;
        let undo_waits = std::mem::take(&mut effect.undo_waits);
        let saga_id = saga::harness::SAGA_ID;
        let key = EffectKey { saga_id, step: step.to_owned(), direction: Direction::Do, round };
        let done = next.do_it(&format!("{} ends", name(&key)), &key, choice);
        if !undo_waits {
            return Some(done);
        }
        let broken = done.broken;
        let undone = done.participant.undo_it(&done.what, &key.counterpart());
        Some(Handled { broken: broken.or(undone.broken), ..undone })
    }

    /// Notes the answer in the fence by the rule of the transport's own `record`, and sends it.
    fn answer(&mut self, key: &EffectKey, answer: Result<&'static str, Refusal>) -> Option<Rule> {
        let (outcome, name, body) = match answer {
            Ok(name) => (Outcome::Ok, name, json!({})),
            Err(refusal) => (Outcome::Refused, Refusal::NAME, json!(refusal)),
        };
        let attempt = self.record(key, outcome, name, &body);
        self.send(key, attempt, outcome, name.to_owned(), body);
        if key.direction == Direction::Undo {
            return None;
        }
        let effect = self.effects.entry(key.round).or_default();
        (*effect.answer.get_or_insert(outcome) != outcome).then_some(Rule::OneAnswer)
    }

    fn record(&mut self, key: &EffectKey, outcome: Outcome, name: &str, body: &Value) -> u32 {
        let entry = format!("{}/{}/{}", key.step, key.direction, key.round);
        let Some(fence) = &mut self.fence else { return 0 };
        let Some(effect) = fence.effects.get_mut(&entry) else { return 0 };
        let attempt = effect.attempt;
        if key.direction == Direction::Undo && outcome == Outcome::Refused {
            fence.effects.remove(&entry);
        } else {
            let value: String = body.to_string().bytes().map(|b| format!("{b:02x}")).collect();
            effect.given = serde_json::from_value(json!({"outcome": outcome, "name": name, "value": value})).ok();
        }
        attempt
    }

    /// The attempt is left out where it makes no difference to the orchestrator, which is checked for every row.
    fn send(&mut self, effect: &EffectKey, attempt: u32, outcome: Outcome, name: String, body: Value) {
        let counts = effect.direction == Direction::Undo && outcome == Outcome::Refused;
        let attempt = if counts { attempt } else { 1 };
        let echo = if counts { format!(" attempt {attempt}") } else { String::new() };
        let retryable = if body["retryable"] == true { ", may be tried again" } else { "" };
        let label = format!("{}{echo}: {}{retryable}", self::name(effect), outcome.as_str());
        self.sent.insert(label, Reply { effect: effect.clone(), attempt, outcome, name, body });
    }

    fn handled(mut self, what: String, broken: Option<Rule>) -> Handled {
        // Read when the answer was sent, and from there on the same to everybody.
        self.fence.iter_mut().flat_map(|fence| fence.effects.values_mut()).for_each(|effect| effect.attempt = 1);
        Handled { what: what.into(), participant: self, broken, barred: false }
    }
}

fn choices(limits: &Limits) -> impl Iterator<Item = Choice> + use<> {
    let retryable = (limits.retries > 0).then_some(Choice::Refuse { retryable: true });
    [Choice::Accept, Choice::Refuse { retryable: false }].into_iter().chain(retryable)
}

fn name(key: &EffectKey) -> String {
    format!("{}/{}/{}", key.step, key.direction, key.round)
}
