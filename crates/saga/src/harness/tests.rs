//! What the harness says of runs that end otherwise than they should: the engine gives none, so they are doctored.

#[path = "../../tests/toy/script.rs"]
mod script;

use super::{
    ACCEPT, Harness, Script, assert_stuck, contradiction, is_of,
    late::of_a_round_that_never_was,
    operator, react_to,
    run::{Reaction, Run},
};
use crate::{Definition, Input, Phase, Reply, Verb, toy::*};
use message::{Direction, EffectKey, Message, Outcome, Refusal};
use script::script;
use serde_json::json;

fn run<'a>(definition: &'a Definition, script: &'a Script) -> Run<'a> {
    Run::start(definition, &json!(asked()), script)
}

/// Ended, all went well.
fn completed<'a>(definition: &'a Definition, script: &'a Script) -> Run<'a> {
    let mut run = run(definition, script);
    run.finish(&mut ACCEPT.clone());
    run
}

/// Ended, after `pay` was refused.
fn compensated<'a>(definition: &'a Definition, script: &'a Script) -> Run<'a> {
    let mut run = run(definition, script);
    let pay = definition.step("pay").unwrap();
    run.finish(&mut react_to(pay, Direction::Do, Reaction::Refuse));
    run
}

/// Stuck, because `pay` is never answered.
fn stuck<'a>(definition: &'a Definition, script: &'a Script) -> Run<'a> {
    let mut run = run(definition, script);
    let pay = definition.step("pay").unwrap();
    run.finish(&mut react_to(pay, Direction::Do, Reaction::Lose));
    run
}

#[test]
#[should_panic(expected = "well: pay took effect 0 times")]
fn a_completed_saga_of_which_a_step_took_no_effect_is_found() {
    let (saga, script) = (trip(), script());
    let mut run = completed(&saga, &script);
    run.forget("pay", 1);
    run.check_end(Phase::Completed, "well");
}

#[test]
#[should_panic(expected = "well: send-ticket took effect 2 times")]
fn a_completed_saga_of_which_a_step_took_effect_twice_is_found() {
    let (saga, script) = (trip(), script());
    let mut run = completed(&saga, &script);
    run.apply("send-ticket", 2);
    run.check_end(Phase::Completed, "well");
}

#[test]
#[should_panic(expected = "badly: book-meal is left behind")]
fn a_compensated_saga_that_left_something_behind_is_found() {
    let (saga, script) = (trip(), script());
    let mut run = compensated(&saga, &script);
    run.apply("book-meal", 1);
    run.check_end(Phase::Compensated, "badly");
}

#[test]
fn what_has_no_undo_may_be_left_behind() {
    let (saga, script) = (trip(), script());
    let mut run = compensated(&saga, &script);
    run.apply("pay", 1);
    run.check_end(Phase::Compensated, "badly");
}

#[test]
#[should_panic(expected = "well: the end is not the expected one")]
fn another_end_than_the_expected_is_found() {
    let (saga, script) = (trip(), script());
    compensated(&saga, &script).check_end(Phase::Completed, "well");
}

#[test]
#[should_panic(expected = "the history does not replay to the progress")]
fn a_history_that_lacks_an_entry_is_found() {
    let (saga, script) = (trip(), script());
    let mut run = completed(&saga, &script);
    run.driver.history.pop();
    run.check_end(Phase::Completed, "well");
}

#[test]
#[should_panic(expected = "slow: should be stuck")]
fn a_saga_that_goes_on_is_not_stuck() {
    let (saga, script) = (trip(), script());
    assert_stuck(&completed(&saga, &script), "slow");
}

#[test]
#[should_panic(expected = "slow: stuck without an alarm (I4)")]
fn a_saga_that_is_stuck_and_does_not_say_so_is_found() {
    let (saga, script) = (trip(), script());
    let mut run = stuck(&saga, &script);
    assert_stuck(&run, "slow");
    run.driver.alarms.clear();
    assert_stuck(&run, "slow");
}

