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

fn ok(epoch: i64, assignment: Option<Assignment>) -> Answer {
    Answer::Judged { refusals: vec![None; MAX_AT_ONCE], now: Instruction { epoch, assignment } }
}

fn no(code: &str, epoch: i64, assignment: Option<Assignment>) -> Answer {
    let refusals = vec![Some(Refusal::new(code, "no")); MAX_AT_ONCE];
    Answer::Judged { refusals, now: Instruction { epoch, assignment } }
}

/// What the robot says now, as kinds of reports; empty for nothing.
fn says(brain: &mut Brain, now: u64) -> Vec<Report> {
    match brain.speak(now) {
        None => Vec::new(),
        Some(Say::Report(reports)) => reports,
        Some(Say::Register) => panic!("registers"),
    }
}

fn whats(reports: Vec<Report>) -> Vec<What> {
    reports.into_iter().map(|r| r.what).collect()
}

fn visited(n: u128, at: u128) -> What {
    What::Visited { order: order(n), stop: stop(at) }
}

/// Registered under epoch 1, said a heartbeat at 0, and was told this.
fn told(pace: u64, epoch: i64, assignment: Option<Assignment>) -> Brain {
    let mut brain = Brain::new(pace, BEAT);
    assert_eq!(brain.speak(0), Some(Say::Register));
    brain.registered(1);
    assert_eq!(whats(says(&mut brain, 0)), [What::Heartbeat]);
    brain.heard(0, ok(epoch, assignment));
    brain
}

#[test]
fn a_new_robot_registers_asks_what_to_do_and_then_beats() {
    let mut brain = told(0, 1, None);
    assert!(brain.listens());
    assert_eq!(says(&mut brain, BEAT - 1), []);
    let beat = Report { epoch: 1, number: 2, what: What::Heartbeat };
    assert_eq!(says(&mut brain, BEAT), [beat]);
}

#[test]
fn without_a_pace_all_stops_and_the_delivery_are_one_speech() {
    let mut brain = told(0, 2, collect(7, 2));
    let said = says(&mut brain, 0);
    assert_eq!(said.iter().map(|r| (r.epoch, r.number)).collect::<Vec<_>>(), [(2, 2), (2, 3), (2, 4)]);
    assert_eq!(whats(said), [visited(7, 0), visited(7, 1), What::Delivered(order(7))]);
    assert_eq!(brain.heard(0, ok(3, collect(8, 1))), Some(order(7)), "staff are told");
    assert_eq!(whats(says(&mut brain, 0)), [visited(8, 0), What::Delivered(order(8))]);
}

#[test]
fn with_a_pace_each_stop_and_the_last_way_take_their_time() {
    let mut brain = told(100, 2, collect(7, 2));
    for (at, what) in [(100, visited(7, 0)), (200, visited(7, 1)), (300, What::Delivered(order(7)))] {
        assert_eq!(says(&mut brain, at - 1), []);
        assert_eq!(whats(says(&mut brain, at)), [what]);
        brain.heard(at, ok(2, collect(7, 2)));
    }
}

#[test]
fn a_walk_longer_than_one_speech_is_reported_in_parts_and_completely() {
    let stops = MAX_AT_ONCE as u128 + 3;
    let mut brain = told(0, 2, collect(7, stops));
    assert_eq!(says(&mut brain, 0).len(), MAX_AT_ONCE);
    assert_eq!(brain.heard(0, ok(2, collect(7, 3))), None);
    let rest = whats(says(&mut brain, 0));
    assert_eq!((rest.len(), rest.last()), (4, Some(&What::Delivered(order(7)))));
}

#[test]
fn of_a_return_only_the_end_is_reported() {
    let back = |n| Some(Assignment { job: Job::Return, ..collect(n, 2).unwrap() });
    assert_eq!(whats(says(&mut told(0, 2, back(7)), 0)), [What::Returned(order(7))]);
    let mut slow = told(100, 2, back(7));
    for at in [100, 200] {
        assert_eq!(whats(says(&mut slow, at)), [What::Heartbeat]);
        slow.heard(at, ok(2, back(7)));
    }
    assert_eq!(whats(says(&mut slow, 300)), [What::Returned(order(7))]);
    assert_eq!(slow.heard(300, ok(2, None)), None, "nothing for staff");
}

#[test]
fn reports_without_an_answer_are_said_again_under_their_numbers() {
    let mut brain = told(0, 2, collect(7, 1));
    let said = says(&mut brain, 0);
    brain.unheard();
    assert_eq!(says(&mut brain, 0), said);
    brain.heard(0, Answer::Later(Refusal::retryable("platform.no_answer", "busy")));
    assert_eq!(says(&mut brain, HESITATE_MS - 1), []);
    assert_eq!(says(&mut brain, HESITATE_MS), said);
    assert_eq!(brain.heard(0, ok(2, None)), Some(order(7)));
    assert!(brain.listens());
}

