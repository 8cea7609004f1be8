//! Every state of an order against everything that can be done to it.

use super::*;
use schemas::money::Currency;
use uuid::Uuid;

type Outcome = Result<Option<Order>, Refusal>;

fn count(product: u128, quantity: i32) -> LineCount {
    LineCount { product_id: Uuid::from_u128(product).into(), quantity: Quantity::try_from(quantity).unwrap() }
}

fn line(product: u128, quantity: i32, price: i64) -> OrderLine {
    let LineCount { product_id, quantity } = count(product, quantity);
    let (store_id, price) = (Uuid::from_u128(1).into(), Money::new(price, Currency::EUR));
    OrderLine { product_id, store_id, name: "Bread".into(), quantity, price, volume_ml: 10 }
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn return_id() -> ReturnId {
    Uuid::from_u128(77).into()
}

fn goods_back(id: ReturnId) -> Return {
    Return { id, reason: Text::parse("broken").unwrap(), by: Text::parse("staff").unwrap() }
}

/// An order in `status`, with a return under way where the state has one.
fn order(status: OrderStatus) -> Order {
    let priced = Priced { lines: vec![line(1, 2, 250), line(2, 3, 100)], total: eur(800), volume_ml: 50 };
    let order = Order { status, ..Order::place(priced, Placing { pay_on_arrival: false, at_ms: 1 }) };
    let returning = goods_back(return_id());
    let has_return = matches!(status, OrderStatus::Returning | OrderStatus::Refunded | OrderStatus::Completed);
    Order { returning: has_return.then_some(returning), ..order }
}

const EVERY_DEED: [&str; 9] =
    ["approve", "shopping", "ready", "complete", "begin_cancel", "reject", "cancel", "begin_return", "refund"];

fn carry_out(deed: &str, from: OrderStatus) -> Outcome {
    let order = order(from);
    match deed {
        "approve" => order.approve(9).map(Some),
        "shopping" => order.mark_shopping(9).map(Some),
        "ready" => order.mark_ready(&[count(1, 1)], 4, 9).map(Some),
        "complete" => order.complete(9).map(Some),
        "begin_cancel" => order.begin_cancel("changed my mind", 9),
        "reject" => order.close("payments.declined", "declined", false, 9),
        "cancel" => order.close("orders.cancelled", "changed my mind", true, 9),
        "begin_return" => order.begin_return(return_id(), 9).map(Some),
        _ => order.mark_refunded(return_id(), 9).map(Some),
    }
}

/// The state machine as the domain's description lists it; `None` in `Some(None)`: fine, nothing to do.
fn listed(deed: &str, from: OrderStatus) -> Option<Option<OrderStatus>> {
    use OrderStatus::*;
    match (deed, from) {
        ("approve", Pending) => Some(Some(Approved)),
        ("shopping", Approved) => Some(Some(Shopping)),
        ("ready", Shopping) => Some(Some(Ready)),
        ("complete", Ready) => Some(Some(Completed)),
        ("begin_cancel", Pending | Approved | Shopping | Ready) => Some(Some(Cancelling)),
        ("begin_cancel", Cancelling | Cancelled | Rejected) => Some(None),
        ("reject", Pending) => Some(Some(Rejected)),
        ("cancel", Pending) | ("reject" | "cancel", Cancelling) => Some(Some(Cancelled)),
        ("reject" | "cancel", Cancelled | Rejected) => Some(None),
        ("begin_return", Completed) => Some(Some(Returning)),
        ("refund", Returning) => Some(Some(Refunded)),
        _ => None,
    }
}

#[test]
fn exactly_the_listed_transitions_are_possible_and_refusals_name_both_states() {
    for from in OrderStatus::ALL {
        for deed in EVERY_DEED {
            // A completed order has a return under way here, others have none: that refusal is tested below.
            let without_return = matches!(deed, "begin_return" | "refund") && order(from).returning.is_none();
            match (carry_out(deed, from), listed(deed, from)) {
                (Ok(after), Some(to)) => assert_eq!(after.map(|o| o.status), to, "{from:?} {deed}"),
                (Err(refusal), None) if without_return => assert_eq!(refusal.code, "orders.unknown_return"),
                (Err(refusal), None) => {
                    assert_eq!(refusal.code, "orders.wrong_state", "{from:?} {deed}");
                    assert!(refusal.message.contains(from.as_str()), "{refusal}");
                    assert!(refusal.message.contains("cannot become"), "{refusal}");
                }
                (result, expected) => panic!("{from:?} {deed}: {result:?}, expected {expected:?}"),
            }
        }
    }
}

#[test]
fn every_move_raises_the_version_and_tells_the_time() {
    for from in OrderStatus::ALL {
        for deed in EVERY_DEED {
            if let Ok(Some(after)) = carry_out(deed, from) {
                assert_eq!((after.version, after.updated_at_ms, after.placed_at_ms), (2, 9, 1));
            }
        }
    }
}

#[test]
fn a_partial_collection_is_priced_anew_and_what_is_missing_is_listed() {
    let ready = order(OrderStatus::Shopping).mark_ready(&[count(1, 1), count(2, 3)], 4, 9).unwrap();
    assert_eq!((ready.total, ready.bay, ready.missing), (eur(550), Some(4), vec![count(1, 1)]));
    let whole = order(OrderStatus::Shopping).mark_ready(&[count(1, 2), count(2, 1), count(2, 2)], 4, 9).unwrap();
    assert_eq!((whole.total, whole.missing), (eur(800), vec![]));
}

#[test]
fn nothing_more_than_ordered_and_nothing_at_all_are_refused_at_the_inventory() {
    let ready = |collected: &[LineCount]| order(OrderStatus::Shopping).mark_ready(collected, 4, 9).unwrap_err().code;
    assert_eq!(ready(&[]), "orders.nothing_collected");
    assert_eq!(ready(&[count(1, 3)]), "orders.not_ordered");
    assert_eq!(ready(&[count(1, 2), count(1, 1)]), "orders.not_ordered");
    assert_eq!(ready(&[count(9, 1)]), "orders.not_ordered");
}

#[test]
fn asking_to_cancel_moves_nothing_is_told_once_and_is_refused_at_the_end() {
    use OrderStatus::*;
    for from in OrderStatus::ALL {
        let result = order(from).ask_cancel();
        match from {
            Pending | Approved | Shopping | Ready => {
                let asked = result.unwrap().unwrap();
                assert_eq!((asked.status, asked.cancel_asked), (from, true));
                assert_eq!(asked.ask_cancel(), Ok(None));
            }
            Cancelling => assert_eq!(result, Ok(None)),
            Completed | Rejected | Cancelled | Returning | Refunded => {
                let refusal = result.unwrap_err();
                assert_eq!(refusal.code, "orders.already_terminal");
                assert!(refusal.message.contains(from.as_str()));
            }
        }
    }
}

#[test]
fn only_a_completed_order_is_returned_and_once_at_a_time() {
    for from in OrderStatus::ALL {
        let asked = Order { returning: None, ..order(from) }.ask_return(goods_back(return_id()));
        assert_eq!(asked.is_ok(), from == OrderStatus::Completed, "{from:?}");
    }
    let refusal = order(OrderStatus::Completed).ask_return(goods_back(Uuid::from_u128(78).into())).unwrap_err();
    assert_eq!(refusal.code, "orders.return_under_way");
}

#[test]
fn an_aborted_return_leaves_a_completed_order_that_can_be_returned_again() {
    for from in [OrderStatus::Completed, OrderStatus::Returning] {
        let order = order(from).abort_return(return_id(), 9).unwrap().unwrap();
        assert_eq!((order.status, &order.returning), (OrderStatus::Completed, &None));
        assert!(order.ask_return(goods_back(return_id())).is_ok());
    }
    assert_eq!(order(OrderStatus::Refunded).abort_return(return_id(), 9).unwrap_err().code, "orders.wrong_state");
}

#[test]
fn undoing_a_return_that_the_order_does_not_know_is_fine() {
    for from in OrderStatus::ALL {
        let stranger = Uuid::from_u128(99).into();
        assert_eq!(order(from).abort_return(stranger, 9), Ok(None));
        assert_eq!(order(from).begin_return(stranger, 9).unwrap_err().code, "orders.unknown_return");
        assert_eq!(order(from).mark_refunded(stranger, 9).unwrap_err().code, "orders.unknown_return");
    }
}

#[test]
fn an_order_survives_being_stored() {
    for status in OrderStatus::ALL {
        let order = order(status);
        let json = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&json).unwrap(), order);
        assert!(json.contains(&format!("\"status\":\"{}\"", status.as_str())));
    }
}

#[test]
fn exactly_an_order_that_waits_to_be_approved_has_a_rank() {
    use transport::Aggregate as _;
    for status in OrderStatus::ALL {
        let order = Order { placed_at_ms: 77, ..order(status) };
        assert_eq!(order.rank(), if status == OrderStatus::Pending { 77 } else { 0 }, "{status:?}");
    }
}
