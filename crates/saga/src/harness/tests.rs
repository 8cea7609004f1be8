//! What the harness says of runs that end otherwise than they should: the engine gives none, so they are doctored.

use super::{
    ACCEPT, Script, assert_stuck, is_of, operator, react_to,
    run::{Reaction, Run},
};
use crate::{Definition, Phase, Verb, toy::*};
use message::Direction;
use serde_json::json;

fn script() -> Script {
    Script::new()
        .answer::<HoldSeat>(SeatHeld { seat: 12 })
        .answer::<FreeSeat>(SeatFreed {})
        .answer::<ReserveBag>(BagReserved {})
        .answer::<ReleaseBag>(BagReleased {})
        .answer::<BookMeal>(MealBooked {})
        .answer::<CancelMeal>(MealCancelled {})
        .answer::<Pay>(Paid { amount: 100 })
        .answer::<SendTicket>(TicketSent {})
        .answer::<CloseTrip>(TripClosed {})
        .event(PassportChecked { trip: 7, valid: true })
        .event(MealChosen { trip: 7 })
}

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
        [(completed(&saga, &script), message::Outcome::Ok), (compensated(&saga, &script), message::Outcome::Refused)]
    {
        let hold = run.driver.sent[0].clone();
        run.take(&hold, Reaction::Accept);
        let Some(crate::Input::Reply(reply)) = run.came.last() else { panic!("{:?}", run.came) };
        assert_eq!((reply.effect.step.as_str(), reply.outcome), ("hold-seat", outcome));
    }
}