#[test]
fn what_is_lost_is_not_carried_out_and_what_is_silent_is() {
    let (saga, script) = (trip(), script());
    let pay = saga.step("pay").unwrap();
    for (reaction, is_paid) in [(Reaction::Lose, false), (Reaction::ActSilently, true)] {
        let mut run = run(&saga, &script);
        run.finish(&mut react_to(pay, Direction::Do, reaction));
        assert_eq!(run.has_applied("pay", 1), is_paid, "{reaction:?}");
        assert_eq!(run.driver.sent.iter().filter(|s| is_of(s, pay, Direction::Do)).count(), 3, "{reaction:?}");
        run.driver.apply(operator(Verb::Retry));
        run.finish(&mut ACCEPT.clone());
        run.check_end(Phase::Completed, "retried");
    }
}

#[test]
fn a_do_that_comes_after_its_undo_is_refused_and_one_that_comes_again_is_not() {
    let (saga, script) = (trip(), script());
    for (mut run, outcome) in
        [(completed(&saga, &script), Outcome::Ok), (compensated(&saga, &script), Outcome::Refused)]
    {
        let hold = run.driver.sent[0].clone();
        run.take(&hold, Reaction::Accept);
        let Some(Input::Reply(reply)) = run.came.last() else { panic!("{:?}", run.came) };
        assert_eq!((reply.effect.step.as_str(), reply.outcome), ("hold-seat", outcome));
    }
}

fn harness<'a>(definition: &'a Definition, script: &'a Script) -> Harness<'a> {
    Harness { definition, event: json!(asked()), script, runs: 0 }
}

#[test]
#[should_panic(expected = "slow: should be stuck")]
fn an_operator_retries_only_what_is_stuck() {
    let (saga, script) = (trip(), script());
    harness(&saga, &script).operator_retries(completed(&saga, &script), "slow", Phase::Completed);
}

/// Stuck, because the undo of `hold-seat` is refused for ever; the meal was booked once more than the saga knows.
fn stuck_undo<'a>(definition: &'a Definition, script: &'a Script) -> Run<'a> {
    let (mut run, hold) = (harness(definition, script).turned_back(), definition.step("hold-seat").unwrap());
    run.finish(&mut react_to(hold, Direction::Undo, Reaction::Refuse));
    run.apply("book-meal", 2);
    run
}

#[test]
#[should_panic(expected = "broken for ever, then retried: book-meal is left behind")]
fn a_stuck_undo_that_is_retried_leaves_nothing_behind() {
    let (saga, script) = (trip(), script());
    let (run, hold) = (stuck_undo(&saga, &script), saga.step("hold-seat").unwrap());
    harness(&saga, &script).unstick(run, hold, Verb::Retry, "broken");
}

#[test]
fn a_stuck_undo_that_is_marked_done_is_a_persons_word() {
    let (saga, script) = (trip(), script());
    let (run, hold) = (stuck_undo(&saga, &script), saga.step("hold-seat").unwrap());
    harness(&saga, &script).unstick(run, hold, Verb::MarkDone { step: "hold-seat".into() }, "broken");
}

#[test]
fn a_contradiction_refuses_what_was_accepted_and_a_stranger_answers_a_round_that_never_was() {
    let (saga, script) = (trip(), script());
    let run = completed(&saga, &script);
    let Some(input @ Input::Reply(reply)) = run.came.first() else { panic!("{:?}", run.came) };
    let body = json!(Refusal::new("test.refused", "no"));
    let refused = Reply { outcome: Outcome::Refused, name: Refusal::NAME.into(), body, ..reply.clone() };
    assert_eq!(contradiction(input), Some(Input::Reply(refused)));
    let effect = EffectKey { round: 99, ..reply.effect.clone() };
    assert_eq!(of_a_round_that_never_was(input), Some(Input::Reply(Reply { effect, ..reply.clone() })));
    let event = run.came.iter().find(|input| matches!(input, Input::Event { .. })).unwrap();
    assert_eq!((contradiction(event), of_a_round_that_never_was(event)), (None, None));
}
