//! The fulfilment saga's way through the depot: plan, start, collect, deliver, check, release; and who has to wait.

use super::*;

#[tokio::test]
async fn an_order_goes_from_plan_to_release_and_leaves_robot_and_bay_free() {
    let mut hall = Hall::with_bays(1).await;
    hall.online(1).await;
    assert_eq!(hall.published().await, ["BotOnline", "BotIdle"]);
    hall.send(1, DO, 1, plan(1, 30)).await;
    assert_eq!(hall.published().await, ["BayReserved", "ShoppingPlanned", "PlanShopping/do -> ShoppingPlanReady"]);
    hall.send(1, DO, 1, start(1)).await;
    assert_eq!(hall.published().await, ["BotBusy", "ShoppingAssigned", "StartShopping/do -> ShoppingStarted"]);
    let mut all = both_stops(1);
    all.push(delivered(1));
    let told = hall.report(1, all).await;
    assert_eq!((told.refusal_code.as_str(), told.assignment), ("", None));
    assert_eq!(hall.published().await, ["StopVisited", "StopVisited", "BayOccupied", "ShoppingDelivered", "BotIdle"]);
    hall.check(1).await.unwrap();
    assert_eq!(hall.published().await, ["ShoppingChecked"]);
    hall.send(1, DO, 1, release(1)).await;
    assert_eq!(hall.published().await, ["ItemsReleased", "BayFreed", "ReleaseItems/do -> ItemsReleaseDone"]);
    assert_eq!((hall.bay(1).await.state, hall.bot(1).await.status()), (BayState::Free, "idle"));
}

#[tokio::test]
async fn where_bays_count_the_items_delivery_is_the_inventory() {
    let mut hall = Hall::with(1, DepotConfig { auto_check: true, ..DepotConfig::default() }).await;
    hall.online(1).await;
    hall.send(1, DO, 1, plan(1, 30)).await;
    hall.send(1, DO, 1, start(1)).await;
    hall.published().await;
    hall.report(1, vec![stop(1, 1, &[(1, 1)], &[(1, 1)]), stop(1, 2, &[], &[(2, 1)]), delivered(1)]).await;
    assert!(hall.published().await.contains(&"ShoppingChecked".to_owned()));
    let list = hall.list(1).await;
    assert_eq!((list.status(), list.collected()), ("checked", vec![samples::count(1, 1)]));
}

#[tokio::test]
async fn an_order_larger_than_any_bay_is_refused_at_once_and_leaves_nothing() {
    let mut hall = Hall::with_bays(2).await;
    hall.send(1, DO, 1, plan(1, 101)).await;
    assert_eq!(hall.published().await, ["PlanShopping/do -> depot.no_bay"]);
    assert_eq!(hall.shell.get::<ShoppingList>(order(1).into()).await.unwrap(), None);
    let mut no_bays = Hall::with_bays(0).await;
    no_bays.send(1, DO, 1, plan(1, 0)).await;
    assert_eq!(no_bays.published().await, ["PlanShopping/do -> depot.no_bay"]);
}

#[tokio::test]
async fn the_smallest_bay_that_is_enough_is_taken() {
    let mut hall = Hall::with_bays(1).await;
    for (number, volume_ml) in [(7, 40), (8, 30)] {
        hall.api().add_bay(Request::new(pb::AddBayRequest { number, volume_ml })).await.unwrap();
    }
    for (n, expected) in [(1, 8), (2, 7), (3, 1)] {
        hall.send(n, DO, 1, plan(n, 30)).await;
        assert_eq!(hall.list(n).await.bay, Some(expected));
    }
}

#[tokio::test]
async fn a_freed_bay_goes_to_the_list_that_has_waited_longest() {
    let mut hall = Hall::with_bays(1).await;
    for n in 1..=3 {
        hall.send(n, DO, 1, plan(n, 30)).await;
        hall.store().clock().step(10);
    }
    assert_eq!((hall.status(2).await, hall.status(3).await), ("waiting_bay", "waiting_bay"));
    assert_eq!(hall.replies().await, ["PlanShopping/do -> ShoppingPlanReady"]);
    hall.send(1, UNDO, 1, cancel(1)).await;
    assert_eq!((hall.status(2).await, hall.status(3).await), ("planned", "waiting_bay"));
    // Of two orders, so in whichever order.
    let mut replies = hall.replies().await;
    replies.sort();
    assert_eq!(replies, ["PlanShopping/do -> ShoppingPlanReady", "PlanShopping/undo -> ShoppingCancelDone"]);
    assert_eq!(hall.bay(1).await.order(), Some(order(2)));
}

