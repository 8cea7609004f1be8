use super::*;
use schemas::quantity::Quantity;
use uuid::Uuid;

const BEAT: u64 = 5_000;

fn order(n: u128) -> OrderId {
    Uuid::from_u128(n).into()
}

fn stop(n: u128) -> Stop {
    let line = LineCount { product_id: Uuid::from_u128(n).into(), quantity: Quantity::ONE };
    Stop { store: Uuid::from_u128(n).into(), picked: vec![line], missing: Vec::new() }
}

fn collect(n: u128, stops: u128) -> Option<Assignment> {
    Some(Assignment { order: order(n), job: Job::Collect, stops: (0..stops).map(stop).collect() })
}

fn now(epoch: i64, assignment: Option<Assignment>) -> Instruction {
    Instruction { epoch, assignment }
}

/// All that it has said so far was judged.
fn ok(epoch: i64, assignment: Option<Assignment>) -> Answer {
    Answer { acknowledged: 1_000, refused: Vec::new(), now: now(epoch, assignment) }
}

/// Nothing that it has said so far was taken.
fn no(code: &str, epoch: i64, assignment: Option<Assignment>) -> Answer {
    let refused = (1..200).map(|number| (number, Refusal::new(code, "no"))).collect();
    Answer { refused, ..ok(epoch, assignment) }
}

fn whats(reports: Vec<Report>) -> Vec<What> {
    reports.into_iter().map(|r| r.what).collect()
}

fn numbers(reports: &[Report]) -> Vec<(i64, i64)> {
    reports.iter().map(|r| (r.epoch, r.number)).collect()
}

fn is_idle(brain: &Brain) -> bool {
    brain.state == State::Idle
}

fn visited(n: u128, at: u128) -> What {
    What::Visited { order: order(n), stop: stop(at) }
}

/// Said hello at 0, and was told this.
fn told(pace: u64, epoch: i64, assignment: Option<Assignment>) -> Brain {
    let mut brain = Brain::new(pace, BEAT);
    assert_eq!(brain.hello(), 0);
    assert_eq!(brain.speak(0), [], "before it is welcomed it reports nothing");
    brain.welcome(0, now(epoch, assignment), 0);
    brain
}

#[test]
fn a_new_robot_says_hello_and_beats_while_it_has_nothing_to_do() {
    let mut brain = told(0, 1, None);
    assert!(is_idle(&brain));
    assert_eq!(brain.speak(BEAT - 1), []);
    let beat = Report { epoch: 1, number: 1, what: What::Heartbeat };
    assert_eq!(brain.speak(BEAT), [beat]);
}

#[test]
fn without_a_pace_all_stops_and_the_delivery_are_one_speech() {
    let mut brain = told(0, 2, collect(7, 2));
    let said = brain.speak(0);
    assert_eq!(numbers(&said), [(2, 1), (2, 2), (2, 3)]);
    assert_eq!(whats(said), [visited(7, 0), visited(7, 1), What::Delivered(order(7))]);
    assert_eq!(brain.heard(0, ok(3, collect(8, 1))), Some(order(7)), "staff are told");
    assert_eq!(whats(brain.speak(0)), [visited(8, 0), What::Delivered(order(8))]);
}

#[test]
fn with_a_pace_each_stop_and_the_last_way_take_their_time() {
    let mut brain = told(100, 2, collect(7, 2));
    for (at, what) in [(100, visited(7, 0)), (200, visited(7, 1)), (300, What::Delivered(order(7)))] {
        assert_eq!(brain.speak(at - 1), []);
        assert_eq!(whats(brain.speak(at)), [what]);
        brain.heard(at, ok(2, collect(7, 2)));
    }
}

#[test]
fn a_walk_longer_than_one_speech_is_reported_in_parts_and_completely() {
    let stops = MAX_AT_ONCE as u128 + 3;
    let mut brain = told(0, 2, collect(7, stops));
    assert_eq!(brain.speak(0).len(), MAX_AT_ONCE);
    assert_eq!(brain.heard(0, ok(2, collect(7, 3))), None);
    let rest = whats(brain.speak(0));
    assert_eq!((rest.len(), rest.last()), (4, Some(&What::Delivered(order(7)))));
}

