//! The reply × state table, a test for each cell. Each begins where the column says, by a transcript, and then feeds
//! the row's reply.

mod toy;

use message::{Direction, EffectKey, Outcome, Refusal};
use saga::{
    ChildEnd, Counted, Input, Phase, Reply, Saga, call,
    harness::SAGA_ID,
    transcript::{Transcript, given},
};
use serde_json::{Value, json};
use toy::*;

fn reply(step: &str, direction: Direction, round: u32, outcome: Outcome, name: &str, body: Value) -> Input {
    let effect = EffectKey { saga_id: SAGA_ID, step: step.into(), direction, round };
    Input::Reply(Reply { effect, attempt: 1, outcome, name: name.into(), body })
}

/// Rows of the table, about the seat: `hold-seat` is the step that most columns are about.
fn do_ok(round: u32) -> Input {
    reply("hold-seat", Direction::Do, round, Outcome::Ok, "mallbots.toy.SeatHeld", json!(SeatHeld { seat: 12 }))
}

fn do_refused(round: u32) -> Input {
    let body = json!(Refusal::new("toy.no_seat", "no seat"));
    reply("hold-seat", Direction::Do, round, Outcome::Refused, "mallbots.Refused", body)
}

fn undo_ok() -> Input {
    reply("hold-seat", Direction::Undo, 1, Outcome::Ok, "mallbots.toy.SeatFreed", json!(SeatFreed {}))
}

fn undo_refused() -> Input {
    let body = json!(Refusal::new("toy.broken", "no"));
    reply("hold-seat", Direction::Undo, 1, Outcome::Refused, "mallbots.Refused", body)
}

fn unknown() -> Input {
    reply("hold-seat", Direction::Do, 9, Outcome::Ok, "mallbots.toy.SeatHeld", json!(SeatHeld { seat: 1 }))
}

/// Columns of the table.
fn same_round(saga: &Saga<Trip>) -> Transcript<'_> {
    given(saga, asked()).sends("toy.HoldSeat")
}

fn newer_round(saga: &Saga<Trip>) -> Transcript<'_> {
    same_round(saga).refused_for_now("toy.busy").retry_is_due().sends("toy.HoldSeat")
}

fn compensating(saga: &Saga<Trip>) -> Transcript<'_> {
    same_round(saga).times_out().sends("toy.FreeSeat")
}

fn stuck(saga: &Saga<Trip>) -> Transcript<'_> {
    let t = (0..10).fold(compensating(saga), |t, _| t.refused("toy.broken").retry_is_due().sends("toy.FreeSeat"));
    t.refused("toy.broken").is_stuck_at("hold-seat")
}

fn completed(saga: &Saga<Trip>) -> Transcript<'_> {
    to_pivot(same_round(saga)).accepted(Paid { amount: 100 }).sends("toy.SendTicket").accepted(TicketSent {})
}

fn compensated(saga: &Saga<Trip>) -> Transcript<'_> {
    compensating(saga).accepted(SeatFreed {}).sends("toy.CloseTrip").accepted(TripClosed {})
}

