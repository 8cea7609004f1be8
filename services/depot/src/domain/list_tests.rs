//! Every state of the list against every event, and what each transition keeps.

use super::*;
use crate::domain::samples::{count, order, planned, product, store};
use message::Direction;

fn bot(n: u128) -> BotId {
    BotId::from(Uuid::from_u128(n))
}

fn effect() -> EffectKey {
    EffectKey { saga_id: Uuid::from_u128(9), step: "plan-shopping".into(), direction: Direction::Do, round: 1 }
}

fn return_id() -> ReturnId {
    ReturnId::from(Uuid::from_u128(77))
}

fn with_bay() -> ShoppingList {
    planned(1).take_bay(7).unwrap().0
}

fn assigned() -> ShoppingList {
    with_bay().start().unwrap().assign(bot(1)).unwrap()
}

fn collecting() -> ShoppingList {
    assigned().visit(store(1), &[count(1, 2)], &[]).unwrap()
}

fn delivered() -> ShoppingList {
    collecting().visit(store(2), &[], &[count(2, 1)]).unwrap().deliver().unwrap()
}

fn checked() -> ShoppingList {
    delivered().check(&[]).unwrap()
}

fn returning() -> ShoppingList {
    collecting().cancel().unwrap().0
}

/// One list per state.
fn every_state() -> Vec<ShoppingList> {
    vec![
        planned(1).wait_for_bay(effect(), 20, 10).unwrap(),
        with_bay(),
        with_bay().start().unwrap(),
        assigned(),
        collecting(),
        delivered(),
        checked(),
        with_bay().cancel().unwrap().0,
        checked().cancel().unwrap().0,
        returning(),
        returning().come_back().unwrap().0,
    ]
}

const STATES: [&str; 11] = [
    "waiting_bay",
    "planned",
    "waiting_bot",
    "assigned",
    "collecting",
    "delivered",
    "checked",
    "cancelled",
    "waiting_return",
    "returning",
    "returned",
];

