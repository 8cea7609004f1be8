//! Timers that fired. One that belongs to an attempt which is over changes nothing, so firing twice is harmless.

use super::Turn;
use crate::{
    Cause, Counted, DoState, HistoryEntry, Input, Timer, TimerKind, UndoState,
    definition::{Nature, RawStep},
};
use message::Direction;

impl<'a> Turn<'a> {
    pub(super) fn timer(&mut self, timer: &Timer, input: &Input) {
        let step = self.step(&timer.step).filter(|_| self.p.timers().contains(timer));
        let Some(step) = step else { return self.count(Counted::StaleTimer) };
        self.record(HistoryEntry::of_input(input));
        match (timer.kind, timer.direction) {
            (TimerKind::Deadline, Direction::Do) => self.overdue(step, timer.round),
            (TimerKind::Retry, Direction::Do) => self.send_do(step, timer.round),
            (TimerKind::Deadline, Direction::Undo) => self.undo_overdue(step, timer.round),
            (TimerKind::Retry, Direction::Undo) => self.retry_undo(step, timer.round),
        }
    }

    /// No answer in time. Before the pivot that means *maybe it happened*: the step is undone with the rest. From the
    /// pivot on the same effect is asked for until there is an answer.
    fn overdue(&mut self, step: &'a RawStep, round: u32) {
        let left = self.p.round(&step.name, round).map_or(0, |r| r.forward.left);
        match step.nature {
            _ if left > 0 => self.send_do(step, round),
            Nature::Pivot | Nature::Retriable => self.stick_do(step, round, "not answered within its budget of sends"),
            Nature::Compensable => {
                self.set_do(step, round, if step.acts() { DoState::InDoubt } else { DoState::Skipped });
                self.compensate(Cause::timed_out(&step.name, step.deadline_ms));
            }
        }
    }

    fn undo_overdue(&mut self, step: &'a RawStep, round: u32) {
        if let Some(undo) = &step.undo {
            self.undo_failed(step, undo, round, "not answered in time");
        }
    }

    /// Sends the undo again, whether it was waiting for its delay or for an operator.
    pub(super) fn retry_undo(&mut self, step: &'a RawStep, round: u32) {
        if let Some(undo) = &step.undo {
            self.send_undo(step, undo, round);
        }
    }

    /// The state of the round's undo.
    pub(super) fn undo_state(&self, step: &str, round: u32) -> Option<UndoState> {
        self.p.round(step, round)?.back.as_ref().map(|b| b.state)
    }
}
