//! The robots' side of the API: many robots share one request, and each stands for itself.

use super::{convert, in_trace, read};
use crate::{
    Board, Depot,
    domain::{Bot, ShoppingList, bot::BotState, place::DEPOT},
    handlers::robots::{self, Instruction, Report},
};
use futures::future::join_all;
use schemas::{
    grpc::{common, depot as pb},
    ids::{BotId, OrderId},
};
use service_kit::grpc::{self, invalid};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};
use tokio::{
    sync::broadcast::{Receiver, error::TryRecvError},
    time::Instant,
};
use tonic::Status;
use transport::{Call, CallError, Shell, ports::Store};
use uuid::Uuid;

/// Most reports, or robots, in one request.
const MAX_ROBOTS: usize = 500;
/// Longest wait of one request.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How often rows are read again for what another process has assigned.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// News that come together are read together.
const GATHER: Duration = Duration::from_millis(1);

pub async fn register<S: Store>(
    shell: &Shell<Depot, S>,
    call: Call,
    id: BotId,
    name: String,
    at: Option<common::Location>,
) -> Result<i64, Status> {
    let at = at.map_or(DEPOT, Into::into);
    shell.call(call, move |depot, unit| robots::register(depot, unit, id, &name, at)).await.map_err(grpc::status)
}

/// One instruction a report, in the order of the reports. Each robot's reports are one call; all go into one batch.
pub async fn report<S: Store>(
    shell: &Shell<Depot, S>,
    reports: Vec<pb::BotReport>,
) -> Result<Vec<pb::BotInstruction>, Status> {
    if reports.len() > MAX_ROBOTS {
        return Err(invalid("reports", format!("give at most {MAX_ROBOTS} reports at once")));
    }
    let mut by_bot: BTreeMap<BotId, (Vec<usize>, Vec<Report>)> = BTreeMap::new();
    for (at, report) in reports.into_iter().enumerate() {
        let (places, of_bot) = by_bot.entry(convert::bot_id("bot_id", &report.bot_id)?).or_default();
        places.push(at);
        of_bot.push(convert::report(report));
    }
    let lists = lists_of(shell, by_bot.values().flat_map(|(_, reports)| reports)).await?;
    let answered = join_all(by_bot.into_iter().map(async |(bot, (places, reports))| {
        let list = reports.iter().find_map(Report::order).and_then(|order| lists.get(&order));
        places.into_iter().zip(report_one(shell, bot, reports, list).await)
    }))
    .await;
    let mut instructions: Vec<_> = answered.into_iter().flatten().collect();
    instructions.sort_by_key(|(at, _)| *at);
    Ok(instructions.into_iter().map(|(_, instruction)| convert::instruction(instruction)).collect())
}

/// The lists that are reported about: what robots do belongs to the traces of their orders.
async fn lists_of<S: Store>(
    shell: &Shell<Depot, S>,
    reports: impl Iterator<Item = &Report>,
) -> Result<HashMap<OrderId, ShoppingList>, Status> {
    let orders: HashSet<Uuid> = reports.filter_map(Report::order).map(Uuid::from).collect();
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let lists = read::rows::<ShoppingList, S>(shell, &Vec::from_iter(orders)).await?;
    Ok(lists.into_iter().map(|(list, _)| (list.order, list)).collect())
}

async fn report_one<S: Store>(
    shell: &Shell<Depot, S>,
    bot: BotId,
    reports: Vec<Report>,
    list: Option<&ShoppingList>,
) -> Vec<Instruction> {
    let count = reports.len();
    let call = list.map_or(Call::new("Report"), |l| in_trace(Call::new("Report").order(l.order), Some(l)));
    let told = shell.call(call, move |depot, unit| robots::report(depot, unit, bot, &reports)).await;
    told.unwrap_or_else(|error| vec![not_taken(bot, &error); count])
}

/// The report did not get through; the robot sends it again.
fn not_taken(bot: BotId, error: &CallError) -> Instruction {
    let refusal = match error {
        CallError::Refused(refusal) => refusal.clone(),
        other => message::Refusal::retryable("platform.no_answer", other.to_string()),
    };
    Instruction { bot, epoch: 0, assignment: None, refusal: Some(refusal), acknowledged: 0 }
}

/// Those of the robots that have something to do, as soon as there is one, or none when the time is over.
pub async fn wait<S: Store>(
    shell: &Shell<Depot, S>,
    board: &Board,
    request: pb::AwaitAssignmentsRequest,
) -> Result<Vec<pb::BotInstruction>, Status> {
    if request.bot_ids.len() > MAX_ROBOTS {
        return Err(invalid("bot_ids", format!("give at most {MAX_ROBOTS} robots at once")));
    }
    let bots = request.bot_ids.iter().map(|id| convert::bot_id("bot_ids", id)).collect::<Result<HashSet<_>, _>>()?;
    let until = Instant::now() + Duration::from_millis(request.wait_ms.into()).min(MAX_WAIT);
    // Watched before the first look, so that nothing falls between the two.
    let mut news = board.watch();
    loop {
        let found = instructions(shell, &bots).await?;
        if !found.is_empty() || Instant::now() >= until {
            return Ok(found.into_iter().map(convert::instruction).collect());
        }
        let again = (Instant::now() + READ_AGAIN).min(until);
        let _ = tokio::time::timeout_at(again, told_of(&mut news, &bots)).await;
    }
}

/// Resolves when the board names one of these robots, or has told too much to be followed.
async fn told_of(news: &mut Receiver<BotId>, bots: &HashSet<BotId>) {
    while news.recv().await.is_ok_and(|bot| !bots.contains(&bot)) {}
    if bots.len() > 1 {
        tokio::time::sleep(GATHER).await;
    }
    while matches!(news.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
}

async fn instructions<S: Store>(shell: &Shell<Depot, S>, bots: &HashSet<BotId>) -> Result<Vec<Instruction>, Status> {
    let ids: Vec<Uuid> = bots.iter().map(|b| Uuid::from(*b)).collect();
    let rows = shell.store().get("bot", &ids).await.map_err(|e| Status::unavailable(e.to_string()))?;
    let mut busy: Vec<(BotId, Bot)> = Vec::new();
    for row in rows.iter().filter(|row| row.status == "busy") {
        let bot =
            serde_json::from_str(&row.state).map_err(|e| Status::internal(format!("a robot cannot be read: {e}")))?;
        busy.push((row.id.into(), bot));
    }
    let orders: Vec<Uuid> = busy.iter().filter_map(|(_, bot)| bot.order()).map(Uuid::from).collect();
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let lists = read::rows::<ShoppingList, S>(shell, &orders).await?;
    let lists: HashMap<_, _> = lists.into_iter().map(|(list, _)| (list.order, list)).collect();
    Ok(busy.iter().filter_map(|(id, bot)| with_list(*id, bot, &lists)).collect())
}

/// `None` when robot and list were read on two sides of a change: the next look sees both.
fn with_list(id: BotId, bot: &Bot, lists: &HashMap<OrderId, ShoppingList>) -> Option<Instruction> {
    let BotState::Busy { order, .. } = bot.state else { return None };
    let list = lists.get(&order).filter(|list| list.bot() == Some(id))?;
    Some(Instruction::of(id, bot, Some(list)))
}
