//! A saga's test reads like the transcript of what happened: what it sends, what it is answered, how it ends. Time is
//! stepped, nothing is awaited, and every line that does not hold panics with what happened instead.

use crate::{
    AlarmCode, ChildEnd, Counted, Definition, Effect, Input, Lifecycle, Phase, Progress, Reply, Timer, TimerKind, Verb,
    harness::{Driver, Sent},
};
use message::{Command, Direction, Event, Message, Outcome, Refusal, short_name};
use serde_json::{Value, json};

/// Begins a transcript: `event` starts a saga of `definition`.
#[track_caller]
pub fn given<E: Event>(definition: &Definition, event: E) -> Transcript<'_> {
    assert_eq!(E::NAME, definition.start_event(), "{} does not start on this event", definition.saga_type());
    let driver = Driver::start(definition, &json!(event));
    Transcript { driver, claimed: 0, current: None, alarms_seen: 0 }
}

/// See [`given`]. Commands are named as people read them: `payments.AuthorizePayment`.
#[must_use]
pub struct Transcript<'a> {
    driver: Driver<'a>,
    /// How many of the sent commands the transcript has named.
    claimed: usize,
    current: Option<Sent>,
    alarms_seen: usize,
}

/// What the saga sends.
impl Transcript<'_> {
    /// The next command is `name`; what follows answers it.
    #[track_caller]
    pub fn sends(mut self, name: &str) -> Self {
        let next = self.driver.sent.get(self.claimed).cloned();
        let next = next.unwrap_or_else(|| panic!("expected {name} to be sent, but nothing was\n{}", self.timeline()));
        assert_eq!(short_name(&next.name), name, "another command was sent\n{}", self.timeline());
        self.claimed += 1;
        self.current = Some(next);
        self
    }

    /// As [`Transcript::sends`], and the command is this one to the last field.
    #[track_caller]
    pub fn sends_exactly<C: Command>(self, command: C) -> Self {
        let this = self.sends(short_name(C::NAME));
        let body = this.current.as_ref().map(|s| s.body.clone());
        assert_eq!(body, Some(json!(command)), "{} says something else", C::NAME);
        this
    }

    /// The next commands are these, in any order. [`Transcript::to`] says which is answered.
    #[track_caller]
    pub fn sends_both<const N: usize>(mut self, names: [&str; N]) -> Self {
        let next: Vec<_> = self.driver.sent.iter().skip(self.claimed).take(N).map(|s| short_name(&s.name)).collect();
        let (mut actual, mut expected) = (next, names.to_vec());
        actual.sort_unstable();
        expected.sort_unstable();
        assert_eq!(actual, expected, "other commands were sent\n{}", self.timeline());
        self.claimed += N;
        self
    }

    /// What follows answers the last command called `name`, also if that was answered or timed out before.
    #[track_caller]
    pub fn to(mut self, name: &str) -> Self {
        let sent = self.driver.sent.iter().rev().find(|s| short_name(&s.name) == name).cloned();
        self.current = Some(sent.unwrap_or_else(|| panic!("{name} was never sent\n{}", self.timeline())));
        self
    }

    /// Nothing more was sent.
    #[track_caller]
    pub fn sends_nothing(self) -> Self {
        let more: Vec<_> = self.driver.sent.iter().skip(self.claimed).map(|s| short_name(&s.name)).collect();
        assert!(more.is_empty(), "sent without being expected: {more:?}\n{}", self.timeline());
        self
    }

    /// The step called `step` is open and waits for its event.
    #[track_caller]
    pub fn waits_at(self, step: &str) -> Self {
        let waits = self.driver.progress.wakes().into_iter().any(|w| w.step == step && w.direction == Direction::Do);
        assert!(waits, "{step} does not wait\n{}", self.timeline());
        self
    }
}

