//! The reply × state table of the design, as one `match`. Replies may be late, repeated, or answers to what was given
//! up long ago; each cell says what that means.

use super::Turn;
use crate::{
    AlarmCode, ChildEnd, Counted, Course, DoState, Effect, HistoryEntry, Input, Reply, UndoState,
    definition::{Kind, RawStep},
};
use message::{
    Direction, EffectKey, Message, Outcome, Refusal,
    bugs::{Bug, has},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The row: what the reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    DoOk,
    DoRefused,
    UndoOk,
    UndoRefused,
}

/// The column: how far the saga is with the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// Going forward, and this round awaits its answer.
    SameRound,
    /// Going forward, and a newer round of this step was begun.
    NewerRound,
    /// Going forward, and this round, the newest, has its answer. The printed table leaves it out: only duplicates and
    /// contradictions get here.
    Answered,
    Compensating,
    /// The undo of this round waits for an operator. To a do that is the same as compensating.
    Stuck,
    Completed,
    Compensated,
}

impl Row {
    fn of(reply: &Reply) -> Self {
        match (reply.effect.direction, reply.outcome) {
            (Direction::Do, Outcome::Ok) => Self::DoOk,
            (Direction::Do, Outcome::Refused) => Self::DoRefused,
            (Direction::Undo, Outcome::Ok) => Self::UndoOk,
            (Direction::Undo, Outcome::Refused) => Self::UndoRefused,
        }
    }
}

impl<'a> Turn<'a> {
    pub(super) fn reply(&mut self, reply: &Reply, input: &Input) {
        let Some(step) = self.step_of(&reply.effect) else { return self.park_unknown(&reply.effect) };
        if let Some(wrong) = wrong_name(step, reply) {
            return self.alarm(AlarmCode::UnreadableBody, wrong);
        }
        if has(Bug::AnyRound) {
            let effect = EffectKey { round: self.p.rounds(&step.name), ..reply.effect.clone() };
            return self.take_reply(step, &Reply { effect, ..reply.clone() }, input);
        }
        self.take_reply(step, reply, input);
    }

    /// The end of a child saga is the answer to the step that started it.
    pub(super) fn child_ended(&mut self, effect: &EffectKey, end: &ChildEnd, input: &Input) {
        let is_child = |s: &&RawStep| matches!(s.kind, Kind::Child(_)) && effect.direction == Direction::Do;
        let Some(step) = self.step_of(effect).filter(is_child) else { return self.park_unknown(effect) };
        let (outcome, body) = match end {
            ChildEnd::Completed => (Outcome::Ok, Value::Null),
            ChildEnd::Compensated { code, reason } => {
                (Outcome::Refused, json!(Refusal::new(code.as_str(), reason.as_str())))
            }
        };
        let reply = Reply { effect: effect.clone(), attempt: 1, outcome, name: String::new(), body };
        self.take_reply(step, &reply, input);
    }

    fn take_reply(&mut self, step: &'a RawStep, reply: &Reply, input: &Input) {
        use Column::{Answered, Compensated, Compensating, Completed, NewerRound, SameRound, Stuck};
        use Row::{DoOk, DoRefused, UndoOk, UndoRefused};
        let round = reply.effect.round;
        match (Row::of(reply), self.column(step, &reply.effect)) {
            (DoOk, SameRound) => self.succeed(step, round, &reply.body, input),
            (DoOk, NewerRound) => self.undo_stray(step, round, input),
            (DoOk, Answered) => self.count(Counted::DuplicateReply),
            (DoOk, Compensating | Stuck) => self.queue_undo(step, round, input),
            (DoOk, Completed) => self.count(Counted::LateReply),
            (DoOk, Compensated) => self.late_success(step, round),

            (DoRefused, SameRound) => self.take_refusal(step, round, &reply.body, input),
            (DoRefused, NewerRound | Compensating | Stuck | Compensated) => self.count(Counted::LateReply),
            (DoRefused, Answered) => self.repeated_refusal(step, round, AlarmCode::Contradiction),
            (DoRefused, Completed) => self.repeated_refusal(step, round, AlarmCode::ReplyAfterEnd),

            (UndoOk, SameRound | NewerRound | Answered | Compensating | Stuck) => self.take_undone(step, round, input),
            (UndoOk, Completed) => self.undo_reply_after_completion(step, round),
            (UndoOk, Compensated) => self.count(Counted::DuplicateReply),

            (UndoRefused, SameRound | NewerRound | Answered | Compensating) => {
                self.retry_refused_undo(step, reply, input)
            }
            (UndoRefused, Stuck) => self.count(Counted::LateReply),
            (UndoRefused, Completed) => self.undo_reply_after_completion(step, round),
            (UndoRefused, Compensated) => self.undo_refused_after_compensation(step, reply),
        }
    }

