//! What cannot be read: a body that is not what its name promises, and data that no longer fits its definition. Neither
//! makes a saga do anything but say so and wait for a person.

#[allow(dead_code)]
mod toy;

use message::{Direction, Outcome};
use saga::{Input, Phase, Reply, Saga, call, transcript::given};
use serde::{Deserialize, Serialize};
use serde_json::json;
use toy::*;

/// Data that cannot be read once it has no weight: JSON has no word for what is not a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Weighed {
    trip: u32,
    kg: f64,
}

fn weighed(e: &TripAsked) -> Weighed {
    Weighed { trip: e.trip, kg: 1.0 }
}

fn lose_weight<T>(w: &mut Weighed, _: T) {
    w.kg = f64::NAN;
}

#[test]
fn a_pivot_whose_command_cannot_be_built_was_not_sent_so_a_cancel_still_undoes() {
    let saga = Saga::named("weighed", 1)
        .starts_on(weighed)
        .key(|w: &Weighed| w.trip.to_string())
        .step(call(|w: &Weighed| HoldSeat { trip: w.trip }).keep(lose_weight))
        .pivot(call(|w: &Weighed| Pay { trip: w.trip, amount: 1 }))
        .build();
    let t = given(&saga, asked()).sends("toy.HoldSeat").accepted(SeatHeld { seat: 1 });
    let t = t.alarms("saga.unreadable_data").is_stuck_at("pay").sends_nothing();
    t.signal_cancel("no").ends_compensated("platform.cancelled");
}

#[test]
fn a_step_whose_command_cannot_be_built_was_not_sent_so_its_undo_is_not_either() {
    let saga = Saga::named("weighed", 1)
        .starts_on(weighed)
        .key(|w: &Weighed| w.trip.to_string())
        .step(call(|w: &Weighed| HoldSeat { trip: w.trip }).keep(lose_weight))
        .step(call(|w: &Weighed| BookMeal { trip: w.trip }).undo(|w: &Weighed| CancelMeal { trip: w.trip }))
        .build();
    let t = given(&saga, asked()).sends("toy.HoldSeat").accepted(SeatHeld { seat: 1 });
    let t = t.alarms("saga.unreadable_data").is_stuck_at("book-meal").sends_nothing();
    t.signal_cancel("no").ends_compensated("platform.cancelled");
}

#[test]
fn an_undo_that_cannot_be_built_is_stuck_and_its_answer_is_unknown() {
    let saga = Saga::named("weighed", 1)
        .starts_on(weighed)
        .key(|w: &Weighed| w.trip.to_string())
        .step(
            call(|w: &Weighed| HoldSeat { trip: w.trip })
                .keep(lose_weight)
                .undo(|w: &Weighed| FreeSeat { trip: w.trip }),
        )
        .step(call(|w: &Weighed| BookMeal { trip: w.trip }))
        .build();
    let t = given(&saga, asked()).sends("toy.HoldSeat").accepted(SeatHeld { seat: 1 });
    let t = t.alarms("saga.unreadable_data").is_stuck_at("book-meal").signal_cancel("no");
    let t = t.alarms("saga.unreadable_data").is_stuck_at("hold-seat").sends_nothing();
    let effect = t.progress().effect_key("hold-seat", Direction::Undo, 1);
    let (name, body) = ("mallbots.toy.SeatFreed".to_owned(), json!(SeatFreed {}));
    let t = t.input(Input::Reply(Reply { effect, attempt: 0, outcome: Outcome::Ok, name, body }));
    assert_eq!(t.parks().progress().phase(), Phase::Stuck);
}
