//! I9: random interleavings of every move over a small depot never give a bay or a robot twice.

use super::*;
use crate::domain::{
    bay::BayState,
    bot::BotState,
    samples::{planned, store},
};
use schemas::ids::OrderId;
use std::collections::{BTreeMap, HashSet};
use transport::Aggregate;
use uuid::Uuid;

/// SplitMix64: what a seed draws is the same everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn bot_id(n: u128) -> BotId {
    BotId::from(Uuid::from_u128(n))
}

#[derive(Default)]
struct World {
    lists: BTreeMap<OrderId, ShoppingList>,
    bots: BTreeMap<BotId, Bot>,
    bays: BTreeMap<i32, Bay>,
    /// How many moves were legal: a walk that does nothing proves nothing.
    moved: usize,
}

impl World {
    fn new() -> Self {
        let mut world = Self::default();
        for n in 1..=3 {
            world.bays.insert(n, Bay::new(n, 10 * n));
            world.bots.insert(bot_id(n as u128), Bot::register(None, format!("R{n}"), DEPOT));
        }
        for n in 1..=6 {
            world.lists.insert(planned(n).order, planned(n));
        }
        world
    }

    fn keep(&mut self, list: ShoppingList, bot: Option<(BotId, Bot)>, bay: Option<Bay>) {
        self.lists.insert(list.order, list);
        self.bots.extend(bot);
        self.bays.extend(bay.map(|b| (b.number, b)));
        self.moved += 1;
    }

    /// One move with random partners, right ones and wrong ones; what is refused changes nothing.
    fn step(&mut self, draw: &mut Draw) {
        let list = self.lists.values().nth(draw.below(self.lists.len())).unwrap().clone();
        let (any_bot, bot) = self.bots.iter().nth(draw.below(3)).map(|(id, b)| (*id, b.clone())).unwrap();
        let any_bay = self.bays.values().nth(draw.below(3)).unwrap().clone();
        let own_bot = list.bot().map(|id| (id, self.bots[&id].clone()));
        let own_bay = list.held_bay().map(|n| self.bays[&n].clone());
        match draw.below(30) {
            0 => {
                if let Ok((list, bay, _)) = reserve(list, any_bay) {
                    self.keep(list, None, Some(bay))
                }
            }
            1 => {
                if let Ok(list) = list.start() {
                    self.keep(list, None, None)
                }
            }
            2 => {
                if let Ok((list, bot)) = send(list, any_bot, bot) {
                    self.keep(list, Some((any_bot, bot)), None)
                }
            }
            3 => self.visit(list, own_bot, draw),
            4 => {
                if let (Some((id, bot)), Some(bay)) = (own_bot, own_bay)
                    && let Ok((list, bot, bay)) = deliver(list, bot, bay)
                {
                    self.keep(list, Some((id, bot)), Some(bay))
                }
            }
            5 if draw.below(3) == 0 => {
                if let Ok((freed, _)) = cancel(list, own_bot.as_ref().map(|b| b.1.clone()), own_bay) {
                    let bot = own_bot.and_then(|(id, _)| freed.bot.map(|b| (id, b)));
                    self.keep(freed.list, bot, freed.bay);
                }
            }
            6 => {
                if let Some((id, bot)) = own_bot
                    && let Ok((freed, _)) = come_back(list, bot, own_bay)
                {
                    self.keep(freed.list, freed.bot.map(|b| (id, b)), freed.bay);
                }
            }
            7 => {
                if let Ok(list) = list.check(&[])
                    && let Ok(freed) = release(list, own_bay)
                {
                    self.keep(freed.list, None, freed.bay);
                }
            }
            8 if draw.below(6) == 0 => self.silent(any_bot),
            5 | 8 => {}
            10..=24 => self.visit(list, own_bot, draw),
            _ => {
                self.bots.insert(any_bot, Bot::register(Some(bot), "again".into(), DEPOT));
            }
        }
    }

