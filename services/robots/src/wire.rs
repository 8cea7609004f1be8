//! What is said on a robot's line. Wire values become the robot's own here, and nowhere deeper.

use crate::{
    Shelves,
    brain::{Answer, Assignment, Instruction, Job, Report, Stop, What},
};
use message::Refusal;
use schemas::{
    grpc::{
        common,
        depot::{self, bot_report},
        robots::{self as pb, FromRobot, from_robot},
    },
    ids::{BotId, OrderId, ProductId, StoreId},
    lines::LineCount,
    quantity::Quantity,
};
use tonic::Status;

pub fn hello(robot: BotId, name: &str, epoch: i64) -> FromRobot {
    let hello = pb::Hello { robot_id: robot.to_string(), name: name.to_owned(), location: None, epoch };
    FromRobot { message: Some(from_robot::Message::Hello(hello)) }
}

pub fn reports(said: Vec<Report>) -> FromRobot {
    let reports = said.into_iter().map(report).collect();
    FromRobot { message: Some(from_robot::Message::Reports(pb::Reports { reports })) }
}

fn report(report: Report) -> depot::BotReport {
    let what = Some(what(report.what));
    depot::BotReport { bot_id: String::new(), epoch: report.epoch, report_no: report.number, what }
}

fn what(what: What) -> bot_report::What {
    match what {
        What::Visited { order, stop } => bot_report::What::StopVisited(bot_report::StopVisited {
            order_id: order.to_string(),
            store_id: stop.store.to_string(),
            picked: stop.picked.into_iter().map(common::LineCount::from).collect(),
            missing: stop.missing.into_iter().map(common::LineCount::from).collect(),
        }),
        What::Delivered(order) => bot_report::What::Delivered(bot_report::Delivered { order_id: order.to_string() }),
        What::Returned(order) => bot_report::What::Returned(bot_report::Returned { order_id: order.to_string() }),
        What::Heartbeat => bot_report::What::Heartbeat(bot_report::Heartbeat {}),
        What::GoOffline => bot_report::What::GoOffline(bot_report::GoOffline {}),
    }
}

pub fn answer(answer: pb::Answer, shelves: Shelves) -> Result<Answer, Status> {
    let refused = answer.refused.into_iter().map(|r| (r.report_no, Refusal::new(r.code, r.message))).collect();
    Ok(Answer { acknowledged: answer.acknowledged, refused, now: instruction(answer.now, shelves)? })
}

pub fn instruction(told: Option<pb::Instruction>, shelves: Shelves) -> Result<Instruction, Status> {
    let told = told.ok_or_else(|| Status::internal("the mall does not say what to do"))?;
    let assignment = told.assignment.map(|told| assignment(told, shelves)).transpose()?;
    Ok(Instruction { epoch: told.epoch, assignment })
}

fn assignment(told: depot::Assignment, shelves: Shelves) -> Result<Assignment, Status> {
    let order = OrderId::parse(&told.order_id).map_err(odd)?;
    let job = match told.kind() {
        depot::assignment::Kind::Return => Job::Return,
        depot::assignment::Kind::Collect | depot::assignment::Kind::Unspecified => Job::Collect,
    };
    let stops = told.stops.into_iter().map(|told| stop(order, told, shelves)).collect::<Result<_, _>>()?;
    Ok(Assignment { order, job, stops })
}

/// A store to visit, with what the robot will find there.
fn stop(order: OrderId, told: depot::Stop, shelves: Shelves) -> Result<Stop, Status> {
    let mut stop =
        Stop { store: StoreId::parse(&told.store_id).map_err(odd)?, picked: Vec::new(), missing: Vec::new() };
    for item in told.items {
        let product_id = ProductId::parse(&item.product_id).map_err(odd)?;
        let line = LineCount { product_id, quantity: Quantity::try_from(item.quantity).map_err(odd)? };
        let found = shelves.hold(order, product_id, &item.name);
        if found { stop.picked.push(line) } else { stop.missing.push(line) }
    }
    Ok(stop)
}

fn odd(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("what the mall says cannot be read: {error}"))
}