#[test]
fn of_a_return_only_the_end_is_reported() {
    let back = |n| Some(Assignment { job: Job::Return, ..collect(n, 2).unwrap() });
    assert_eq!(whats(told(0, 2, back(7)).speak(0)), [What::Returned(order(7))]);
    let mut slow = told(100, 2, back(7));
    for at in [100, 200] {
        assert_eq!(whats(slow.speak(at)), [What::Heartbeat]);
        slow.heard(at, ok(2, back(7)));
    }
    assert_eq!(whats(slow.speak(300)), [What::Returned(order(7))]);
    assert_eq!(slow.heard(300, ok(2, None)), None, "nothing for staff");
}

#[test]
fn reports_without_an_answer_are_said_again_under_their_numbers() {
    let mut brain = told(0, 2, collect(7, 1));
    let said = brain.speak(0);
    brain.cut();
    assert_eq!(brain.hello(), 2, "it goes on where it stopped");
    brain.welcome(0, now(2, collect(7, 1)), 0);
    assert_eq!(brain.speak(0), said);
    assert_eq!(brain.heard(0, ok(2, None)), Some(order(7)));
    assert!(is_idle(&brain));
}

#[test]
fn what_was_judged_before_the_line_was_cut_is_not_said_again() {
    let mut brain = told(0, 2, collect(7, 2));
    let said = brain.speak(0);
    brain.cut();
    brain.hello();
    brain.welcome(0, now(2, collect(7, 1)), said[1].number);
    assert_eq!(brain.speak(0), said[2..]);
    let mut all = told(0, 2, collect(7, 2));
    let said = all.speak(0);
    all.cut();
    all.hello();
    all.welcome(0, now(3, collect(8, 0)), said[2].number);
    assert_eq!(whats(all.speak(0)), [What::Delivered(order(8))], "and what it was told meanwhile is done");
}

#[test]
fn a_job_goes_on_at_its_pace_while_the_line_is_cut() {
    let mut brain = told(100, 2, collect(7, 2));
    assert_eq!(whats(brain.speak(100)), [visited(7, 0)]);
    brain.heard(100, ok(2, collect(7, 2)));
    brain.cut();
    brain.hello();
    brain.welcome(150, now(2, collect(7, 1)), 1);
    assert_eq!(brain.due_ms(), Some(200), "it does not begin anew");
}

#[test]
fn a_heartbeat_without_an_answer_makes_room_for_news() {
    let mut brain = told(0, 1, None);
    brain.speak(BEAT);
    brain.cut();
    brain.hello();
    brain.welcome(BEAT, now(2, collect(7, 0)), 0);
    assert_eq!(whats(brain.speak(BEAT)), [What::Delivered(order(7))]);
}

#[test]
fn while_an_answer_is_due_a_robot_is_silent() {
    let mut brain = told(0, 2, collect(7, 1));
    brain.speak(0);
    assert_eq!((brain.due_ms(), brain.speak(1_000_000)), (None, Vec::new()));
}

#[test]
fn a_robot_whose_order_was_cancelled_drops_it() {
    let mut brain = told(100, 2, collect(7, 2));
    brain.speak(100);
    brain.heard(100, no("depot.stale_epoch", 3, None));
    assert!(is_idle(&brain));
    assert_eq!(brain.speak(300), []);
}

#[test]
fn a_robot_that_is_turned_round_returns_at_once() {
    let mut brain = told(0, 2, collect(7, 1));
    brain.speak(0);
    let back = Some(Assignment { job: Job::Return, ..collect(7, 1).unwrap() });
    assert_eq!(brain.heard(0, no("depot.stale_epoch", 3, back)), None, "a refused delivery is none");
    let said = brain.speak(0);
    assert_eq!((said[0].epoch, whats(said)), (3, vec![What::Returned(order(7))]));
}

