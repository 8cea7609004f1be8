//! What staff do: bays, inventory, hand-over.

use super::put_list;
use crate::{
    Depot,
    domain::{Bay, BaySummary, ShoppingList, refusals},
};
use schemas::{depot::ShoppingChecked, ids::OrderId, lines::LineCount};
use transport::{Fold, Unit};

/// A new bay, or another volume for a free one. Repeating it changes nothing. Refused: `depot.bay_in_use`.
pub fn add_bay(_: &Depot, unit: &mut Unit, number: i32, volume_ml: i32) -> Fold<Bay> {
    let known = unit.get::<Bay>(Bay::id(number));
    let summary = unit.get::<BaySummary>(BaySummary::id());
    let (known, summary) = (known?, summary?.unwrap_or_default());
    let old = known.as_ref().map(|b| b.volume_ml);
    let bay = match known {
        None => Bay::new(number, volume_ml),
        Some(bay) if bay.volume_ml == volume_ml => return Ok(bay),
        Some(bay) => bay.resize(volume_ml)?,
    };
    unit.put(BaySummary::id(), summary.counted(old, volume_ml)?);
    unit.put(Bay::id(number), bay.clone());
    Ok(bay)
}

/// The inventory of a delivered list. Refused: `depot.unknown_list`, `depot.wrong_state`, `depot.unknown_item`,
/// `depot.wrong_count`.
pub fn check_list(_: &Depot, unit: &mut Unit, order: OrderId, missing: &[LineCount], by: &str) -> Fold<ShoppingList> {
    let list = unit.get::<ShoppingList>(order.into())?.ok_or_else(refusals::unknown_list)?;
    let list = list.check(missing)?;
    let list = ShoppingList { checked_by: Some(by.to_owned()), ..list };
    put_checked(unit, list.clone())?;
    Ok(list)
}

/// Saves a list that was just checked, and tells everybody.
pub fn put_checked(unit: &mut Unit, list: ShoppingList) -> Fold<()> {
    let event = ShoppingChecked {
        order_id: list.order,
        collected: list.collected(),
        missing: list.missing(),
        bay: list.bay.unwrap_or_default(),
    };
    let id = put_list(unit, list);
    unit.emit::<ShoppingList, _>(id, event)
}

/// The customer has the items. Refused: `depot.unknown_list`, `depot.wrong_state`.
pub fn hand_over(_: &Depot, unit: &mut Unit, order: OrderId, by: &str) -> Fold<()> {
    let list = unit.get::<ShoppingList>(order.into())?.ok_or_else(refusals::unknown_list)?;
    let list = list.hand_over(by.to_owned(), unit.now_ms())?;
    put_list(unit, list);
    Ok(())
}
