//! Robots: reports, epochs, silence, and how they hear of work.

use super::*;
use std::time::Duration;

fn raw(n: u128, epoch: i64, report_no: i64, what: what::What) -> pb::BotReport {
    pb::BotReport { bot_id: bot_id(n).to_string(), epoch, report_no, what: Some(what) }
}

#[tokio::test]
async fn a_repeated_report_changes_nothing_and_is_answered() {
    let mut hall = at("assigned").await;
    let epoch = hall.bot(1).await.epoch;
    let report = raw(1, epoch, 1, stop(1, 1, &[(1, 2)], &[]));
    for _ in 0..2 {
        let told = hall.raw_reports(vec![report.clone()]).await.pop().unwrap();
        assert_eq!((told.refusal_code.as_str(), told.assignment.unwrap().stops.len()), ("", 1));
    }
    assert_eq!(hall.published().await, ["StopVisited"]);
}

#[tokio::test]
async fn a_repeat_whose_answer_got_lost_hears_of_the_next_list() {
    let mut hall = at("assigned").await;
    let epoch = hall.bot(1).await.epoch;
    let mut reports: Vec<_> = both_stops(1).into_iter().chain([delivered(1)]).zip(1..).collect();
    let reports: Vec<_> = reports.drain(..).map(|(what, no)| raw(1, epoch, no, what)).collect();
    hall.raw_reports(reports.clone()).await;
    hall.api().add_bay(Request::new(pb::AddBayRequest { number: 2, volume_ml: 100 })).await.unwrap();
    hall.send(2, DO, 1, plan(2, 30)).await;
    hall.send(2, DO, 1, start(2)).await;
    let told = hall.raw_reports(reports).await.pop().unwrap();
    assert_eq!((told.refusal_code.as_str(), told.epoch), ("", epoch + 1));
    assert_eq!(told.assignment.unwrap().order_id, order(2).to_string());
}

#[tokio::test]
async fn one_robots_refusal_leaves_the_others_standing() {
    let mut hall = at("assigned").await;
    let epoch = hall.online(2).await;
    let good = raw(1, hall.bot(1).await.epoch, 1, stop(1, 1, &[(1, 2)], &[]));
    let bad = [
        raw(2, epoch, 1, delivered(1)),
        raw(2, epoch + 5, 2, heartbeat()),
        raw(2, epoch, 3, what::What::Delivered(what::Delivered { order_id: "x".into() })),
        raw(3, 1, 1, heartbeat()),
    ];
    let reports = bad.iter().cloned().chain([good]).collect();
    let told: Vec<_> = hall.raw_reports(reports).await.into_iter().map(|i| i.refusal_code).collect();
    let codes = ["depot.wrong_state", "depot.stale_epoch", "platform.invalid_argument", "depot.unknown_bot", ""];
    assert_eq!(told, codes);
    assert_eq!(hall.status(1).await, "collecting");
}

#[tokio::test]
async fn a_wrong_count_is_refused_and_the_right_one_taken_afterwards() {
    let mut hall = at("assigned").await;
    let told = hall.report(1, vec![stop(1, 1, &[(1, 1)], &[])]).await;
    assert_eq!((told.refusal_code.as_str(), hall.status(1).await), ("depot.wrong_count", "assigned"));
    let told = hall.report(1, vec![delivered(1)]).await;
    assert_eq!(told.refusal_code, "depot.stops_left");
    assert_eq!(hall.report(1, vec![stop(1, 1, &[(1, 2)], &[])]).await.refusal_code, "");
}

#[tokio::test]
async fn a_robot_that_falls_silent_is_lost_and_another_starts_its_list_again() {
    let mut hall = at("collecting").await;
    assert_eq!(hall.later(29_000).await, 0);
    hall.online(2).await;
    hall.published().await;
    hall.later(1_500).await;
    assert_eq!(hall.published().await, ["BotLost", "BotBusy", "ShoppingAssigned"]);
    let list = hall.list(1).await;
    assert_eq!((list.bot(), list.lost.clone()), (Some(bot_id(2)), vec![samples::count(1, 2)]));
    assert_eq!((hall.bot(1).await.status(), list.to_visit().len()), ("lost", 2));
    let told = hall.report(1, vec![heartbeat()]).await;
    assert_eq!((told.assignment, told.refusal_code.as_str(), told.epoch), (None, "depot.unknown_bot", 0));
    hall.online(1).await;
    assert_eq!(hall.bot(1).await.status(), "idle");
}

#[tokio::test]
async fn a_heartbeat_keeps_a_robot_and_a_restart_resumes_its_list() {
    let mut hall = at("collecting").await;
    for _ in 0..4 {
        hall.later(20_000).await;
        hall.report(1, vec![heartbeat()]).await;
    }
    assert_eq!(hall.bot(1).await.status(), "busy");
    let before = hall.bot(1).await.epoch;
    let epoch = hall.online(1).await;
    assert_eq!((epoch, hall.bot(1).await.order()), (before + 1, Some(order(1))));
    let told = hall.report(1, vec![heartbeat()]).await;
    assert_eq!(told.assignment.unwrap().stops.len(), 1);
}

