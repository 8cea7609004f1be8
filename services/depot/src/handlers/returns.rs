//! What the return saga asks for: a robot that carries a customer's goods back to their stores.

use super::{commands::put_freed_bot, matching, put_list};
use crate::{
    Depot, Hint,
    domain::{Bot, ShoppingList, list::CalledOff, place::DEPOT, refusals},
};
use message::SagaRef;
use schemas::depot::{CancelReturn, ItemsReturnDone, ReturnCancelDone, ReturnItems, ShoppingReturning};
use transport::{Answer, Fold, Unit};

/// Answered when a robot has reported that the goods are back.
pub fn return_items(
    _: &Depot,
    unit: &mut Unit,
    command: &ReturnItems,
    saga: &SagaRef,
) -> Fold<Answer<ItemsReturnDone>> {
    let order_id = command.order_id;
    let list = unit.get::<ShoppingList>(order_id.into());
    let bot = matching::idle_bot(unit, DEPOT);
    let list = list?.ok_or_else(refusals::unknown_list)?;
    let mut list = list.bring_back(command.return_id, &command.lines)?;
    list.answers_due.push(saga.effect.clone());
    let id = put_list(unit, list.clone());
    unit.emit::<ShoppingList, _>(id, ShoppingReturning { order_id })?;
    matching::send_or_wait(unit, bot?, list)?;
    Ok(Answer::Later)
}

/// Calls a return off: a job that is not done yet is dropped, its robot told. Goods that are back in their stores stay there;
/// no job at all is fine. No saga of ours asks for it: a command once released is obeyed, and others may use it.
pub fn cancel_return(
    _: &Depot,
    unit: &mut Unit,
    command: &CancelReturn,
    _: &SagaRef,
) -> Fold<Answer<ReturnCancelDone>> {
    let done = Ok(Answer::Now(ReturnCancelDone::default()));
    let Some(list) = unit.get::<ShoppingList>(command.order_id.into())? else { return done };
    let (list, dropped) = list.keep_goods(command.return_id);
    let Some(CalledOff { bot: bot_id, due }) = dropped else { return done };
    let bot = bot_id.map_or(Ok(None), |id| unit.get::<Bot>(id.into()))?;
    put_list(unit, list);
    for effect in due {
        unit.answer::<ItemsReturnDone>(&effect, Err(refusals::list_cancelled()))?;
    }
    if let (Some(id), Some(bot)) = (bot_id, bot) {
        unit.ask_outside(Hint::Instructed(id));
        put_freed_bot(unit, id, bot.stand_down(command.order_id)?)?;
    }
    done
}
