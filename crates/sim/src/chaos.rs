//! The larger faults: processes die, stand still or get a double, the databases' clock jumps, partitions move.

use crate::{
    dice::{Roll, number_of},
    platform::{CONTEXTS, Mall, Platform, robots},
};
use message::Headers;
use schemas::topics;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;
use transport::ports::{Log as _, NewRecord};

/// The key of records that nobody can read.
pub const POISON: &str = "poison";

/// How long robots that died stay away.
const ROBOTS_AWAY: Duration = Duration::from_secs(3);

/// Faults of every kind this seed has, until dropped. What is down comes back by itself; what is under way when this is
/// dropped is mended by [`Platform::heal`].
pub async fn rage(platform: Arc<Platform>) {
    let faults = platform.world.faults.clone();
    tokio::join!(
        restart(platform.clone()),
        again(&platform, "crash", faults.crash_ms, crash),
        again(&platform, "pause", faults.pause_ms, pause),
        again(&platform, "twin", faults.twin_ms, twin),
        again(&platform, "clock", faults.clock_ms, clock),
        again(&platform, "rebalance", faults.rebalance_ms, rebalance),
        again(&platform, "acquirer", faults.acquirer_ms, acquirer),
        again(&platform, "log", faults.log_ms, log),
        again(&platform, "database", faults.database_ms, database),
        again(&platform, "poison", faults.poison_ms, poison),
    );
}

/// `fault` again and again, `mean_ms` apart on average; one at a time of each kind.
async fn again<F: Future<Output = ()>>(
    platform: &Arc<Platform>,
    kind: &'static str,
    mean_ms: u64,
    fault: impl Fn(Arc<Platform>, Roll, u64) -> F,
) {
    if mean_ms == 0 {
        return;
    }
    for nth in 0.. {
        let mut roll = platform.world.dice.roll(&[number_of("chaos"), number_of(kind), nth]);
        tokio::time::sleep(Duration::from_millis(roll.below(2 * mean_ms) + 1)).await;
        let id = roll.next();
        fault(platform.clone(), roll, id).await;
    }
}

fn any_context(roll: &mut Roll) -> &'static str {
    CONTEXTS[roll.below(CONTEXTS.len() as u64) as usize].0
}

async fn crash(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    let (context, place) = (any_context(&mut roll), roll.next());
    if platform.count(context) == 0 || !platform.world.fire(id, "crash", || format!("{context} crashes")) {
        return;
    }
    platform.kill(context, place);
}

/// Starts what has died by itself, and what a crash has left without a process.
async fn restart(platform: Arc<Platform>) {
    for nth in 0.. {
        let mut roll = platform.world.dice.roll(&[number_of("restart"), nth]);
        tokio::time::sleep(Duration::from_millis(roll.between(100, 4_000))).await;
        for context in platform.bury() {
            // Only an unknown context cannot be started.
            let _ = platform.start(context);
        }
    }
}

async fn pause(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    let (context, place, ms) = (any_context(&mut roll), roll.next(), roll.between(100, 15_000));
    if platform.world.fire(id, "pause", || format!("{context} stands still for {ms} ms")) {
        platform.pause(context, place, Duration::from_millis(ms));
    }
}

async fn twin(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    let (context, ms) = (any_context(&mut roll), roll.between(500, 12_000));
    if !platform.world.fire(id, "twin", || format!("{context} runs twice for {ms} ms")) {
        return;
    }
    if platform.start(context).is_ok() {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        if platform.count(context) > 1 {
            platform.kill(context, roll.next());
        }
    }
}

async fn clock(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    let ms = roll.between(0, 20_000) as i64 - 10_000;
    if platform.world.fire(id, "clock", || format!("the databases' clock jumps by {ms} ms")) {
        platform.world.jump(ms);
    }
}

async fn acquirer(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    away(&platform, "acquirer", "acquirer", roll.between(1_000, 20_000), id);
}

