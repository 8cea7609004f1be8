//! The toy saga passes the harness that every saga passes.

#[path = "toy/script.rs"]
mod script;
mod toy;

use saga::{
    Saga, Step, branch, call,
    harness::{Script, check},
};
use script::script;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use toy::*;

/// The number of runs, so that a scenario that is left out is missed. It changes with the harness and the toy saga.
#[test]
fn every_scenario_of_the_toy_saga_ends_with_a_clean_slate() {
    assert_eq!(check(&trip(), &asked(), &script()), 1_139);
}

#[test]
fn so_does_every_scenario_in_which_one_wait_is_passed_by() {
    assert_eq!(check(&trip(), &TripAsked { no_meal: true, ..asked() }, &script()), 990);
}

#[test]
#[should_panic(expected = "all goes well: the end is not the expected one")]
fn a_world_in_which_nothing_goes_well_is_none_to_check_in() {
    check(&trip(), &asked(), &script().event(PassportChecked { trip: 7, valid: false }));
}

#[test]
#[should_panic(expected = "the script has no answer to mallbots.toy.HoldSeat")]
fn a_script_must_have_an_answer_to_every_command() {
    check(&trip(), &asked(), &Script::new());
}

/// A bag packed by several people beside each other, and who was done before whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Packed {
    trip: u32,
    by: Vec<String>,
}

type Orders = Arc<Mutex<BTreeSet<String>>>;

/// Packs, and puts into `orders` in which order everybody was done.
fn packs(who: &'static str, orders: &Orders) -> Step<Packed, saga::Calls<ReserveBag>, saga::Undoable> {
    let orders = orders.clone();
    let keep = move |p: &mut Packed, _: BagReserved| {
        p.by.push(who.to_owned());
        orders.lock().unwrap().insert(p.by.concat());
    };
    call(|p: &Packed| ReserveBag { trip: p.trip }).keep(keep).named(who).undo(|p: &Packed| ReleaseBag { trip: p.trip })
}

/// In which orders the harness lets everybody be done.
fn orders<const N: usize>(branches: [&[&'static str]; N]) -> Vec<String> {
    let orders = Orders::default();
    let alone = |who: &&[&'static str]| who.iter().fold(branch(), |b, who| b.step(packs(who, &orders)));
    let saga = Saga::named("packing", 1)
        .starts_on(|e: &TripAsked| Packed { trip: e.trip, by: Vec::new() })
        .key(|p| p.trip.to_string())
        .together(branches.each_ref().map(alone))
        .pivot(call(|p: &Packed| Pay { trip: p.trip, amount: 1 }))
        .build();
    check(&saga, &asked(), &script());
    let everybody = branches.concat().len();
    let orders = orders.lock().unwrap().clone();
    orders.into_iter().filter(|by| by.len() == everybody).collect()
}

#[test]
fn parallel_answers_come_in_every_order_that_keeps_each_branchs_own() {
    assert_eq!(orders([&["a"], &["b"], &["c"]]), ["abc", "acb", "bac", "bca", "cab", "cba"]);
    assert_eq!(orders([&["a", "b"], &["x", "y"]]), ["abxy", "axby", "axyb", "xaby", "xayb", "xyab"]);
    assert_eq!(orders([&["a"], &["b"], &["c"], &["d"]]).len(), 24);
}

#[test]
fn of_five_parallel_steps_each_branch_goes_first_once() {
    let alone: [&[&str]; 5] = [&["a"], &["b"], &["c"], &["d"], &["e"]];
    assert_eq!(orders(alone), ["abcde", "bcdea", "cdeab", "deabc", "eabcd"]);
}
