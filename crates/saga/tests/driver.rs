//! The driver finds what breaks an invariant. The engine breaks none, so what it is given here is doctored.

#[allow(dead_code)]
mod toy;

use message::{Direction, Outcome, Refusal};
use saga::{
    DoState, Input, Leg, Phase, Reply, Round, Saga, StepProgress, Timer, TimerKind, call,
    harness::{Driver, Sent},
    started,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use toy::*;

fn driver(saga: &Saga<Trip>) -> Driver<'_> {
    Driver::start(saga, &json!(asked()))
}

fn cancel() -> Input {
    Input::Cancel { reason: "no".into(), by: "customer".into() }
}

/// An input that concerns nobody, and so changes nothing.
fn nothing() -> Input {
    Input::Event { name: "mallbots.toy.Nonsense".into(), body: json!({}) }
}

fn accepted(sent: &Sent, name: &str, body: Value) -> Input {
    let (effect, attempt) = (sent.effect.clone(), sent.attempt);
    Input::Reply(Reply { effect, attempt, outcome: Outcome::Ok, name: format!("mallbots.toy.{name}"), body })
}

fn seat_held(driver: &Driver<'_>) -> Input {
    accepted(&driver.sent[0], "SeatHeld", json!({"seat": 12}))
}

#[test]
#[should_panic(expected = "the timers that are set are not those that are needed")]
fn a_timer_that_is_missing_is_found() {
    let saga = trip();
    let mut driver = driver(&saga);
    driver.apply(nothing());
    driver.timers.clear();
    driver.apply(nothing());
}

#[test]
#[should_panic(expected = "a timer was cancelled that was not set")]
fn a_timer_that_is_cancelled_without_being_set_is_found() {
    let saga = trip();
    let mut driver = driver(&saga);
    driver.timers.clear();
    driver.apply(seat_held(&driver));
}

#[test]
#[should_panic(expected = "a timer was set twice")]
fn a_timer_that_is_set_twice_is_found() {
    let saga = trip();
    let mut driver = driver(&saga);
    let (kind, step, direction) = (TimerKind::Deadline, "meal-chosen".to_owned(), Direction::Do);
    driver.timers.insert(Timer { kind, step, direction, round: 1, attempt: 1 }, 0);
    driver.apply(seat_held(&driver));
}

#[test]
#[should_panic(expected = "an orphan, or an end that wakes")]
fn a_saga_that_nothing_wakes_is_found() {
    let saga = trip();
    let mut driver = driver(&saga);
    driver.progress.steps.clear();
    driver.timers.clear();
    driver.apply(nothing());
}

#[test]
#[should_panic(expected = "the same input was decided in two ways")]
fn a_definition_that_is_not_pure_is_found() {
    let tickets = AtomicU32::new(0);
    let saga = Saga::named("impure", 1)
        .starts_on(trip_of)
        .key(|t: &Trip| t.trip.to_string())
        .step(started("trip-asked"))
        .step(call(hold_seat))
        .step(call(move |t: &Trip| SendTicket { trip: t.trip, seat: tickets.fetch_add(1, Ordering::Relaxed) }))
        .build();
    let mut driver = driver(&saga);
    driver.apply(seat_held(&driver));
}

#[test]
#[should_panic(expected = "the history does not replay to the progress")]
fn a_history_that_lacks_an_entry_is_found() {
    let saga = trip();
    let mut driver = driver(&saga);
    driver.apply(seat_held(&driver));
    driver.check_replay();
    driver.history.pop();
    driver.check_replay();
}

/// The undo of the seat, as if it had been sent before.
fn free_seat_sent_already(driver: &mut Driver<'_>, attempt: u32) {
    let effect = driver.sent[0].effect.counterpart();
    driver.sent.push(Sent { effect, attempt, ..driver.sent[0].clone() });
}

#[test]
#[should_panic(expected = "sent twice: ")]
fn an_attempt_that_is_sent_twice_is_found() {
    let saga = trip();
    let mut driver = driver(&saga);
    free_seat_sent_already(&mut driver, 1);
    driver.apply(cancel());
}

#[test]
fn another_attempt_is_no_repetition() {
    let saga = trip();
    let mut driver = driver(&saga);
    free_seat_sent_already(&mut driver, 2);
    driver.apply(cancel());
    assert_eq!(driver.sent.len(), 3);
}

#[test]
#[should_panic(expected = " was sent although its do never was")]
fn an_undo_of_what_was_never_asked_for_is_found() {
    let saga = trip();
    let mut driver = driver(&saga);
    driver.sent.clear();
    driver.apply(cancel());
}

#[test]
#[should_panic(expected = " was sent after the pivot was done")]
fn an_undo_after_the_pivot_is_found() {
    let saga = trip();
    let mut driver = driver(&saga);
    driver.apply(cancel());
    let paid = Round { forward: Leg { state: DoState::Done, sent: 1, left: 0 }, back: None };
    driver.progress.steps.insert("pay".into(), StepProgress { rounds: vec![paid], retries: 0 });
    driver.apply(accepted(&driver.sent[1], "SeatFreed", json!({})));
}

#[test]
fn the_clock_steps_to_what_is_due_and_never_back() {
    let saga = trip();
    let mut driver = driver(&saga);
    let deadline = driver.timer(TimerKind::Deadline, &driver.sent[0].effect).unwrap();
    assert_eq!(driver.timer(TimerKind::Retry, &driver.sent[0].effect), None);
    assert_eq!(driver.timer(TimerKind::Deadline, &driver.sent[0].effect.counterpart()), None);
    assert!(driver.fire_next());
    assert_eq!((driver.now_ms, driver.phase()), (30_000, Phase::Compensating));
    driver.fire(deadline);
    assert_eq!(driver.now_ms, 30_000);
    driver.apply(accepted(&driver.sent[1], "SeatFreed", json!({})));
    driver.apply(accepted(&driver.sent[2], "TripClosed", json!({})));
    assert!(!driver.fire_next());
}

#[test]
fn a_timer_is_found_by_its_effect_among_several() {
    let saga = trip();
    let mut driver = driver(&saga);
    driver.apply(seat_held(&driver));
    let (meal, passport) = ("meal-chosen", "passport-checked");
    for step in [meal, passport] {
        let effect = driver.progress.effect_key(step, Direction::Do, 1);
        assert_eq!(driver.timer(TimerKind::Deadline, &effect).map(|t| t.step).as_deref(), Some(step));
    }
}

#[test]
fn a_refusal_is_carried_out_as_everything_else() {
    let saga = trip();
    let mut driver = driver(&saga);
    let (effect, body) = (driver.sent[0].effect.clone(), json!(Refusal::retryable("toy.busy", "not now")));
    let reply = Reply { effect, attempt: 1, outcome: Outcome::Refused, name: "mallbots.Refused".into(), body };
    driver.apply(Input::Reply(reply));
    assert_eq!(driver.timers.values().collect::<Vec<_>>(), [&1_000]);
}
