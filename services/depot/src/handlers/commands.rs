//! What the fulfilment saga asks for: plan, start, cancel, release.

use super::{Hint, belongings, matching, put_list};
use crate::{
    Depot,
    domain::{
        BaySummary, Bot, ListState, ShoppingList, StorePlace,
        bot::BotState,
        floor::{self, Freed},
        list::Cancelling,
        place::DEPOT,
        refusals,
    },
};
use message::{EffectKey, Refusal, SagaRef};
use schemas::{
    depot::{
        CancelShopping, ItemsReleaseDone, ItemsReleased, PlanShopping, ReleaseItems, ShoppingCancelDone,
        ShoppingCancelled, ShoppingPlanReady, ShoppingReturned, ShoppingReturning, ShoppingStarted, StartShopping,
    },
    ids::StoreId,
};
use std::collections::{BTreeSet, HashMap};
use transport::{Answer, Fold, Unit};
use uuid::Uuid;

/// How often a list that waits for a bay looks for one by itself; mostly a freed bay finds the list.
const LOOK_AGAIN_MS: i64 = 1_000;

/// A list and a bay for the order. Answered later when no bay is free; refused at once when none is large enough.
pub fn plan_shopping(
    depot: &Depot,
    unit: &mut Unit,
    command: &PlanShopping,
    saga: &SagaRef,
) -> Fold<Answer<ShoppingPlanReady>> {
    let known = unit.get::<ShoppingList>(command.order_id.into());
    let summary = unit.peek::<BaySummary>(BaySummary::id());
    let places = places(unit, command);
    let (known, summary, places) = (known?, summary?.unwrap_or_default(), places?);
    if let Some(list) = known.filter(|l| !l.never_planned()) {
        let what = format!("the list of order {}", list.order);
        return Err(refusals::wrong_state(what, list.state.phase(), "planned").into());
    }
    let size = summary.fitting(command.volume_ml).ok_or_else(|| refusals::larger_than_any_bay(command.volume_ml))?;
    let mut list = ShoppingList::plan(command.order_id, &command.lines, command.volume_ml, &places, unit.now_ms())?;
    list.trace = unit.meta().trace.map(|t| t.to_string());
    match matching::free_bay(unit, size)? {
        Some((_, bay)) => {
            let number = bay.number;
            matching::reserve(unit, list, bay)?;
            Ok(Answer::Now(ShoppingPlanReady { bay: number }))
        }
        None => wait_for_bay(depot, unit, list, saga.effect.clone()),
    }
}

fn places(unit: &mut Unit, command: &PlanShopping) -> Fold<HashMap<StoreId, StorePlace>> {
    let stores: BTreeSet<_> = command.lines.iter().map(|l| l.store_id).collect();
    let found = unit.peek_all::<StorePlace>(stores.iter().map(|s| s.as_uuid()))?;
    Ok(stores.into_iter().zip(found).filter_map(|(store, place)| Some((store, place?))).collect())
}

fn wait_for_bay(
    depot: &Depot,
    unit: &mut Unit,
    list: ShoppingList,
    plan: EffectKey,
) -> Fold<Answer<ShoppingPlanReady>> {
    let now_ms = unit.now_ms();
    let list = list.wait_for_bay(plan, now_ms + depot.config.bay_wait_ms, now_ms + LOOK_AGAIN_MS)?;
    put_list(unit, list);
    Ok(Answer::Later)
}

/// The time of a list that waits for a bay has come: it gets one, looks again later, or is refused.
pub fn bay_wait(depot: &Depot, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let summary = unit.peek::<BaySummary>(BaySummary::id());
    let list = unit.get::<ShoppingList>(id);
    let (Some(list), summary) = (list?, summary?.unwrap_or_default()) else { return Ok(()) };
    let ListState::WaitingBay { plan, until_ms, look_ms } = list.state.clone() else { return Ok(()) };
    let now_ms = unit.now_ms();
    if now_ms < until_ms.min(look_ms) {
        return Ok(());
    }
    let bay = match summary.fitting(list.volume_ml) {
        Some(size) => matching::free_bay(unit, size)?,
        None => None,
    };
    match bay {
        Some((_, bay)) => matching::reserve(unit, list, bay),
        None if now_ms >= until_ms => {
            let (list, plan) = list.give_up_waiting()?;
            put_list(unit, list);
            let refusal = refusals::none_free_in_time(depot.config.bay_wait_ms / 1000);
            unit.answer::<ShoppingPlanReady>(&plan, Err(refusal))
        }
        None => {
            let state = ListState::WaitingBay { plan, until_ms, look_ms: now_ms + LOOK_AGAIN_MS };
            put_list(unit, ShoppingList { state, ..list });
            Ok(())
        }
    }
}