#[tokio::test]
async fn a_new_bay_is_found_by_who_waits_and_the_wait_ends_in_a_refusal() {
    let mut hall = Hall::with_bays(1).await;
    hall.send(1, DO, 1, plan(1, 30)).await;
    hall.send(2, DO, 1, plan(2, 30)).await;
    hall.replies().await;
    hall.api().add_bay(Request::new(pb::AddBayRequest { number: 2, volume_ml: 100 })).await.unwrap();
    hall.later(1_000).await;
    assert_eq!(hall.replies().await, ["PlanShopping/do -> ShoppingPlanReady"]);
    hall.send(3, DO, 1, plan(3, 30)).await;
    for _ in 0..19 {
        hall.later(1_000).await;
        assert_eq!(hall.replies().await, Vec::<String>::new());
    }
    hall.later(1_000).await;
    assert_eq!(hall.replies().await, ["PlanShopping/do -> depot.no_bay"]);
    assert_eq!(hall.status(3).await, "cancelled");
    assert_eq!(hall.later(60_000).await, 0);
}

#[tokio::test]
async fn an_order_refused_for_a_bay_may_be_planned_anew() {
    let mut hall = Hall::with_bays(1).await;
    hall.send(1, DO, 1, plan(1, 30)).await;
    hall.send(2, DO, 1, plan(2, 30)).await;
    hall.later(20_000).await;
    assert_eq!(hall.status(2).await, "cancelled");
    hall.send(1, UNDO, 1, cancel(1)).await;
    hall.replies().await;
    hall.send(2, DO, 2, plan(2, 30)).await;
    assert_eq!(hall.replies().await, ["PlanShopping/do -> ShoppingPlanReady"]);
    hall.send(2, DO, 3, plan(2, 30)).await;
    assert_eq!(hall.replies().await, ["PlanShopping/do -> depot.wrong_state"]);
}

#[tokio::test]
async fn a_second_start_is_refused_and_a_repeated_one_answered_the_same() {
    let mut hall = at("assigned").await;
    hall.send(1, DO, 1, start(1)).await;
    assert_eq!(hall.published().await, ["StartShopping/do -> ShoppingStarted"]);
    hall.send(1, DO, 2, start(1)).await;
    assert_eq!(hall.published().await, ["StartShopping/do -> depot.already_collecting"]);
    hall.send(9, DO, 1, start(9)).await;
    assert_eq!(hall.published().await, ["StartShopping/do -> depot.unknown_list"]);
}

#[tokio::test]
async fn a_robot_that_comes_back_gets_the_oldest_waiting_list_with_the_same_answer() {
    let mut hall = Hall::with_bays(3).await;
    hall.online(1).await;
    for n in 1..=3 {
        hall.send(n, DO, 1, plan(n, 30)).await;
        hall.store().clock().step(10);
    }
    for n in [1, 3, 2] {
        hall.send(n, DO, 1, start(n)).await;
    }
    assert_eq!((hall.status(2).await, hall.status(3).await), ("waiting_bot", "waiting_bot"));
    let mut all = both_stops(1);
    all.push(delivered(1));
    let next = hall.report(1, all).await.assignment.unwrap();
    assert_eq!((next.order_id.as_str(), next.kind()), (order(2).to_string().as_str(), pb::assignment::Kind::Collect));
    assert_eq!((next.bay, next.stops.len(), hall.bot(1).await.epoch), (2, 2, 3));
}

#[tokio::test]
async fn releasing_twice_is_harmless_and_too_early_refused() {
    let mut hall = at("delivered").await;
    hall.send(1, DO, 1, release(1)).await;
    assert_eq!(hall.published().await, ["ReleaseItems/do -> depot.wrong_state"]);
    hall.check(1).await.unwrap();
    hall.send(1, DO, 2, release(1)).await;
    hall.published().await;
    hall.send(1, DO, 3, release(1)).await;
    assert_eq!(hall.published().await, ["ReleaseItems/do -> ItemsReleaseDone"]);
    assert_eq!(hall.bay(1).await.state, BayState::Free);
}
