//! `start`, `decide` and `replay`: pure and total. Whatever comes, in whatever order, the answer is a progress and a
//! list of effects, never a panic.

mod back;
mod forward;
mod operator;
mod replies;
mod timers;

use crate::{
    AlarmCode, Cause, Counted, Course, Definition, Effect, HistoryEntry, HistoryKind, Input, Lifecycle, Progress,
    Unreadable,
    definition::{Nature, RawStep},
    retry,
};
use message::Direction;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Starts a saga from its start event. Fails only when `event` is not what the definition starts on.
pub fn start(definition: &Definition, saga_id: Uuid, event: &Value) -> Result<(Progress, Vec<Effect>), Unreadable> {
    let data = (definition.start.data)(event)?;
    let progress = Progress {
        saga_id,
        saga_type: definition.saga_type.clone(),
        version: definition.version,
        business_key: (definition.business_key)(&data)?,
        key: (definition.key)(&data)?,
        data,
        course: Course::Forward,
        cause: None,
        steps: BTreeMap::new(),
        recorded: BTreeMap::new(),
    };
    let mut turn = Turn { definition, p: progress, effects: Vec::new() };
    turn.record(HistoryEntry::of(HistoryKind::Started).message(definition.start.on.name).detail(event.clone()));
    turn.emit(Lifecycle::Started);
    turn.advance();
    Ok(turn.finish())
}

/// What a saga does about `input`. `definition` is the one with the progress's type and version.
pub fn decide(definition: &Definition, progress: Progress, input: Input) -> (Progress, Vec<Effect>) {
    let mut turn = Turn { definition, p: progress, effects: Vec::new() };
    turn.take(&input);
    turn.finish()
}

/// Why a history does not replay.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReplayError {
    #[error("the history does not begin with the saga's start")]
    NoStart,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// This definition would have done something else: a saga with this history must keep its version.
    #[error("entry {at} differs: the history has {recorded}, the definition gives {replayed}")]
    Diverged { at: usize, recorded: String, replayed: String },
}

/// The progress that `inputs` lead to, one after the other. The same inputs always lead to the same progress.
pub fn replay(
    definition: &Definition,
    saga_id: Uuid,
    event: &Value,
    inputs: impl IntoIterator<Item = Input>,
) -> Result<Progress, Unreadable> {
    let (first, _) = start(definition, saga_id, event)?;
    Ok(inputs.into_iter().fold(first, |progress, input| decide(definition, progress, input).0))
}

/// Replays a recorded history against `definition`, and says where it would have gone another way. This is how a new
/// version is checked against the sagas in flight.
pub fn replay_history(
    definition: &Definition,
    saga_id: Uuid,
    history: &[HistoryEntry],
) -> Result<Progress, ReplayError> {
    let first = history.first().filter(|e| e.kind == HistoryKind::Started).ok_or(ReplayError::NoStart)?;
    let (mut progress, effects) = start(definition, saga_id, &first.detail)?;
    let mut at = compare(history, 0, effects)?;
    while let Some(input) = history.get(at).and_then(|entry| entry.to_input(saga_id)) {
        let (next, effects) = decide(definition, progress, input);
        progress = next;
        at = compare(history, at, effects)?;
    }
    match history.get(at) {
        None => Ok(progress),
        Some(extra) => Err(diverged(at, Some(extra), None)),
    }
}

/// The position after `effects`' entries, which must be those of the history from `at` on.
fn compare(history: &[HistoryEntry], at: usize, effects: Vec<Effect>) -> Result<usize, ReplayError> {
    let mut next = at;
    for effect in effects {
        let Effect::Record(replayed) = effect else { continue };
        if history.get(next) != Some(&replayed) {
            return Err(diverged(next, history.get(next), Some(&replayed)));
        }
        next += 1;
    }
    if next == at { Err(diverged(at, history.get(at), None)) } else { Ok(next) }
}

fn diverged(at: usize, recorded: Option<&HistoryEntry>, replayed: Option<&HistoryEntry>) -> ReplayError {
    let name = |entry: Option<&HistoryEntry>| {
        entry.map_or("nothing".to_owned(), |e| format!("{} {}", e.kind.as_str(), e.step.as_deref().unwrap_or("")))
    };
    ReplayError::Diverged { at, recorded: name(recorded), replayed: name(replayed) }
}

/// One call of `decide`: the progress as it changes, and the effects so far.
struct Turn<'a> {
    definition: &'a Definition,
    p: Progress,
    effects: Vec<Effect>,
}

impl<'a> Turn<'a> {
    fn take(&mut self, input: &Input) {
        match input {
            Input::Reply(reply) => self.reply(reply, input),
            Input::ChildEnded { effect, end } => self.child_ended(effect, end, input),
            Input::Event { name, body } => self.event(name, body, input),
            Input::Cancel { reason, .. } => self.cancel(reason, input),
            Input::Timer(timer) => self.timer(timer, input),
            Input::Operator { verb, reason, .. } => self.operator(verb, reason, input),
        }
    }

