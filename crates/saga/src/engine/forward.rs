//! Going forward: opening steps, sending commands, taking answers and events.

use super::Turn;
use crate::{
    Cause, Counted, Course, DoState, Effect, HistoryEntry, HistoryKind, Input, Leg, Lifecycle, Round, TimerKind,
    Unreadable,
    definition::{Kind, Nature, Node, RawStep, Wait},
    progress::timer,
};
use message::{Direction::Do, Refusal, short_name};
use serde_json::Value;

impl<'a> Turn<'a> {
    /// Opens every step that can be opened, until one must be waited for or the saga is complete.
    pub(super) fn advance(&mut self) {
        let definition = self.definition;
        if definition.nodes.iter().all(|node| self.pass_node(node)) {
            self.complete();
        }
    }

    fn pass_node(&mut self, node: &'a Node) -> bool {
        // Not `all` over the branches: one that waits must not keep the others from opening.
        let mut passed = true;
        for branch in &node.branches {
            passed &= branch.iter().all(|step| self.pass(step));
        }
        passed
    }

    /// True when `step` is behind us; opens it when it is its turn.
    fn pass(&mut self, step: &'a RawStep) -> bool {
        if self.p.course != Course::Forward {
            return false;
        }
        if self.p.rounds(&step.name) == 0 {
            // Past the pivot nothing is undone any more, so what is being undone comes first.
            if step.nature == Nature::Pivot && self.is_undoing() {
                return false;
            }
            self.open(step);
        }
        self.p.course == Course::Forward && self.p.do_state(&step.name).is_some_and(DoState::is_settled)
    }

    fn open(&mut self, step: &'a RawStep) {
        let round = self.new_round(step, DoState::Waiting);
        match &step.kind {
            Kind::Started => self.set_do(step, round, DoState::Done),
            Kind::Call(_) | Kind::Child(_) => self.send_do(step, round),
            Kind::Wait(wait) => self.open_wait(step, wait, round),
        }
    }

    /// Appends a round to the step and gives its number.
    pub(super) fn new_round(&mut self, step: &RawStep, state: DoState) -> u32 {
        let forward = Leg { state, sent: 0, left: step.sends() };
        self.p.steps.entry(step.name.clone()).or_default().rounds.push(Round { forward, back: None });
        self.p.rounds(&step.name)
    }

    fn open_wait(&mut self, step: &'a RawStep, wait: &'a Wait, round: u32) {
        match wait.unless.as_ref().map(|unless| (unless.call)(&self.p.data)) {
            Some(Err(e)) => self.stick_do(step, round, &e.to_string()),
            Some(Ok(true)) => self.skip_do(step, round, "there is nothing to wait for"),
            None | Some(Ok(false)) => match self.p.recorded.remove(wait.on.name) {
                Some(body) => self.take_event(step, wait, round, &body),
                None => self.send_do(step, round),
            },
        }
    }

    /// Sends the round's command once more, or arms the wait once more, with a deadline.
    pub(super) fn send_do(&mut self, step: &'a RawStep, round: u32) {
        let attempt = self.p.round(&step.name, round).map_or(0, |r| r.forward.sent) + 1;
        match self.effect_of(step, round, attempt) {
            Err(e) => {
                self.unreadable(&e);
                self.stick_do(step, round, &e.to_string());
            }
            Ok(send) => {
                if let Some(r) = self.p.round_mut(&step.name, round) {
                    let left = r.forward.left.saturating_sub(1);
                    r.forward = Leg { state: DoState::Waiting, sent: attempt, left };
                }
                self.note_sent(step, round, attempt, send);
            }
        }
    }

