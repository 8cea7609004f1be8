//! The undo: whatever became of a list, it ends with nothing held, and with an answer when that is so.

use super::*;

const DONE: &str = "PlanShopping/undo -> ShoppingCancelDone";

#[tokio::test]
async fn nothing_to_cancel_is_fine_and_bars_the_plan() {
    let mut hall = Hall::with_bays(1).await;
    hall.send(1, UNDO, 1, cancel(1)).await;
    assert_eq!(hall.published().await, [DONE]);
    hall.send(1, DO, 1, plan(1, 30)).await;
    assert_eq!(hall.published().await, ["PlanShopping/do -> platform.barred"]);
    assert_eq!(hall.bay(1).await.state, BayState::Free);
}

#[tokio::test]
async fn without_items_a_list_is_dropped_and_its_robot_told() {
    for status in ["planned", "assigned"] {
        let mut hall = at(status).await;
        let epoch = hall.bot(1).await.epoch;
        hall.send(1, UNDO, 1, cancel(1)).await;
        let published = hall.published().await;
        assert!(published.contains(&DONE.to_owned()) && published.contains(&"ShoppingCancelled".to_owned()));
        assert_eq!((hall.status(1).await, hall.bay(1).await.state), ("cancelled", BayState::Free));
        let bot = hall.bot(1).await;
        assert_eq!((bot.status(), bot.epoch), ("idle", epoch + i64::from(status == "assigned")));
        hall.send(1, UNDO, 2, cancel(1)).await;
        assert_eq!(hall.published().await, [DONE]);
    }
}

#[tokio::test]
async fn a_list_that_waits_for_a_bay_is_dropped_and_both_commands_answered() {
    let mut hall = Hall::with_bays(1).await;
    hall.send(1, DO, 1, plan(1, 30)).await;
    hall.send(2, DO, 1, plan(2, 30)).await;
    hall.published().await;
    hall.send(2, UNDO, 1, cancel(2)).await;
    assert_eq!(hall.published().await, ["PlanShopping/do -> depot.cancelled", DONE]);
    assert_eq!((hall.status(2).await, hall.later(60_000).await), ("cancelled", 0));
}

#[tokio::test]
async fn a_robot_with_items_turns_round_and_the_answer_comes_when_they_are_back() {
    let mut hall = at("collecting").await;
    hall.send(1, UNDO, 1, cancel(1)).await;
    assert_eq!(hall.published().await, ["ShoppingReturning", "BayFreed"]);
    let stale = hall.raw_reports(vec![pb::BotReport {
        bot_id: bot_id(1).to_string(),
        epoch: hall.bot(1).await.epoch - 1,
        report_no: 99,
        what: Some(delivered(1)),
    }]);
    let told = stale.await.pop().unwrap();
    assert_eq!(told.refusal_code, "depot.stale_epoch");
    let back = told.assignment.unwrap();
    assert_eq!((back.kind(), back.stops.len()), (pb::assignment::Kind::Return, 1));
    hall.send(1, UNDO, 2, cancel(1)).await;
    assert_eq!(hall.published().await, Vec::<String>::new());
    hall.report(1, vec![returned(1)]).await;
    assert_eq!(hall.published().await, ["ShoppingReturned", DONE, DONE, "BotIdle"]);
    assert_eq!(hall.status(1).await, "returned");
}

#[tokio::test]
async fn items_in_the_bay_are_fetched_by_a_robot_and_the_bay_stays_taken_until_then() {
    for status in ["delivered", "checked"] {
        let mut hall = at(status).await;
        hall.send(1, UNDO, 1, cancel(1)).await;
        assert_eq!(hall.published().await, ["ShoppingReturning", "BotBusy"]);
        assert_eq!((hall.status(1).await, hall.bay(1).await.status()), ("returning", "occupied"));
        hall.report(1, vec![returned(1)]).await;
        assert_eq!(hall.published().await, ["ShoppingReturned", DONE, "BayFreed", "BotIdle"]);
        assert_eq!(hall.bay(1).await.state, BayState::Free);
    }
}

#[tokio::test]
async fn a_return_waits_for_a_robot_and_comes_before_other_lists() {
    let mut hall = at("checked").await;
    hall.api().add_bay(Request::new(pb::AddBayRequest { number: 2, volume_ml: 100 })).await.unwrap();
    hall.send(2, DO, 1, plan(2, 30)).await;
    hall.send(2, DO, 1, start(2)).await;
    hall.send(1, UNDO, 1, cancel(1)).await;
    assert_eq!(hall.status(1).await, "waiting_return");
    let mut all = both_stops(2);
    all.push(delivered(2));
    let next = hall.report(1, all).await.assignment.unwrap();
    assert_eq!((next.order_id.as_str(), next.kind()), (order(1).to_string().as_str(), pb::assignment::Kind::Return));
}

#[tokio::test]
async fn when_nothing_was_found_no_robot_is_needed() {
    let mut hall = at("assigned").await;
    hall.report(1, vec![stop(1, 1, &[], &[(1, 2)]), stop(1, 2, &[], &[(2, 1)]), delivered(1)]).await;
    hall.check(1).await.unwrap();
    hall.published().await;
    hall.send(1, UNDO, 1, cancel(1)).await;
    assert_eq!(hall.published().await, ["ShoppingReturning", "ShoppingReturned", "BayFreed", DONE]);
    assert_eq!(hall.status(1).await, "returned");
}

#[tokio::test]
async fn what_was_given_out_cannot_be_taken_back() {
    let mut hall = at("released").await;
    hall.send(1, UNDO, 1, cancel(1)).await;
    assert_eq!(hall.published().await, ["PlanShopping/undo -> depot.already_released"]);
}
