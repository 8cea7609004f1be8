//! The words under which metrics, timelines and the database know things, and what a definition says of itself.

#[allow(dead_code)]
mod toy;

use saga::{AlarmCode, Counted, DoState, HistoryKind, Leg, Phase, Saga, StepProgress, TimerKind, call};
use serde::Serialize;
use serde_json::json;
use toy::*;

fn is_its_word<T: Serialize>(value: T, word: &str) {
    assert_eq!(json!(value), json!(word));
}

#[test]
fn what_is_printed_is_what_is_stored() {
    for kind in [TimerKind::Deadline, TimerKind::Retry] {
        is_its_word(kind, kind.as_str());
    }
    for phase in [Phase::Running, Phase::Compensating, Phase::Stuck, Phase::Completed, Phase::Compensated] {
        is_its_word(phase, phase.as_str());
    }
    use HistoryKind as K;
    let inputs = [K::Started, K::Accepted, K::Refused, K::Event, K::CancelAsked, K::TimedOut, K::RetryDue, K::Operator];
    let ends = [K::ChildCompleted, K::ChildCompensated, K::Completed, K::Compensated];
    let steps = [K::Sent, K::StepDone, K::StepSkipped, K::RetryPlanned, K::CancelTooLate, K::Compensating, K::Undone];
    for kind in inputs.into_iter().chain(ends).chain(steps).chain([K::Stuck]) {
        is_its_word(kind, kind.as_str());
    }
}

#[test]
fn alarms_and_counts_keep_their_names() {
    let alarms = [
        (AlarmCode::Stuck, "saga.stuck"),
        (AlarmCode::UnknownEffect, "saga.unknown_effect"),
        (AlarmCode::Contradiction, "saga.contradiction"),
        (AlarmCode::ReplyAfterEnd, "saga.reply_after_end"),
        (AlarmCode::EffectNotUndone, "saga.effect_not_undone"),
        (AlarmCode::UnreadableBody, "saga.unreadable_body"),
        (AlarmCode::UnreadableData, "saga.unreadable_data"),
    ];
    assert_eq!(alarms.map(|(code, _)| code.as_str()), alarms.map(|(_, name)| name));
    let counts = [
        (Counted::DuplicateReply, "duplicate_reply"),
        (Counted::LateReply, "late_reply"),
        (Counted::StaleTimer, "stale_timer"),
        (Counted::LateEvent, "late_event"),
        (Counted::RepeatedCancel, "repeated_cancel"),
    ];
    assert_eq!(counts.map(|(what, _)| what.as_str()), counts.map(|(_, label)| label));
}

#[test]
fn a_definition_says_what_it_is() {
    let saga = trip();
    assert_eq!((saga.saga_type(), saga.version(), saga.start_event()), ("trip", 1, "mallbots.toy.TripAsked"));
    let names: Vec<_> = saga.step_names().collect();
    let expected = [
        "trip-asked",
        "hold-seat",
        "passport-checked",
        "reserve-bag",
        "meal-chosen",
        "book-meal",
        "pay",
        "send-ticket",
    ];
    assert_eq!(names, expected);
    let third =
        Saga::named("trip", 3).starts_on(trip_of).key(|t: &Trip| t.trip.to_string()).step(call(hold_seat)).build();
    assert_eq!(third.version(), 3);
}

/// Nearly every step is answered at once, and every saga is saved after each of its steps.
#[test]
fn what_is_usual_takes_no_room_in_the_database() {
    let leg = |sent, left| Leg { state: DoState::Done, sent, left };
    let told = [
        (leg(1, 0), json!({"state": "done"})),
        (leg(0, 1), json!({"state": "done", "sent": 0, "left": 1})),
        (leg(2, 3), json!({"state": "done", "sent": 2, "left": 3})),
    ];
    for (leg, text) in told {
        assert_eq!(json!(leg), text);
        assert_eq!(serde_json::from_value::<Leg<DoState>>(text).unwrap(), leg);
    }
    for (retries, text) in [(0, json!({"rounds": []})), (2, json!({"rounds": [], "retries": 2}))] {
        assert_eq!(json!(StepProgress { rounds: vec![], retries }), text);
    }
}