#[test]
fn what_was_refused_is_tried_as_told_anew_after_a_while() {
    let mut brain = told(0, 2, collect(7, 2));
    brain.speak(0);
    brain.heard(0, no("depot.wrong_state", 2, collect(7, 1)));
    assert_eq!(brain.speak(HESITATE_MS - 1), []);
    let again = brain.speak(HESITATE_MS);
    assert_eq!(again[0].number, 4, "numbers are not used twice for different things");
    assert_eq!(whats(again), [visited(7, 0), What::Delivered(order(7))]);
}

#[test]
fn a_robot_that_was_given_up_drops_what_it_did_and_obeys() {
    let mut brain = told(0, 2, collect(7, 1));
    let said = brain.speak(0);
    brain.welcome(0, now(9, collect(8, 0)), 0);
    let next = brain.speak(0);
    assert_eq!(whats(next.clone()), [What::Delivered(order(8))]);
    assert!(next[0].number > said[1].number, "so that no late answer is taken for this one's");
    let late = Answer { acknowledged: said[1].number, ..ok(9, collect(8, 0)) };
    assert_eq!((brain.heard(0, late), brain.due_ms()), (None, None), "it still waits for its own");
    assert_eq!(brain.heard(0, ok(9, None)), Some(order(8)));
}

#[test]
fn numbers_go_on_after_those_that_the_depot_has_seen() {
    let mut brain = Brain::new(0, BEAT);
    brain.hello();
    brain.welcome(0, now(5, None), 41);
    assert_eq!(numbers(&brain.speak(BEAT)), [(5, 42)]);
}

#[test]
fn a_restarted_robot_resumes_with_what_is_left() {
    let mut brain = told(0, 1, collect(7, 1));
    assert_eq!(whats(brain.speak(0)), [visited(7, 0), What::Delivered(order(7))]);
}

#[test]
fn only_a_higher_epoch_is_news_when_it_comes_unasked() {
    let mut brain = told(0, 2, collect(7, 0));
    brain.speak(0);
    brain.heard(0, ok(2, None));
    for epoch in [1, 2] {
        brain.told(0, Instruction { epoch, assignment: collect(7, 0) });
        assert!(is_idle(&brain), "the job of epoch {epoch} is done");
    }
    brain.told(0, Instruction { epoch: 3, assignment: collect(8, 0) });
    assert_eq!(whats(brain.speak(0)), [What::Delivered(order(8))]);
}

#[test]
fn an_answer_that_was_overtaken_by_a_newer_instruction_is_ignored() {
    let mut brain = told(0, 1, None);
    brain.speak(BEAT);
    brain.told(BEAT, Instruction { epoch: 2, assignment: collect(7, 0) });
    brain.heard(BEAT, ok(1, None));
    assert_eq!(whats(brain.speak(BEAT)), [What::Delivered(order(7))]);
}

#[test]
fn a_heartbeat_that_crosses_an_assignment_neither_delays_nor_restarts_it() {
    let mut brain = told(100, 1, None);
    brain.speak(BEAT);
    brain.told(BEAT, now(2, collect(7, 2)));
    brain.heard(BEAT + 50, no("depot.stale_epoch", 2, collect(7, 2)));
    assert_eq!(brain.due_ms(), Some(BEAT + 100));
    assert_eq!(whats(brain.speak(BEAT + 100)), [visited(7, 0)]);
}

#[test]
fn an_answer_about_the_same_job_does_not_start_it_again() {
    let mut brain = told(1_000_000, 2, collect(7, 1));
    assert_eq!(whats(brain.speak(BEAT)), [What::Heartbeat]);
    brain.heard(BEAT, ok(2, collect(7, 1)));
    brain.speak(2 * BEAT);
    brain.heard(2 * BEAT, ok(2, collect(7, 1)));
    assert_eq!(whats(brain.speak(1_000_000)), [visited(7, 0)], "at the time it was due first");
}

#[test]
fn only_an_idle_robot_leaves_service() {
    assert_eq!(told(0, 2, collect(7, 1)).leave(), None);
    let report = told(0, 1, None).leave();
    assert_eq!(report, Some(Report { epoch: 1, number: 1, what: What::GoOffline }));
}
