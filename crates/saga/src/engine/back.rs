//! Going back: what is undone, in which order, and what happens when an undo fails.

use super::Turn;
use crate::{
    Cause, Course, DoState, Effect, HistoryEntry, HistoryKind, Leg, Lifecycle, TimerKind, UndoState,
    definition::{Node, RawStep, Undo},
    progress::timer,
};
use message::{
    Direction::Undo as Back,
    bugs::{Bug, has},
};
use serde_json::json;

impl<'a> Turn<'a> {
    /// Turns the saga back. Steps in flight are in doubt from here on: they are undone like those that are done.
    pub(super) fn compensate(&mut self, cause: Cause) {
        self.p.course = Course::Back;
        self.p.cause = Some(cause.clone());
        self.p.recorded.clear();
        self.record(HistoryEntry::of(HistoryKind::Compensating).because(&cause.reason).detail(json!(cause)));
        self.emit(Lifecycle::Compensating { cause });
        for step in self.definition.steps() {
            self.leave_do(step);
        }
        self.unwind();
    }

    fn leave_do(&mut self, step: &RawStep) {
        let round = self.p.rounds(&step.name);
        let Some(leg) = self.p.round(&step.name, round).map(|r| &r.forward) else { return };
        let state = match leg.state {
            DoState::Waiting | DoState::Stuck if step.acts() && leg.sent > 0 => DoState::InDoubt,
            DoState::Waiting | DoState::Stuck | DoState::RetryWait => DoState::Skipped,
            DoState::Done | DoState::Refused | DoState::InDoubt | DoState::Skipped => return,
        };
        self.cancel_do_timer(step, round);
        self.set_do(step, round, state);
    }

    /// Sends every undo whose turn it is: the last step's first, branches of a group beside each other.
    pub(super) fn unwind(&mut self) {
        let definition = self.definition;
        if definition.nodes.iter().rev().all(|node| self.clear_node(node)) {
            self.end_compensated();
        }
    }

    fn clear_node(&mut self, node: &'a Node) -> bool {
        let mut clear = true;
        for branch in &node.branches {
            clear &= branch.iter().rev().all(|step| self.clear(step));
        }
        clear
    }

    /// True when nothing of `step` is left to undo; sends the next of its undos, the newest round's first.
    fn clear(&mut self, step: &'a RawStep) -> bool {
        let Some(undo) = &step.undo else { return true };
        for round in (1..=self.p.rounds(&step.name)).rev() {
            let Some(r) = self.p.round(&step.name, round) else { continue };
            match r.back.as_ref().map(|b| b.state) {
                Some(UndoState::Done | UndoState::Skipped) => {}
                Some(UndoState::Waiting | UndoState::RetryWait | UndoState::Stuck) => return false,
                None if r.forward.state.may_exist() => {
                    self.begin_undo(step, undo, round);
                    return false;
                }
                None => {}
            }
        }
        true
    }

    /// Sends the round's undo for the first time.
    pub(super) fn begin_undo(&mut self, step: &'a RawStep, undo: &'a Undo, round: u32) {
        if let Some(r) = self.p.round_mut(&step.name, round) {
            r.back = Some(Leg { state: UndoState::Waiting, sent: 0, left: undo.retry.budget().saturating_add(1) });
        }
        self.send_undo(step, undo, round);
    }

    /// Sends the round's undo once more, with a deadline.
    pub(super) fn send_undo(&mut self, step: &'a RawStep, undo: &'a Undo, round: u32) {
        let cause = self.p.cause.clone().unwrap_or_else(|| Cause::superseded(&step.name, round));
        match (undo.build)(&self.p.data, &cause) {
            Err(e) => {
                self.unreadable(&e);
                self.stick_undo(step, round, &e.to_string());
            }
            Ok(command) => {
                let Some(back) = self.back_mut(step, round) else { return };
                *back = Leg { state: UndoState::Waiting, sent: back.sent + 1, left: back.left.saturating_sub(1) };
                let (attempt, step) = (back.sent, step.name.as_str());
                self.record(HistoryEntry::of(HistoryKind::Sent).at(step, Back, round, attempt).message(undo.command));
                self.effects.push(Effect::Send { step: step.to_owned(), direction: Back, round, attempt, command });
                let timer = timer(TimerKind::Deadline, step, Back, round, attempt);
                self.effects.push(Effect::SetTimer { timer, after_ms: undo.deadline_ms });
            }
        }
    }

    /// The undo was refused or not answered in time: try again after a delay, or wait for an operator.
    pub(super) fn undo_failed(&mut self, step: &'a RawStep, undo: &'a Undo, round: u32, why: &str) {
        let Some(back) = self.back_mut(step, round) else { return };
        if has(Bug::UndoOnce) {
            back.state = UndoState::Skipped;
            return self.unwind();
        }
        if back.left == 0 {
            return self.stick_undo(step, round, why);
        }
        back.state = UndoState::RetryWait;
        let (sent, nth) = (back.sent, undo.retry.budget().saturating_add(1).saturating_sub(back.left));
        let after_ms = undo.retry.delay_ms(nth, self.seed(&step.name, Back, sent));
        let entry = HistoryEntry::of(HistoryKind::RetryPlanned).at(&step.name, Back, round, sent);
        self.record(entry.because(format!("{why}; again in {after_ms} ms")));
        let timer = timer(TimerKind::Retry, &step.name, Back, round, sent);
        self.effects.push(Effect::SetTimer { timer, after_ms });
    }

    pub(super) fn stick_undo(&mut self, step: &RawStep, round: u32, why: &str) {
        let Some(back) = self.back_mut(step, round) else { return };
        back.state = UndoState::Stuck;
        let attempt = back.sent;
        self.tell_stuck(&step.name, Back, round, attempt, why);
    }

    /// The undo is settled; on to the next, or on forward when only a stray effect was undone.
    pub(super) fn undone(&mut self, step: &RawStep, round: u32, state: UndoState) {
        self.cancel_undo_timer(step, round);
        let Some(back) = self.back_mut(step, round) else { return };
        back.state = state;
        let attempt = back.sent;
        self.record(HistoryEntry::of(HistoryKind::Undone).at(&step.name, Back, round, attempt));
        self.go_on();
    }

    /// Whatever comes next in the direction the saga is going.
    pub(super) fn go_on(&mut self) {
        match self.p.course {
            Course::Forward => self.advance(),
            Course::Back => self.unwind(),
            Course::Completed | Course::Compensated => {}
        }
    }

    pub(super) fn cancel_undo_timer(&mut self, step: &RawStep, round: u32) {
        let Some(back) = self.p.round(&step.name, round).and_then(|r| r.back.as_ref()) else { return };
        let kind = match back.state {
            UndoState::Waiting => TimerKind::Deadline,
            UndoState::RetryWait => TimerKind::Retry,
            UndoState::Stuck | UndoState::Done | UndoState::Skipped => return,
        };
        let timer = timer(kind, &step.name, Back, round, back.sent);
        self.effects.push(Effect::CancelTimer(timer));
    }

    fn back_mut(&mut self, step: &RawStep, round: u32) -> Option<&mut Leg<UndoState>> {
        self.p.round_mut(&step.name, round)?.back.as_mut()
    }

    fn end_compensated(&mut self) {
        let Some(cause) = self.p.cause.clone().filter(|_| self.p.course == Course::Back) else { return };
        self.p.course = Course::Compensated;
        self.record(HistoryEntry::of(HistoryKind::Compensated).because(&cause.reason));
        self.emit(Lifecycle::Compensated { cause });
    }
}
