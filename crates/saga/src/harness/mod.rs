//! The harness every saga passes: each step refused, each timed out, a cancel before each, each undo failing, once, for
//! ever and a thousand times, every kind of late and repeated reply in every later state, each command delivered twice,
//! every order of parallel answers. After each run the modelled participants must hold nothing that the saga's end does
//! not promise.

mod driver;
mod late;
mod orders;
mod run;
#[cfg(test)]
mod tests;
mod twice;

pub use driver::{Driver, SAGA_ID, Sent};
pub use run::Script;

use crate::{
    AlarmCode, Definition, Input, Lifecycle, Phase, Reply, Verb,
    definition::{Kind, Nature, RawStep},
};
use message::{Direction, Event, Message, Outcome, Refusal};
use run::{Reaction, Run};
use serde_json::Value;

/// Runs every scenario of the saga that `event` starts, with a world that answers from `script`. Gives the number of
/// runs.
///
/// # Panics
/// When a run ends otherwise than the reply table says; the message names the scenario.
pub fn check<E: Event>(definition: &Definition, event: &E, script: &Script) -> usize {
    let event = serde_json::to_value(event).unwrap_or_else(|e| panic!("{} cannot be written as JSON: {e}", E::NAME));
    let mut harness = Harness { definition, event, script, runs: 0 };
    harness.all_goes_well();
    harness.each_step_refused();
    harness.each_step_refused_once();
    harness.each_step_timed_out();
    harness.each_late_answer();
    harness.each_wait_timed_out();
    harness.cancelled_before_each_input();
    harness.each_undo_failing();
    harness.each_undo_failing_a_thousand_times();
    harness.every_reply_repeated();
    harness.every_reply_contradicted();
    harness.each_command_delivered_twice();
    harness.every_order_of_parallel_answers();
    harness.runs
}

struct Harness<'a> {
    definition: &'a Definition,
    event: Value,
    script: &'a Script,
    runs: usize,
}

/// How often an undo fails before it succeeds: many times what any policy allows.
const MANY: usize = 1_000;

const ACCEPT: fn(&Sent) -> Reaction = |_| Reaction::Accept;

/// Accepts all but the do (or undo) of `step`.
fn react_to<'s>(step: &'s RawStep, direction: Direction, reaction: Reaction) -> impl FnMut(&Sent) -> Reaction + 's {
    move |sent| if is_of(sent, step, direction) { reaction } else { Reaction::Accept }
}

fn is_of(sent: &Sent, step: &RawStep, direction: Direction) -> bool {
    sent.effect.step == step.name && sent.effect.direction == direction
}

