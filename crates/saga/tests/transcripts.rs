//! The toy saga told as transcripts: every kind of step, and what can befall it.

mod toy;

use saga::{
    ChildEnd, Counted, DoState, Input, Phase, Route, Saga, Verb, branch, call, child,
    harness::SAGA_ID,
    replay, started,
    transcript::{Transcript, given},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use toy::*;

fn seated(saga: &Saga<Trip>) -> Transcript<'_> {
    given(saga, asked()).sends_exactly(HoldSeat { trip: 7 }).accepted(SeatHeld { seat: 12 })
}

fn to_pivot(saga: &Saga<Trip>) -> Transcript<'_> {
    seated(saga)
        .event(PassportChecked { trip: 7, valid: true })
        .event(MealChosen { trip: 7 })
        .sends_both(["toy.BookMeal", "toy.ReserveBag"])
        .to("toy.BookMeal")
        .accepted(MealBooked {})
        .to("toy.ReserveBag")
        .accepted(BagReserved {})
        .sends_exactly(Pay { trip: 7, amount: 100 })
}

#[test]
fn the_whole_trip() {
    to_pivot(&trip())
        .accepted(Paid { amount: 100 })
        .sends_exactly(SendTicket { trip: 7, seat: 12 })
        .accepted(TicketSent {})
        .ends_completed();
}

#[test]
fn events_that_come_before_their_wait_are_kept_for_it() {
    let saga = trip();
    let t = given(&saga, asked()).sends("toy.HoldSeat").event(MealChosen { trip: 7 }).sends_nothing();
    let t = t.event(MealChosen { trip: 7 }).ignores(Counted::LateEvent);
    let t = t.event(PassportChecked { trip: 7, valid: true }).accepted(SeatHeld { seat: 12 });
    let t = t.sends_both(["toy.ReserveBag", "toy.BookMeal"]);
    assert!(t.progress().recorded.is_empty());
}

#[test]
fn a_wait_with_nothing_to_wait_for_is_passed_by() {
    let saga = trip();
    let _ = given(&saga, TripAsked { no_meal: true, ..asked() })
        .sends("toy.HoldSeat")
        .accepted(SeatHeld { seat: 12 })
        .sends("toy.BookMeal")
        .waits_at("passport-checked")
        .sends_nothing();
}

#[test]
fn an_event_that_fails_the_wait_undoes_the_branch_beside_it_too() {
    seated(&trip())
        .event(MealChosen { trip: 7 })
        .sends("toy.BookMeal")
        .event(PassportChecked { trip: 7, valid: false })
        .sends("toy.CancelMeal")
        .sends_nothing()
        .late_reply("toy.BookMeal", MealBooked {})
        .to("toy.CancelMeal")
        .accepted(MealCancelled {})
        .sends("toy.FreeSeat")
        .accepted(SeatFreed {})
        .sends_exactly(CloseTrip { trip: 7, code: "toy.passport_not_valid".into(), cancelled: false })
        .accepted(TripClosed {})
        .ends_compensated("toy.passport_not_valid");
}

#[test]
fn branches_are_undone_beside_each_other() {
    to_pivot(&trip())
        .refused("toy.no_money")
        .sends_both(["toy.ReleaseBag", "toy.CancelMeal"])
        .to("toy.CancelMeal")
        .accepted(MealCancelled {})
        .sends_nothing()
        .to("toy.ReleaseBag")
        .accepted(BagReleased {})
        .sends("toy.FreeSeat")
        .accepted(SeatFreed {})
        .sends("toy.CloseTrip")
        .accepted(TripClosed {})
        .ends_compensated("toy.no_money");
}

#[test]
fn a_branch_is_undone_in_reverse_order() {
    let saga = Saga::named("packing", 1)
        .starts_on(trip_of)
        .key(|t: &Trip| t.trip.to_string())
        .together([
            branch().step(call(reserve_bag).undo(release_bag)).step(call(book_meal).undo(cancel_meal)),
            branch().step(call(hold_seat).undo(free_seat)),
        ])
        .build();
    let t = given(&saga, asked())
        .sends("toy.ReserveBag")
        .accepted(BagReserved {})
        .sends_both(["toy.HoldSeat", "toy.BookMeal"]);
    t.to("toy.BookMeal")
        .accepted(MealBooked {})
        .to("toy.HoldSeat")
        .refused("toy.no_seat")
        .sends("toy.CancelMeal")
        .sends_nothing()
        .accepted(MealCancelled {})
        .sends("toy.ReleaseBag")
        .accepted(BagReleased {})
        .ends_compensated("toy.no_seat");
}

#[test]
fn a_wait_whose_deadline_passes_undoes_the_saga() {
    seated(&trip())
        .wait_times_out("passport-checked")
        .sends("toy.FreeSeat")
        .accepted(SeatFreed {})
        .sends("toy.CloseTrip")
        .accepted(TripClosed {})
        .event(PassportChecked { trip: 7, valid: true })
        .ignores(Counted::LateEvent)
        .ends_compensated("platform.timed_out");
}