#[test]
fn a_heartbeat_without_an_answer_makes_room_for_news() {
    let mut brain = told(0, 1, None);
    says(&mut brain, BEAT);
    brain.unheard();
    brain.told(BEAT, Instruction { epoch: 2, assignment: collect(7, 0) });
    assert_eq!(whats(says(&mut brain, BEAT)), [What::Delivered(order(7))]);
}

#[test]
fn while_an_answer_is_due_a_robot_is_silent() {
    let mut brain = told(0, 2, collect(7, 1));
    says(&mut brain, 0);
    assert_eq!((brain.due_ms(), brain.speak(1_000_000)), (None, None));
}

#[test]
fn a_robot_whose_order_was_cancelled_drops_it() {
    let mut brain = told(100, 2, collect(7, 2));
    says(&mut brain, 100);
    brain.heard(100, no("depot.stale_epoch", 3, None));
    assert!(brain.listens());
    assert_eq!(says(&mut brain, 300), []);
}

#[test]
fn a_robot_that_is_turned_round_returns_at_once() {
    let mut brain = told(0, 2, collect(7, 1));
    says(&mut brain, 0);
    let back = Some(Assignment { job: Job::Return, ..collect(7, 1).unwrap() });
    assert_eq!(brain.heard(0, no("depot.stale_epoch", 3, back)), None, "a refused delivery is none");
    let said = says(&mut brain, 0);
    assert_eq!((said[0].epoch, whats(said)), (3, vec![What::Returned(order(7))]));
}

#[test]
fn what_was_refused_is_tried_as_told_anew_after_a_while() {
    let mut brain = told(0, 2, collect(7, 2));
    says(&mut brain, 0);
    brain.heard(0, no("depot.wrong_state", 2, collect(7, 1)));
    assert_eq!(says(&mut brain, HESITATE_MS - 1), []);
    let again = says(&mut brain, HESITATE_MS);
    assert_eq!(again[0].number, 5, "numbers are not used twice for different things");
    assert_eq!(whats(again), [visited(7, 0), What::Delivered(order(7))]);
}

#[test]
fn a_robot_that_the_depot_does_not_know_registers_again() {
    let mut brain = told(0, 9, collect(7, 1));
    says(&mut brain, 0);
    brain.heard(0, Answer::Unknown);
    assert_eq!(brain.speak(0), Some(Say::Register));
    brain.registered(1);
    assert_eq!(says(&mut brain, 0), [Report { epoch: 1, number: 1, what: What::Heartbeat }]);
}

#[test]
fn a_restarted_robot_resumes_with_what_is_left() {
    let mut brain = told(0, 1, collect(7, 1));
    assert_eq!(whats(says(&mut brain, 0)), [visited(7, 0), What::Delivered(order(7))]);
}

#[test]
fn only_a_higher_epoch_is_news_when_it_comes_unasked() {
    let mut brain = told(0, 2, collect(7, 0));
    says(&mut brain, 0);
    brain.heard(0, ok(2, None));
    for epoch in [1, 2] {
        brain.told(0, Instruction { epoch, assignment: collect(7, 0) });
        assert!(brain.listens(), "the job of epoch {epoch} is done");
    }
    brain.told(0, Instruction { epoch: 3, assignment: collect(8, 0) });
    assert_eq!(whats(says(&mut brain, 0)), [What::Delivered(order(8))]);
}

#[test]
fn an_answer_that_was_overtaken_by_a_newer_instruction_is_ignored() {
    let mut brain = told(0, 1, None);
    says(&mut brain, BEAT);
    brain.told(BEAT, Instruction { epoch: 2, assignment: collect(7, 0) });
    brain.heard(BEAT, ok(1, None));
    assert_eq!(whats(says(&mut brain, BEAT)), [What::Delivered(order(7))]);
}

#[test]
fn an_answer_about_the_same_job_does_not_start_it_again() {
    let mut brain = told(1_000_000, 2, collect(7, 1));
    assert_eq!(whats(says(&mut brain, BEAT)), [What::Heartbeat]);
    brain.heard(BEAT, ok(2, collect(7, 1)));
    says(&mut brain, 2 * BEAT);
    brain.heard(2 * BEAT, ok(2, collect(7, 1)));
    assert_eq!(whats(says(&mut brain, 1_000_000)), [visited(7, 0)], "at the time it was due first");
}

#[test]
fn only_an_idle_robot_leaves_service() {
    assert_eq!(told(0, 2, collect(7, 1)).leave(), None);
    let report = told(0, 1, None).leave();
    assert_eq!(report, Some(Report { epoch: 1, number: 2, what: What::GoOffline }));
}
