//! One saga driven by hand under a stepped clock. After every input it asserts what must hold of any saga at any time,
//! so each test that drives one tests the engine's invariants as well.

use crate::{
    AlarmCode, Counted, Definition, Effect, HistoryEntry, Input, Lifecycle, Phase, Progress, Timer, TimerKind, decide,
    definition::Nature, replay_history, start,
};
use message::{Direction, EffectKey};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A saga, a clock, and everything the saga asked for so far. All of it panics, with a sentence, when an invariant of
/// the engine is broken.
pub struct Driver<'a> {
    pub definition: &'a Definition,
    pub progress: Progress,
    pub now_ms: u64,
    /// Commands and child sagas, in the order they were asked for.
    pub sent: Vec<Sent>,
    /// Timers that are set, with when they are due.
    pub timers: BTreeMap<Timer, u64>,
    pub emitted: Vec<Lifecycle>,
    pub alarms: Vec<(AlarmCode, String)>,
    pub counted: Vec<Counted>,
    pub parked: Vec<String>,
    pub rejected: Vec<String>,
    pub history: Vec<HistoryEntry>,
    /// What followed from the last input.
    pub last: Vec<Effect>,
}

/// A command, or the start of a child saga, on its way to whoever carries it out.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub effect: EffectKey,
    pub attempt: u32,
    /// Full name of the command, or the child's saga type.
    pub name: String,
    pub body: Value,
    pub is_child: bool,
}

/// The saga id of every saga that a driver starts.
pub const SAGA_ID: Uuid = Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0001);

impl<'a> Driver<'a> {
    /// Starts a saga from the JSON body of its start event.
    pub fn start(definition: &'a Definition, event: &Value) -> Self {
        let (progress, effects) = start(definition, SAGA_ID, event)
            .unwrap_or_else(|e| panic!("{} does not start on {event}: {e}", definition.saga_type()));
        let mut driver = Self {
            definition,
            progress,
            now_ms: 0,
            sent: Vec::new(),
            timers: BTreeMap::new(),
            emitted: Vec::new(),
            alarms: Vec::new(),
            counted: Vec::new(),
            parked: Vec::new(),
            rejected: Vec::new(),
            history: Vec::new(),
            last: Vec::new(),
        };
        driver.carry_out(effects);
        driver.check_wakes();
        driver
    }

    /// Feeds one input and carries out what follows.
    pub fn apply(&mut self, input: Input) {
        let before = self.progress.clone();
        let (after, effects) = decide(self.definition, before.clone(), input.clone());
        check_decision(self.definition, &before, &input, &after, &effects);
        self.progress = after;
        if let Input::Timer(timer) = &input {
            self.timers.remove(timer);
        }
        self.carry_out(effects);
        self.check_wakes();
    }

    /// Steps the clock to the timer that is due next and fires it; false when none is set.
    pub fn fire_next(&mut self) -> bool {
        let next = self.timers.iter().min_by_key(|(_, due)| **due).map(|(timer, _)| timer.clone());
        next.map(|timer| self.fire(timer)).is_some()
    }

    /// Steps the clock to when `timer` is due, unless that is past, and fires it.
    pub fn fire(&mut self, timer: Timer) {
        self.now_ms = self.timers.get(&timer).map_or(self.now_ms, |due| self.now_ms.max(*due));
        self.apply(Input::Timer(timer));
    }

    /// The timer of `kind` that is set for this effect.
    pub fn timer(&self, kind: TimerKind, effect: &EffectKey) -> Option<Timer> {
        let is_it = |t: &&Timer| (&t.step, t.direction, t.round) == (&effect.step, effect.direction, effect.round);
        self.timers.keys().filter(is_it).find(|t| t.kind == kind).cloned()
    }

    pub fn phase(&self) -> Phase {
        self.progress.phase()
    }