#[test]
fn a_step_with_more_than_one_send_is_in_doubt_only_after_the_last() {
    let saga = trip();
    let t = seated(&saga).event(PassportChecked { trip: 7, valid: true });
    let _ = t.sends("toy.ReserveBag").times_out().sends("toy.ReserveBag").times_out().sends("toy.ReleaseBag");
}

#[test]
fn a_cancel_before_the_pivot_undoes_what_is_done_and_what_is_in_flight() {
    seated(&trip())
        .event(MealChosen { trip: 7 })
        .sends("toy.BookMeal")
        .signal_cancel("changed my mind")
        .sends("toy.CancelMeal")
        .signal_cancel("really")
        .ignores(Counted::RepeatedCancel)
        .accepted(MealCancelled {})
        .sends("toy.FreeSeat")
        .accepted(SeatFreed {})
        .sends_exactly(CloseTrip { trip: 7, code: "platform.cancelled".into(), cancelled: true })
        .accepted(TripClosed {})
        .ends_compensated("platform.cancelled");
}

#[test]
fn what_was_sent_is_in_doubt_when_the_saga_turns_back_and_what_was_waited_for_is_not() {
    let saga = trip();
    let t = seated(&saga).event(MealChosen { trip: 7 }).sends("toy.BookMeal").signal_cancel("no");
    let state = |step: &str| t.progress().steps[step].rounds[0].forward.state;
    assert_eq!((state("book-meal"), state("passport-checked")), (DoState::InDoubt, DoState::Skipped));
}

#[test]
fn a_cancel_after_the_pivot_was_sent_is_too_late() {
    to_pivot(&trip())
        .signal_cancel("changed my mind")
        .tells_too_late()
        .sends_nothing()
        .accepted(Paid { amount: 100 })
        .sends("toy.SendTicket")
        .accepted(TicketSent {})
        .ends_completed();
}

#[test]
fn an_operators_cancel_after_the_pivot_was_sent_is_too_late_too() {
    let saga = trip();
    let t = to_pivot(&saga).operator(Verb::Cancel, "closing").tells_too_late().sends_nothing();
    t.accepted(Paid { amount: 100 }).sends("toy.SendTicket").accepted(TicketSent {}).ends_completed();
}

#[test]
fn the_pivot_is_sent_again_under_the_same_key_and_is_stuck_when_never_answered() {
    let saga = trip();
    let t = to_pivot(&saga).times_out().sends("toy.Pay").times_out().sends("toy.Pay").times_out();
    let t = t.is_stuck_at("pay").sends_nothing();
    assert_eq!(t.progress().steps["pay"].rounds.len(), 1);
    t.operator_retry("the bank is back")
        .sends("toy.Pay")
        .accepted(Paid { amount: 100 })
        .sends("toy.SendTicket")
        .accepted(TicketSent {})
        .ends_completed();
}

#[test]
fn an_operators_retry_comes_with_a_fresh_budget() {
    let saga = trip();
    let t = to_pivot(&saga).times_out().sends("toy.Pay").times_out().sends("toy.Pay").times_out().is_stuck_at("pay");
    let t = t.operator_retry("once more").sends("toy.Pay").times_out().sends("toy.Pay").times_out().sends("toy.Pay");
    let _ = t.times_out().is_stuck_at("pay").sends_nothing();
}

#[test]
fn an_answer_to_a_stuck_pivot_still_counts() {
    let saga = trip();
    let t = to_pivot(&saga).times_out().sends("toy.Pay").times_out().sends("toy.Pay").times_out().is_stuck_at("pay");
    let t = t.accepted(Paid { amount: 100 }).sends("toy.SendTicket");
    assert_eq!(t.progress().phase(), Phase::Running);
    t.accepted(TicketSent {}).ends_completed();
}

#[test]
fn a_pivot_refused_for_now_is_carried_out_in_a_new_round() {
    let saga = trip();
    let t = to_pivot(&saga).refused_for_now("toy.bank_busy").signal_cancel("no").tells_too_late().retry_is_due();
    let t = t.sends("toy.Pay");
    assert_eq!(t.progress().steps["pay"].rounds.len(), 2);
    t.accepted(Paid { amount: 100 }).sends("toy.SendTicket").accepted(TicketSent {}).ends_completed();
}

#[test]
fn a_pivot_that_succeeds_after_its_refusal_turned_the_saga_back_is_told_to_a_person() {
    let saga = trip();
    let t = to_pivot(&saga).refused("toy.no_money").sends_both(["toy.ReleaseBag", "toy.CancelMeal"]);
    let t = t.late_reply("toy.Pay", Paid { amount: 100 }).alarms("saga.contradiction").sends_nothing();
    assert_eq!(t.progress().phase(), Phase::Compensating);
}

#[test]
fn a_refusal_after_the_pivot_never_undoes() {
    to_pivot(&trip())
        .accepted(Paid { amount: 100 })
        .sends("toy.SendTicket")
        .refused("toy.no_printer")
        .is_stuck_at("send-ticket")
        .sends_nothing()
        .operator(Verb::MarkDone { step: "send-ticket".into() }, "handed over on paper")
        .ends_completed();
}

