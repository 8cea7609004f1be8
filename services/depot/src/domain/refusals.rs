//! Every "no" of the depot in one place: the code is for programs and never changes, the sentence is for people.

use message::Refusal;
use std::fmt::Display;

/// A transition that the state machines do not have; names both states.
pub fn wrong_state(what: impl Display, from: &str, to: &str) -> Refusal {
    Refusal::new("depot.wrong_state", format!("{what} is {from} and cannot become {to}"))
}

pub fn larger_than_any_bay(volume_ml: i32) -> Refusal {
    no_bay(format!("the order's volume of {volume_ml} ml is larger than any bay"))
}

pub fn none_free_in_time(waited_s: i64) -> Refusal {
    no_bay(format!("no bay became free within {waited_s} s"))
}

fn no_bay(message: String) -> Refusal {
    Refusal::new("depot.no_bay", message)
}

pub fn already_collecting(status: &str) -> Refusal {
    Refusal::new("depot.already_collecting", format!("the robots have this list already: it is {status}"))
}

pub fn already_released() -> Refusal {
    Refusal::new("depot.already_released", "the items were given out already, so the list cannot be dropped any more")
}

pub fn list_cancelled() -> Refusal {
    Refusal::new("depot.cancelled", "the list was cancelled before this was done")
}

pub fn unknown_list() -> Refusal {
    Refusal::new("depot.unknown_list", "this order has no shopping list")
}

pub fn unknown_bot() -> Refusal {
    Refusal::new("depot.unknown_bot", "this robot is not in service; register it first")
}

pub fn stale_epoch(given: i64, current: i64) -> Refusal {
    let message = format!("the report answers instruction {given}, the robot's last one is {current}");
    Refusal::new("depot.stale_epoch", message)
}

pub fn empty_list() -> Refusal {
    Refusal::new("depot.empty_list", "the order has no lines, so there is nothing to collect")
}

pub fn unknown_item(product: impl Display) -> Refusal {
    Refusal::new("depot.unknown_item", format!("product {product} is not on the list"))
}

pub fn wrong_count(product: impl Display, expected: u32, counted: u32) -> Refusal {
    let message =
        format!("of product {product} {counted} are accounted for, at most or exactly {expected} are expected");
    Refusal::new("depot.wrong_count", message)
}

pub fn stops_left(left: usize) -> Refusal {
    Refusal::new("depot.stops_left", format!("{left} stops were not visited yet; report them first"))
}

pub fn bay_in_use(number: i32, status: &str) -> Refusal {
    Refusal::new("depot.bay_in_use", format!("bay {number} is {status}; change it when it is free"))
}

pub fn too_many_sizes(most: usize) -> Refusal {
    Refusal::new("depot.too_many_sizes", format!("bays have {most} different volumes already; use one of them"))
}
