//! Garbage for the topics of commands and replies: what bugs, strangers and broken disks may send while orders run. What
//! may become of it: the broker refuses it, or it is parked with a reason; no order notices.

mod day;
mod make;

pub use day::{Day, Report, TopicReport, parked};
pub(crate) use day::{live, timeline};
pub(crate) use make::TOPICS;
pub use make::{Kind, Maker};
