//! The fence: what became of every effect that a saga asked of this participant, in the transaction of the effect itself.
//!
//! A repeated command gets its first answer again; an undo that overtakes its do bars the do (invariants I7, I10).

use crate::context::Aggregate;
use message::{
    Direction, EffectKey, Outcome, Refusal, SagaRef,
    bugs::{Bug, has},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind of [`Conversation`]: every context that takes commands has a table of this name.
pub const FENCE: &str = "fence";

/// A participant's side of one saga: its id is the saga's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    pub saga_type: String,
    pub reply_to: String,
    pub key: String,
    /// By `step/direction/round`.
    pub effects: BTreeMap<String, Effect>,
}

/// One effect: how often it was asked for, and what was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The attempt that was seen last; answers echo it.
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
    /// The do was never carried out, because its undo came first or an operator skipped it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub barred: bool,
}

/// An answer as it was sent: repeated to the letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    pub outcome: Outcome,
    /// Full record name of the reply.
    pub name: String,
    /// The encoded reply, base 16.
    #[serde(with = "crate::hex")]
    pub value: Vec<u8>,
}

/// How a command is met.
#[derive(Debug, PartialEq)]
pub enum Fenced {
    /// Never seen: carry it out.
    New,
    /// Under way: the answer will come.
    Waiting,
    /// Done before: answer the same.
    Answered(Given),
    /// Its undo came first: refuse.
    Barred(Refusal),
}

impl Aggregate for Conversation {
    const KIND: &'static str = FENCE;

    fn status(&self) -> &'static str {
        if self.effects.values().any(|e| e.given.is_none() && !e.barred) { "open" } else { "answered" }
    }
}

impl Conversation {
    pub fn new(saga: &SagaRef) -> Self {
        let (saga_type, reply_to, key) = (saga.saga_type.clone(), saga.reply_to.clone(), saga.key.clone());
        Self { saga_type, reply_to, key, effects: BTreeMap::new() }
    }

    /// Judges a command and notes its attempt.
    pub fn admit(&mut self, saga: &SagaRef) -> Fenced {
        if has(Bug::NoFence) {
            self.effects.clear();
        }
        if let Some(effect) = self.effects.get_mut(&entry(&saga.effect)) {
            effect.attempt = effect.attempt.max(saga.attempt);
            return match &effect.given {
                Some(given) => Fenced::Answered(given.clone()),
                None => Fenced::Waiting,
            };
        }
        let undone_first =
            saga.effect.direction == Direction::Do && self.effects.contains_key(&entry(&saga.effect.counterpart()));
        self.effects.insert(entry(&saga.effect), Effect { attempt: saga.attempt, given: None, barred: undone_first });
        if undone_first { Fenced::Barred(barred(&saga.effect.step)) } else { Fenced::New }
    }

    /// Notes the answer and says where it goes. The error names what is wrong with the answer.
    pub(crate) fn record(&mut self, key: &EffectKey, given: &Given) -> Result<SagaRef, String> {
        let effect = self.effects.get_mut(&entry(key)).ok_or_else(|| format!("an answer to unknown effect {key}"))?;
        if effect.given.is_some() {
            return Err(format!("a second answer to effect {key}"));
        }
        let attempt = effect.attempt;
        if key.direction == Direction::Undo && given.outcome == Outcome::Refused {
            self.effects.remove(&entry(key));
        } else {
            effect.given = Some(given.clone());
        }
        Ok(self.saga_ref(key, attempt))
    }

    pub(crate) fn saga_ref(&self, key: &EffectKey, attempt: u32) -> SagaRef {
        SagaRef {
            saga_type: self.saga_type.clone(),
            effect: key.clone(),
            attempt,
            reply_to: self.reply_to.clone(),
            key: self.key.clone(),
        }
    }
}

fn entry(key: &EffectKey) -> String {
    format!("{}/{}/{}", key.step, key.direction, key.round)
}

fn barred(step: &str) -> Refusal {
    Refusal::new("platform.barred", format!("`{step}` was undone before it arrived, so it is not carried out any more"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn command(direction: Direction, attempt: u32) -> SagaRef {
        SagaRef {
            saga_type: "t".into(),
            effect: EffectKey { saga_id: Uuid::from_u128(1), step: "hold".into(), direction, round: 1 },
            attempt,
            reply_to: "replies".into(),
            key: "k".into(),
        }
    }

    fn given(outcome: Outcome) -> Given {
        Given { outcome, name: "n".into(), value: vec![0, 255, 16] }
    }

    #[test]
    fn a_repeated_do_gets_its_first_answer_with_the_attempt_that_asked_last() {
        let first = command(Direction::Do, 1);
        let mut talk = Conversation::new(&first);
        assert_eq!(talk.admit(&first), Fenced::New);
        assert_eq!(talk.admit(&command(Direction::Do, 2)), Fenced::Waiting);
        let to = talk.record(&first.effect, &given(Outcome::Ok)).unwrap();
        assert_eq!(to.attempt, 2);
        assert_eq!(talk.admit(&command(Direction::Do, 3)), Fenced::Answered(given(Outcome::Ok)));
    }

    #[test]
    fn i10_an_undo_before_its_do_bars_the_do() {
        let undo = command(Direction::Undo, 1);
        let mut talk = Conversation::new(&undo);
        assert_eq!(talk.admit(&undo), Fenced::New);
        assert!(matches!(talk.admit(&command(Direction::Do, 1)), Fenced::Barred(_)));
    }

    #[test]
    fn a_refused_undo_can_be_tried_again_and_a_refused_do_cannot() {
        let (doing, undo) = (command(Direction::Do, 1), command(Direction::Undo, 1));
        let mut talk = Conversation::new(&doing);
        talk.admit(&doing);
        talk.record(&doing.effect, &given(Outcome::Refused)).unwrap();
        assert_eq!(talk.admit(&doing), Fenced::Answered(given(Outcome::Refused)));
        talk.admit(&undo);
        talk.record(&undo.effect, &given(Outcome::Refused)).unwrap();
        assert_eq!(talk.admit(&undo), Fenced::New);
    }

    #[test]
    fn answers_survive_being_stored() {
        let mut talk = Conversation::new(&command(Direction::Do, 1));
        talk.admit(&command(Direction::Do, 1));
        talk.record(&command(Direction::Do, 1).effect, &given(Outcome::Ok)).unwrap();
        let json = serde_json::to_string(&talk).unwrap();
        assert_eq!(serde_json::from_str::<Conversation>(&json).unwrap(), talk);
    }
}
