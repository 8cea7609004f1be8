//! The return saga: a customer's goods go back to their stores, or stay when the return is called off.

use super::*;

fn return_id() -> ReturnId {
    ReturnId::from(Uuid::from_u128(0x4e))
}

fn bring_back(n: u128) -> wire::ReturnItems {
    wire::ReturnItems { order_id: order(n), return_id: return_id(), lines: vec![samples::count(1, 2)] }
}

fn call_off(n: u128) -> wire::CancelReturn {
    wire::CancelReturn { order_id: order(n), return_id: return_id() }
}

#[tokio::test]
async fn goods_are_back_when_the_robot_says_so() {
    let mut hall = at("released").await;
    hall.send(1, DO, 1, bring_back(1)).await;
    assert_eq!(hall.published().await, ["ShoppingReturning", "BotBusy"]);
    hall.report(1, vec![returned(1)]).await;
    assert_eq!(hall.published().await, ["ShoppingReturned", "ReturnItems/do -> ItemsReturnDone", "BotIdle"]);
    assert_eq!((hall.status(1).await, hall.bay(1).await.state), ("returned", BayState::Free));
}

#[tokio::test]
async fn a_return_without_lines_as_the_saga_asks_for_it_brings_everything_back() {
    let mut hall = at("released").await;
    hall.send(1, DO, 1, wire::ReturnItems { lines: vec![], ..bring_back(1) }).await;
    assert_eq!(hall.published().await, ["ShoppingReturning", "BotBusy"]);
}

#[tokio::test]
async fn a_return_that_is_called_off_on_the_way_keeps_the_goods_and_tells_the_robot() {
    let mut hall = at("released").await;
    hall.send(1, DO, 1, bring_back(1)).await;
    let epoch = hall.bot(1).await.epoch;
    hall.published().await;
    hall.send(1, UNDO, 1, call_off(1)).await;
    let replies = ["ReturnItems/do -> depot.cancelled", "ReturnItems/undo -> ReturnCancelDone"];
    assert_eq!(hall.replies().await, replies);
    let bot = hall.bot(1).await;
    assert_eq!((hall.status(1).await, bot.status(), bot.epoch), ("checked", "idle", epoch + 1));
}

#[tokio::test]
async fn calling_off_what_never_was_or_is_done_is_fine() {
    let mut hall = at("released").await;
    hall.send(2, UNDO, 1, call_off(2)).await;
    hall.send(1, DO, 1, bring_back(1)).await;
    hall.report(1, vec![returned(1)]).await;
    hall.replies().await;
    hall.send(1, UNDO, 1, call_off(1)).await;
    assert_eq!(hall.replies().await, ["ReturnItems/undo -> ReturnCancelDone"]);
    assert_eq!(hall.status(1).await, "returned");
}

#[tokio::test]
async fn only_what_was_given_out_comes_back() {
    let mut hall = at("checked").await;
    hall.send(1, DO, 1, bring_back(1)).await;
    hall.send(1, DO, 1, release(1)).await;
    hall.send(1, DO, 2, wire::ReturnItems { lines: vec![samples::count(1, 3)], ..bring_back(1) }).await;
    hall.send(7, DO, 1, bring_back(7)).await;
    let refused = ["depot.wrong_state", "", "depot.wrong_count", "depot.unknown_list"];
    for (reply, code) in hall.replies().await.iter().zip(refused) {
        assert!(reply.ends_with(code), "{reply}, expected {code}");
    }
}
