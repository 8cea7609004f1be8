//! Each line of a transcript complains when it does not hold, and says what happened instead.

#[allow(dead_code)]
mod toy;

use saga::{
    Counted, Input,
    transcript::{Transcript, given},
};
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use toy::*;

/// What the lines complain of when a trip was just asked for.
fn complaint(lines: impl FnOnce(Transcript<'_>)) -> String {
    let saga = trip();
    let complaint = catch_unwind(AssertUnwindSafe(|| lines(given(&saga, asked())))).expect_err("the lines hold");
    let text = complaint.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| complaint.downcast_ref::<String>().cloned()).expect("a panic with a sentence")
}

#[track_caller]
fn complains(of: &str, lines: impl FnOnce(Transcript<'_>)) {
    let complaint = complaint(lines);
    assert!(complaint.contains(of), "expected a complaint of: {of}\nbut it was: {complaint}");
}

fn seated(t: Transcript<'_>) -> Transcript<'_> {
    t.sends("toy.HoldSeat").accepted(SeatHeld { seat: 12 })
}

fn refused(t: Transcript<'_>) -> Transcript<'_> {
    t.sends("toy.HoldSeat").refused("toy.no_seat").sends("toy.CloseTrip")
}

fn paying(t: Transcript<'_>) -> Transcript<'_> {
    let t = seated(t).event(PassportChecked { trip: 7, valid: true }).event(MealChosen { trip: 7 });
    let t = t.sends("toy.ReserveBag").accepted(BagReserved {}).sends("toy.BookMeal").accepted(MealBooked {});
    t.sends("toy.Pay")
}

fn stuck(t: Transcript<'_>) -> Transcript<'_> {
    paying(t).times_out().sends("toy.Pay").times_out().sends("toy.Pay").times_out()
}

#[test]
fn of_another_command_than_was_sent() {
    complains("another command was sent", |t| drop(t.sends("toy.FreeSeat")));
    complains("expected toy.FreeSeat to be sent, but nothing was", |t| {
        drop(t.sends("toy.HoldSeat").sends("toy.FreeSeat"));
    });
    complains("mallbots.toy.HoldSeat says something else", |t| drop(t.sends_exactly(HoldSeat { trip: 8 })));
    complains("other commands were sent", |t| drop(t.sends_both(["toy.HoldSeat", "toy.Pay"])));
    complains("other commands were sent", |t| drop(t.sends_both(["toy.HoldSeat"]).sends_both(["toy.HoldSeat"])));
    complains("toy.Pay was never sent", |t| drop(t.to("toy.Pay")));
    complains("name a command first", |t| drop(t.accepted(SeatHeld { seat: 12 })));
}

#[test]
fn of_commands_that_nobody_named() {
    complains("sent without being expected: [\"toy.HoldSeat\"]", |t| drop(t.sends_nothing()));
    complains("sent without being expected: [\"toy.SendTicket\"]", |t| {
        drop(paying(t).accepted(Paid { amount: 100 }).sends_nothing());
    });
}

#[test]
fn of_a_wait_that_is_not_open_or_is_for_an_undo() {
    complains("pay does not wait", |t| drop(t.waits_at("pay")));
    complains("hold-seat does not wait", |t| drop(t.sends("toy.HoldSeat").times_out().waits_at("hold-seat")));
}

#[test]
fn of_a_timer_that_is_not_set() {
    complains("mallbots.toy.HoldSeat has no deadline running", |t| drop(seated(t).times_out()));
    complains("no timer is set for passport-checked", |t| drop(t.wait_times_out("passport-checked")));
    complains("no timer is set for hold-seat", |t| {
        drop(t.sends("toy.HoldSeat").refused_for_now("toy.busy").wait_times_out("hold-seat"));
    });
    complains("no timer is set for a retry", |t| drop(t.retry_is_due()));
}

#[test]
fn of_another_end() {
    complains("the end is another", |t| t.ends_completed());
    complains("undone for another cause", |t| t.ends_compensated("toy.no_seat"));
    complains("the end is another", |t| refused(t).ends_compensated("toy.no_seat"));
    complains("undone for another cause", |t| refused(t).accepted(TripClosed {}).ends_compensated("toy.no_money"));
    complains("alarms that the transcript does not expect", |t| {
        refused(t)
            .accepted(TripClosed {})
            .late_reply("toy.HoldSeat", SeatHeld { seat: 12 })
            .ends_compensated("toy.no_seat");
    });
}

#[test]
fn of_what_was_not_told() {
    complains("not stuck", |t| drop(t.is_stuck_at("hold-seat")));
    complains("stuck at [(\"pay\", Do)], not at hold-seat", |t| drop(stuck(t).is_stuck_at("hold-seat")));
    complains("another alarm, or none", |t| drop(stuck(t).is_stuck_at("pay").alarms("saga.stuck")));
    complains("another alarm, or none", |t| drop(t.alarms("saga.stuck")));
    complains("nobody was told that it is too late", |t| drop(t.tells_too_late()));
    complains("nobody was told that it is too late", |t| drop(t.signal_cancel("no").tells_too_late()));
    complains("it was not ignored", |t| drop(t.ignores(Counted::LateReply)));
    complains("it was not parked", |t| drop(t.parks()));
    complains("it was not rejected", |t| drop(t.rejects()));
}

#[test]
fn of_what_was_told_of_an_earlier_input() {
    let nonsense = Input::Event { name: "mallbots.toy.Nonsense".into(), body: json!({}) };
    let meal = MealChosen { trip: 7 };
    complains("it was not parked", |t| drop(t.input(nonsense).parks().signal_cancel("no").parks()));
    complains("it was not rejected", |t| drop(t.operator_retry("why not").rejects().signal_cancel("no").rejects()));
    complains("it was not ignored as LateEvent", |t| {
        let t = t.event(meal.clone()).event(meal).ignores(Counted::LateEvent);
        drop(t.signal_cancel("no").ignores(Counted::LateEvent));
    });
}

#[test]
#[should_panic(expected = "trip does not start on this event")]
fn of_a_start_event_of_another_saga() {
    let _ = given(&trip(), MealChosen { trip: 7 });
}

#[test]
fn with_everything_that_happened() {
    let complaint = complaint(|t| {
        drop(t.sends("toy.HoldSeat").refused("toy.no_seat").sends("toy.FreeSeat"));
    });
    let timeline = complaint.split_once("what happened:\n").expect("a timeline").1;
    let (told, stands) = timeline.split_once("\nwhere it stands: ").expect("where it stands");
    let lines = [
        "  started                                      toy.TripAsked",
        "  sent               hold-seat            do   toy.HoldSeat",
        "  refused            hold-seat            do   Refused",
        "  compensating                                  no",
        "  sent               trip-asked           undo toy.CloseTrip",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), lines);
    assert!(stands.contains("\"hold-seat\": StepProgress"), "{stands}");
}