async fn log(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    away(&platform, "log", "log", roll.between(500, 15_000), id);
}

async fn database(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    let context = any_context(&mut roll);
    away(&platform, "database", context, roll.between(500, 8_000), id);
}

fn away(platform: &Platform, kind: &'static str, what: &'static str, ms: u64, id: u64) {
    if platform.world.fire(id, kind, || format!("the {kind} ({what}) is away for {ms} ms")) {
        platform.world.send_away(what, Duration::from_millis(ms));
    }
}

/// A member that takes part of the partitions and reads nothing; when it goes they move back, in the middle of batches.
async fn rebalance(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    let (context, ms) = (any_context(&mut roll), roll.between(10, 3_000));
    if !platform.world.fire(id, "rebalance", || format!("partitions of {context} move away for {ms} ms")) {
        return;
    }
    let Ok(_member) = platform.log.subscribe(context, topics::ALL) else { return };
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// A record without headers: whoever reads the topic must set it aside, and go on.
async fn poison(platform: Arc<Platform>, mut roll: Roll, id: u64) {
    let topic = topics::ALL[roll.below(topics::ALL.len() as u64) as usize];
    if !platform.world.fire(id, "poison", || format!("nobody can read a record on {topic}")) {
        return;
    }
    let value = Some((0..roll.between(0, 40)).map(|_| roll.next() as u8).collect());
    let record = NewRecord { topic: topic.to_owned(), key: POISON.to_owned(), headers: Headers::default(), value };
    // The log in memory is asked without the way there, on which it might fail.
    let _ = platform.log.append(vec![record]).await;
}

/// How long robots have no gateway when theirs has died.
const GATEWAY_AWAY: Duration = Duration::from_millis(700);

/// The gateways of one life of the robots, one after the other.
async fn gateways(platform: Arc<Platform>, mall: Mall, count: usize, life: u64) -> anyhow::Result<()> {
    let mean_ms = platform.world.faults.gateway_ms;
    for nth in 0.. {
        let mut roll = platform.world.dice.roll(&[number_of("gateway"), life, nth]);
        let lives = Duration::from_millis(roll.below(2 * mean_ms) + 1);
        let dies = async {
            loop {
                tokio::time::sleep(if mean_ms > 0 { lives } else { Duration::from_secs(60) }).await;
                let struck = platform.world.is_active() && mean_ms > 0;
                if struck && platform.world.fire(roll.next(), "gateway", || "the robots' gateway dies".to_owned()) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = dies => {}
            ended = mall.serve(platform.clone(), count) => return ended,
        }
        tokio::time::sleep(GATEWAY_AWAY).await;
    }
    Ok(())
}

/// The robots, who now and then lose their memory and come back.
pub async fn run_robots(platform: Arc<Platform>, count: usize) {
    let mean_ms = platform.world.faults.robots_ms;
    for nth in 0.. {
        let mut working = JoinSet::new();
        let about = [number_of("robots"), nth];
        let mut roll = platform.world.dice.roll(&about);
        let worked = Duration::from_millis(roll.below(2 * mean_ms) + 1);
        let work = platform.clone();
        working.spawn(async move {
            let mall = Mall::default();
            let worked = tokio::select! {
                biased;
                ended = robots(work.clone(), mall.clone(), count, nth) => ended,
                ended = gateways(work.clone(), mall, count, nth) => ended,
            };
            if let Err(error) = worked {
                work.world.wrong(format!("robots: {error:#}"));
            }
        });
        let dies = || platform.world.is_active() && mean_ms > 0;
        loop {
            tokio::time::sleep(if mean_ms > 0 { worked } else { Duration::from_secs(60) }).await;
            if dies() && platform.world.fire(roll.next(), "robots", || "the robots lose their memory".to_owned()) {
                break;
            }
        }
        drop(working);
        tokio::time::sleep(ROBOTS_AWAY).await;
    }
}