/// What comes back.
impl Transcript<'_> {
    /// The participant did as asked.
    #[track_caller]
    pub fn accepted<R: message::Reply>(self, reply: R) -> Self {
        let sent = self.current();
        self.reply(&sent, Outcome::Ok, R::NAME, json!(reply))
    }

    /// The participant says no, for good.
    #[track_caller]
    pub fn refused(self, code: &str) -> Self {
        self.refused_with(Refusal::new(code, "no"))
    }

    /// The participant says no, not now.
    #[track_caller]
    pub fn refused_for_now(self, code: &str) -> Self {
        self.refused_with(Refusal::retryable(code, "not now"))
    }

    #[track_caller]
    fn refused_with(self, refusal: Refusal) -> Self {
        let sent = self.current();
        self.reply(&sent, Outcome::Refused, Refusal::NAME, json!(refusal))
    }

    /// A reply to the last command called `command`, whatever became of it.
    #[track_caller]
    pub fn late_reply<R: message::Reply>(self, command: &str, reply: R) -> Self {
        self.to(command).accepted(reply)
    }

    /// A refusal of the last command called `command`, whatever became of it.
    #[track_caller]
    pub fn late_refusal(self, command: &str, code: &str) -> Self {
        self.to(command).refused(code)
    }

    /// The child saga came to its end.
    #[track_caller]
    pub fn child_ends(mut self, end: ChildEnd) -> Self {
        let effect = self.current().effect;
        self.driver.apply(Input::ChildEnded { effect, end });
        self
    }

    fn reply(mut self, sent: &Sent, outcome: Outcome, name: &str, body: Value) -> Self {
        let (effect, attempt) = (sent.effect.clone(), sent.attempt);
        self.driver.apply(Input::Reply(Reply { effect, attempt, outcome, name: name.to_owned(), body }));
        self
    }

    /// The clock steps to the deadline of the command last named, and nothing came.
    #[track_caller]
    pub fn times_out(mut self) -> Self {
        let sent = self.current();
        let timer = self.driver.timer(TimerKind::Deadline, &sent.effect);
        let timer = timer.unwrap_or_else(|| panic!("{} has no deadline running\n{}", sent.name, self.timeline()));
        self.driver.fire(timer);
        self
    }

    /// The clock steps to the deadline of the wait called `step`, and nothing came.
    #[track_caller]
    pub fn wait_times_out(self, step: &str) -> Self {
        self.fires(|timer| timer.kind == TimerKind::Deadline && timer.step == step, step)
    }

    /// The clock steps to the end of the delay before the next try.
    #[track_caller]
    pub fn retry_is_due(self) -> Self {
        self.fires(|timer| timer.kind == TimerKind::Retry, "a retry")
    }

    #[track_caller]
    fn fires(mut self, which: impl Fn(&Timer) -> bool, what: &str) -> Self {
        let next = self.driver.timers.iter().filter(|(t, _)| which(t)).min_by_key(|(_, due)| **due);
        let timer = next.map(|(timer, _)| timer.clone());
        let timer = timer.unwrap_or_else(|| panic!("no timer is set for {what}\n{}", self.timeline()));
        self.driver.fire(timer);
        self
    }

    /// An event comes.
    pub fn event<E: Event>(mut self, event: E) -> Self {
        self.driver.apply(Input::Event { name: E::NAME.to_owned(), body: json!(event) });
        self
    }

    /// The customer cancels.
    pub fn signal_cancel(mut self, reason: &str) -> Self {
        self.driver.apply(Input::Cancel { reason: reason.to_owned(), by: "customer".to_owned() });
        self
    }

    /// An operator sends what is stuck once more.
    pub fn operator_retry(self, reason: &str) -> Self {
        self.operator(Verb::Retry, reason)
    }

    /// An operator steps in.
    pub fn operator(mut self, verb: Verb, reason: &str) -> Self {
        self.driver.apply(Input::Operator { verb, reason: reason.to_owned(), by: "operator".to_owned() });
        self
    }

    /// Any input, for tests of the engine itself.
    pub fn input(mut self, input: Input) -> Self {
        self.driver.apply(input);
        self
    }

    #[track_caller]
    fn current(&self) -> Sent {
        self.current.clone().unwrap_or_else(|| panic!("name a command first, by .sends(…) or .to(…)"))
    }
}

