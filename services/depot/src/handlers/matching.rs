//! Who waits meets what is free: lists and robots, lists and bays. The one who waits longest is served first.
//!
//! A claim sees what was committed before its batch. A list and a robot that start to wait in the same instant miss each
//! other there; [`match_waiting`], run after the commit, brings them together.

use super::{Hint, put_list};
use crate::{
    Depot,
    domain::{
        Bay, Bot, ShoppingList, bay, bot,
        bot::Job,
        floor,
        list::{WAITING_BAY, WAITING_BOT, WAITING_RETURN},
        place::DEPOT,
    },
};
use schemas::{
    depot::{BayFreed, BayReserved, BotBusy, BotIdle, ShoppingAssigned, ShoppingPlanReady, ShoppingPlanned},
    ids::BotId,
    stores::Location,
};
use transport::{Claim, Fold, Unit};
use uuid::Uuid;

/// Most pairs that one run of [`match_waiting`] makes; it asks for another run when it stops there.
const MAX_PAIRS: usize = 64;

const IDLE_BOT: Claim = Claim { status: bot::IDLE, min_rank: 0 };
const LIST_FOR_BAY: Claim = Claim { status: WAITING_BAY, min_rank: 1 };
const LIST_FOR_BOT: Claim = Claim { status: WAITING_BOT, min_rank: 1 };
const LIST_TO_RETURN: Claim = Claim { status: WAITING_RETURN, min_rank: 1 };

/// A list that waits for a robot. Returns come first: bays hang on them.
pub type Waiting = Option<(Uuid, ShoppingList)>;

pub fn next_job(unit: &mut Unit) -> Fold<Waiting> {
    let to_return = unit.claim(LIST_TO_RETURN, floor::oldest);
    match to_return {
        Ok(Some(job)) => Ok(Some(job)),
        Ok(None) => unit.claim(LIST_FOR_BOT, floor::oldest),
        Err(stop) => {
            // Both are asked for at once.
            let _ = unit.claim::<ShoppingList>(LIST_FOR_BOT, |_| None);
            Err(stop)
        }
    }
}

/// The idle robot that is nearest to `to`.
pub fn idle_bot(unit: &mut Unit, to: Location) -> Fold<Option<(Uuid, Bot)>> {
    unit.claim(IDLE_BOT, |bots| floor::nearest(bots, to))
}

/// The smallest free bay of at least that volume, which must be one that [`crate::domain::BaySummary::fitting`] gave.
pub fn free_bay(unit: &mut Unit, volume_ml: i32) -> Fold<Option<(Uuid, Bay)>> {
    unit.claim(Claim { status: bay::FREE, min_rank: i64::from(volume_ml) }, floor::smallest)
}

/// Sends an idle robot for a waiting list.
pub fn send(unit: &mut Unit, id: BotId, bot: Bot, list: ShoppingList) -> Fold<()> {
    let (list, bot) = floor::send(list, id, bot)?;
    let (order_id, epoch) = (list.order, bot.epoch);
    let collects = bot.state == bot::BotState::Busy { order: order_id, job: Job::Collect };
    unit.put(id.into(), bot);
    unit.emit::<Bot, _>(id.into(), BotBusy { bot_id: id, order_id })?;
    let list_id = put_list(unit, list);
    if collects {
        unit.emit::<ShoppingList, _>(list_id, ShoppingAssigned { order_id, bot_id: id, epoch })?;
    }
    unit.ask_outside(Hint::Instructed(id));
    Ok(())
}

/// Sends the robot that was claimed for it, or lets the list wait.
pub fn send_or_wait(unit: &mut Unit, claimed: Option<(Uuid, Bot)>, list: ShoppingList) -> Fold<()> {
    match claimed {
        Some((id, bot)) => send(unit, id.into(), bot, list),
        None => {
            put_list(unit, list);
            unit.ask_outside(Hint::ListWaits);
            Ok(())
        }
    }
}

/// Gives an idle robot the list that was claimed for it, or lets it wait.
pub fn work_or_wait(unit: &mut Unit, id: BotId, bot: Bot, job: Waiting) -> Fold<()> {
    match job {
        Some((_, list)) => send(unit, id, bot, list),
        None => {
            unit.put(id.into(), bot);
            unit.emit::<Bot, _>(id.into(), BotIdle { bot_id: id })?;
            unit.ask_outside(Hint::BotIdle);
            Ok(())
        }
    }
}

/// The list gets the bay: the customer's order can go on.
pub fn reserve(unit: &mut Unit, list: ShoppingList, bay: Bay) -> Fold<()> {
    let (list, bay, plan) = floor::reserve(list, bay)?;
    let (order_id, number) = (list.order, bay.number);
    let stops = i32::try_from(list.stops.len()).unwrap_or(i32::MAX);
    let bay_id = Bay::id(number);
    unit.put(bay_id, bay);
    unit.emit::<Bay, _>(bay_id, BayReserved { bay: number, order_id })?;
    let list_id = put_list(unit, list);
    unit.emit::<ShoppingList, _>(list_id, ShoppingPlanned { order_id, bay: number, stops })?;
    plan.map_or(Ok(()), |effect| unit.answer(&effect, Ok(ShoppingPlanReady { bay: number })))
}

/// A bay that has become free goes to the list that has waited longest for one of its volume.
pub fn pass_on(unit: &mut Unit, bay: Bay, from: schemas::ids::OrderId) -> Fold<()> {
    let id = Bay::id(bay.number);
    unit.put(id, bay.clone());
    unit.emit::<Bay, _>(id, BayFreed { bay: bay.number, order_id: from })?;
    match unit.claim(LIST_FOR_BAY, |lists| floor::oldest_within(lists, bay.volume_ml))? {
        Some((_, list)) => reserve(unit, list, bay),
        None => Ok(()),
    }
}

/// Brings waiting lists and idle robots together; answers how many pairs it made.
pub fn match_waiting(_: &Depot, unit: &mut Unit) -> Fold<usize> {
    for pairs in 0..MAX_PAIRS {
        let list = next_job(unit);
        let to = list.as_ref().ok().and_then(Option::as_ref).map_or(DEPOT, |(_, list)| floor::first_place(list));
        let bot = idle_bot(unit, to);
        let (Some((_, list)), Some((id, bot))) = (list?, bot?) else { return Ok(pairs) };
        send(unit, id.into(), bot, list)?;
    }
    unit.ask_outside(Hint::ListWaits);
    Ok(MAX_PAIRS)
}
