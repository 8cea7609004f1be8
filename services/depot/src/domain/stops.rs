//! Stops: what is to be picked at which store, in which order the stores are visited, and what became of it.

use super::{
    place::{DEPOT, StorePlace, distance},
    refusals,
};
use message::Refusal;
use schemas::{
    ids::{ProductId, StoreId},
    lines::{LineCount, OrderLine},
    quantity::Quantity,
    stores::Location,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// One store on a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub store: StoreId,
    #[serde(rename = "name")]
    pub store_name: String,
    #[serde(rename = "loc")]
    pub location: Location,
    pub items: Vec<Item>,
    #[serde(default)]
    pub visited: bool,
}

/// One product at a stop: `wanted → picked | missing`, piece by piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub product: ProductId,
    pub name: String,
    pub wanted: Quantity,
    /// In the robot, later in the bay.
    #[serde(default)]
    pub picked: u16,
}

/// The stops of an order, in the order of a short walk from the depot (always to the nearest one left).
pub fn plan(lines: &[OrderLine], places: &HashMap<StoreId, StorePlace>) -> Result<Vec<Stop>, Refusal> {
    if lines.is_empty() {
        return Err(refusals::empty_list());
    }
    let mut stops: BTreeMap<StoreId, Stop> = BTreeMap::new();
    for line in lines {
        let stop = stops.entry(line.store_id).or_insert_with(|| Stop::at(line.store_id, places.get(&line.store_id)));
        stop.add(line)?;
    }
    Ok(walk(stops.into_values().collect()))
}

fn walk(mut left: Vec<Stop>) -> Vec<Stop> {
    let (mut here, mut route) = (DEPOT, Vec::with_capacity(left.len()));
    while let Some(next) = (0..left.len()).min_by_key(|i| (distance(here, left[*i].location), left[*i].store)) {
        let stop = left.swap_remove(next);
        here = stop.location;
        route.push(stop);
    }
    route
}

impl Stop {
    /// A store whose place is not known yet is looked for at the depot.
    fn at(store: StoreId, place: Option<&StorePlace>) -> Self {
        let (store_name, location) = place.map_or((String::new(), DEPOT), |p| (p.name.clone(), p.location));
        Self { store, store_name, location, items: Vec::new(), visited: false }
    }

    fn add(&mut self, line: &OrderLine) -> Result<(), Refusal> {
        if let Some(item) = self.items.iter_mut().find(|i| i.product == line.product_id) {
            let both = u32::from(item.wanted.get()) + u32::from(line.quantity.get());
            let most = u32::from(Quantity::MAX.get());
            item.wanted =
                item.wanted.checked_add(line.quantity).map_err(|_| refusals::wrong_count(item.product, most, both))?;
            return Ok(());
        }
        self.items.push(Item { product: line.product_id, name: line.name.clone(), wanted: line.quantity, picked: 0 });
        Ok(())
    }

    /// The robot was here: every wanted piece is either picked or missing.
    pub fn visit(&mut self, picked: &[LineCount], missing: &[LineCount]) -> Result<(), Refusal> {
        let (picked, missing) = (tally(picked), tally(missing));
        if let Some(stranger) =
            picked.keys().chain(missing.keys()).find(|p| !self.items.iter().any(|i| i.product == **p))
        {
            return Err(refusals::unknown_item(stranger));
        }
        for item in &mut self.items {
            let (got, not) = (at(&picked, item.product), at(&missing, item.product));
            let wanted = item.wanted.get();
            if got + not != u32::from(wanted) {
                return Err(refusals::wrong_count(item.product, wanted.into(), got + not));
            }
            item.picked = u16::try_from(got).unwrap_or(wanted);
        }
        self.visited = true;
        Ok(())
    }

    /// Nothing was picked here, whatever a robot said before.
    pub fn forget(&mut self) {
        self.visited = false;
        self.items.iter_mut().for_each(|i| i.picked = 0);
    }
}

impl Item {
    /// `wanted`, `picked` (some of it at least) or `missing`.
    pub fn status(&self, visited: bool) -> &'static str {
        match (visited, self.picked) {
            (false, _) => "wanted",
            (true, 0) => "missing",
            (true, _) => "picked",
        }
    }
}

/// What is in the robot or the bay.
pub fn collected(stops: &[Stop]) -> Vec<LineCount> {
    counts(stops, |item| item.picked)
}

/// What was wanted and is not there.
pub fn missing(stops: &[Stop]) -> Vec<LineCount> {
    counts(stops, |item| item.wanted.get().saturating_sub(item.picked))
}

fn counts(stops: &[Stop], of: impl Fn(&Item) -> u16) -> Vec<LineCount> {
    let items = stops.iter().flat_map(|s| &s.items);
    let counted = items.filter_map(|i| Quantity::try_from(i32::from(of(i))).ok().map(|quantity| (i.product, quantity)));
    counted.map(|(product_id, quantity)| LineCount { product_id, quantity }).collect()
}

/// The inventory found these pieces missing of what the robot said it had picked.
pub fn correct(stops: &mut [Stop], missing: &[LineCount]) -> Result<(), Refusal> {
    for (product, lost) in tally(missing) {
        let item = stops.iter_mut().flat_map(|s| &mut s.items).find(|i| i.product == product);
        let item = item.ok_or_else(|| refusals::unknown_item(product))?;
        let left = u32::from(item.picked).checked_sub(lost);
        let left = left.ok_or_else(|| refusals::wrong_count(product, item.picked.into(), lost))?;
        item.picked = u16::try_from(left).unwrap_or(item.picked);
    }
    Ok(())
}