    fn note_sent(&mut self, step: &RawStep, round: u32, attempt: u32, send: Option<Effect>) {
        let entry = HistoryEntry::of(HistoryKind::Sent).at(&step.name, Do, round, attempt);
        match &step.kind {
            Kind::Call(call) => self.record(entry.message(call.command)),
            Kind::Child(child) => self.record(entry.because(format!("starts {}", child.saga_type))),
            Kind::Wait(_) | Kind::Started => {}
        }
        self.effects.extend(send);
        let timer = timer(TimerKind::Deadline, &step.name, Do, round, attempt);
        self.effects.push(Effect::SetTimer { timer, after_ms: step.deadline_ms });
    }

    /// What carrying the step out asks of the shell; nothing for a wait.
    fn effect_of(&self, step: &RawStep, round: u32, attempt: u32) -> Result<Option<Effect>, Unreadable> {
        let name = step.name.clone();
        Ok(match &step.kind {
            Kind::Call(call) => {
                let command = (call.build)(&self.p.data)?;
                Some(Effect::Send { step: name, direction: Do, round, attempt, command })
            }
            Kind::Child(child) => {
                let start = (child.start)(&self.p.data)?;
                Some(Effect::StartChild { step: name, round, attempt, saga_type: child.saga_type.clone(), start })
            }
            Kind::Wait(_) | Kind::Started => None,
        })
    }

    /// The awaited success: keep what it brought and go on. A body that can't be read changes nothing: the deadline
    /// will find the step still waiting.
    pub(super) fn succeed(&mut self, step: &'a RawStep, round: u32, body: &Value, input: &Input) {
        let kept = match &step.kind {
            Kind::Call(call) => (call.keep)(&mut self.p.data, body),
            Kind::Child(_) | Kind::Wait(_) | Kind::Started => Ok(()),
        };
        match kept {
            Err(e) => self.unreadable(&e),
            Ok(()) => {
                self.record(HistoryEntry::of_input(input));
                self.settle_do(step, round, DoState::Done);
                self.advance();
            }
        }
    }

    /// An event came: some step waits for it, or will.
    pub(super) fn event(&mut self, name: &str, body: &Value, input: &Input) {
        let Some((step, wait)) = self.definition.wait_for(name) else {
            return self.effects.push(Effect::Park { reason: format!("no step waits for {}", short_name(name)) });
        };
        if let Err(e) = (wait.key)(body) {
            return self.unreadable(&e);
        }
        let round = self.p.rounds(&step.name);
        match (self.p.course, self.p.do_state(&step.name)) {
            (Course::Forward, Some(DoState::Waiting | DoState::Stuck)) => {
                self.record(HistoryEntry::of_input(input));
                self.take_event(step, wait, round, body);
                self.advance();
            }
            (Course::Forward, None) if !self.p.recorded.contains_key(name) => {
                self.record(HistoryEntry::of_input(input));
                self.p.recorded.insert(name.to_owned(), body.clone());
            }
            _ => self.count(Counted::LateEvent),
        }
    }

    fn take_event(&mut self, step: &'a RawStep, wait: &'a Wait, round: u32, body: &Value) {
        let kept = (wait.keep)(&mut self.p.data, body);
        let verdict = kept.and_then(|()| wait.fails_when.as_ref().map_or(Ok(None), |f| (f.call)(&self.p.data)));
        match verdict {
            Err(e) => {
                self.unreadable(&e);
                self.cancel_do_timer(step, round);
                self.stick_do(step, round, &e.to_string());
            }
            Ok(None) => self.settle_do(step, round, DoState::Done),
            Ok(Some(refusal)) => {
                self.settle_do(step, round, DoState::Refused);
                self.fail(step, Cause::refused(&step.name, &refusal));
            }
        }
    }

    /// The do was refused: nothing of it exists. Carry it out anew if the policy says so, else turn back.
    pub(super) fn refused(&mut self, step: &'a RawStep, round: u32, refusal: &Refusal) {
        self.settle_do(step, round, DoState::Refused);
        let retries = self.p.steps.get(&step.name).map_or(0, |s| s.retries);
        if refusal.retryable && retries < step.retry.budget() {
            return self.plan_round(step, retries + 1, refusal);
        }
        self.fail(step, Cause::refused(&step.name, refusal));
    }

