//! Random walks: whatever comes, in whatever order, the invariants that the driver asserts after each input hold, and
//! once the world is well again every saga comes to its end. A walk is given by its seed.

mod toy;

use message::{Direction, EffectKey, Outcome, Refusal};
use saga::{
    Cause, Definition, Input, Kept, Phase, Reply, Timer, TimerKind, Verb,
    harness::{Driver, SAGA_ID, Sent},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use toy::*;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len())].clone())
    }
}

const STEPS: [&str; 8] =
    ["trip-asked", "hold-seat", "passport-checked", "reserve-bag", "meal-chosen", "book-meal", "pay", "send-ticket"];

fn answer(command: &str) -> (&'static str, Value) {
    match command {
        "mallbots.toy.HoldSeat" => ("mallbots.toy.SeatHeld", json!(SeatHeld { seat: 12 })),
        "mallbots.toy.FreeSeat" => ("mallbots.toy.SeatFreed", json!({})),
        "mallbots.toy.ReserveBag" => ("mallbots.toy.BagReserved", json!({})),
        "mallbots.toy.ReleaseBag" => ("mallbots.toy.BagReleased", json!({})),
        "mallbots.toy.BookMeal" => ("mallbots.toy.MealBooked", json!({})),
        "mallbots.toy.CancelMeal" => ("mallbots.toy.MealCancelled", json!({})),
        "mallbots.toy.Pay" => ("mallbots.toy.Paid", json!(Paid { amount: 100 })),
        "mallbots.toy.SendTicket" => ("mallbots.toy.TicketSent", json!({})),
        "mallbots.toy.CloseTrip" => ("mallbots.toy.TripClosed", json!({})),
        other => panic!("no answer to {other}"),
    }
}

fn accept(sent: &Sent) -> Input {
    let (name, body) = answer(&sent.name);
    reply(sent, Outcome::Ok, name, body)
}

fn reply(sent: &Sent, outcome: Outcome, name: &str, body: Value) -> Input {
    let (effect, attempt) = (sent.effect.clone(), sent.attempt);
    Input::Reply(Reply { effect, attempt, outcome, name: name.into(), body })
}

fn refuse(sent: &Sent, retryable: bool) -> Input {
    let body = json!(Refusal { code: "toy.no".into(), message: "no".into(), retryable });
    reply(sent, Outcome::Refused, "mallbots.Refused", body)
}

/// Anything at all: likely inputs and unlikely ones, about steps that were sent and steps that were not.
fn any_input(dice: &mut Dice, driver: &Driver<'_>) -> Input {
    let step = STEPS[dice.roll(STEPS.len())].to_owned();
    let sent = dice.pick(&driver.sent);
    match (dice.roll(22), sent) {
        (0..=5, Some(_)) => accept(&driver.sent[driver.sent.len() - 1]),
        (6..=8, Some(sent)) => accept(&sent),
        (9, Some(sent)) => refuse(&sent, true),
        (10, Some(sent)) => refuse(&sent, false),
        (11, Some(sent)) => reply(&sent, Outcome::Ok, "mallbots.toy.Rubbish", json!([1])),
        (12 | 13, _) => event("PassportChecked", json!(PassportChecked { trip: 7, valid: dice.roll(6) > 0 })),
        (14, _) => event("MealChosen", json!(MealChosen { trip: 7 })),
        (15, _) => event(["MealChosen", "Nonsense"][dice.roll(2)], json!({"trip": "seven"})),
        (16, _) if dice.roll(4) == 0 => Input::Cancel { reason: "no".into(), by: "customer".into() },
        (17, _) => Input::Operator { verb: any_verb(dice, step), reason: "look".into(), by: "op".into() },
        (18, _) => Input::Timer(any_timer(dice, step)),
        (19, _) => any_reply(dice, step),
        _ => next_timer(driver).map_or_else(|| event("MealChosen", json!(null)), Input::Timer),
    }
}

fn event(name: &str, body: Value) -> Input {
    Input::Event { name: format!("mallbots.toy.{name}"), body }
}

fn any_verb(dice: &mut Dice, step: String) -> Verb {
    match dice.roll(9) {
        0 => Verb::Cancel,
        1 => Verb::Skip { step },
        2 => Verb::MarkDone { step },
        3 => Verb::CompleteForward,
        _ => Verb::Retry,
    }
}