/// How it ends, and what else is told.
impl Transcript<'_> {
    #[track_caller]
    pub fn ends_completed(self) {
        self.ends(Phase::Completed);
    }

    /// Everything is undone, and the cause has this code.
    #[track_caller]
    pub fn ends_compensated(self, code: &str) {
        let cause = self.driver.progress.cause.as_ref().map(|c| c.code.as_str());
        assert_eq!(cause, Some(code), "undone for another cause\n{}", self.timeline());
        self.ends(Phase::Compensated);
    }

    #[track_caller]
    fn ends(self, phase: Phase) {
        assert_eq!(self.driver.phase(), phase, "the end is another\n{}", self.timeline());
        let this = self.sends_nothing();
        let unseen = &this.driver.alarms[this.alarms_seen..];
        assert!(unseen.is_empty(), "alarms that the transcript does not expect: {unseen:?}");
        this.driver.check_replay();
    }

    /// The saga waits for an operator at `step`, and an alarm said so.
    #[track_caller]
    pub fn is_stuck_at(self, step: &str) -> Self {
        assert_eq!(self.driver.phase(), Phase::Stuck, "not stuck\n{}", self.timeline());
        let stuck = self.driver.progress.stuck_steps();
        assert!(stuck.iter().any(|(s, _)| s == step), "stuck at {stuck:?}, not at {step}");
        self.alarms(AlarmCode::Stuck.as_str())
    }

    /// The next alarm has this code.
    #[track_caller]
    pub fn alarms(mut self, code: &str) -> Self {
        let next = self.driver.alarms.get(self.alarms_seen).map(|(code, _)| code.as_str());
        assert_eq!(next, Some(code), "another alarm, or none\n{}", self.timeline());
        self.alarms_seen += 1;
        self
    }

    /// The customer was told that it is too late to cancel.
    #[track_caller]
    pub fn tells_too_late(self) -> Self {
        let told = self.driver.emitted.iter().any(|e| matches!(e, Lifecycle::CancelTooLate { .. }));
        assert!(told, "nobody was told that it is too late\n{}", self.timeline());
        self
    }

    /// The last input was ignored and counted as `what`.
    #[track_caller]
    pub fn ignores(self, what: Counted) -> Self {
        let is_ignored = self.driver.last.contains(&Effect::Count(what));
        assert!(is_ignored, "it was not ignored as {what:?}\n{}", self.timeline());
        self
    }

    /// The last input was parked.
    #[track_caller]
    pub fn parks(self) -> Self {
        let is_parked = self.driver.last.iter().any(|e| matches!(e, Effect::Park { .. }));
        assert!(is_parked, "it was not parked\n{}", self.timeline());
        self
    }

    /// The last operator's verb did not apply.
    #[track_caller]
    pub fn rejects(self) -> Self {
        let is_rejected = self.driver.last.iter().any(|e| matches!(e, Effect::Rejected { .. }));
        assert!(is_rejected, "it was not rejected\n{}", self.timeline());
        self
    }

    /// The saga's state at this point.
    pub fn progress(&self) -> &Progress {
        &self.driver.progress
    }

    /// Everything that happened so far, a line each.
    pub fn timeline(&self) -> String {
        let lines = self.driver.history.iter().map(|e| {
            let (step, message) = (e.step.as_deref().unwrap_or(""), e.message.as_deref().map(short_name).unwrap_or(""));
            let direction = e.direction.map_or("", Direction::as_str);
            format!(
                "  {:<18} {step:<20} {direction:<4} {message} {}",
                e.kind.as_str(),
                e.reason.as_deref().unwrap_or("")
            )
        });
        let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
        format!("what happened:\n{}\nwhere it stands: {:?}", lines.join("\n"), self.driver.progress.steps)
    }
}
