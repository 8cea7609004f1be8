//! Staff: bays, inventory, hand-over, and what they can look at.

use super::*;
use schemas::grpc::common::{self, Page};

fn code(status: &tonic::Status) -> &str {
    service_kit::grpc::code(status).unwrap_or_default()
}

#[tokio::test]
async fn a_bay_is_added_once_and_resized_only_when_free() {
    let mut hall = Hall::with_bays(1).await;
    let add = |number, volume_ml| Request::new(pb::AddBayRequest { number, volume_ml });
    assert_eq!(hall.api().add_bay(add(1, 100)).await.unwrap().into_inner().status, "free");
    hall.send(1, DO, 1, plan(1, 100)).await;
    assert_eq!(code(&hall.api().add_bay(add(1, 200)).await.unwrap_err()), "depot.bay_in_use");
    assert_eq!(hall.api().add_bay(add(1, 100)).await.unwrap().into_inner().status, "reserved");
    hall.send(1, UNDO, 1, cancel(1)).await;
    hall.api().add_bay(add(1, 50)).await.unwrap();
    hall.send(2, DO, 1, plan(2, 51)).await;
    assert!(hall.replies().await.contains(&"PlanShopping/do -> depot.no_bay".to_owned()));
    for (number, volume_ml) in [(0, 1), (1, 0)] {
        let status = hall.api().add_bay(add(number, volume_ml)).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
    }
}

#[tokio::test]
async fn the_inventory_takes_away_what_is_not_in_the_bay() {
    let mut hall = at("delivered").await;
    let missing = |n| vec![common::LineCount { product_id: samples::product(1).to_string(), quantity: n }];
    let check = |n| {
        let request = pb::CheckListRequest { order_id: order(1).to_string(), missing: missing(n), by: "Ada".into() };
        Request::new(request)
    };
    assert_eq!(code(&hall.api().check_list(check(3)).await.unwrap_err()), "depot.wrong_count");
    let list = hall.api().check_list(check(1)).await.unwrap().into_inner();
    assert_eq!((list.status.as_str(), list.missing.len()), ("checked", 2));
    assert_eq!(hall.published().await, ["ShoppingChecked"]);
    assert_eq!(code(&hall.api().check_list(check(1)).await.unwrap_err()), "depot.wrong_state");
    assert_eq!(code(&hall.check(9).await.unwrap_err()), "depot.unknown_list");
}

#[tokio::test]
async fn items_are_handed_over_once_they_are_released_and_never_before() {
    let hand = |n: u128| Request::new(pb::HandOverRequest { order_id: order(n).to_string(), by: "Ada".into() });
    for status in ["delivered", "checked"] {
        let hall = at(status).await;
        assert_eq!(code(&hall.api().hand_over(hand(1)).await.unwrap_err()), "depot.wrong_state", "{status}");
    }
    let hall = at("released").await;
    hall.api().hand_over(hand(1)).await.unwrap();
    assert_eq!(hall.list(1).await.handed_over.unwrap().by, "Ada");
}

#[tokio::test]
async fn what_staff_do_to_a_list_belongs_to_the_orders_trace() {
    let list = |trace: Option<&str>| ShoppingList { trace: trace.map(str::to_owned), ..samples::planned(1) };
    let trace = "00-0000000000000000000000000000000a-0000000000000001-01";
    let mine = message::TraceContext { trace_id: 7, span_id: 7, sampled: true };
    let call = || Call::new("CheckList").trace(Some(mine));
    let of = |l: Option<&ShoppingList>| format!("{:?}", crate::api::in_trace(call(), l));
    assert!(of(Some(&list(Some(trace)))).contains("trace_id: 10"));
    assert!(of(Some(&list(None))).contains("trace_id: 7") && of(None).contains("trace_id: 7"));
}

#[tokio::test]
async fn lists_bays_and_robots_can_be_looked_at_page_by_page() {
    let mut hall = Hall::with_bays(3).await;
    for n in 1..=3 {
        hall.online(n).await;
        hall.send(n, DO, 1, plan(n, 30)).await;
    }
    hall.send(2, DO, 1, start(2)).await;
    let page = |token: &str| Some(Page { page_size: 2, page_token: token.into() });
    let bays = async |token: &str| {
        let request = Request::new(pb::ListBaysRequest { page: page(token) });
        hall.api().list_bays(request).await.map(tonic::Response::into_inner)
    };
    let first = bays("").await.unwrap();
    let rest = bays(&first.next_page_token).await.unwrap();
    let numbers: Vec<_> = first.bays.iter().chain(&rest.bays).map(|b| b.number).collect();
    assert_eq!((numbers, rest.next_page_token.as_str()), (vec![1, 2, 3], ""));
    assert_eq!(bays("x").await.unwrap_err().code(), tonic::Code::InvalidArgument);
    let bots = hall.api().list_bots(Request::new(pb::ListBotsRequest { page: None })).await.unwrap().into_inner().bots;
    assert_eq!(bots.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["R1", "R2", "R3"]);
    let lists = async |status: &str, token: &str| {
        let request = Request::new(pb::ListListsRequest { status: status.into(), page: page(token) });
        hall.api().list_lists(request).await.map(tonic::Response::into_inner)
    };
    let newest = lists("", "").await.unwrap();
    let oldest = lists("", &newest.next_page_token).await.unwrap();
    let ids: Vec<_> = newest.lists.iter().chain(&oldest.lists).map(|l| l.order_id.clone()).collect();
    assert_eq!(ids, [3, 2, 1].map(|n| order(n).to_string()));
    assert_eq!(lists("planned", "").await.unwrap().lists.len(), 2);
    assert_eq!(lists("assigned", "").await.unwrap().lists[0].order_id, order(2).to_string());
    assert_eq!(lists("flying", "").await.unwrap_err().code(), tonic::Code::InvalidArgument);
    let get = |id: String| Request::new(pb::GetListRequest { order_id: id });
    let list = hall.api().get_list(get(order(2).to_string())).await.unwrap().into_inner();
    assert_eq!((list.version, list.started, list.stops[0].items[0].name.as_str()), (2, true, "product 1"));
    let status = hall.api().get_list(get(order(9).to_string())).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (tonic::Code::NotFound, "depot.unknown_list"));
}
