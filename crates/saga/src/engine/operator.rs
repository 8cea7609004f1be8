//! What people who operate the platform can do with a saga. Each verb is recorded with who and why; one that does not
//! apply changes nothing and says so.

use super::Turn;
use crate::{
    Cause, Counted, Course, DoState, Effect, HistoryEntry, HistoryKind, Input, UndoState, Verb, definition::RawStep,
};
use message::Direction;

impl<'a> Turn<'a> {
    pub(super) fn operator(&mut self, verb: &Verb, reason: &str, input: &Input) {
        if let Err(why) = self.applies(verb) {
            return self.effects.push(Effect::Rejected { reason: why });
        }
        self.record(HistoryEntry::of_input(input));
        match verb {
            Verb::Cancel if self.is_past_return() => self.too_late(reason),
            Verb::Cancel => self.compensate(Cause::operator(reason)),
            Verb::Retry => self.each_stuck(None, Self::retry_stuck),
            Verb::Skip { step } => self.each_stuck(Some(step), |t, s, d, r| t.skip_stuck(s, d, r, reason)),
            Verb::MarkDone { step } => self.each_stuck(Some(step), Self::mark_stuck_done),
            Verb::CompleteForward => self.each_stuck(None, Self::mark_stuck_done),
        }
    }

    fn applies(&self, verb: &Verb) -> Result<(), String> {
        let stuck = self.p.stuck_steps();
        let is_stuck = |step: &str| stuck.iter().any(|(s, _)| s == step);
        match (verb, self.p.course) {
            (_, Course::Completed) => Err("the saga is completed; terminal is final".into()),
            (_, Course::Compensated) => Err("the saga is compensated; terminal is final".into()),
            (Verb::Cancel, Course::Back) => Err("the saga is being undone already".into()),
            (Verb::CompleteForward, Course::Back) => {
                Err("the saga is being undone; skip a stuck undo or mark it done instead".into())
            }
            (Verb::Retry | Verb::CompleteForward, _) if stuck.is_empty() => Err("no step is stuck".into()),
            (Verb::Skip { step } | Verb::MarkDone { step }, _) if !is_stuck(step) => {
                Err(format!("step `{step}` is not stuck"))
            }
            (Verb::Cancel | Verb::Retry | Verb::CompleteForward | Verb::Skip { .. } | Verb::MarkDone { .. }, _) => {
                Ok(())
            }
        }
    }

    /// Applies `act` to each stuck step, or to the one called `only`, and goes on.
    fn each_stuck(&mut self, only: Option<&str>, act: impl Fn(&mut Self, &'a RawStep, Direction, u32)) {
        for wake in self.p.wakes().into_iter().filter(|w| w.on == crate::WakeOn::Operator) {
            let is_meant = only.is_none_or(|name| name == wake.step);
            if let Some(step) = self.step(&wake.step).filter(|_| is_meant) {
                act(self, step, wake.direction, wake.round);
            }
        }
        self.go_on();
    }

    fn retry_stuck(&mut self, step: &'a RawStep, direction: Direction, round: u32) {
        let undo_sends = step.undo.as_ref().map_or(0, |u| u.retry.budget().saturating_add(1));
        if let Some(s) = self.p.steps.get_mut(&step.name) {
            s.retries = 0;
        }
        if let Some(r) = self.p.round_mut(&step.name, round) {
            match (direction, &mut r.back) {
                (Direction::Do, _) => r.forward.left = step.sends(),
                (Direction::Undo, Some(back)) => back.left = undo_sends,
                (Direction::Undo, None) => {}
            }
        }
        match direction {
            Direction::Do => self.send_do(step, round),
            Direction::Undo => self.retry_undo(step, round),
        }
    }

    fn skip_stuck(&mut self, step: &'a RawStep, direction: Direction, round: u32, reason: &str) {
        match direction {
            Direction::Do => self.skip_do(step, round, reason),
            Direction::Undo => {
                self.set_undo(step, round, UndoState::Skipped);
                let entry = HistoryEntry::of(HistoryKind::StepSkipped).at(&step.name, direction, round, 0);
                self.record(entry.because(reason));
            }
        }
    }

    fn mark_stuck_done(&mut self, step: &'a RawStep, direction: Direction, round: u32) {
        match direction {
            Direction::Do => self.settle_do(step, round, DoState::Done),
            Direction::Undo => {
                self.set_undo(step, round, UndoState::Done);
                self.record(HistoryEntry::of(HistoryKind::Undone).at(&step.name, direction, round, 0));
            }
        }
    }

    fn set_undo(&mut self, step: &RawStep, round: u32, state: UndoState) {
        match self.p.round_mut(&step.name, round).and_then(|r| r.back.as_mut()) {
            Some(back) => back.state = state,
            None => self.count(Counted::LateReply),
        }
    }
}
