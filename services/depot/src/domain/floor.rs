//! The moves that change a list together with its robot and its bay. Because nothing else changes two of them, no bay and
//! no robot is ever given twice (invariant I9): the tests below walk them at random.

use super::{
    bay::Bay,
    bot::{Bot, Job},
    list::{Cancelling, ListState, ShoppingList},
    place::{DEPOT, distance},
};
use message::{EffectKey, Refusal};
use schemas::{
    ids::{BotId, StoreId},
    lines::LineCount,
    stores::Location,
};

/// A list gets a bay; with it comes the command that waited for one, if any.
pub fn reserve(list: ShoppingList, bay: Bay) -> Result<(ShoppingList, Bay, Option<EffectKey>), Refusal> {
    let bay = bay.reserve(list.order)?;
    let (list, plan) = list.take_bay(bay.number)?;
    Ok((list, bay, plan))
}

/// A waiting list gets an idle robot.
pub fn send(list: ShoppingList, id: BotId, bot: Bot) -> Result<(ShoppingList, Bot), Refusal> {
    let job = if list.state == ListState::WaitingReturn { Job::Return } else { Job::Collect };
    let bot = bot.assign(list.order, job)?;
    Ok((list.assign(id)?, bot))
}

/// The robot was at a store.
pub fn visit(
    list: ShoppingList,
    bot: Bot,
    store: StoreId,
    picked: &[LineCount],
    missing: &[LineCount],
) -> Result<(ShoppingList, Bot), Refusal> {
    let list = list.visit(store, picked, missing)?;
    let location = list.stops.iter().find(|s| s.store == store).map_or(bot.location, |s| s.location);
    Ok((list, Bot { location, ..bot }))
}

/// The robot is at the depot, the items are in the bay.
pub fn deliver(list: ShoppingList, bot: Bot, bay: Bay) -> Result<(ShoppingList, Bot, Bay), Refusal> {
    let (bay, bot) = (bay.occupy(list.order)?, bot.finish(list.order)?);
    Ok((list.deliver()?, Bot { location: DEPOT, ..bot }, bay))
}

/// A list and what it had, after a change that may give them back.
pub struct Freed {
    pub list: ShoppingList,
    /// With its new instruction, when it was told something.
    pub bot: Option<Bot>,
    /// Free again.
    pub bay: Option<Bay>,
}

/// Takes a list back; `bot` and `bay` are those it has.
pub fn cancel(list: ShoppingList, bot: Option<Bot>, bay: Option<Bay>) -> Result<(Freed, Cancelling), Refusal> {
    let order = list.order;
    let (list, how) = list.cancel()?;
    let freed = match how {
        Cancelling::Dropped => leave(list, bot.map(|b| b.stand_down(order)).transpose()?, bay)?,
        Cancelling::TurnedRound => leave(list, bot.map(Bot::turn_round).transpose()?, bay)?,
        Cancelling::Empty => leave(list, None, bay)?,
        // The items stay in the bay until they are back in their stores.
        Cancelling::Fetch | Cancelling::UnderWay | Cancelling::Over => Freed { list, bot: None, bay: None },
    };
    Ok((freed, how))
}

/// The items are back in their stores; with it come the commands that waited for that.
pub fn come_back(list: ShoppingList, bot: Bot, bay: Option<Bay>) -> Result<(Freed, Vec<EffectKey>), Refusal> {
    let bot = bot.finish(list.order)?;
    let (list, due) = list.come_back()?;
    Ok((leave(list, Some(bot), bay)?, due))
}

/// The customer may take the items: their bay is free.
pub fn release(list: ShoppingList, bay: Option<Bay>) -> Result<Freed, Refusal> {
    leave(list.release()?, None, bay)
}

fn leave(mut list: ShoppingList, bot: Option<Bot>, bay: Option<Bay>) -> Result<Freed, Refusal> {
    list.leave_bay();
    let bay = bay.map(|b| b.free(list.order)).transpose()?;
    Ok(Freed { list, bot, bay })
}

/// The smallest of these bays.
pub fn smallest<I>(bays: &[(I, Bay)]) -> Option<usize> {
    (0..bays.len()).min_by_key(|i| (bays[*i].1.volume_ml, bays[*i].1.number))
}

/// The list that has waited longest.
pub fn oldest<I>(lists: &[(I, ShoppingList)]) -> Option<usize> {
    oldest_within(lists, i32::MAX)
}

/// The list that has waited longest of those that a bay of this volume is enough for.
pub fn oldest_within<I>(lists: &[(I, ShoppingList)], volume_ml: i32) -> Option<usize> {
    let fits = (0..lists.len()).filter(|i| lists[*i].1.volume_ml <= volume_ml);
    fits.min_by_key(|i| (lists[*i].1.planned_ms, lists[*i].1.order))
}

/// The robot nearest to `to`.
pub fn nearest<I>(bots: &[(I, Bot)], to: Location) -> Option<usize> {
    (0..bots.len()).min_by_key(|i| distance(bots[*i].1.location, to))
}

/// Where a list's robot goes first.
pub fn first_place(list: &ShoppingList) -> Location {
    match list.state {
        ListState::WaitingReturn => DEPOT,
        _ => list.stops.iter().find(|s| !s.visited).map_or(DEPOT, |s| s.location),
    }
}

#[cfg(test)]
#[path = "floor_tests.rs"]
mod tests;