    fn plan_round(&mut self, step: &RawStep, retries: u32, refusal: &Refusal) {
        let round = self.new_round(step, DoState::RetryWait);
        if let Some(s) = self.p.steps.get_mut(&step.name) {
            s.retries = retries;
        }
        let after_ms = step.retry.delay_ms(retries, self.seed(&step.name, Do, round));
        let entry = HistoryEntry::of(HistoryKind::RetryPlanned).at(&step.name, Do, round, 0);
        self.record(entry.because(format!("{} in {after_ms} ms", refusal.code)));
        self.effects.push(Effect::SetTimer { timer: timer(TimerKind::Retry, &step.name, Do, round, 0), after_ms });
    }

    /// The last round of `step` came to nothing. Up to the pivot the saga turns back; after it a person has to look.
    fn fail(&mut self, step: &'a RawStep, cause: Cause) {
        match step.nature {
            Nature::Compensable | Nature::Pivot => self.compensate(cause),
            Nature::Retriable => {
                let round = self.new_round(step, DoState::Stuck);
                self.tell_stuck(&step.name, Do, round, 0, &format!("{}: {}", cause.code, cause.reason));
            }
        }
    }

    pub(super) fn stick_do(&mut self, step: &RawStep, round: u32, reason: &str) {
        self.set_do(step, round, DoState::Stuck);
        let attempt = self.p.round(&step.name, round).map_or(0, |r| r.forward.sent);
        self.tell_stuck(&step.name, Do, round, attempt, reason);
    }

    pub(super) fn skip_do(&mut self, step: &RawStep, round: u32, reason: &str) {
        self.set_do(step, round, DoState::Skipped);
        self.record(HistoryEntry::of(HistoryKind::StepSkipped).at(&step.name, Do, round, 0).because(reason));
    }

    /// The round has its answer: its timer goes, and a success is recorded.
    pub(super) fn settle_do(&mut self, step: &RawStep, round: u32, state: DoState) {
        self.cancel_do_timer(step, round);
        self.set_do(step, round, state);
        if state == DoState::Done {
            let attempt = self.p.round(&step.name, round).map_or(0, |r| r.forward.sent);
            self.record(HistoryEntry::of(HistoryKind::StepDone).at(&step.name, Do, round, attempt));
        }
    }

    /// Cancels the timer of the round's do, if one is running.
    pub(super) fn cancel_do_timer(&mut self, step: &RawStep, round: u32) {
        let Some(leg) = self.p.round(&step.name, round).map(|r| &r.forward) else { return };
        let kind = match leg.state {
            DoState::Waiting if leg.sent > 0 => TimerKind::Deadline,
            DoState::RetryWait => TimerKind::Retry,
            DoState::Waiting | DoState::Stuck | DoState::Done => return,
            DoState::Refused | DoState::InDoubt | DoState::Skipped => return,
        };
        let timer = timer(kind, &step.name, Do, round, leg.sent);
        self.effects.push(Effect::CancelTimer(timer));
    }

    pub(super) fn set_do(&mut self, step: &RawStep, round: u32, state: DoState) {
        if let Some(r) = self.p.round_mut(&step.name, round) {
            r.forward.state = state;
        }
    }

    /// True while the stray effect of a refused round is being undone.
    fn is_undoing(&self) -> bool {
        self.p.all_rounds().any(|(_, _, r)| r.back.as_ref().is_some_and(|b| !b.state.is_settled()))
    }

    /// Ends the saga, unless the stray effect of a refused round is still being undone.
    fn complete(&mut self) {
        if !self.is_undoing() {
            self.p.course = Course::Completed;
            self.p.recorded.clear();
            self.record(HistoryEntry::of(HistoryKind::Completed));
            self.emit(Lifecycle::Completed);
        }
    }
}