type Event = (&'static str, fn(ShoppingList) -> Result<ShoppingList, Refusal>);

const EVENTS: [Event; 12] = [
    ("take_bay", |l| l.take_bay(7).map(|(l, _)| l)),
    ("give_up_waiting", |l| l.give_up_waiting().map(|(l, _)| l)),
    ("start", ShoppingList::start),
    ("assign", |l| l.assign(bot(1))),
    ("visit", |l| l.visit(store(2), &[count(2, 1)], &[])),
    ("deliver", |mut l| {
        l.stops.iter_mut().for_each(|s| s.visited = true);
        l.deliver()
    }),
    ("check", |l| l.check(&[])),
    ("release", ShoppingList::release),
    ("hand_over", |l| l.release()?.hand_over("staff".into(), 1)),
    ("cancel", |l| l.cancel().map(|(l, _)| l)),
    ("come_back", |l| l.come_back().map(|(l, _)| l)),
    ("lose_bot", |l| l.lose_bot().map(|(l, _)| l)),
];

/// (state, event, next state): everything else is refused.
const LEGAL: [(&str, &str, &str); 31] = [
    ("waiting_bay", "take_bay", "planned"),
    ("waiting_bay", "give_up_waiting", "cancelled"),
    ("waiting_bay", "cancel", "cancelled"),
    ("planned", "start", "waiting_bot"),
    ("planned", "cancel", "cancelled"),
    ("waiting_bot", "assign", "assigned"),
    ("waiting_bot", "cancel", "cancelled"),
    ("assigned", "visit", "collecting"),
    ("assigned", "deliver", "delivered"),
    ("assigned", "cancel", "cancelled"),
    ("assigned", "lose_bot", "waiting_bot"),
    ("collecting", "visit", "collecting"),
    ("collecting", "deliver", "delivered"),
    ("collecting", "cancel", "returning"),
    ("collecting", "lose_bot", "waiting_bot"),
    ("delivered", "check", "checked"),
    ("delivered", "cancel", "waiting_return"),
    ("checked", "release", "checked"),
    ("checked", "hand_over", "checked"),
    ("checked", "cancel", "waiting_return"),
    ("cancelled", "cancel", "cancelled"),
    ("waiting_return", "assign", "returning"),
    ("waiting_return", "cancel", "waiting_return"),
    ("returning", "cancel", "returning"),
    ("returning", "come_back", "returned"),
    ("returning", "lose_bot", "waiting_return"),
    ("returned", "cancel", "returned"),
    // The same state is reached by the sample without items in its robot.
    ("assigned_empty", "cancel", "cancelled"),
    ("collecting_empty", "cancel", "cancelled"),
    ("delivered_empty", "cancel", "returned"),
    ("checked_empty", "cancel", "returned"),
];

#[test]
fn every_state_meets_every_event_as_the_state_machine_says() {
    let lists = every_state();
    assert_eq!(lists.iter().map(Aggregate::status).collect::<Vec<_>>(), STATES);
    for list in lists {
        for (event, apply) in EVENTS {
            let legal = LEGAL.iter().find(|(from, by, _)| *from == list.status() && *by == event);
            let result = apply(list.clone());
            let reached = result.as_ref().ok().map(Aggregate::status);
            assert_eq!(reached, legal.map(|l| l.2), "{} × {event}: {result:?}", list.status());
        }
    }
}

#[test]
fn a_refused_transition_names_both_states() {
    for list in every_state() {
        if let Err(refusal) = list.clone().check(&[]) {
            assert_eq!(refusal.code, "depot.wrong_state");
            let names_both = refusal.message.contains(list.state.phase()) && refusal.message.contains("checked");
            assert!(names_both, "{refusal}");
        }
    }
}

#[test]
fn without_items_a_cancelled_list_needs_no_robot() {
    let nothing = |list: ShoppingList| ShoppingList {
        stops: list
            .stops
            .iter()
            .cloned()
            .map(|mut s| {
                s.forget();
                s
            })
            .collect(),
        ..list
    };
    for (list, sample) in [
        (assigned(), "assigned_empty"),
        (collecting(), "collecting_empty"),
        (delivered(), "delivered_empty"),
        (checked(), "checked_empty"),
    ] {
        let expected = LEGAL.iter().find(|(from, by, _)| *from == sample && *by == "cancel").unwrap().2;
        assert_eq!(nothing(list).cancel().unwrap().0.status(), expected);
    }
}

#[test]
fn a_second_start_is_refused_as_already_collecting() {
    for list in [with_bay().start().unwrap(), assigned(), collecting(), delivered(), checked()] {
        assert_eq!(list.start().unwrap_err().code, "depot.already_collecting");
    }
    assert_eq!(returning().start().unwrap_err().code, "depot.wrong_state");
}

#[test]
fn what_was_given_out_cannot_be_cancelled() {
    let released = || checked().release().unwrap();
    for list in [released(), released().hand_over("staff".into(), 1).unwrap()] {
        assert_eq!(list.cancel().unwrap_err().code, "depot.already_released");
    }
}

#[test]
fn delivery_needs_every_stop() {
    assert_eq!(collecting().deliver().unwrap_err().code, "depot.stops_left");
    let twice = collecting().visit(store(1), &[count(1, 2)], &[]);
    assert_eq!(twice.unwrap_err().code, "depot.wrong_state");
    assert_eq!(collecting().visit(store(5), &[], &[]).unwrap_err().code, "depot.unknown_item");
}

#[test]
fn the_inventory_says_what_was_collected_and_what_is_missing() {
    let list = delivered().check(&[count(1, 1)]).unwrap();
    assert_eq!((list.collected(), list.missing()), (vec![count(1, 1)], vec![count(1, 1), count(2, 1)]));
}

#[test]
fn a_lost_robot_leaves_a_list_to_be_collected_afresh_with_its_load_on_record() {
    let (list, carried) = collecting().lose_bot().unwrap();
    assert_eq!((carried, list.lost.clone()), (vec![count(1, 2)], vec![count(1, 2)]));
    assert_eq!((list.status(), list.to_visit().len(), list.collected()), (WAITING_BOT, 2, vec![]));
}

#[test]
fn a_robot_visits_what_is_left_and_brings_back_what_was_picked() {
    assert_eq!(collecting().to_visit().iter().map(|s| s.store).collect::<Vec<_>>(), [store(2)]);
    let back = returning().to_visit();
    assert_eq!((back.len(), back[0].store, back[0].items[0].product), (1, store(1), product(1)));
}

#[test]
fn a_customers_goods_go_back_and_may_be_kept_while_they_are_on_the_way() {
    let released = checked().release().unwrap();
    assert_eq!(checked().bring_back(return_id(), &[count(1, 1)]).unwrap_err().code, "depot.wrong_state");
    let mut waiting = released.bring_back(return_id(), &[count(1, 1)]).unwrap();
    waiting.answers_due.push(effect());
    assert_eq!((waiting.status(), waiting.to_visit().len()), (WAITING_RETURN, 1));
    let under_way = waiting.clone().assign(bot(3)).unwrap();
    let (kept, dropped) = under_way.clone().keep_goods(return_id());
    assert_eq!((kept.status(), dropped), ("checked", Some(CalledOff { bot: Some(bot(3)), due: vec![effect()] })));
    let other = ReturnId::from(Uuid::from_u128(78));
    assert_eq!(under_way.clone().keep_goods(other), (under_way.clone(), None));
    let (returned, due) = under_way.come_back().unwrap();
    assert_eq!((returned.status(), due), ("returned", vec![effect()]));
    assert_eq!(returned.clone().keep_goods(return_id()), (returned, None));
}

#[test]
fn only_a_list_that_waits_for_a_bay_has_a_wake_up_and_the_nearer_one() {
    for list in every_state() {
        let expected = (list.status() == WAITING_BAY).then_some(10);
        assert_eq!(list.wake_at_ms(), expected);
    }
}

#[test]
fn a_bay_is_taken_once_and_left_once() {
    let mut list = with_bay();
    assert!(list.clone().take_bay(8).is_err());
    assert_eq!((list.leave_bay(), list.leave_bay(), list.bay), (Some(7), None, Some(7)));
}

#[test]
fn only_a_list_that_never_had_a_bay_is_planned_anew() {
    let gave_up = planned(1).wait_for_bay(effect(), 20, 10).unwrap().give_up_waiting().unwrap();
    assert_eq!((gave_up.0.never_planned(), gave_up.1), (true, effect()));
    assert!(!with_bay().cancel().unwrap().0.never_planned());
}

#[test]
fn phases_cover_all_statuses_and_lists_survive_being_stored() {
    for list in every_state() {
        assert!(ListState::statuses(list.state.phase()).contains(&list.status()));
        let json = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<ShoppingList>(&json).unwrap(), list);
    }
    assert!(ListState::statuses("nowhere").is_empty());
    assert_eq!(every_state()[0].order, order(1));
}
