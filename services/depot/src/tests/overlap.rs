//! I9 through the production shell: random orders, robots, cancellations, losses and repeats in batches of random size never
//! give a bay or a robot twice, and in the end nothing is held that should be free.

use super::*;
use std::collections::HashSet;

const ORDERS: u128 = 8;
const ROBOTS: u128 = 2;

/// SplitMix64: what a seed draws is the same everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

async fn step(hall: &mut Hall, draw: &mut Draw) {
    let n = 1 + u128::from(draw.below(ORDERS as u64));
    let round = 1 + draw.below(2) as u32;
    match draw.below(12) {
        0 | 1 => hall.post(n, DO, round, plan(n, 30)).await,
        2 | 3 => hall.post(n, DO, round, start(n)).await,
        4 => hall.post(n, UNDO, 1, cancel(n)).await,
        5 => hall.post(n, DO, 1, release(n)).await,
        6 => drop(hall.check(n).await),
        7 => drop(hall.later(draw.below(12_000) as i64).await),
        8 => drop(hall.online(1 + n % ROBOTS).await),
        9 => {
            hall.dispatcher.run_once().await;
        }
        _ => work(hall, 1 + n % ROBOTS, draw).await,
    }
}

/// The robot does the next thing it was told, or only beats.
async fn work(hall: &mut Hall, n: u128, draw: &mut Draw) {
    let Some(bot) = hall.shell.get::<Bot>(bot_id(n).into()).await.unwrap() else { return };
    let Some(order) = bot.order() else { return drop(hall.report(n, vec![heartbeat()]).await) };
    let no = order.as_uuid().as_u128();
    let list = hall.list(no).await;
    let what = match list.to_visit().first() {
        _ if list.status() == "returning" => returned(no),
        None => delivered(no),
        Some(stop_at) if stop_at.store == samples::store(1) && draw.below(3) == 0 => stop(no, 1, &[], &[(1, 2)]),
        Some(stop_at) if stop_at.store == samples::store(1) => stop(no, 1, &[(1, 2)], &[]),
        Some(_) => stop(no, 2, &[(2, 1)], &[]),
    };
    hall.report(n, vec![what]).await;
}

async fn all<A: Aggregate>(hall: &Hall) -> Vec<(Uuid, A)> {
    hall.shell.list::<A>(&Query { limit: 500, ..Query::default() }).await.unwrap()
}

/// Answers the statuses that lists have.
async fn assert_nothing_is_given_twice(hall: &Hall, seed: u64) -> HashSet<&'static str> {
    hall.settled().await;
    let (lists, bots, bays) = (all::<ShoppingList>(hall).await, all::<Bot>(hall).await, all::<Bay>(hall).await);
    let mut held = HashSet::new();
    for (_, list) in &lists {
        if let Some(number) = list.held_bay() {
            assert!(held.insert(number), "seed {seed}: bay {number} is kept for two lists");
            let bay = bays.iter().find(|(_, b)| b.number == number).unwrap();
            assert_eq!(bay.1.order(), Some(list.order), "seed {seed}: bay {number}");
        }
        if let Some(id) = list.bot() {
            let bot = bots.iter().find(|(b, _)| *b == Uuid::from(id)).unwrap();
            assert_eq!(bot.1.order(), Some(list.order), "seed {seed}: robot {id}");
        }
    }
    assert_eq!(bays.iter().filter(|(_, b)| b.order().is_some()).count(), held.len(), "seed {seed}: a bay for nobody");
    let working = lists.iter().filter(|(_, l)| l.bot().is_some()).count();
    assert_eq!(bots.iter().filter(|(_, b)| b.order().is_some()).count(), working, "seed {seed}: a robot for nobody");
    lists.iter().map(|(_, list)| list.status()).collect()
}

/// Cancels or releases everything: then nothing may be held.
async fn clear(hall: &mut Hall, seed: u64) {
    for n in 1..=ROBOTS {
        hall.online(n).await;
    }
    for n in 1..=ORDERS {
        // A round of its own: round 1 may have been undone before round 2 was done.
        hall.send(n, UNDO, 3, cancel(n)).await;
    }
    for _ in 0..60 {
        hall.dispatcher.run_once().await;
        for n in 1..=ROBOTS {
            work(hall, n, &mut Draw(seed)).await;
        }
    }
    for (_, bay) in all::<Bay>(hall).await {
        assert_eq!(bay.order(), None, "seed {seed}: bay {} is still held", bay.number);
    }
    for (id, bot) in all::<Bot>(hall).await {
        assert_eq!(bot.order(), None, "seed {seed}: robot {id} still works");
    }
}

#[tokio::test]
async fn i9_no_interleaving_of_commands_reports_and_losses_gives_a_bay_or_a_robot_twice() {
    let mut reached = HashSet::new();
    for seed in 0..40 {
        let (mut hall, mut draw) = (Hall::with_bays(4).await, Draw(seed));
        for _ in 0..120 {
            step(&mut hall, &mut draw).await;
            if draw.below(4) == 0 {
                reached.extend(assert_nothing_is_given_twice(&hall, seed).await);
            }
        }
        reached.extend(assert_nothing_is_given_twice(&hall, seed).await);
        clear(&mut hall, seed).await;
        assert!(hall.store().parked().is_empty(), "seed {seed}: {:?}", hall.store().parked());
    }
    for status in ["waiting_bay", "waiting_bot", "collecting", "delivered", "checked", "cancelled", "returned"] {
        assert!(reached.contains(status), "no walk came by {status}: {reached:?}");
    }
}
