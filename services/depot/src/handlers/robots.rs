//! What robots do: come online, report, fall silent. Each robot's reports of one request are folded together, in order.

use super::{Hint, matching, put_list, staff::put_checked};
use crate::{
    Depot,
    domain::{
        Bay, Bot, ShoppingList,
        bot::{BotState, Job, Met},
        floor::{self, Freed},
        refusals,
        stops::Stop,
    },
};
use message::Refusal;
use schemas::{
    depot::{
        BayOccupied, BotLost, BotOffline, BotOnline, ItemsReturnDone, ShoppingCancelDone, ShoppingDelivered,
        ShoppingReturned, StopVisited,
    },
    ids::{BotId, OrderId, StoreId},
    lines::LineCount,
    stores::Location,
};
use serde::{Deserialize, Serialize};
use transport::{Fold, Stop as Halt, Unit};
use uuid::Uuid;

/// One report of a robot; `what` is a refusal when its fields were not acceptable.
#[derive(Debug, Clone)]
pub struct Report {
    pub epoch: i64,
    pub number: i64,
    pub what: Result<What, Refusal>,
}

#[derive(Debug, Clone)]
pub enum What {
    Idle,
    Visited { order: OrderId, store: StoreId, picked: Vec<LineCount>, missing: Vec<LineCount> },
    Delivered { order: OrderId },
    Returned { order: OrderId },
    Heartbeat,
    GoOffline,
}

/// What a robot is to do now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instruction {
    pub bot: BotId,
    pub epoch: i64,
    pub assignment: Option<Assignment>,
    pub refusal: Option<Refusal>,
    /// The highest number of a report that was taken since the robot's registration.
    pub acknowledged: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub order: OrderId,
    pub job: Job,
    pub stops: Vec<Stop>,
    pub bay: i32,
}

impl Instruction {
    /// What `bot` is to do, given the list it has.
    pub fn of(id: BotId, bot: &Bot, list: Option<&ShoppingList>) -> Self {
        let assignment = match (bot.state, list) {
            (BotState::Busy { order, job }, Some(list)) => {
                Some(Assignment { order, job, stops: list.to_visit(), bay: list.bay.unwrap_or_default() })
            }
            _ => None,
        };
        Self { bot: id, epoch: bot.epoch, assignment, refusal: None, acknowledged: bot.last_report }
    }
}

/// Comes online; answers the epoch that its reports must carry. What it was told before is void.
pub fn register(depot: &Depot, unit: &mut Unit, id: BotId, name: &str, at: Location) -> Fold<i64> {
    let job = matching::next_job(unit);
    let known = unit.get::<Bot>(id.into())?;
    let bot = Bot::register(known, name.to_owned(), at).heard(unit.now_ms(), depot.config.bot_lost_ms);
    let epoch = bot.epoch;
    unit.put(id.into(), bot.clone());
    unit.emit::<Bot, _>(id.into(), BotOnline { bot_id: id, name: name.to_owned() })?;
    unit.ask_outside(Hint::Instructed(id));
    if bot.state != BotState::Idle {
        give_back(unit, job)?;
        return Ok(epoch);
    }
    matching::work_or_wait(unit, id, bot, job?)?;
    Ok(epoch)
}

/// One robot's reports, in order; one instruction each. A refused report leaves the others standing.
pub fn report(depot: &Depot, unit: &mut Unit, id: BotId, reports: &[Report]) -> Fold<Vec<Instruction>> {
    // Asked for together, before anything is missed: what it reports about, and what it will do next.
    let job = if reports.iter().any(Report::ends_job) { matching::next_job(unit) } else { Ok(None) };
    let bot = unit.get::<Bot>(id.into());
    for order in reports.iter().filter_map(Report::order) {
        let _ = unit.get::<ShoppingList>(order.into());
    }
    let Some(mut bot) = bot?.filter(Bot::in_service) else {
        give_back(unit, job)?;
        return Ok(reports.iter().map(|_| unknown(id)).collect());
    };
    let (before, mut refusals) = (bot.clone(), Vec::with_capacity(reports.len()));
    for report in reports {
        let refused = match take(depot, unit, id, &bot, report) {
            Ok(next) => {
                bot = next;
                None
            }
            Err(Halt::Refused(refusal)) => Some(refusal),
            Err(stop) => return Err(stop),
        };
        refusals.push(refused);
    }
    settle(unit, id, &before, bot, job)?;
    answer(unit, id, refusals)
}