fn to_pivot(t: Transcript<'_>) -> Transcript<'_> {
    t.accepted(SeatHeld { seat: 12 })
        .event(PassportChecked { trip: 7, valid: true })
        .sends("toy.ReserveBag")
        .accepted(BagReserved {})
        .event(MealChosen { trip: 7 })
        .sends("toy.BookMeal")
        .accepted(MealBooked {})
        .sends("toy.Pay")
}

fn closes(t: Transcript<'_>) -> Transcript<'_> {
    t.sends("toy.CloseTrip").accepted(TripClosed {})
}

// success of the do

#[test]
fn a_success_in_the_same_round_advances() {
    let saga = trip();
    let t = same_round(&saga).input(do_ok(1)).waits_at("passport-checked").waits_at("meal-chosen");
    assert_eq!(t.progress().data.read::<Value>().unwrap()["seat"], 12);
}

#[test]
fn a_success_of_an_older_round_is_undone_while_the_newer_goes_on() {
    let saga = trip();
    let t = newer_round(&saga).input(do_ok(1)).sends("toy.FreeSeat");
    let t = t.to("toy.HoldSeat").accepted(SeatHeld { seat: 13 }).waits_at("passport-checked");
    assert_eq!(
        (t.progress().phase(), t.progress().data.read::<Value>().unwrap()["seat"].clone()),
        (Phase::Running, json!(13))
    );
    let t = t.input(do_ok(1)).ignores(Counted::DuplicateReply).sends_nothing();
    t.to("toy.FreeSeat")
        .accepted(SeatFreed {})
        .waits_at("passport-checked")
        .sends_nothing()
        .signal_cancel("no")
        .sends("toy.FreeSeat")
        .accepted(SeatFreed {})
        .sends("toy.CloseTrip")
        .accepted(TripClosed {})
        .ends_compensated("platform.cancelled");
}

#[test]
fn the_pivot_waits_until_the_older_rounds_effect_is_undone() {
    let saga = trip();
    let t = newer_round(&saga).input(do_ok(1)).sends("toy.FreeSeat").to("toy.HoldSeat").accepted(SeatHeld { seat: 13 });
    t.event(PassportChecked { trip: 7, valid: true })
        .sends("toy.ReserveBag")
        .accepted(BagReserved {})
        .event(MealChosen { trip: 7 })
        .sends("toy.BookMeal")
        .accepted(MealBooked {})
        .sends_nothing()
        .to("toy.FreeSeat")
        .accepted(SeatFreed {})
        .sends("toy.Pay")
        .accepted(Paid { amount: 100 })
        .sends("toy.SendTicket")
        .accepted(TicketSent {})
        .ends_completed();
}

#[test]
fn a_success_of_an_older_round_after_the_pivot_was_sent_is_told_to_a_person() {
    let saga = trip();
    let t = to_pivot(newer_round(&saga)).input(do_ok(1)).alarms("saga.contradiction").sends_nothing();
    t.to("toy.Pay").accepted(Paid { amount: 100 }).sends("toy.SendTicket").accepted(TicketSent {}).ends_completed();
}

#[test]
fn an_older_rounds_undo_that_is_stuck_changes_nothing_for_its_do() {
    let saga = trip();
    let t = newer_round(&saga).input(do_ok(1)).sends("toy.FreeSeat");
    let t = (0..10).fold(t, |t, _| t.refused("toy.broken").retry_is_due().sends("toy.FreeSeat"));
    let t = t.refused("toy.broken").is_stuck_at("hold-seat").input(undo_refused()).ignores(Counted::LateReply);
    let t = t.input(do_ok(1)).ignores(Counted::DuplicateReply);
    let t = t.input(do_ok(2)).waits_at("passport-checked").input(undo_ok());
    assert_eq!(t.progress().phase(), Phase::Running);
}

#[test]
fn a_saga_without_a_pivot_completes_only_once_the_older_rounds_effect_is_undone() {
    let saga = Saga::named("seat", 1)
        .starts_on(trip_of)
        .key(|t: &Trip| t.trip.to_string())
        .step(call(hold_seat).retry(RETRY).undo(free_seat))
        .build();
    let t = newer_round(&saga).input(do_ok(1)).sends("toy.FreeSeat").to("toy.HoldSeat").accepted(SeatHeld { seat: 13 });
    assert_eq!(t.progress().phase(), Phase::Running);
    t.to("toy.FreeSeat").accepted(SeatFreed {}).ends_completed();
}

#[test]
fn a_success_while_compensating_queues_the_undo_that_was_not_sent() {
    let saga = trip();
    let t = same_round(&saga).refused("toy.no_seat").sends("toy.CloseTrip").input(do_ok(1)).sends("toy.FreeSeat");
    let t = t.to("toy.CloseTrip").accepted(TripClosed {}).sends_nothing();
    assert_eq!(t.progress().phase(), Phase::Compensating);
    t.to("toy.FreeSeat").accepted(SeatFreed {}).ends_compensated("toy.no_seat");
}

#[test]
fn a_success_while_compensating_changes_nothing_when_its_undo_is_sent_or_done() {
    let saga = trip();
    let t = compensating(&saga).input(do_ok(1)).ignores(Counted::LateReply).sends_nothing();
    let t = t.accepted(SeatFreed {}).sends("toy.CloseTrip").input(do_ok(1)).ignores(Counted::LateReply);
    t.accepted(TripClosed {}).ends_compensated("platform.timed_out");
}

#[test]
fn a_success_while_stuck_is_as_while_compensating() {
    let saga = trip();
    stuck(&saga).input(do_ok(1)).ignores(Counted::LateReply).sends_nothing().waits_at_operator("hold-seat");
}

#[test]
fn a_success_after_completion_is_ignored_and_counted() {
    let saga = trip();
    completed(&saga).input(do_ok(1)).ignores(Counted::LateReply).ends_completed();
}

#[test]
fn a_success_after_compensation_is_ignored_when_its_undo_was_answered() {
    let saga = trip();
    compensated(&saga).input(do_ok(1)).ignores(Counted::LateReply).ends_compensated("platform.timed_out");
}

#[test]
fn a_success_after_compensation_breaks_i8_when_nothing_undid_it() {
    let saga = trip();
    closes(same_round(&saga).refused("toy.no_seat"))
        .input(do_ok(1))
        .alarms("saga.effect_not_undone")
        .ends_compensated("toy.no_seat");
}

// refusal of the do

#[test]
fn a_refusal_in_the_same_round_starts_compensation() {
    let saga = trip();
    closes(same_round(&saga).input(do_refused(1))).ends_compensated("toy.no_seat");
}

#[test]
fn a_retryable_refusal_in_the_same_round_is_carried_out_anew_until_the_budget_ends() {
    let saga = trip();
    let t = (0..2).fold(same_round(&saga), |t, _| t.refused_for_now("toy.busy").retry_is_due().sends("toy.HoldSeat"));
    assert_eq!(t.progress().steps["hold-seat"].rounds.len(), 3);
    closes(t.refused_for_now("toy.busy")).ends_compensated("toy.busy");
}

#[test]
fn a_refusal_of_an_older_round_is_ignored() {
    let saga = trip();
    let t = newer_round(&saga).input(do_refused(1)).ignores(Counted::LateReply).waits_at("hold-seat");
    assert_eq!(t.progress().phase(), Phase::Running);
}

#[test]
fn a_refusal_while_compensating_is_ignored_so_the_undo_still_counts() {
    let saga = trip();
    let t = compensating(&saga).input(do_refused(1)).ignores(Counted::LateReply);
    closes(t.accepted(SeatFreed {})).ends_compensated("platform.timed_out");
}

#[test]
fn a_refusal_while_stuck_is_ignored() {
    let saga = trip();
    stuck(&saga).input(do_refused(1)).ignores(Counted::LateReply).waits_at_operator("hold-seat");
}

#[test]
fn a_refusal_after_completion_is_an_anomaly() {
    let saga = trip();
    completed(&saga).input(do_refused(1)).alarms("saga.reply_after_end").ends_completed();
}

#[test]
fn a_refusal_that_was_recorded_and_comes_again_after_completion_is_a_duplicate() {
    let saga = trip();
    let t = to_pivot(newer_round(&saga)).accepted(Paid { amount: 100 }).sends("toy.SendTicket").accepted(TicketSent {});
    t.input(do_refused(1)).ignores(Counted::DuplicateReply).ends_completed();
}

#[test]
fn a_refusal_after_compensation_is_ignored() {
    let saga = trip();
    compensated(&saga).input(do_refused(1)).ignores(Counted::LateReply).ends_compensated("platform.timed_out");
}

// undo ok

#[test]
fn an_undo_answered_while_going_forward_was_never_asked_for() {
    let saga = trip();
    let _ = same_round(&saga).input(undo_ok()).parks().alarms("saga.unknown_effect").waits_at("hold-seat");
    let _ = newer_round(&saga).input(undo_refused()).parks().alarms("saga.unknown_effect").waits_at("hold-seat");
}

#[test]
fn an_undo_done_while_compensating_sends_the_next_undo() {
    let saga = trip();
    let _ = compensating(&saga).input(undo_ok()).sends("toy.CloseTrip");
}

#[test]
fn an_undo_done_while_stuck_sends_the_next_undo_and_leaves_stuck() {
    let saga = trip();
    let t = stuck(&saga).input(undo_ok()).sends("toy.CloseTrip");
    assert_eq!(t.progress().phase(), Phase::Compensating);
    t.accepted(TripClosed {}).ends_compensated("platform.timed_out");
}

#[test]
fn an_undo_done_after_completion_is_an_anomaly() {
    let saga = trip();
    completed(&saga).input(undo_ok()).alarms("saga.reply_after_end").ends_completed();
}

#[test]
fn an_undo_done_after_compensation_is_ignored() {
    let saga = trip();
    compensated(&saga).input(undo_ok()).ignores(Counted::DuplicateReply).ends_compensated("platform.timed_out");
}

// undo refused or failing

#[test]
fn an_undo_refused_while_compensating_is_tried_again_after_a_delay() {
    let saga = trip();
    let t = compensating(&saga).input(undo_refused()).sends_nothing();
    let t = t.input(undo_refused()).ignores(Counted::DuplicateReply);
    closes(t.retry_is_due().sends("toy.FreeSeat").accepted(SeatFreed {})).ends_compensated("platform.timed_out");
}

#[test]
fn an_older_attempts_refusal_does_not_count_against_the_undo_that_is_awaited() {
    let saga = trip();
    let t = compensating(&saga).refused("toy.broken").retry_is_due().sends("toy.FreeSeat");
    let t = t.input(undo_refused()).ignores(Counted::DuplicateReply).times_out().retry_is_due();
    let _ = t.sends("toy.FreeSeat");
}

#[test]
fn an_undo_not_answered_while_compensating_is_tried_again_until_it_is_stuck() {
    let saga = trip();
    let t = (0..10).fold(compensating(&saga), |t, _| t.times_out().retry_is_due().sends("toy.FreeSeat"));
    t.times_out().is_stuck_at("hold-seat").sends_nothing().waits_at_operator("hold-seat");
}

#[test]
fn an_undo_refused_while_stuck_stays_stuck_and_is_counted() {
    let saga = trip();
    stuck(&saga).input(undo_refused()).ignores(Counted::LateReply).sends_nothing().waits_at_operator("hold-seat");
}

#[test]
fn an_undo_refused_after_completion_is_an_anomaly() {
    let saga = trip();
    completed(&saga).input(undo_refused()).alarms("saga.reply_after_end").ends_completed();
}

#[test]
fn an_undo_refused_after_compensation_is_an_anomaly() {
    let saga = trip();
    let t = compensated(&saga).input(undo_refused()).alarms("saga.reply_after_end");
    t.ends_compensated("platform.timed_out");
}

#[test]
fn an_older_undos_refusal_that_comes_again_after_compensation_is_a_duplicate() {
    let saga = trip();
    let t = compensating(&saga).refused("toy.broken").retry_is_due().sends("toy.FreeSeat").accepted(SeatFreed {});
    closes(t).input(undo_refused()).ignores(Counted::DuplicateReply).ends_compensated("platform.timed_out");
}

// unknown effect key

#[test]
fn an_unknown_effect_is_parked_in_every_state() {
    let saga = trip();
    let _ = same_round(&saga).input(unknown()).parks().alarms("saga.unknown_effect").waits_at("hold-seat");
    let _ = newer_round(&saga).input(unknown()).parks().alarms("saga.unknown_effect").waits_at("hold-seat");
    closes(compensating(&saga).input(unknown()).parks().accepted(SeatFreed {})).ends_compensated("platform.timed_out");
    stuck(&saga).input(unknown()).parks().waits_at_operator("hold-seat");
    completed(&saga).input(unknown()).parks().ends_completed();
    compensated(&saga).input(unknown()).parks().ends_compensated("platform.timed_out");
}

#[test]
fn an_answer_to_a_wait_or_to_a_round_that_is_not_sent_yet_is_unknown_too() {
    let saga = trip();
    let t = same_round(&saga).refused_for_now("toy.busy").input(do_ok(2)).parks().alarms("saga.unknown_effect");
    let t = t.retry_is_due().sends("toy.HoldSeat").input(do_ok(2)).waits_at("passport-checked");
    let checked = json!(PassportChecked { trip: 7, valid: true });
    let name = "mallbots.toy.PassportChecked";
    let t = t.input(reply("passport-checked", Direction::Do, 1, Outcome::Ok, name, checked)).parks();
    let _ = t.alarms("saga.unknown_effect").waits_at("passport-checked");
}

#[test]
fn the_end_of_a_child_that_was_never_started_is_unknown() {
    let saga = trip();
    let _ =
        same_round(&saga).child_ends(ChildEnd::Completed).parks().alarms("saga.unknown_effect").waits_at("hold-seat");
}

#[test]
fn an_undo_answered_with_another_record_than_it_promises_is_not_done() {
    let saga = trip();
    let t = compensating(&saga).accepted(TripClosed {}).alarms("saga.unreadable_body").sends_nothing();
    closes(t.accepted(SeatFreed {})).ends_compensated("platform.timed_out");
}

#[test]
fn a_refusal_in_another_record_than_the_refusals_changes_nothing() {
    let saga = trip();
    let rubbish = reply("hold-seat", Direction::Do, 1, Outcome::Refused, "mallbots.toy.SeatHeld", json!({"seat": 12}));
    let t = same_round(&saga).input(rubbish).alarms("saga.unreadable_body").waits_at("hold-seat").sends_nothing();
    assert_eq!(t.progress().phase(), Phase::Running);
}

#[test]
fn a_stuck_undo_says_what_its_participant_said() {
    let saga = trip();
    let t = compensating(&saga).refused("platform.skipped").is_stuck_at("hold-seat");
    assert!(
        t.timeline().contains("stuck              hold-seat            undo  platform.skipped: no"),
        "{}",
        t.timeline()
    );
}

// beside the table: what an operator gave up at the participant

#[test]
fn an_undo_that_was_given_up_at_its_participant_waits_for_a_person_at_once() {
    let saga = trip();
    let t = compensating(&saga).refused("platform.skipped").is_stuck_at("hold-seat").sends_nothing();
    t.waits_at_operator("hold-seat");
}

#[test]
fn a_do_that_was_given_up_at_its_participant_is_refused_as_any() {
    let saga = trip();
    closes(same_round(&saga).refused("platform.skipped")).ends_compensated("platform.skipped");
}

// beside the table: an answer in the newest round comes again, or differs

#[test]
fn a_repeated_success_is_a_duplicate_and_a_refusal_after_it_a_contradiction() {
    let saga = trip();
    let t = same_round(&saga).input(do_ok(1)).input(do_ok(1)).ignores(Counted::DuplicateReply);
    let t = t.input(do_refused(1)).alarms("saga.contradiction").waits_at("passport-checked");
    assert_eq!(t.progress().phase(), Phase::Running);
}

trait AtOperator {
    fn waits_at_operator(self, step: &str);
}

impl AtOperator for Transcript<'_> {
    fn waits_at_operator(self, step: &str) {
        assert_eq!(self.progress().phase(), Phase::Stuck);
        assert!(self.progress().stuck_steps().iter().any(|(s, _)| s == step), "{:#?}", self.progress());
    }
}