#[tokio::test]
async fn an_idle_robot_that_falls_silent_is_not_counted_on() {
    let mut hall = Hall::with_bays(1).await;
    hall.online(1).await;
    hall.published().await;
    hall.later(30_500).await;
    assert_eq!((hall.published().await, hall.bot(1).await.status()), (vec!["BotOffline".to_owned()], "offline"));
    hall.online(1).await;
    let go = || what::What::GoOffline(what::GoOffline {});
    hall.report(1, vec![go()]).await;
    assert_eq!(hall.bot(1).await.status(), "offline");
    assert_eq!(hall.later(60_000).await, 0);
    hall.send(1, DO, 1, plan(1, 30)).await;
    hall.send(1, DO, 1, start(1)).await;
    assert_eq!(hall.status(1).await, "waiting_bot");
}

#[tokio::test]
async fn a_list_and_a_robot_that_miss_each_other_in_one_batch_are_brought_together() {
    let mut hall = Hall::with_bays(2).await;
    hall.online(1).await;
    for n in 1..=2 {
        hall.send(n, DO, 1, plan(n, 30)).await;
    }
    hall.send(1, DO, 1, start(1)).await;
    hall.dispatcher.run_once().await;
    // From here on the test makes the batches: the start of 2 and the delivery of 1 are in one.
    hall.ran.take().inspect(|ran| ran.abort());
    tokio::task::yield_now().await;
    hall.post(2, DO, 1, start(2)).await;
    let (api, epoch) = (hall.api(), 2);
    let all = both_stops(1).into_iter().chain([delivered(1)]).zip(1..).map(|(what, no)| raw(1, epoch, no, what));
    let request = Request::new(pb::ReportRequest { reports: all.collect() });
    let reported = tokio::spawn(async move { api.report(request).await.unwrap().into_inner().instructions });
    // The report's call is in the queue once its task has run.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hall.shell.run_once().await, 2, "both in one batch");
    assert_eq!(reported.await.unwrap().pop().unwrap().assignment, None);
    assert_eq!((hall.status(2).await, hall.bot(1).await.status()), ("waiting_bot", "idle"));
    let running = hall.shell.clone();
    hall.ran = Some(tokio::spawn(async move { running.run().await }));
    assert_eq!(hall.dispatcher.run_once().await, Outcome::Matched(1));
    assert_eq!((hall.status(2).await, hall.bot(1).await.order()), ("assigned", Some(order(2))));
    assert_eq!(hall.dispatcher.run_once().await, Outcome::Idle);
}

#[tokio::test]
async fn the_heartbeat_of_an_idle_robot_finds_a_list_when_hints_got_lost() {
    let mut hall = at("checked").await;
    hall.api().add_bay(Request::new(pb::AddBayRequest { number: 2, volume_ml: 100 })).await.unwrap();
    // A list that another process lets wait, while the robot is idle here.
    let elsewhere = |_: &Depot, unit: &mut transport::Unit| {
        let list = ShoppingList::plan(order(5), &plan(5, 30).lines, 30, &HashMap::new(), 1)?;
        let (list, bay, _) = crate::domain::floor::reserve(list, unit.get::<Bay>(Bay::id(2))?.unwrap())?;
        unit.get::<ShoppingList>(order(5).into())?;
        unit.put(Bay::id(2), bay);
        unit.put(order(5).into(), list.start()?);
        Ok(())
    };
    hall.shell.call(Call::new("elsewhere"), elsewhere).await.unwrap();
    let told = hall.report(1, vec![heartbeat()]).await;
    assert_eq!(told.assignment.unwrap().order_id, order(5).to_string());
}

#[tokio::test(start_paused = true)]
async fn waiting_robots_hear_of_an_assignment_at_once_and_of_nothing_when_the_time_is_over() {
    let mut hall = Hall::with_bays(1).await;
    hall.online(1).await;
    hall.send(1, DO, 1, plan(1, 30)).await;
    let ask = |wait_ms| Request::new(pb::AwaitAssignmentsRequest { bot_ids: vec![bot_id(1).to_string()], wait_ms });
    let none = hall.api().await_assignments(ask(50)).await.unwrap().into_inner();
    assert_eq!(none.instructions, []);
    let api = hall.api();
    let waiting = tokio::spawn(async move { api.await_assignments(ask(30_000)).await.unwrap().into_inner() });
    tokio::task::yield_now().await;
    let started = tokio::time::Instant::now();
    hall.send(1, DO, 1, start(1)).await;
    hall.dispatcher.run_once().await;
    let told = waiting.await.unwrap().instructions.pop().unwrap();
    assert_eq!(told.assignment.unwrap().order_id, order(1).to_string());
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn too_much_at_once_and_nonsense_are_said_so() {
    let hall = Hall::with_bays(0).await;
    let reports = vec![raw(1, 1, 1, heartbeat()); 501];
    let status = hall.api().report(Request::new(pb::ReportRequest { reports })).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let request = pb::AwaitAssignmentsRequest { bot_ids: vec!["x".into()], wait_ms: 1 };
    let status = hall.api().await_assignments(Request::new(request)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let request = pb::RegisterBotRequest { bot_id: bot_id(1).to_string(), name: " ".into(), location: None };
    let status = hall.api().register_bot(Request::new(request)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
}