    /// The history so far leads to the present progress again.
    pub fn check_replay(&self) {
        let replayed = replay_history(self.definition, SAGA_ID, &self.history);
        assert_eq!(replayed.as_ref(), Ok(&self.progress), "the history does not replay to the progress");
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        self.last.clone_from(&effects);
        for effect in effects {
            match effect {
                Effect::Send { step, direction, round, attempt, command } => {
                    let effect = self.progress.effect_key(&step, direction, round);
                    let (name, body) = (command.name.to_owned(), command.to_json());
                    self.send(Sent { effect, attempt, name, body, is_child: false });
                }
                Effect::StartChild { step, round, attempt, saga_type, start } => {
                    let effect = self.progress.effect_key(&step, Direction::Do, round);
                    self.send(Sent { effect, attempt, name: saga_type, body: start, is_child: true });
                }
                Effect::SetTimer { timer, after_ms } => self.set_timer(timer, after_ms),
                Effect::CancelTimer(timer) => {
                    let was_set = self.timers.remove(&timer).is_some();
                    assert!(was_set, "a timer was cancelled that was not set: {timer:?}");
                }
                Effect::Emit(lifecycle) => self.emitted.push(lifecycle),
                Effect::Record(entry) => self.history.push(entry),
                Effect::Alarm { code, detail } => self.alarms.push((code, detail)),
                Effect::Count(what) => self.counted.push(what),
                Effect::Park { reason } => self.parked.push(reason),
                Effect::Rejected { reason } => self.rejected.push(reason),
            }
        }
    }

    fn set_timer(&mut self, timer: Timer, after_ms: u64) {
        let due = self.now_ms.saturating_add(after_ms);
        assert!(self.timers.insert(timer.clone(), due).is_none(), "a timer was set twice: {timer:?}");
    }

    fn send(&mut self, sent: Sent) {
        let is_new = !self.sent.iter().any(|s| s.effect == sent.effect && s.attempt == sent.attempt);
        assert!(is_new, "sent twice: {} attempt {}", sent.effect, sent.attempt);
        if sent.effect.direction == Direction::Undo {
            self.check_undo(&sent.effect);
        }
        self.sent.push(sent);
    }

    fn check_undo(&self, undo: &EffectKey) {
        let step = self.definition.step(&undo.step).unwrap_or_else(|| panic!("{undo} is no step"));
        let was_sent = !step.acts() || self.sent.iter().any(|s| s.effect == undo.counterpart());
        assert!(was_sent, "{undo} was sent although its do never was");
        let pivot = self.definition.steps().find(|s| s.nature == Nature::Pivot);
        let is_past = pivot.and_then(|p| self.progress.do_state(&p.name)).is_some_and(crate::DoState::is_settled);
        assert!(!is_past, "{undo} was sent after the pivot was done");
    }

    /// Every saga that is not terminal has a reason to wake, and exactly the timers those reasons need.
    fn check_wakes(&self) {
        let wakes = self.progress.wakes();
        assert_eq!(
            wakes.is_empty(),
            self.phase().is_terminal(),
            "an orphan, or an end that wakes: {:#?}",
            self.progress
        );
        let needed: BTreeSet<Timer> = self.progress.timers().into_iter().collect();
        let set: BTreeSet<Timer> = self.timers.keys().cloned().collect();
        assert_eq!(needed, set, "the timers that are set are not those that are needed");
    }
}

fn check_decision(definition: &Definition, before: &Progress, input: &Input, after: &Progress, effects: &[Effect]) {
    let (again, same_effects) = decide(definition, before.clone(), input.clone());
    assert_eq!((&again, &same_effects[..]), (after, effects), "the same input was decided in two ways: {input:?}");
    assert_eq!(&through_json(after), after, "the progress does not survive JSON");
    assert_eq!(&through_json(input), input, "the input does not survive JSON");
    if before.phase().is_terminal() {
        let acts = |e: &Effect| matches!(e, Effect::Send { .. } | Effect::StartChild { .. } | Effect::SetTimer { .. });
        assert_eq!(before, after, "terminal is final, but {input:?} changed it");
        assert!(!effects.iter().any(acts), "terminal is final, but {input:?} gave {effects:?}");
    }
}

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).unwrap_or_else(|e| panic!("cannot be written as JSON: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("cannot be read back: {e}: {text}"))
}