impl Report {
    fn ends_job(&self) -> bool {
        matches!(self.what, Ok(What::Delivered { .. } | What::Returned { .. } | What::Idle))
    }

    /// The order it is about.
    pub fn order(&self) -> Option<OrderId> {
        match &self.what {
            Ok(What::Visited { order, .. } | What::Delivered { order } | What::Returned { order }) => Some(*order),
            _ => None,
        }
    }
}

/// Epoch 0 stands for "not judged": the robot has to register, whether it never did or was given up.
fn unknown(id: BotId) -> Instruction {
    Instruction { bot: id, epoch: 0, assignment: None, refusal: Some(refusals::unknown_bot()), acknowledged: 0 }
}

/// Saves the robot; one that is idle gets the next list, also when only its heartbeat came.
fn settle(unit: &mut Unit, id: BotId, before: &Bot, bot: Bot, job: Fold<matching::Waiting>) -> Fold<()> {
    if bot.state != BotState::Idle || bot == *before {
        give_back(unit, job)?;
        return keep(unit, id, before, bot);
    }
    let job = match job? {
        Some(job) => Some(job),
        None => matching::next_job(unit)?,
    };
    match job {
        None if before.state == BotState::Idle => {
            unit.put(id.into(), bot);
            Ok(())
        }
        job => matching::work_or_wait(unit, id, bot, job),
    }
}

/// A list that was claimed for nothing is not seen by other robots of this batch: it is looked for again.
fn give_back(unit: &mut Unit, job: Fold<matching::Waiting>) -> Fold<()> {
    if job?.is_some() {
        unit.ask_outside(Hint::ListWaits);
    }
    Ok(())
}

fn keep(unit: &mut Unit, id: BotId, before: &Bot, bot: Bot) -> Fold<()> {
    let left = bot.state == BotState::Offline && before.state != bot.state;
    if bot != *before {
        unit.put(id.into(), bot);
    }
    if left { unit.emit::<Bot, _>(id.into(), BotOffline { bot_id: id }) } else { Ok(()) }
}

fn answer(unit: &mut Unit, id: BotId, refusals: Vec<Option<Refusal>>) -> Fold<Vec<Instruction>> {
    let Some(bot) = unit.get::<Bot>(id.into())? else { return Ok(Vec::new()) };
    let list = bot.order().map_or(Ok(None), |order| unit.get::<ShoppingList>(order.into()))?;
    let last = Instruction::of(id, &bot, list.as_ref());
    // A list may be long: it is said once.
    let before = Instruction { assignment: None, ..last.clone() };
    let mut told: Vec<_> = refusals.into_iter().map(|refusal| Instruction { refusal, ..before.clone() }).collect();
    if let Some(instruction) = told.last_mut() {
        instruction.assignment = last.assignment;
    }
    Ok(told)
}

/// One report; answers the robot after it. Nothing is staged when it is refused.
fn take(depot: &Depot, unit: &mut Unit, id: BotId, bot: &Bot, report: &Report) -> Fold<Bot> {
    match bot.meet(report.epoch, report.number) {
        Met::Stale(refusal) => return Err(refusal.into()),
        Met::Repeated => return Ok(bot.clone().heard(unit.now_ms(), depot.config.bot_lost_ms)),
        Met::New => {}
    }
    let bot = Bot { last_report: report.number, ..bot.clone().heard(unit.now_ms(), depot.config.bot_lost_ms) };
    match report.what.clone()? {
        What::Idle | What::Heartbeat => Ok(bot),
        What::GoOffline => Ok(bot.go_offline()?),
        What::Visited { order, store, picked, missing } => visited(unit, bot, order, store, picked, missing),
        What::Delivered { order } => delivered(depot, unit, id, bot, order),
        What::Returned { order } => returned(unit, bot, order),
    }
}

