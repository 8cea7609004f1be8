//! What every clock promises, checked on both: the stepped one and the database's.

use std::{future::Future, task::Poll, time::Duration};
use testkit::Database;
use transport::{clock::DbClock, memory::SteppedClock, ports::Clock, postgres::PgStore};

/// A clock, and a way to let time go on by it.
trait World {
    type Clock: Clock;

    fn clock(&self) -> &Self::Clock;
    async fn pass(&self, time: Duration);
}

struct Stepped(SteppedClock);

impl World for Stepped {
    type Clock = SteppedClock;

    fn clock(&self) -> &SteppedClock {
        &self.0
    }

    async fn pass(&self, time: Duration) {
        self.0.step(time.as_millis() as i64);
    }
}

struct OfDatabase {
    clock: DbClock<PgStore>,
    _database: Database,
}

impl OfDatabase {
    async fn create() -> Self {
        let database = Database::create("clock", &[], refinery::Runner::new(&[])).await;
        Self { clock: DbClock::new(database.store().clone()), _database: database }
    }
}

impl World for OfDatabase {
    type Clock = DbClock<PgStore>;

    fn clock(&self) -> &DbClock<PgStore> {
        &self.clock
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

const STEP: Duration = Duration::from_millis(20);

async fn time_goes_on_and_never_back(world: impl World) {
    let mut before = world.clock().now_ms().await.unwrap();
    for _ in 0..5 {
        world.pass(STEP).await;
        let now = world.clock().now_ms().await.unwrap();
        assert!(now >= before + STEP.as_millis() as i64 - 1, "{before}, then {now}");
        before = now;
    }
}

async fn clones_are_the_same_clock(world: impl World) {
    let clone = world.clock().clone();
    let before = world.clock().now_ms().await.unwrap();
    world.pass(STEP).await;
    let (middle, after) = (clone.now_ms().await.unwrap(), world.clock().now_ms().await.unwrap());
    assert!(before < middle && middle <= after, "{before}, {middle}, {after}");
}

async fn a_sleeper_wakes_when_its_time_has_come_and_not_before(world: impl World) {
    let time = STEP * 5;
    let started = world.clock().now_ms().await.unwrap();
    let mut sleeper = std::pin::pin!(world.clock().sleep(time));
    assert_eq!(look(sleeper.as_mut()).await, Poll::Pending);
    let woke = testkit::eventually(Duration::from_secs(10), async || {
        world.pass(STEP).await;
        let awake = look(sleeper.as_mut()).await.is_ready();
        let now = world.clock().now_ms().await.unwrap();
        awake.then_some(now)
    });
    let slept = woke.await - started;
    // The two clocks of a database and its client may differ by the millisecond that each rounds off.
    assert!(slept >= time.as_millis() as i64 - 1, "woke after {slept} ms instead of {time:?}");
}

async fn sleeping_no_time_at_all_ends_at_once(world: impl World) {
    world.clock().sleep(Duration::ZERO).await;
}

async fn look(sleeper: std::pin::Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
    let mut sleeper = Some(sleeper);
    std::future::poll_fn(move |context| {
        let sleeper = sleeper.take().expect("polled once");
        Poll::Ready(sleeper.poll(context))
    })
    .await
}

macro_rules! on_both {
    ($($property:ident),+) => {
        mod stepped {
            $(#[tokio::test]
            async fn $property() {
                super::$property(super::Stepped(super::SteppedClock::default())).await;
            })+
        }
        mod of_the_database {
            $(#[tokio::test]
            async fn $property() {
                super::$property(super::OfDatabase::create().await).await;
            })+
        }
    };
}

on_both!(
    time_goes_on_and_never_back,
    clones_are_the_same_clock,
    a_sleeper_wakes_when_its_time_has_come_and_not_before,
    sleeping_no_time_at_all_ends_at_once
);