    /// The step, when the key names an effect that this saga has asked for. An undo that was not sent is known all the
    /// same once the saga has ended, because the table has an answer for it.
    fn step_of(&self, effect: &EffectKey) -> Option<&'a RawStep> {
        let step = self.step(&effect.step).filter(|_| effect.saga_id == self.p.saga_id)?;
        let round = self.p.round(&effect.step, effect.round)?;
        let was_done = step.acts() && round.forward.sent > 0;
        let is_known = match effect.direction {
            Direction::Do => was_done,
            Direction::Undo => match &round.back {
                Some(back) => back.sent > 0,
                None => step.undo.is_some() && self.p.phase().is_terminal(),
            },
        };
        is_known.then_some(step)
    }

    fn park_unknown(&mut self, effect: &EffectKey) {
        let reason = format!("no such effect was asked for: {effect}");
        if self.p.course == Course::Forward {
            self.alarm(AlarmCode::UnknownEffect, reason.clone());
        }
        self.effects.push(Effect::Park { reason });
    }

    fn column(&self, step: &RawStep, effect: &EffectKey) -> Column {
        let state = self.undo_state(&step.name, effect.round);
        let is_stuck = effect.direction == Direction::Undo && state == Some(UndoState::Stuck);
        match self.p.course {
            Course::Completed => Column::Completed,
            Course::Compensated => Column::Compensated,
            Course::Forward | Course::Back if is_stuck => Column::Stuck,
            Course::Back => Column::Compensating,
            Course::Forward => self.forward_column(step, effect.round),
        }
    }

    /// Stuck while going forward is the same as waiting, but for the deadline: an answer to what was sent still counts.
    fn forward_column(&self, step: &RawStep, round: u32) -> Column {
        let state = self.p.round(&step.name, round).map(|r| r.forward.state);
        match state {
            Some(DoState::Waiting | DoState::Stuck) => Column::SameRound,
            _ if round < self.p.rounds(&step.name) => Column::NewerRound,
            _ => Column::Answered,
        }
    }

    /// A refusal that can't be read changes nothing: the deadline will find the step still waiting.
    fn take_refusal(&mut self, step: &'a RawStep, round: u32, body: &Value, input: &Input) {
        match Refusal::deserialize(body) {
            Err(e) => self.alarm(AlarmCode::UnreadableBody, format!("{} cannot be read: {e}", Refusal::NAME)),
            Ok(refusal) => {
                self.record(HistoryEntry::of_input(input));
                self.refused(step, round, &refusal);
            }
        }
    }

    /// An older round succeeded after all, against its recorded refusal: its effect is one too many. Once the pivot was
    /// sent nothing is undone unless the saga turns back, so a person has to look.
    fn undo_stray(&mut self, step: &'a RawStep, round: u32, input: &Input) {
        if self.p.round(&step.name, round).is_some_and(|r| r.forward.state == DoState::Done) {
            return self.count(Counted::DuplicateReply);
        }
        self.record(HistoryEntry::of_input(input));
        self.set_do(step, round, DoState::Done);
        match &step.undo {
            Some(undo) if !self.is_past_return() => self.begin_undo(step, undo, round),
            _ => self.alarm(AlarmCode::Contradiction, format!("{} succeeded in a refused round {round}", step.name)),
        }
    }

    /// It did happen: make sure that it is undone, unless that was sent already. A step without an undo needs none, but
    /// when it had been refused the saga turned back for nothing: of the pivot, a person has to hear that.
    fn queue_undo(&mut self, step: &RawStep, round: u32, input: &Input) {
        let Some(r) = self.p.round(&step.name, round) else { return };
        let state = r.forward.state;
        if step.undo.is_none() && state == DoState::Refused {
            return self.alarm(AlarmCode::Contradiction, format!("{} succeeded in a refused round {round}", step.name));
        }
        if step.undo.is_none() || r.back.is_some() || state == DoState::Done {
            return self.count(Counted::LateReply);
        }
        self.record(HistoryEntry::of_input(input));
        self.set_do(step, round, DoState::Done);
        self.unwind();
    }

    /// I8: a saga that ended as compensated has left nothing behind.
    fn late_success(&mut self, step: &RawStep, round: u32) {
        let is_undone = self.undo_state(&step.name, round).is_some_and(UndoState::is_settled);
        if is_undone || step.undo.is_none() {
            return self.count(Counted::LateReply);
        }
        self.alarm(AlarmCode::EffectNotUndone, format!("{} succeeded in round {round} after the end", step.name));
    }

    fn repeated_refusal(&mut self, step: &RawStep, round: u32, otherwise: AlarmCode) {
        let state = self.p.round(&step.name, round).map(|r| r.forward.state);
        if matches!(state, Some(DoState::Refused | DoState::Skipped)) {
            return self.count(Counted::DuplicateReply);
        }
        self.alarm(otherwise, format!("{} was refused in round {round} after its success", step.name));
    }

    fn take_undone(&mut self, step: &'a RawStep, round: u32, input: &Input) {
        if self.undo_state(&step.name, round).is_none_or(UndoState::is_settled) {
            return self.count(Counted::DuplicateReply);
        }
        self.record(HistoryEntry::of_input(input));
        self.undone(step, round, UndoState::Done);
    }

    /// Only the newest attempt's refusal counts: an older one's was answered by sending again.
    fn retry_refused_undo(&mut self, step: &'a RawStep, reply: &Reply, input: &Input) {
        let round = reply.effect.round;
        let back = self.p.round(&step.name, round).and_then(|r| r.back.as_ref());
        let is_awaited = back.is_some_and(|b| b.state == UndoState::Waiting && b.sent == reply.attempt);
        match (&step.undo, is_awaited) {
            (Some(undo), true) => {
                self.record(HistoryEntry::of_input(input));
                self.cancel_undo_timer(step, round);
                let why = refusal_text(&reply.body);
                // Sending again would go behind the back of the person who gave the command up.
                if is_skipped(&reply.body) {
                    self.stick_undo(step, round, &why);
                } else {
                    self.undo_failed(step, undo, round, &why);
                }
            }
            _ => self.count(Counted::DuplicateReply),
        }
    }

    /// A completed saga has undone nothing, but for the stray effects of refused rounds.
    fn undo_reply_after_completion(&mut self, step: &RawStep, round: u32) {
        match self.undo_state(&step.name, round) {
            Some(_) => self.count(Counted::DuplicateReply),
            None => {
                self.alarm(AlarmCode::ReplyAfterEnd, format!("the undo of {} was answered, but never sent", step.name))
            }
        }
    }

    /// The refusal of an earlier attempt is old news; that of the last contradicts the success that ended the saga.
    fn undo_refused_after_compensation(&mut self, step: &RawStep, reply: &Reply) {
        let back = self.p.round(&step.name, reply.effect.round).and_then(|r| r.back.as_ref());
        if back.is_some_and(|b| reply.attempt < b.sent) {
            return self.count(Counted::DuplicateReply);
        }
        self.alarm(AlarmCode::ReplyAfterEnd, format!("the undo of {} was refused after it had succeeded", step.name));
    }
}

/// Says what is wrong when a reply carries another record than its command promises.
fn wrong_name(step: &RawStep, reply: &Reply) -> Option<String> {
    let promised = match (reply.outcome, reply.effect.direction, &step.kind) {
        (Outcome::Refused, _, _) => Refusal::NAME,
        (Outcome::Ok, Direction::Undo, _) => step.undo.as_ref()?.reply,
        (Outcome::Ok, Direction::Do, Kind::Call(call)) => call.reply,
        (Outcome::Ok, Direction::Do, Kind::Started | Kind::Wait(_) | Kind::Child(_)) => return None,
    };
    (reply.name != promised).then(|| format!("{} answered with {}, expected {promised}", step.name, reply.name))
}

fn is_skipped(body: &Value) -> bool {
    Refusal::deserialize(body).is_ok_and(|refusal| refusal.code == Refusal::SKIPPED)
}

fn refusal_text(body: &Value) -> String {
    Refusal::deserialize(body).map_or_else(|_| "refused".to_owned(), |r| r.to_string())
}