    fn finish(self) -> (Progress, Vec<Effect>) {
        (self.p, self.effects)
    }

    /// A customer or a member of staff cancels: possible until the pivot was sent.
    fn cancel(&mut self, reason: &str, input: &Input) {
        match self.p.course {
            Course::Forward if !self.is_past_return() => {
                self.record(HistoryEntry::of_input(input));
                self.compensate(Cause::cancelled(reason));
            }
            Course::Forward => {
                self.record(HistoryEntry::of_input(input));
                self.too_late(reason);
            }
            Course::Completed => self.emit(Lifecycle::CancelTooLate { reason: reason.to_owned() }),
            Course::Back | Course::Compensated => self.count(Counted::RepeatedCancel),
        }
    }

    fn too_late(&mut self, reason: &str) {
        self.record(HistoryEntry::of(HistoryKind::CancelTooLate).because(reason));
        self.emit(Lifecycle::CancelTooLate { reason: reason.to_owned() });
    }

    /// True once the pivot was sent, or left behind by an operator.
    fn is_past_return(&self) -> bool {
        let pivot = self.definition.steps().find(|s| s.nature == Nature::Pivot);
        let rounds = pivot.and_then(|s| self.p.steps.get(&s.name)).map_or(&[][..], |s| &s.rounds);
        rounds.iter().any(|r| r.forward.sent > 0 || r.forward.state.is_settled())
    }

    /// The definition's step, with the definition's lifetime, so that the progress can change beside it.
    fn step(&self, name: &str) -> Option<&'a RawStep> {
        self.definition.step(name)
    }

    fn record(&mut self, entry: HistoryEntry) {
        self.effects.push(Effect::Record(entry));
    }

    fn emit(&mut self, lifecycle: Lifecycle) {
        self.effects.push(Effect::Emit(lifecycle));
    }

    fn count(&mut self, what: Counted) {
        self.effects.push(Effect::Count(what));
    }

    fn alarm(&mut self, code: AlarmCode, detail: impl Into<String>) {
        self.effects.push(Effect::Alarm { code, detail: detail.into() });
    }

    fn unreadable(&mut self, what: &Unreadable) {
        let code = match what {
            Unreadable::Body { .. } => AlarmCode::UnreadableBody,
            Unreadable::Data(_) => AlarmCode::UnreadableData,
        };
        self.alarm(code, what.to_string());
    }

    /// Says that a step waits for an operator; the caller has set its state.
    fn tell_stuck(&mut self, step: &str, direction: Direction, round: u32, attempt: u32, reason: &str) {
        self.record(HistoryEntry::of(HistoryKind::Stuck).at(step, direction, round, attempt).because(reason));
        self.emit(Lifecycle::Stuck { step: step.to_owned(), reason: reason.to_owned() });
        self.alarm(AlarmCode::Stuck, format!("{step} ({direction}): {reason}"));
    }

    /// A seed for jitter that no other saga, step or try shares.
    fn seed(&self, step: &str, direction: Direction, nth: u32) -> u64 {
        let id = self.p.saga_id.as_u128();
        let id = (id >> 64) as u64 ^ id as u64;
        retry::mix(id ^ retry::hash(step) ^ retry::hash(direction.as_str()).rotate_left(nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{asked, trip};
    use message::Direction::{Do, Undo};
    use serde_json::json;
    use std::collections::BTreeSet;

    fn seed(saga_id: u128, step: &str, direction: Direction, nth: u32) -> u64 {
        let saga = trip();
        let (p, _) = start(&saga, Uuid::from_u128(saga_id), &json!(asked())).unwrap();
        Turn { definition: &saga, p, effects: Vec::new() }.seed(step, direction, nth)
    }

    #[test]
    fn sagas_steps_directions_and_tries_have_seeds_of_their_own() {
        let mut seeds = BTreeSet::new();
        for (id, step) in [(1, "pay"), (2, "pay"), (1 << 64, "pray"), (3 << 64, "pay"), (1, "send-ticket")] {
            for (direction, nth) in [(Do, 1), (Do, 2), (Undo, 1), (Undo, 2), (Undo, 3)] {
                seeds.insert(seed(id, step, direction, nth));
            }
        }
        assert_eq!(seeds.len(), 25);
    }

    /// Histories hold the delays that follow from them.
    #[test]
    fn seeds_stay_what_they_were() {
        let id = 0x0195_3c1e_8f02_7a43_9c55_0123_4567_89ab;
        assert_eq!(
            [seed(id, "hold-seat", Do, 2), seed(id, "pay", Undo, 70)],
            [17_002_855_236_222_234_433, 11_014_638_480_397_681_907]
        );
    }
}