/// Where these items are to be brought back to: the list's stops, with only what goes back; no lines stand for
/// everything that was collected. Refused: products that were not collected.
pub fn way_back(stops: &[Stop], lines: &[LineCount]) -> Result<Vec<Stop>, Refusal> {
    let collected = tally(&collected(stops));
    let back = if lines.is_empty() { collected.clone() } else { tally(lines) };
    for (product, n) in &back {
        match collected.get(product) {
            None => return Err(refusals::unknown_item(product)),
            Some(had) if had < n => return Err(refusals::wrong_count(product, *had, *n)),
            Some(_) => {}
        }
    }
    Ok(stops.iter().filter_map(|stop| stop.with_only(&back)).collect())
}

impl Stop {
    fn with_only(&self, back: &BTreeMap<ProductId, u32>) -> Option<Self> {
        let items: Vec<_> = self.items.iter().filter_map(|item| item.with(at(back, item.product))).collect();
        (!items.is_empty()).then(|| Self { items, ..self.clone() })
    }
}

impl Item {
    fn with(&self, n: u32) -> Option<Self> {
        let wanted = Quantity::try_from(n).ok()?;
        Some(Self { wanted, picked: wanted.get(), ..self.clone() })
    }
}

fn at(tally: &BTreeMap<ProductId, u32>, product: ProductId) -> u32 {
    tally.get(&product).copied().unwrap_or(0)
}

fn tally(lines: &[LineCount]) -> BTreeMap<ProductId, u32> {
    let mut out = BTreeMap::new();
    for line in lines {
        let n: &mut u32 = out.entry(line.product_id).or_default();
        *n = n.saturating_add(u32::from(line.quantity.get()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::{count, line, places, store};

    fn stops() -> Vec<Stop> {
        plan(&[line(1, 1, 2), line(2, 2, 1), line(1, 3, 4)], &places(&[(1, 10), (2, 5)])).unwrap()
    }

    #[test]
    fn stops_are_per_store_and_the_nearest_comes_first() {
        let route: Vec<_> = stops().iter().map(|s| (s.store, s.items.len())).collect();
        assert_eq!(route, [(store(2), 1), (store(1), 2)]);
    }

    #[test]
    fn lines_of_one_product_are_one_item_up_to_the_limit() {
        let merged = plan(&[line(1, 1, 2), line(1, 1, 3)], &HashMap::new()).unwrap();
        assert_eq!(merged[0].items[0].wanted.get(), 5);
        let refusal = plan(&[line(1, 1, 999), line(1, 1, 1)], &HashMap::new()).unwrap_err();
        assert_eq!(refusal.code, "depot.wrong_count");
        assert_eq!(plan(&[], &HashMap::new()).unwrap_err().code, "depot.empty_list");
    }

    #[test]
    fn every_wanted_piece_is_picked_or_missing_and_nothing_else_is() {
        let mut stop = stops().pop().unwrap();
        for (picked, missing, code) in [
            (vec![count(1, 2)], vec![], "depot.wrong_count"),
            (vec![count(1, 3), count(3, 4)], vec![], "depot.wrong_count"),
            (vec![count(1, 2), count(3, 4)], vec![count(9, 1)], "depot.unknown_item"),
        ] {
            assert_eq!(stop.clone().visit(&picked, &missing).unwrap_err().code, code);
        }
        stop.visit(&[count(1, 1), count(3, 4)], &[count(1, 1)]).unwrap();
        assert_eq!(collected(std::slice::from_ref(&stop)), [count(1, 1), count(3, 4)]);
        assert_eq!(missing(&[stop]), [count(1, 1)]);
    }

    #[test]
    fn the_inventory_takes_away_what_is_not_there_and_never_more_than_was_picked() {
        let mut all = stops();
        all[1].visit(&[count(1, 2), count(3, 4)], &[]).unwrap();
        assert_eq!(correct(&mut all.clone(), &[count(1, 3)]).unwrap_err().code, "depot.wrong_count");
        assert_eq!(correct(&mut all.clone(), &[count(9, 1)]).unwrap_err().code, "depot.unknown_item");
        correct(&mut all, &[count(1, 1), count(1, 1)]).unwrap();
        assert_eq!(collected(&all), [count(3, 4)]);
        assert_eq!(missing(&all), [count(2, 1), count(1, 2)]);
    }

    #[test]
    fn only_what_was_collected_goes_back_and_to_the_store_it_came_from() {
        let mut all = stops();
        all[0].visit(&[count(2, 1)], &[]).unwrap();
        all[1].visit(&[count(1, 2), count(3, 4)], &[]).unwrap();
        let back = way_back(&all, &[count(3, 1)]).unwrap();
        assert_eq!(back.len(), 1);
        assert_eq!((back[0].store, collected(&back)), (store(1), vec![count(3, 1)]));
        assert_eq!(collected(&way_back(&all, &[]).unwrap()), collected(&all), "no lines stand for everything");
        assert_eq!(way_back(&all, &[count(3, 5)]).unwrap_err().code, "depot.wrong_count");
        assert_eq!(way_back(&all, &[count(8, 1)]).unwrap_err().code, "depot.unknown_item");
    }
}