/// The list goes to the robots: the nearest idle one gets it, else it waits. Refused: `depot.already_collecting`.
pub fn start_shopping(
    _: &Depot,
    unit: &mut Unit,
    command: &StartShopping,
    _: &SagaRef,
) -> Fold<Answer<ShoppingStarted>> {
    let list = unit.get::<ShoppingList>(command.order_id.into());
    let to = list.as_ref().ok().and_then(Option::as_ref).map_or(DEPOT, floor::first_place);
    let bot = matching::idle_bot(unit, to);
    let list = list?.ok_or_else(refusals::unknown_list)?.start()?;
    matching::send_or_wait(unit, bot?, list)?;
    Ok(Answer::Now(ShoppingStarted::default()))
}

/// Takes the list back, whatever became of it; nothing to take back is fine. Items that were picked go back to their
/// stores first, so the answer may come later. Refused: `depot.already_released`.
pub fn cancel_shopping(
    _: &Depot,
    unit: &mut Unit,
    command: &CancelShopping,
    saga: &SagaRef,
) -> Fold<Answer<ShoppingCancelDone>> {
    let Some(list) = unit.get::<ShoppingList>(command.order_id.into())? else {
        return Ok(Answer::Now(ShoppingCancelDone::default()));
    };
    let (bot, bay) = belongings(unit, &list)?;
    let (waited, had_bay) = (waiting_plan(&list), list.bay.is_some());
    let bot_id = list.bot();
    let (Freed { mut list, bot, bay }, how) = floor::cancel(list, bot, bay)?;
    let order_id = list.order;
    let later = matches!(how, Cancelling::TurnedRound | Cancelling::Fetch | Cancelling::UnderWay);
    if later {
        list.answers_due.push(saga.effect.clone());
    }
    announce(unit, list, how, had_bay)?;
    refuse_plan(unit, waited)?;
    if let (Some(bot_id), Some(bot)) = (bot_id, bot) {
        unit.ask_outside(Hint::Instructed(bot_id));
        put_freed_bot(unit, bot_id, bot)?;
    }
    if let Some(bay) = bay {
        matching::pass_on(unit, bay, order_id)?;
    }
    Ok(if later { Answer::Later } else { Answer::Now(ShoppingCancelDone::default()) })
}

/// Saves a list that was taken back, and tells everybody. Items in the bay need a robot to fetch them.
fn announce(unit: &mut Unit, list: ShoppingList, how: Cancelling, had_bay: bool) -> Fold<()> {
    let order_id = list.order;
    let id = put_list(unit, list.clone());
    match how {
        Cancelling::Over | Cancelling::UnderWay => Ok(()),
        Cancelling::Dropped if had_bay => unit.emit::<ShoppingList, _>(id, ShoppingCancelled { order_id }),
        // Nobody was told of it.
        Cancelling::Dropped => Ok(()),
        Cancelling::TurnedRound => unit.emit::<ShoppingList, _>(id, ShoppingReturning { order_id }),
        Cancelling::Empty => {
            unit.emit::<ShoppingList, _>(id, ShoppingReturning { order_id })?;
            unit.emit::<ShoppingList, _>(id, ShoppingReturned { order_id })
        }
        Cancelling::Fetch => {
            unit.emit::<ShoppingList, _>(id, ShoppingReturning { order_id })?;
            let robot = matching::idle_bot(unit, DEPOT)?;
            matching::send_or_wait(unit, robot, list)
        }
    }
}

/// A robot that was told something: it works on, or gets the next list.
pub fn put_freed_bot(unit: &mut Unit, id: schemas::ids::BotId, bot: Bot) -> Fold<()> {
    if bot.state == BotState::Idle {
        let job = matching::next_job(unit)?;
        return matching::work_or_wait(unit, id, bot, job);
    }
    unit.put(id.into(), bot);
    Ok(())
}

/// The command that a list without a bay has not answered yet.
fn waiting_plan(list: &ShoppingList) -> Option<EffectKey> {
    match &list.state {
        ListState::WaitingBay { plan, .. } => Some(plan.clone()),
        _ => None,
    }
}

fn refuse_plan(unit: &mut Unit, waited: Option<EffectKey>) -> Fold<()> {
    let refused: Result<ShoppingPlanReady, Refusal> = Err(refusals::list_cancelled());
    waited.map_or(Ok(()), |plan| unit.answer(&plan, refused))
}

/// The customer may take the items; the bay is free for the next order.
pub fn release_items(
    _: &Depot,
    unit: &mut Unit,
    command: &ReleaseItems,
    _: &SagaRef,
) -> Fold<Answer<ItemsReleaseDone>> {
    let list = unit.get::<ShoppingList>(command.order_id.into())?.ok_or_else(refusals::unknown_list)?;
    let (_, bay) = belongings(unit, &list)?;
    let (repeated, order_id) = (list.released, list.order);
    let Freed { list, bay: freed, .. } = floor::release(list, bay)?;
    let number = list.bay.unwrap_or_default();
    let id = put_list(unit, list);
    if !repeated {
        unit.emit::<ShoppingList, _>(id, ItemsReleased { order_id, bay: number })?;
    }
    if let Some(bay) = freed {
        matching::pass_on(unit, bay, order_id)?;
    }
    Ok(Answer::Now(ItemsReleaseDone { bay: number }))
}