#[test]
fn a_verb_that_does_not_apply_changes_nothing() {
    let saga = trip();
    let t = seated(&saga).operator_retry("why not").rejects();
    let t = t.operator(Verb::Skip { step: "hold-seat".into() }, "why not").rejects().waits_at("passport-checked");
    t.operator(Verb::Cancel, "closing")
        .sends("toy.FreeSeat")
        .operator(Verb::CompleteForward, "why not")
        .rejects()
        .accepted(SeatFreed {})
        .sends_exactly(CloseTrip { trip: 7, code: "platform.cancelled_by_operator".into(), cancelled: true })
        .accepted(TripClosed {})
        .operator(Verb::Cancel, "again")
        .rejects()
        .ends_compensated("platform.cancelled_by_operator");
}

#[test]
fn a_stuck_undo_can_be_skipped_with_a_reason() {
    let saga = trip();
    let t = seated(&saga).signal_cancel("no").sends("toy.FreeSeat");
    let t = (0..10).fold(t, |t, _| t.refused("toy.broken").retry_is_due().sends("toy.FreeSeat"));
    t.refused("toy.broken")
        .is_stuck_at("hold-seat")
        .operator(Verb::Skip { step: "hold-seat".into() }, "the train has left")
        .sends("toy.CloseTrip")
        .accepted(TripClosed {})
        .ends_compensated("platform.cancelled");
}

#[test]
fn every_stuck_step_can_be_taken_as_done_to_complete_forward() {
    let saga = trip();
    let t = to_pivot(&saga).times_out().sends("toy.Pay").times_out().sends("toy.Pay").times_out().is_stuck_at("pay");
    t.operator(Verb::CompleteForward, "paid in cash").sends("toy.SendTicket").accepted(TicketSent {}).ends_completed();
}

#[test]
fn a_body_that_cannot_be_read_is_an_alarm_and_changes_nothing() {
    let saga = trip();
    let t = given(&saga, asked()).sends("toy.HoldSeat").accepted(BagReserved {}).alarms("saga.unreadable_body");
    let garbage = Input::Event { name: "mallbots.toy.PassportChecked".into(), body: json!([1, 2]) };
    let _ = t.input(garbage).alarms("saga.unreadable_body").waits_at("hold-seat").sends_nothing();
}

#[test]
fn events_find_their_saga_by_its_business_key() {
    let saga = trip();
    let route = |name: &str, body| saga.route(name, &body);
    let key = || "trip-7".to_owned();
    assert_eq!(route("mallbots.toy.TripAsked", json!(asked())), Ok(Some(Route::Start { business_key: key() })));
    let checked = json!(PassportChecked { trip: 7, valid: true });
    assert_eq!(route("mallbots.toy.PassportChecked", checked), Ok(Some(Route::Event { business_key: key() })));
    let cancel = json!(CancelAsked { trip: 7, reason: "no".into(), by: "anna".into() });
    let expected = Route::Cancel { business_key: key(), reason: "no".into(), by: "anna".into() };
    assert_eq!(route("mallbots.toy.CancelAsked", cancel), Ok(Some(expected)));
    assert_eq!(route("mallbots.toy.Paid", json!({})), Ok(None));
    assert!(route("mallbots.toy.TripAsked", json!({})).is_err());
    assert_eq!(saga.subscriptions().len(), 4);
}

#[test]
fn the_same_inputs_lead_to_the_same_progress() {
    let saga = trip();
    let inputs = vec![
        Input::Event { name: "mallbots.toy.MealChosen".into(), body: json!(MealChosen { trip: 7 }) },
        Input::Cancel { reason: "no".into(), by: "customer".into() },
    ];
    let once = replay(&saga, SAGA_ID, &json!(asked()), inputs.clone());
    assert_eq!(once, replay(&saga, SAGA_ID, &json!(asked()), inputs));
    assert_eq!(once.map(|p| p.phase()), Ok(Phase::Compensating));
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tour {
    trip: u32,
}

fn tour() -> Saga<Tour> {
    Saga::named("tour", 1)
        .starts_on(|e: &TripAsked| Tour { trip: e.trip })
        .key(|t| t.trip.to_string())
        .step(started("asked").undo(|t: &Tour| CancelMeal { trip: t.trip }))
        .step(child("trip", "trip", |t: &Tour| TripAsked { trip: t.trip, price: 5, no_meal: true }))
        .step(call(|t: &Tour| SendTicket { trip: t.trip, seat: 1 }))
        .build()
}

#[test]
fn a_child_saga_that_completes_lets_its_parent_go_on() {
    let saga = tour();
    let t = given(&saga, asked()).sends("trip").child_ends(ChildEnd::Completed).sends("toy.SendTicket");
    t.accepted(TicketSent {}).ends_completed();
}

#[test]
fn a_child_saga_that_is_undone_is_a_refusal_to_its_parent() {
    let end = ChildEnd::Compensated { code: "toy.no_seat".into(), reason: "full".into() };
    let saga = tour();
    let t = given(&saga, asked()).sends("trip").child_ends(end).sends("toy.CancelMeal");
    t.accepted(MealCancelled {}).ends_compensated("toy.no_seat");
}
