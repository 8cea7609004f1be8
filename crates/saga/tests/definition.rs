//! A definition that is not sound is refused with everything that is wrong with it; one that is prints itself.

mod toy;

use saga::{
    Defect, ReplayError, Saga, branch, call, harness::Driver, replay_history, started, transcript::given, wait_for,
};
use serde_json::json;
use toy::*;

#[test]
fn everything_that_is_wrong_is_named() {
    let broken = Saga::<Trip>::named("Trip", 1)
        .signal("cancel", |e: &PassportChecked| (e.trip.to_string(), String::new()))
        .step(call(hold_seat).sends(0).undo(free_seat).undo_deadline_ms(0))
        .step(call(hold_seat))
        .together([branch().step(wait_for("checked", passport_of).deadline_s(0)), branch()])
        .try_build()
        .err();
    let name = |n: &str| n.to_owned();
    let expected = vec![
        Defect::NoStart,
        Defect::NoKey,
        Defect::EmptyBranch,
        Defect::BadName(name("Trip")),
        Defect::DuplicateStep(name("hold-seat")),
        Defect::DuplicateEvent("mallbots.toy.PassportChecked"),
        Defect::NoDeadline(name("hold-seat")),
        Defect::NoDeadline(name("checked")),
        Defect::NoSends(name("hold-seat")),
    ];
    assert_eq!(broken, Some(expected));
}

#[test]
#[should_panic(expected = "the definition of saga `empty` is not sound: it has no steps")]
fn an_unsound_definition_stops_the_program_at_its_start() {
    let _ = Saga::named("empty", 1).starts_on(trip_of).key(|t| t.trip.to_string()).build();
}

#[test]
fn the_outline_is_what_is_checked_in() {
    // Cargo runs tests in their package's folder. Where it was compiled may be another clone, gone since.
    let path = "tests/toy/outline.txt";
    let outline = trip().outline();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &outline).unwrap();
    }
    assert_eq!(outline, std::fs::read_to_string(path).unwrap(), "UPDATE_SNAPSHOTS=1 writes it anew");
}

#[test]
fn a_new_version_that_would_have_done_something_else_is_found_by_a_saga_in_flight() {
    let saga = trip();
    let driver = Driver::start(&saga, &json!(asked()));
    let changed = Saga::named("trip", 2)
        .starts_on(trip_of)
        .key(|t| t.trip.to_string())
        .step(started("trip-asked").undo(close_trip))
        .step(call(book_meal).undo(cancel_meal))
        .build();
    let verdict = replay_history(&changed, driver.progress.saga_id, &driver.history);
    assert!(matches!(verdict, Err(ReplayError::Diverged { at: 1, .. })), "{verdict:?}");
    assert_eq!(replay_history(&changed, driver.progress.saga_id, &[]), Err(ReplayError::NoStart));
}

#[test]
fn the_business_key_may_differ_from_the_partition_key() {
    let saga = Saga::named("trip", 1)
        .starts_on(trip_of)
        .business_key(|t: &Trip| format!("business-{}", t.trip))
        .key(|t: &Trip| format!("partition-{}", t.trip))
        .step(call(hold_seat))
        .build();
    let t = given(&saga, asked()).sends("toy.HoldSeat");
    assert_eq!((t.progress().business_key.as_str(), t.progress().key.as_str()), ("business-7", "partition-7"));
    assert_eq!(saga.business_key_of(&json!(asked())).as_deref(), Ok("business-7"));
}