    fn visit(&mut self, list: ShoppingList, own: Option<(BotId, Bot)>, draw: &mut Draw) {
        let Some((id, bot)) = own else { return };
        let at = store(1 + draw.below(2) as u128);
        let Some(stop) = list.stops.iter().find(|s| s.store == at) else { return };
        let all: Vec<_> = stop.items.iter().map(|i| LineCount { product_id: i.product, quantity: i.wanted }).collect();
        let (picked, missing) = if draw.below(3) == 0 { (vec![], all) } else { (all, vec![]) };
        if let Ok((list, bot)) = visit(list, bot, at, &picked, &missing) {
            self.keep(list, Some((id, bot)), None);
        }
    }

    fn silent(&mut self, id: BotId) {
        let bot = self.bots[&id].clone();
        if let Some(order) = bot.order() {
            let (list, _) = self.lists[&order].clone().lose_bot().expect("a busy robot has a list");
            self.keep(list, None, None);
        }
        self.bots.insert(id, bot.give_up());
    }

    fn assert_nothing_is_given_twice(&self, seed: u64) {
        let mut held = HashSet::new();
        for list in self.lists.values() {
            if let Some(number) = list.held_bay() {
                assert!(held.insert(number), "seed {seed}: bay {number} is kept for two lists");
                assert_eq!(self.bays[&number].order(), Some(list.order), "seed {seed}: bay {number}");
            }
            if let Some(id) = list.bot() {
                assert_eq!(self.bots[&id].order(), Some(list.order), "seed {seed}: robot {id}");
            }
        }
        let taken = self.bays.values().filter(|b| b.state != BayState::Free).count();
        assert_eq!(taken, held.len(), "seed {seed}: a bay is taken by nobody");
        let busy = self.bots.values().filter(|b| matches!(b.state, BotState::Busy { .. })).count();
        let with_robot = self.lists.values().filter(|l| l.bot().is_some()).count();
        assert_eq!(busy, with_robot, "seed {seed}: a robot works for nobody");
        for list in self.lists.values().filter(|l| matches!(l.status(), "cancelled" | "returned")) {
            assert_eq!((list.held_bay(), list.bot()), (None, None), "seed {seed}: an ended list holds something");
        }
    }
}

#[test]
fn i9_no_interleaving_gives_a_bay_or_a_robot_twice() {
    let mut reached = HashSet::new();
    for seed in 0..400 {
        let (mut world, mut draw) = (World::new(), Draw(seed));
        for _ in 0..300 {
            world.step(&mut draw);
            world.assert_nothing_is_given_twice(seed);
        }
        assert!(world.moved > 5, "seed {seed} did nothing");
        reached.extend(world.lists.values().map(Aggregate::status));
    }
    for status in ["checked", "cancelled", "returned", "collecting", "waiting_bot"] {
        assert!(reached.contains(status), "no walk ended in {status}: {reached:?}");
    }
}

#[test]
fn the_smallest_bay_the_oldest_list_and_the_nearest_robot_are_chosen() {
    let bays: Vec<_> = [(1, 30), (2, 20), (3, 20)].map(|(n, v)| ((), Bay::new(n, v))).into();
    assert_eq!(smallest(&bays), Some(1));
    let list = |order, planned_ms, volume_ml| ((), ShoppingList { planned_ms, volume_ml, ..planned(order) });
    let lists = [list(1, 50, 10), list(2, 10, 900), list(3, 20, 10)];
    assert_eq!((oldest(&lists), oldest_within(&lists, 100), oldest_within(&lists, 5)), (Some(1), Some(2), None));
    let at = |x| ((), Bot { location: Location { x, ..DEPOT }, ..Bot::register(None, "R".into(), DEPOT) });
    assert_eq!(nearest(&[at(0), at(90), at(70)], Location { x: 80, ..DEPOT }), Some(1));
}