fn any_timer(dice: &mut Dice, step: String) -> Timer {
    let kind = [TimerKind::Deadline, TimerKind::Retry][dice.roll(2)];
    let direction = [Direction::Do, Direction::Undo][dice.roll(2)];
    Timer { kind, step, direction, round: dice.roll(3) as u32, attempt: dice.roll(4) as u32 }
}

fn any_reply(dice: &mut Dice, step: String) -> Input {
    let direction = [Direction::Do, Direction::Undo][dice.roll(2)];
    let effect = EffectKey { saga_id: SAGA_ID, step, direction, round: dice.roll(4) as u32 };
    let outcome = [Outcome::Ok, Outcome::Refused][dice.roll(2)];
    let name = ["mallbots.Refused", "mallbots.toy.SeatFreed", "mallbots.toy.Paid"][dice.roll(3)].into();
    Input::Reply(Reply { effect, attempt: dice.roll(4) as u32, outcome, name, body: json!({"amount": 1}) })
}

fn next_timer(driver: &Driver<'_>) -> Option<Timer> {
    driver.timers.iter().min_by_key(|(_, due)| **due).map(|(timer, _)| timer.clone())
}

fn walk<'a>(definition: &'a Definition, seed: u64) -> Driver<'a> {
    let mut dice = Dice(seed);
    let start = json!(TripAsked { no_meal: dice.roll(4) == 0, ..asked() });
    let mut driver = Driver::start(definition, &start);
    let (length, is_silent) = (dice.roll(70), dice.roll(3) == 0);
    for i in 0..length {
        // In a third of the walks nobody answers from some moment on, which is how sagas get stuck.
        let input = match next_timer(&driver).filter(|_| is_silent && i > length / 4) {
            Some(timer) => Input::Timer(timer),
            None => any_input(&mut dice, &driver),
        };
        match input {
            // A stale timer goes in by the other door, because the clock knows nothing of it.
            Input::Timer(timer) if driver.timers.contains_key(&timer) => driver.fire(timer),
            input => driver.apply(input),
        }
    }
    driver
}

/// From now on everybody answers yes, everything that is waited for comes, and an operator retries what is stuck.
fn heal(driver: &mut Driver<'_>) {
    for _ in 0..500 {
        if driver.phase().is_terminal() {
            return;
        }
        for sent in driver.sent.clone() {
            driver.apply(accept(&sent));
        }
        driver.apply(event("PassportChecked", json!(PassportChecked { trip: 7, valid: true })));
        driver.apply(event("MealChosen", json!(MealChosen { trip: 7 })));
        driver.apply(Input::Operator { verb: Verb::Retry, reason: "look".into(), by: "op".into() });
        driver.fire_next();
    }
    panic!("the saga does not come to an end: {:#?}", driver.progress);
}

#[test]
fn no_walk_breaks_an_invariant_and_every_saga_comes_to_its_end() {
    let saga = trip();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..4_000 {
        let mut driver = walk(&saga, seed);
        *seen.entry(driver.phase().as_str()).or_default() += 1;
        driver.check_replay();
        heal(&mut driver);
        driver.check_replay();
    }
    for phase in [Phase::Running, Phase::Compensating, Phase::Stuck, Phase::Completed, Phase::Compensated] {
        assert!(seen.get(phase.as_str()) > Some(&20), "the walks hardly ever reach {}: {seen:?}", phase.as_str());
    }
}

#[test]
fn the_same_seed_walks_the_same_way() {
    let saga = trip();
    for seed in 0..50 {
        let (one, two) = (walk(&saga, seed), walk(&saga, seed));
        assert_eq!((one.progress, one.history, one.now_ms), (two.progress, two.history, two.now_ms));
    }
}

#[test]
fn no_garbled_progress_makes_decide_panic() {
    let saga = trip();
    for seed in 0..1_000 {
        let mut dice = Dice(seed);
        let driver = walk(&saga, seed);
        let mut garbled = driver.progress.clone();
        match dice.roll(4) {
            0 => garbled.data = Kept::of(&json!({"seat": "none"})).unwrap(),
            1 => drop(garbled.steps.remove(STEPS[dice.roll(STEPS.len())])),
            2 => {
                garbled.cause =
                    Some(Cause { kind: saga::CauseKind::Operator, code: "x".into(), reason: "".into(), step: None })
            }
            _ => garbled.steps.values_mut().for_each(|s| s.rounds.clear()),
        }
        for _ in 0..10 {
            let input = any_input(&mut dice, &driver);
            garbled = saga::decide(&saga, garbled, input).0;
        }
    }
}