impl<'a> Harness<'a> {
    fn run(&mut self) -> Run<'a> {
        self.runs += 1;
        Run::start(self.definition, &self.event, self.script)
    }

    fn acting(&self) -> impl Iterator<Item = &'a RawStep> + use<'a> {
        self.definition.steps().filter(|s| s.acts())
    }

    fn all_goes_well(&mut self) {
        let mut run = self.run();
        run.finish(&mut ACCEPT.clone());
        run.check_end(Phase::Completed, "all goes well");
    }

    fn each_step_refused(&mut self) {
        for step in self.acting() {
            let scenario = format!("{} refused for good", step.name);
            let mut run = self.run();
            run.finish(&mut react_to(step, Direction::Do, Reaction::Refuse));
            match step.nature {
                Nature::Compensable | Nature::Pivot => run.check_end(Phase::Compensated, &scenario),
                Nature::Retriable => self.operator_retries(run, &scenario, Phase::Completed),
            }
        }
    }

    /// The saga is stuck, has said so, and an operator's retry brings it to its end.
    fn operator_retries(&mut self, mut run: Run<'_>, scenario: &str, end: Phase) {
        assert_stuck(&run, scenario);
        run.driver.apply(operator(Verb::Retry));
        run.finish(&mut ACCEPT.clone());
        run.check_end(end, &format!("{scenario}, then retried by an operator"));
    }

    fn each_step_refused_once(&mut self) {
        for step in self.acting() {
            let mut run = self.run();
            let mut refusals = 0;
            run.finish(&mut |sent: &Sent| {
                let is_first = is_of(sent, step, Direction::Do) && refusals == 0;
                refusals += u32::from(is_first);
                if is_first { Reaction::RefuseRetryably } else { Reaction::Accept }
            });
            let scenario = format!("{} refused once, retryably", step.name);
            match step.nature {
                _ if step.retry.budget() > 0 => run.check_end(Phase::Completed, &scenario),
                Nature::Compensable | Nature::Pivot => run.check_end(Phase::Compensated, &scenario),
                Nature::Retriable => self.operator_retries(run, &scenario, Phase::Completed),
            }
        }
    }

    fn each_step_timed_out(&mut self) {
        for step in self.acting() {
            for reaction in [Reaction::ActSilently, Reaction::Lose] {
                let scenario = format!("{} timed out ({reaction:?})", step.name);
                let mut run = self.run();
                run.finish(&mut react_to(step, Direction::Do, reaction));
                match step.nature {
                    Nature::Compensable => run.check_end(Phase::Compensated, &scenario),
                    Nature::Pivot | Nature::Retriable => self.operator_retries(run, &scenario, Phase::Completed),
                }
            }
        }
    }

    /// Each event in turn never comes: the saga is undone, unless it had nothing to wait for.
    fn each_wait_timed_out(&mut self) {
        let is_wait = |s: &&RawStep| matches!(s.kind, Kind::Wait(_)) && s.nature == Nature::Compensable;
        for step in self.definition.steps().filter(is_wait) {
            let mut run = self.run();
            run.held_back = Some(&step.name);
            run.finish(&mut ACCEPT.clone());
            let was_armed = run.driver.progress.round(&step.name, 1).is_some_and(|r| r.forward.sent > 0);
            let expected = if was_armed { Phase::Compensated } else { Phase::Completed };
            run.check_end(expected, &format!("{} never came", step.name));
        }
    }

    /// Before the pivot was sent a cancel undoes, after it comes too late.
    fn cancelled_before_each_input(&mut self) {
        for at in 0.. {
            let mut run = self.run();
            let went_on = (0..at).all(|_| run.step(&mut ACCEPT.clone()));
            let expected = if is_past_return(&run) { Phase::Completed } else { Phase::Compensated };
            run.driver.apply(Input::Cancel { reason: "changed my mind".into(), by: "customer".into() });
            let told = run.driver.emitted.iter().any(|e| matches!(e, Lifecycle::CancelTooLate { .. }));
            assert_eq!(told, expected == Phase::Completed, "cancelled at {at}: told too late or not, wrongly");
            run.finish(&mut ACCEPT.clone());
            run.check_end(expected, &format!("cancelled before input {at}"));
            if !went_on {
                break;
            }
        }
    }

    /// Each undo fails as often as its budget allows, and then for ever.
    fn each_undo_failing(&mut self) {
        for step in self.definition.steps() {
            let Some(undo) = &step.undo else { continue };
            for reaction in [Reaction::Refuse, Reaction::ActSilently, Reaction::Lose] {
                let scenario = format!("the undo of {} failing ({reaction:?})", step.name);
                let mut run = self.turned_back();
                let mut failures = 0;
                run.finish(&mut |sent: &Sent| {
                    let fails = is_of(sent, step, Direction::Undo) && failures < undo.retry.budget();
                    failures += u32::from(fails);
                    if fails { reaction } else { Reaction::Accept }
                });
                assert_eq!(failures, undo.retry.budget(), "{scenario}: it failed another number of times");
                run.check_end(Phase::Compensated, &scenario);

                for verb in [Verb::Retry, Verb::MarkDone { step: step.name.clone() }] {
                    let mut run = self.turned_back();
                    run.finish(&mut react_to(step, Direction::Undo, reaction));
                    let was_sent = run.driver.sent.iter().any(|s| is_of(s, step, Direction::Undo));
                    assert!(was_sent, "{scenario}: it was never sent");
                    self.unstick(run, step, verb, &scenario);
                }
            }
        }
    }

    /// Each undo fails more often than any budget allows, and an operator retries whenever it is stuck: it is never given
    /// up, and each time that it is stuck an alarm says so.
    fn each_undo_failing_a_thousand_times(&mut self) {
        for step in self.definition.steps().filter(|s| s.undo.is_some()) {
            for reaction in [Reaction::Refuse, Reaction::Lose] {
                let scenario = format!("the undo of {} failing a thousand times ({reaction:?})", step.name);
                let (mut run, mut failures) = (self.turned_back(), 0);
                let mut react = |sent: &Sent| {
                    let fails = is_of(sent, step, Direction::Undo) && failures < MANY;
                    failures += usize::from(fails);
                    if fails { reaction } else { Reaction::Accept }
                };
                run.finish(&mut react);
                for stuck in 1.. {
                    if run.driver.phase() != Phase::Stuck {
                        break;
                    }
                    assert_eq!(run.alarms(AlarmCode::Stuck), stuck, "{scenario}: each stuck undo has its alarm (I4)");
                    run.driver.apply(operator(Verb::Retry));
                    run.finish(&mut react);
                }
                assert_eq!(failures, MANY, "{scenario}: it was given up");
                run.check_end(Phase::Compensated, &scenario);
            }
        }
    }

    /// A run that was cancelled at the last moment: everything that can be undone is being undone.
    fn turned_back(&mut self) -> Run<'a> {
        let mut run = self.run();
        for at in 0.. {
            let mut next = self.run();
            let went_on = (0..at).all(|_| next.step(&mut ACCEPT.clone()));
            if !went_on || is_past_return(&next) {
                break;
            }
            run = next;
        }
        run.driver.apply(Input::Cancel { reason: "changed my mind".into(), by: "customer".into() });
        run
    }

    fn unstick(&mut self, mut run: Run<'_>, step: &RawStep, verb: Verb, scenario: &str) {
        assert_stuck(&run, scenario);
        run.driver.apply(operator(verb.clone()));
        run.finish(&mut ACCEPT.clone());
        match verb {
            Verb::Retry => run.check_end(Phase::Compensated, &format!("{scenario} for ever, then retried")),
            _ => assert_eq!(run.driver.phase(), Phase::Compensated, "{scenario}: {} marked done by hand", step.name),
        }
    }

    /// Everything that came, comes again: at once, and once more at every later moment. Nothing changes.
    fn every_reply_repeated(&mut self) {
        for turns_back in [false, true] {
            let mut run = if turns_back { self.turned_back() } else { self.run() };
            let (before, skipped) = (run.driver.alarms.len(), run.came.len());
            while run.step(&mut ACCEPT.clone()) {
                for again in run.came.clone().into_iter().skip(skipped) {
                    let sent = run.driver.sent.len();
                    let progress = run.driver.progress.clone();
                    run.driver.apply(again.clone());
                    assert_eq!(run.driver.progress, progress, "{again:?} came again and changed something");
                    assert_eq!(run.driver.sent.len(), sent, "{again:?} came again and something was sent");
                }
            }
            assert_eq!(run.driver.alarms.len(), before, "a repeated reply raised {:?}", run.driver.alarms);
            let end = if turns_back { Phase::Compensated } else { Phase::Completed };
            run.check_end(end, "everything came again and again");
        }
    }

    /// Everything that was accepted is refused afterwards, at every later moment. Nothing changes.
    fn every_reply_contradicted(&mut self) {
        for turns_back in [false, true] {
            let mut run = if turns_back { self.turned_back() } else { self.run() };
            while run.step(&mut ACCEPT.clone()) {
                for refused in run.came.iter().filter_map(contradiction).collect::<Vec<_>>() {
                    let progress = run.driver.progress.clone();
                    run.driver.apply(refused.clone());
                    assert_eq!(
                        run.driver.progress, progress,
                        "{refused:?} came after the success and changed something"
                    );
                }
            }
            let end = if turns_back { Phase::Compensated } else { Phase::Completed };
            run.check_end(end, "everything was refused after its success");
        }
    }
}

/// The refusal of what `input` accepted.
fn contradiction(input: &Input) -> Option<Input> {
    let Input::Reply(reply) = input else { return None };
    let body = serde_json::json!(Refusal::new("test.refused", "no"));
    let name = Refusal::NAME.to_owned();
    Some(Input::Reply(Reply { outcome: Outcome::Refused, name, body, ..reply.clone() }))
}

fn is_past_return(run: &Run<'_>) -> bool {
    let driver = &run.driver;
    let is_pivot = |name: &str| driver.definition.step(name).is_some_and(|s| s.nature == Nature::Pivot);
    driver.phase() == Phase::Completed || driver.sent.iter().any(|s| is_pivot(&s.effect.step))
}

fn operator(verb: Verb) -> Input {
    Input::Operator { verb, reason: "looked into it".into(), by: "operator".into() }
}

fn assert_stuck(run: &Run<'_>, scenario: &str) {
    let driver = &run.driver;
    assert_eq!(driver.phase(), Phase::Stuck, "{scenario}: should be stuck: {:#?}", driver.progress);
    assert!(run.alarms(AlarmCode::Stuck) > 0, "{scenario}: stuck without an alarm (I4)");
}
