//! Answers that come late, of each kind: of a do that was given up, of a do that was sent again, of an undo that was sent
//! again, and of what was never asked. Each at every later moment, after the end too.

use super::{ACCEPT, Harness, Sent, is_of, react_to, run::Reaction, run::Run};
use crate::{Input, Phase, Reply, definition::Nature, definition::RawStep};
use message::{Direction, EffectKey};

impl Harness<'_> {
    pub(super) fn each_late_answer(&mut self) {
        for step in self.acting() {
            match step.nature {
                Nature::Compensable => self.answers_after_the_time_out(step),
                Nature::Pivot | Nature::Retriable => {
                    at_every_moment(|late| self.answer_to_an_earlier_attempt(step, late));
                }
            }
        }
        for step in self.definition.steps().filter(|s| s.undo.is_some()) {
            for answer in [Reaction::Accept, Reaction::Refuse] {
                at_every_moment(|late| self.answer_to_an_earlier_undo(step, answer, late));
            }
        }
        self.answers_to_what_was_never_asked();
    }

    /// The step was carried out silently, or its command was on its way and is then carried out or refused.
    fn answers_after_the_time_out(&mut self, step: &RawStep) {
        for (reaction, answer) in [
            (Reaction::ActSilently, Reaction::Accept),
            (Reaction::Lose, Reaction::Accept),
            (Reaction::Lose, Reaction::Refuse),
            (Reaction::Lose, Reaction::RefuseRetryably),
        ] {
            at_every_moment(|late| self.answer_after_the_time_out(step, reaction, answer, late));
        }
    }

    fn answer_after_the_time_out(&mut self, step: &RawStep, reaction: Reaction, answer: Reaction, late: usize) -> bool {
        let mut run = self.run();
        let mut react = react_to(step, Direction::Do, reaction);
        while run.driver.phase() == Phase::Running && run.step(&mut react) {}
        let scenario = format!("{} ({reaction:?}), {answer:?} {late} steps late", step.name);
        let went_on = come_late(&mut run, &mut react, first(step, Direction::Do), answer, late);
        run.check_end(Phase::Compensated, &scenario);
        assert!(run.driver.alarms.is_empty(), "{scenario} raised {:?}", run.driver.alarms);
        went_on
    }

    /// From the pivot on a step is sent again until it is answered: the first answer may come after the second.
    fn answer_to_an_earlier_attempt(&mut self, step: &RawStep, late: usize) -> bool {
        let mut run = self.run();
        let mut react = once(step, Direction::Do, Reaction::ActSilently);
        while count(&run, step, Direction::Do) < 2 && run.step(&mut react) {}
        let scenario = format!("{}'s first answer {late} steps after it was sent again", step.name);
        let went_on = come_late(&mut run, &mut react, first(step, Direction::Do), Reaction::Accept, late);
        run.check_end(Phase::Completed, &scenario);
        assert!(run.driver.alarms.is_empty(), "{scenario} raised {:?}", run.driver.alarms);
        went_on
    }

    fn answer_to_an_earlier_undo(&mut self, step: &RawStep, answer: Reaction, late: usize) -> bool {
        let mut run = self.turned_back();
        let mut react = once(step, Direction::Undo, Reaction::ActSilently);
        while count(&run, step, Direction::Undo) < 2 && run.step(&mut react) {}
        let scenario =
            format!("the undo of {}: first answer ({answer:?}) {late} steps after it was sent again", step.name);
        let went_on = come_late(&mut run, &mut react, first(step, Direction::Undo), answer, late);
        run.check_end(Phase::Compensated, &scenario);
        assert!(run.driver.alarms.is_empty(), "{scenario} raised {:?}", run.driver.alarms);
        went_on
    }

    /// They are parked, at every moment, and change nothing.
    fn answers_to_what_was_never_asked(&mut self) {
        for turns_back in [false, true] {
            let mut run = if turns_back { self.turned_back() } else { self.run() };
            loop {
                for stranger in run.came.iter().filter_map(of_a_round_that_never_was).collect::<Vec<_>>() {
                    let (before, parked) = (run.driver.progress.clone(), run.driver.parked.len());
                    run.driver.apply(stranger.clone());
                    assert_eq!(run.driver.progress, before, "{stranger:?} changed something");
                    assert_eq!(run.driver.parked.len(), parked + 1, "{stranger:?} was not parked");
                }
                if !run.step(&mut ACCEPT.clone()) {
                    break;
                }
            }
            let end = if turns_back { Phase::Compensated } else { Phase::Completed };
            run.check_end(end, "answers came to what was never asked");
        }
    }
}

/// Tries later and later moments until the saga has ended before the answer comes.
pub(super) fn at_every_moment(mut scenario: impl FnMut(usize) -> bool) {
    let mut late = 0;
    while scenario(late) {
        late += 1;
    }
}

/// Lets `late` things happen, then the overdue answer come, then everything else. False when the saga ended before.
pub(super) fn come_late(
    run: &mut Run<'_>,
    react: &mut dyn FnMut(&Sent) -> Reaction,
    overdue: impl Fn(&Run<'_>) -> Sent,
    answer: Reaction,
    late: usize,
) -> bool {
    let went_on = (0..late).all(|_| run.step(react));
    let overdue = overdue(run);
    run.take(&overdue, answer);
    run.finish(react);
    went_on
}

pub(super) fn first(step: &RawStep, direction: Direction) -> impl Fn(&Run<'_>) -> Sent {
    move |run| {
        let sent = run.driver.sent.iter().find(|s| is_of(s, step, direction));
        sent.unwrap_or_else(|| panic!("{} was never sent", step.name)).clone()
    }
}

fn count(run: &Run<'_>, step: &RawStep, direction: Direction) -> usize {
    run.driver.sent.iter().filter(|s| is_of(s, step, direction)).count()
}

/// Reacts so to the first send only, and accepts everything else.
pub(super) fn once(step: &RawStep, direction: Direction, reaction: Reaction) -> impl FnMut(&Sent) -> Reaction {
    let mut left = 1;
    move |sent| {
        let now = is_of(sent, step, direction) && left > 0;
        left -= i32::from(now);
        if now { reaction } else { Reaction::Accept }
    }
}

pub(super) fn of_a_round_that_never_was(input: &Input) -> Option<Input> {
    let Input::Reply(reply) = input else { return None };
    let effect = EffectKey { round: 99, ..reply.effect.clone() };
    Some(Input::Reply(Reply { effect, ..reply.clone() }))
}