/// The list that the robot reports about, which must be the one it has.
fn own_list(unit: &mut Unit, bot: &Bot, order: OrderId, to: &str) -> Fold<ShoppingList> {
    let list = unit.get::<ShoppingList>(order.into())?.ok_or_else(refusals::unknown_list)?;
    if bot.order() == Some(order) {
        return Ok(list);
    }
    let what = format!("the list of order {order}, which robot {} does not have,", bot.name);
    Err(refusals::wrong_state(what, list.state.phase(), to).into())
}

fn visited(
    unit: &mut Unit,
    bot: Bot,
    order_id: OrderId,
    store_id: StoreId,
    picked: Vec<LineCount>,
    missing: Vec<LineCount>,
) -> Fold<Bot> {
    let list = own_list(unit, &bot, order_id, "collecting")?;
    let (list, bot) = floor::visit(list, bot, store_id, &picked, &missing)?;
    let list_id = put_list(unit, list);
    unit.emit::<ShoppingList, _>(list_id, StopVisited { order_id, store_id, picked, missing })?;
    Ok(bot)
}

fn delivered(depot: &Depot, unit: &mut Unit, bot_id: BotId, bot: Bot, order_id: OrderId) -> Fold<Bot> {
    let list = own_list(unit, &bot, order_id, "delivered")?;
    let bay = list.held_bay().map_or(Ok(None), |number| unit.get::<Bay>(Bay::id(number)))?;
    let bay = bay.ok_or_else(|| refusals::wrong_state("a list without a bay", list.state.phase(), "delivered"))?;
    let (list, bot, bay) = floor::deliver(list, bot, bay)?;
    let (number, list_id) = (bay.number, list.id());
    unit.put(Bay::id(number), bay);
    unit.emit::<Bay, _>(Bay::id(number), BayOccupied { bay: number, order_id })?;
    put_list(unit, list.clone());
    unit.emit::<ShoppingList, _>(list_id, ShoppingDelivered { order_id, bot_id })?;
    if depot.config.auto_check {
        put_checked(unit, list.check(&[])?)?;
    }
    Ok(bot)
}

fn returned(unit: &mut Unit, bot: Bot, order_id: OrderId) -> Fold<Bot> {
    let list = own_list(unit, &bot, order_id, "returned")?;
    let bay = list.held_bay().map_or(Ok(None), |number| unit.get::<Bay>(Bay::id(number)))?;
    let (Freed { list, bot: idle, bay }, due) = floor::come_back(list, bot.clone(), bay)?;
    let by_customer = list.returns.is_some();
    let list_id = put_list(unit, list);
    unit.emit::<ShoppingList, _>(list_id, ShoppingReturned { order_id })?;
    for effect in due {
        if by_customer {
            unit.answer(&effect, Ok(ItemsReturnDone::default()))?;
        } else {
            unit.answer(&effect, Ok(ShoppingCancelDone::default()))?;
        }
    }
    if let Some(bay) = bay {
        matching::pass_on(unit, bay, order_id)?;
    }
    Ok(idle.unwrap_or(bot))
}

/// The heartbeat of a robot may have stopped. What a lost robot had is given to another one.
pub fn silent(_: &Depot, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let Some(bot) = unit.get::<Bot>(id)? else { return Ok(()) };
    if unit.now_ms() < bot.silent_at_ms {
        return Ok(());
    }
    let (bot_id, order_id) = (BotId::from(id), bot.order());
    let gone = bot.clone().give_up();
    if gone == bot {
        return Ok(());
    }
    let Some(order) = order_id else {
        unit.put(id, gone);
        return unit.emit::<Bot, _>(id, BotOffline { bot_id });
    };
    let list = unit.get::<ShoppingList>(order.into());
    let other = matching::idle_bot(unit, bot.location);
    let list = list?.ok_or_else(|| Halt::Poison(format!("robot {id} has order {order}, which has no list")))?;
    let (list, carried) = list.lose_bot()?;
    unit.put(id, gone);
    unit.emit::<Bot, _>(id, BotLost { bot_id, order_id, carried })?;
    matching::send_or_wait(unit, other?, list)
}
