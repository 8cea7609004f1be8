//! Wire to domain and back, with refusals that name the field.

use crate::{
    domain::{Bay, Bot, ShoppingList, bot::Job, stops::Stop},
    handlers::robots::{Assignment, Instruction, Report, What},
};
use message::Refusal;
use schemas::{
    grpc::{
        LineError,
        common::{self, Page},
        depot::{self as pb, bot_report},
    },
    ids::{BotId, OrderId, StoreId},
    lines::LineCount,
    text::Text,
};
use service_kit::grpc::{self, invalid};
use tonic::{Status, metadata::MetadataValue};
use transport::Aggregate as _;
use uuid::Uuid;

pub fn order_id(text: &str) -> Result<OrderId, Status> {
    OrderId::parse(text).map_err(|e| invalid("order_id", e.to_string()))
}

pub fn bot_id(field: &str, text: &str) -> Result<BotId, Status> {
    BotId::parse(text).map_err(|e| invalid(field, e.to_string()))
}

pub fn text(field: &str, text: &str) -> Result<String, Status> {
    Text::parse(text).map(String::from).map_err(|e| invalid(field, e.to_string()))
}

pub fn counts(lines: Vec<common::LineCount>) -> Result<Vec<LineCount>, LineError> {
    lines.into_iter().map(LineCount::try_from).collect()
}

/// The last id of the page before.
pub fn page_start(page: &Page) -> Result<Option<Uuid>, Status> {
    let token = Some(page.page_token.as_str()).filter(|t| !t.is_empty());
    token.map(Uuid::try_parse).transpose().map_err(|_| bad_token())
}

pub fn bad_token() -> Status {
    invalid("page.page_token", "give the token of the page before, unchanged")
}

pub fn no_list(id: OrderId) -> Status {
    let mut status = grpc::not_found("shopping list of order", id);
    status.metadata_mut().insert(grpc::CODE, MetadataValue::from_static("depot.unknown_list"));
    status
}

/// A robot's report; what is wrong with its fields becomes its refusal, so that other robots' reports stand.
pub fn report(report: pb::BotReport) -> Report {
    Report { epoch: report.epoch, number: report.report_no, what: what(report.what) }
}

fn what(what: Option<bot_report::What>) -> Result<What, Refusal> {
    match what {
        None => Err(bad("the report says nothing; set one of its kinds")),
        Some(bot_report::What::Idle(_)) => Ok(What::Idle),
        Some(bot_report::What::Heartbeat(_)) => Ok(What::Heartbeat),
        Some(bot_report::What::GoOffline(_)) => Ok(What::GoOffline),
        Some(bot_report::What::StopVisited(stop)) => visited(stop),
        Some(bot_report::What::Delivered(d)) => Ok(What::Delivered { order: order(&d.order_id)? }),
        Some(bot_report::What::Returned(r)) => Ok(What::Returned { order: order(&r.order_id)? }),
    }
}

fn visited(stop: bot_report::StopVisited) -> Result<What, Refusal> {
    Ok(What::Visited {
        order: order(&stop.order_id)?,
        store: StoreId::parse(&stop.store_id).map_err(|e| bad(e.to_string()))?,
        picked: counts(stop.picked).map_err(|e| bad(e.to_string()))?,
        missing: counts(stop.missing).map_err(|e| bad(e.to_string()))?,
    })
}

fn order(text: &str) -> Result<OrderId, Refusal> {
    OrderId::parse(text).map_err(|e| bad(e.to_string()))
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new("platform.invalid_argument", message)
}

pub fn instruction(instruction: Instruction) -> pb::BotInstruction {
    let (refusal_code, refusal_message) = instruction.refusal.map(|r| (r.code, r.message)).unwrap_or_default();
    pb::BotInstruction {
        bot_id: instruction.bot.to_string(),
        epoch: instruction.epoch,
        assignment: instruction.assignment.map(assignment),
        refusal_code,
        refusal_message,
        acknowledged: instruction.acknowledged,
    }
}

fn assignment(assignment: Assignment) -> pb::Assignment {
    let kind = match assignment.job {
        Job::Collect => pb::assignment::Kind::Collect,
        Job::Return => pb::assignment::Kind::Return,
    };
    pb::Assignment {
        order_id: assignment.order.to_string(),
        kind: kind.into(),
        stops: assignment.stops.into_iter().map(stop).collect(),
        bay: assignment.bay,
    }
}

fn stop(stop: Stop) -> pb::Stop {
    let item = |i: crate::domain::stops::Item| pb::StopItem {
        product_id: i.product.to_string(),
        quantity: i.wanted.get().into(),
        name: i.name,
    };
    pb::Stop {
        store_id: stop.store.to_string(),
        location: Some(stop.location.into()),
        items: stop.items.into_iter().map(item).collect(),
        store_name: stop.store_name,
    }
}

pub fn bay(bay: Bay) -> pb::Bay {
    pb::Bay {
        number: bay.number,
        volume_ml: bay.volume_ml,
        status: bay.status().to_owned(),
        order_id: bay.order().map(|o| o.to_string()).unwrap_or_default(),
    }
}

pub fn bot(id: Uuid, bot: Bot) -> pb::Bot {
    pb::Bot {
        bot_id: id.to_string(),
        status: bot.status().to_owned(),
        order_id: bot.order().map(|o| o.to_string()).unwrap_or_default(),
        name: bot.name,
        location: Some(bot.location.into()),
        epoch: bot.epoch,
        last_seen_at_ms: bot.heard_ms,
    }
}

/// `version` 0 stands for "not known".
pub fn list(list: ShoppingList, version: i64) -> pb::ShoppingList {
    let missing = if list.state.phase() == "checked" { list.missing() } else { Vec::new() };
    pb::ShoppingList {
        order_id: list.order.to_string(),
        status: list.state.phase().to_owned(),
        bay: list.bay.unwrap_or_default(),
        bot_id: list.bot().map(|b| b.to_string()).unwrap_or_default(),
        missing: missing.into_iter().map(common::LineCount::from).collect(),
        updated_at_ms: list.changed_ms,
        version,
        started: list.started(),
        released: list.released,
        stops: list.stops.into_iter().map(list_stop).collect(),
    }
}

fn list_stop(stop: Stop) -> pb::ListStop {
    let visited = stop.visited;
    let item = |item: crate::domain::stops::Item| pb::ListItem {
        product_id: item.product.to_string(),
        quantity: item.wanted.into(),
        picked: item.picked.into(),
        status: item.status(visited).to_owned(),
        name: item.name,
    };
    pb::ListStop {
        store_id: stop.store.to_string(),
        store_name: stop.store_name,
        location: Some(stop.location.into()),
        items: stop.items.into_iter().map(item).collect(),
    }
}
