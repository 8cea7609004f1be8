//! The production shell on the ports in memory, and what it makes of their faults. The context is a toy: it counts how often
//! an order was approved.

use message::{Envelope, Outgoing, Refusal, SagaRef, Stream};
use schemas::{
    ids::OrderId,
    orders::{ApproveOrder, BeginCancel, CancelBegun, OrderApprovalDone, OrderApproved, OrderCancelled},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use testkit::{MemoryShell, do_ref, memory_shell, memory_shell_with, undo_ref};
use transport::{
    Aggregate, Answer, Call, CallError, Context, Fold, Idempotency, Router, Shell, ShellConfig, Stop, Unit,
    codec::Codec,
    memory::{CommitFault, MemoryLog, MemoryStore},
    parking::Parking,
    ports::{Changes, Log, NewRecord, ParkedAction, Record, Store, Tx},
    relay::{Outcome, Relay, RelayConfig},
    timers::{Gate, Timers},
};
use uuid::Uuid;

const ORDER: Uuid = Uuid::from_u128(7);
const DEADLINE_MS: i64 = 60_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tally {
    approved: u32,
    cancelled: u32,
    deadline_ms: Option<i64>,
}

impl Aggregate for Tally {
    const KIND: &'static str = "tally";

    fn status(&self) -> &'static str {
        if self.deadline_ms.is_some() { "waiting" } else { "done" }
    }

    fn rank(&self) -> i64 {
        self.deadline_ms.unwrap_or(0)
    }

    fn wake_at_ms(&self) -> Option<i64> {
        self.deadline_ms
    }
}

struct Toy;

impl Context for Toy {
    const NAME: &'static str = "toy";
    const KINDS: transport::Kinds = &["tally"];
    const AWAITED: Option<&'static str> = Some("tally");

    fn routes() -> Router<Self> {
        Router::new().command(approve).slow_command(begin_cancel, hurry_up).event(cancelled).wake::<Tally>(wake)
    }
}

fn tally(unit: &mut Unit, id: Uuid) -> Fold<Tally> {
    Ok(unit.get(id)?.unwrap_or(Tally { approved: 0, cancelled: 0, deadline_ms: None }))
}

fn approve(_: &Toy, unit: &mut Unit, command: &ApproveOrder, _: &SagaRef) -> Fold<Answer<OrderApprovalDone>> {
    let id = command.order_id.into();
    let tally = tally(unit, id)?;
    if tally.approved == 3 {
        return Err(Refusal::new("toy.enough", "Three approvals are enough.").into());
    }
    let deadline_ms = Some(unit.now_ms() + DEADLINE_MS);
    unit.put(id, Tally { approved: tally.approved + 1, deadline_ms, ..tally });
    unit.emit::<Tally, _>(id, OrderApproved { order_id: command.order_id })?;
    Ok(Answer::Now(OrderApprovalDone::default()))
}

fn begin_cancel(_: &Toy, unit: &mut Unit, command: &BeginCancel, _: &SagaRef) -> Fold<Answer<CancelBegun>> {
    let before = tally(unit, command.order_id.into())?;
    unit.put(command.order_id.into(), before);
    Ok(Answer::Later)
}

/// Counts how often somebody grew impatient, and has enough of it at the third time.
fn hurry_up(_: &Toy, unit: &mut Unit, command: &BeginCancel) -> Fold<()> {
    let before = tally(unit, command.order_id.into())?;
    let cancelled = before.cancelled + 1;
    unit.put(command.order_id.into(), Tally { cancelled, ..before });
    if cancelled == 3 { Err(Refusal::new("toy.enough", "Three times are enough.").into()) } else { Ok(()) }
}

fn publish(_: &Toy, unit: &mut Unit) -> Fold<()> {
    let before = tally(unit, ORDER)?;
    unit.put(ORDER, before);
    unit.emit::<Tally, _>(ORDER, OrderApproved { order_id: order_id() })
}

/// The reason decides what becomes of it.
fn cancelled(_: &Toy, unit: &mut Unit, _: &Envelope, event: &OrderCancelled) -> Fold<()> {
    assert!(event.reason != "panic", "a defect");
    let id = event.order_id.into();
    let before = tally(unit, id)?;
    if event.reason == "poison once" && unit.now_ms() == start_ms() {
        return Err(Stop::Poison("not today".into()));
    }
    unit.put(id, Tally { cancelled: before.cancelled + 1, ..before });
    Ok(())
}

fn wake(_: &Toy, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let tally = tally(unit, id)?;
    if tally.deadline_ms.is_some_and(|deadline| deadline <= unit.now_ms()) {
        unit.put(id, Tally { deadline_ms: None, ..tally });
    }
    Ok(())
}

fn toy() -> MemoryShell<Toy> {
    memory_shell(Toy)
}

fn start_ms() -> i64 {
    transport::memory::SteppedClock::default().now()
}

fn order_id() -> OrderId {
    ORDER.into()
}

fn approval() -> ApproveOrder {
    ApproveOrder { order_id: order_id() }
}

/// Asks under the effect key of the `n`th saga.
async fn ask(toy: &MemoryShell<Toy>, n: u128) -> Result<OrderApprovalDone, Refusal> {
    toy.ask(&do_ref(Uuid::from_u128(n), "approve-order"), approval()).await
}

async fn count(toy: &MemoryShell<Toy>) -> (u32, u32) {
    toy.get::<Tally>(ORDER).await.map_or((0, 0), |tally| (tally.approved, tally.cancelled))
}

/// The cancellation with this number in its stream, as the log would deliver it.
fn cancellation(shell: &Shell<Toy, MemoryStore>, seq: u64, reason: &str) -> Record {
    let topic = "mallbots.orders.events".to_owned();
    let envelope = Envelope {
        id: Uuid::from_u128(u128::from(seq)),
        name: "mallbots.orders.OrderCancelled".into(),
        stream: Stream::new("orders", "order", &ORDER.to_string(), &topic),
        seq,
        time_ms: 0,
        trace: None,
        correlation_id: None,
        causation_id: None,
        saga: None,
        outcome: None,
    };
    let event = OrderCancelled { order_id: order_id(), reason: reason.into() };
    let value = Some(shell.codec().encode(&Outgoing::new(event)).unwrap());
    let headers = envelope.to_headers();
    Record { topic, partition: 0, offset: seq as i64, key: Some(ORDER.to_string().into_bytes()), headers, value }
}

async fn deliver(toy: &MemoryShell<Toy>, seq: u64, reason: &str) {
    toy.shell.deliver(cancellation(&toy.shell, seq, reason)).await.unwrap();
    toy.settle().await;
}

#[tokio::test]
async fn a_command_is_answered_and_its_event_published() {
    let toy = toy();
    assert_eq!(ask(&toy, 1).await, Ok(OrderApprovalDone::default()));
    assert_eq!(count(&toy).await, (1, 0));
    assert_eq!(toy.published::<OrderApproved>(), [OrderApproved { order_id: order_id() }]);
    assert_eq!(toy.store.backlog().await.unwrap().rows, 0, "what is sent is deleted");
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_changes_nothing() {
    let toy = toy();
    for n in 1..=3 {
        ask(&toy, n).await.unwrap();
    }
    assert_eq!(ask(&toy, 4).await.unwrap_err().code, "toy.enough");
    assert_eq!(count(&toy).await, (3, 0));
    assert_eq!(toy.published::<OrderApproved>().len(), 3);
}

#[tokio::test]
async fn a_repeated_command_has_one_effect_and_each_attempt_its_answer() {
    let toy = toy();
    let first = do_ref(ORDER, "approve-order");
    let again = SagaRef { attempt: 2, ..first.clone() };
    assert_eq!(toy.ask(&first, approval()).await, Ok(OrderApprovalDone::default()));
    assert_eq!(toy.ask(&again, approval()).await, Ok(OrderApprovalDone::default()));
    assert_eq!(count(&toy).await, (1, 0));
}

#[tokio::test]
async fn a_context_hears_of_a_command_that_is_repeated_while_its_answer_is_awaited_and_not_afterwards() {
    let (toy, first) = (toy(), undo_ref(ORDER, "approve-order"));
    let begin = || BeginCancel { order_id: order_id(), reason: "changed my mind".into() };
    toy.command(&first, begin()).await;
    assert_eq!(count(&toy).await, (0, 0));
    // What it refuses changes nothing, and the attempt is noted all the same.
    for (attempt, heard) in [(2, 1), (3, 2), (4, 2)] {
        let again = SagaRef { attempt, ..first.clone() };
        toy.command(&again, begin()).await;
        assert_eq!((count(&toy).await, toy.answer::<BeginCancel>(&again)), ((0, heard), None));
    }
    assert_eq!(toy.store.parked().len(), 0);
    let effect = first.effect.clone();
    toy.call(move |_, unit| unit.answer(&effect, Ok(CancelBegun::default()))).await.unwrap();
    let answered = |attempt| toy.answer::<BeginCancel>(&SagaRef { attempt, ..first.clone() });
    assert_eq!(answered(4), Some(Ok(CancelBegun::default())));
    toy.command(&SagaRef { attempt: 5, ..first.clone() }, begin()).await;
    assert_eq!((count(&toy).await, answered(5)), ((0, 2), Some(Ok(CancelBegun::default()))));
}

#[tokio::test]
async fn an_undo_before_its_do_bars_the_do() {
    let toy = toy();
    toy.command(&undo_ref(ORDER, "approve-order"), approval()).await;
    let late = toy.ask(&do_ref(ORDER, "approve-order"), approval()).await;
    assert_eq!(late.unwrap_err().code, "platform.barred");
}

#[tokio::test]
async fn whatever_becomes_of_a_commit_its_effect_stands_once() {
    let lost = |took_effect| CommitFault::Unknown { took_effect };
    for faults in [
        vec![CommitFault::Failed],
        vec![lost(false)],
        vec![lost(true)],
        vec![lost(false), CommitFault::Failed, lost(true)],
    ] {
        let toy = toy();
        faults.iter().for_each(|fault| toy.store.fail_next_commit(*fault));
        assert_eq!(ask(&toy, 1).await, Ok(OrderApprovalDone::default()), "{faults:?}");
        assert_eq!(count(&toy).await, (1, 0), "{faults:?}");
        assert_eq!(toy.published::<OrderApproved>().len(), 1, "{faults:?}");
    }
}

/// Opens for one aggregate only.
struct Only(Uuid);

impl Gate for Only {
    async fn open(&self, due: Vec<(String, Uuid, i64)>) -> Result<Vec<(String, Uuid)>, transport::Error> {
        Ok(due.into_iter().filter(|(_, id, _)| *id == self.0).map(|(kind, id, _)| (kind, id)).collect())
    }
}

#[tokio::test]
async fn however_many_timers_are_held_those_behind_them_fire() {
    let store = MemoryStore::new(Toy::KINDS);
    let now = store.now_ms().await.unwrap();
    let last = Uuid::from_u128(u128::MAX);
    let held = (1..=1_200).map(|n| ("tally", Uuid::from_u128(n), now - 2));
    let arm = held.chain([("tally", last, now - 1)]).collect();
    store.begin().await.unwrap().commit("toy", &Changes { arm, ..Changes::default() }).await.unwrap();
    let codec = Arc::new(Codec::offline().unwrap());
    let shell = Shell::new(Toy, store.clone(), codec, ShellConfig::default());
    let mut timers = Timers::new(shell, Only(last));
    let mut woken = 0;
    for _ in 0..10 {
        woken += timers.run_once().await.unwrap();
    }
    assert!(woken > 1, "it is woken {woken} times in ten looks: once it is found, it is looked for again");
}

#[tokio::test]
async fn a_timer_wakes_its_aggregate_when_the_time_has_come() {
    let toy = toy();
    ask(&toy, 1).await.unwrap();
    toy.pass(DEADLINE_MS - 1).await;
    assert!(toy.get::<Tally>(ORDER).await.unwrap().deadline_ms.is_some());
    toy.pass(1).await;
    assert_eq!(toy.get::<Tally>(ORDER).await.unwrap().deadline_ms, None);
    toy.store.clock().step(DEADLINE_MS);
    assert_eq!(toy.store.due(None, 10).await.unwrap(), [], "an aggregate that waits for nothing has no timer");
}

#[tokio::test]
async fn a_call_is_answered_after_its_commit() {
    let toy = toy();
    let answer = toy.call(|_, unit| {
        let before = tally(unit, ORDER)?;
        unit.put(ORDER, Tally { approved: 2, ..before });
        Ok(before.approved)
    });
    assert_eq!(answer.await, Ok(0));
    assert_eq!(count(&toy).await, (2, 0));
}

#[tokio::test]
async fn an_event_that_comes_twice_counts_once() {
    let toy = toy();
    for seq in [1, 1, 5, 2, 5] {
        deliver(&toy, seq, "changed my mind").await;
    }
    assert_eq!(count(&toy).await, (0, 2), "numbers 1 and 5");
}

#[tokio::test]
async fn a_panic_parks_its_record_and_what_follows_waits_behind_it() {
    let toy = toy();
    deliver(&toy, 1, "panic").await;
    deliver(&toy, 2, "changed my mind").await;
    ask(&toy, 1).await.unwrap();
    assert_eq!(count(&toy).await, (1, 0), "another stream of the same aggregate flows");
    let parked = toy.store.parked();
    assert_eq!(parked.len(), 2);
    assert!(parked[0].reason.contains("a defect"), "{}", parked[0].reason);
    toy.store.decide(parked[0].id, ParkedAction::Skip);
    toy.settle().await;
    assert_eq!(count(&toy).await, (1, 1));
    assert_eq!(toy.store.parked(), []);
}

/// A rebalance or a crash delivers again what was parked and whatever followed it.
#[tokio::test]
async fn what_is_parked_and_delivered_again_holds_its_stream_no_longer_than_once() {
    let toy = toy();
    for _ in 0..2 {
        deliver(&toy, 1, "poison once").await;
        deliver(&toy, 2, "changed my mind").await;
    }
    let parked = toy.store.parked();
    assert_eq!(parked.len(), 2);
    toy.store.clock().step(1);
    toy.store.decide(parked[0].id, ParkedAction::Release);
    toy.settle().await;
    assert_eq!((count(&toy).await, toy.store.parked()), ((0, 2), vec![]));
    toy.shell.deliver(cancellation(&toy.shell, 3, "changed my mind")).await.unwrap();
    toy.shell.run_ready().await;
    assert_eq!(toy.store.parked(), [], "nothing is left to wait behind");
    assert_eq!(count(&toy).await, (0, 3));
}

/// The parking looks again before what it fed is through, and two processes of a context look at the same records.
#[tokio::test]
async fn a_parked_record_that_is_fed_again_counts_once_and_holds_nothing_up() {
    for max_batch in [1, 100] {
        let toy = memory_shell_with(Toy, ShellConfig { max_batch, ..ShellConfig::default() });
        let (shell, store) = (&toy.shell, &toy.store);
        let through = async {
            for (seq, reason) in [(1, "poison once"), (2, "changed my mind")] {
                shell.deliver(cancellation(&toy.shell, seq, reason)).await.unwrap();
                shell.run_ready().await;
            }
            store.clock().step(1);
            store.decide(store.parked()[0].id, ParkedAction::Release);
            let parking = Parking::new(shell.clone());
            for _ in 0..3 {
                assert_eq!(parking.run_once().await.unwrap(), 1);
            }
            while shell.run_ready().await > 0 || parking.run_once().await.unwrap() > 0 {}
            shell.deliver(cancellation(&toy.shell, 3, "changed my mind")).await.unwrap();
            while shell.run_ready().await > 0 {}
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), through).await.expect("the shell is stuck");
        assert_eq!((count(&toy).await, store.parked()), ((0, 3), vec![]), "in batches of {max_batch}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_answered_is_parked_and_not_carried_out() {
    for (allowed, reply_to, parked) in [(vec![], "", 1), (vec!["a"], "b", 1), (vec!["a"], "a", 0), (vec![], "b", 0)] {
        let reply_topics = allowed.iter().map(ToString::to_string).collect();
        let toy = memory_shell_with(Toy, ShellConfig { reply_topics, ..ShellConfig::default() });
        let saga = SagaRef { reply_to: reply_to.into(), ..do_ref(ORDER, "approve-order") };
        toy.command(&saga, approval()).await;
        assert_eq!(toy.store.parked().len(), parked, "{allowed:?} {reply_to:?}: {:?}", toy.store.parked());
        assert_eq!(count(&toy).await, (1 - parked as u32, 0), "{allowed:?} {reply_to:?}");
    }
}

/// A record of the stream as somebody may forge it: its position is the stream's, its body is not.
fn forged(toy: &MemoryShell<Toy>, seq: u64) -> Record {
    Record { offset: 1_000 + seq as i64, value: Some(b"garbage".to_vec()), ..cancellation(&toy.shell, seq, "") }
}

async fn decide(toy: &MemoryShell<Toy>, offset: i64, action: ParkedAction) {
    let parked = toy.store.parked();
    let found = parked.iter().find(|p| p.record.offset == offset);
    let found = found.unwrap_or_else(|| panic!("offset {offset} is not parked: {parked:#?}"));
    toy.store.decide(found.id, action);
    toy.settle().await;
}

#[tokio::test]
async fn a_record_whose_position_another_has_is_kept_and_may_take_its_place() {
    let toy = toy();
    toy.shell.deliver(forged(&toy, 1)).await.unwrap();
    for seq in 1..=2 {
        deliver(&toy, seq, "changed my mind").await;
    }
    let reasons: Vec<_> = toy.store.parked().iter().map(|p| (p.record.offset, p.reason.clone())).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons[1].1.contains("held by offset 1001"), "{reasons:?}");
    decide(&toy, 1, ParkedAction::Release).await;
    assert_eq!((count(&toy).await, toy.store.parked()), ((0, 2), vec![]), "the stream has passed the forged one by");
    deliver(&toy, 3, "changed my mind").await;
    assert_eq!((count(&toy).await, toy.store.parked()), ((0, 3), vec![]));
}

#[tokio::test]
async fn a_forged_record_far_ahead_is_given_up_without_the_stream_moving() {
    let toy = toy();
    toy.shell.deliver(forged(&toy, 900)).await.unwrap();
    deliver(&toy, 1, "changed my mind").await;
    decide(&toy, 1_900, ParkedAction::Skip).await;
    deliver(&toy, 2, "changed my mind").await;
    assert_eq!((count(&toy).await, toy.store.parked()), ((0, 2), vec![]));
}

#[tokio::test]
async fn the_second_claim_to_a_position_is_given_up_alone() {
    let toy = toy();
    deliver(&toy, 1, "poison once").await;
    toy.shell.deliver(forged(&toy, 1)).await.unwrap();
    toy.settle().await;
    decide(&toy, 1_001, ParkedAction::Skip).await;
    assert_eq!(toy.store.parked().len(), 1, "the first one waits as before");
    toy.store.clock().step(1);
    decide(&toy, 1, ParkedAction::Release).await;
    assert_eq!((count(&toy).await, toy.store.parked()), ((0, 1), vec![]));
}

#[tokio::test]
async fn an_oversize_record_of_a_command_stream_is_not_held_in_full() {
    let toy = toy();
    let log = toy.log.clone();
    let huge = Record { value: Some(vec![0; 300_000]), ..cancellation(&toy.shell, 1, "") };
    let record = NewRecord { topic: huge.topic, key: ORDER.to_string(), headers: huge.headers, value: huge.value };
    log.append(vec![record]).await.remove(0).unwrap();
    let stop = async {
        while toy.store.parked().is_empty() {
            toy.shell.run_ready().await;
            tokio::task::yield_now().await;
        }
    };
    transport::consumer::run(toy.shell.clone(), log, None, stop).await.unwrap();
    let parked = &toy.store.parked()[0];
    assert_eq!(parked.reason, "300000 bytes, the limit is 262144");
    assert!(parked.record.value.as_ref().is_some_and(|v| v.len() < 2_000));
    toy.store.decide(parked.id, ParkedAction::Release);
    toy.settle().await;
    assert_eq!(toy.store.parked()[0].reason, "300000 bytes, the limit is 262144", "its beginning is no message");
}

#[tokio::test]
async fn a_failed_append_is_sent_again_in_order_and_leaves_nothing_behind() {
    for took_effect in [false, true] {
        let toy = toy();
        for n in 1..=3 {
            toy.log.fail_next_append(usize::from(n == 2), took_effect);
            toy.command(&do_ref(Uuid::from_u128(n), "approve-order"), approval()).await;
        }
        toy.settle().await;
        let mut seen: Vec<u64> = sequence(&toy);
        seen.dedup();
        assert_eq!(seen, [1, 2, 3], "{took_effect}");
        assert_eq!(toy.store.backlog().await.unwrap().rows, 0);
    }
}

#[tokio::test]
async fn after_a_failed_append_the_last_record_of_a_stream_is_its_newest() {
    let (store, log) = (MemoryStore::new(Toy::KINDS), MemoryLog::new(1));
    let shell = Shell::new(Toy, store.clone(), Arc::new(Codec::offline().unwrap()), ShellConfig::default());
    let mut relay = Relay::new(&shell, log.clone(), RelayConfig::default());
    let twice = |toy: &Toy, unit: &mut Unit| publish(toy, unit).and_then(|()| publish(toy, unit));
    let (first, _) = tokio::join!(shell.call(Call::new("Place"), twice), shell.run_once());
    let (second, _) = tokio::join!(shell.call(Call::new("Place"), publish), shell.run_once());
    assert_eq!((first, second), (Ok(()), Ok(())));
    log.lose_in_next_append(0);
    assert_eq!(relay.run_once().await, Outcome::Failed);
    relay.run_once().await;
    let seen: Vec<u64> = log.records("mallbots.orders.events").iter().map(number).collect();
    assert_eq!(seen[seen.len() - 3..], [1, 2, 3], "{seen:?}");
    assert_eq!(store.backlog().await.unwrap().rows, 0);
}

#[tokio::test]
async fn while_the_log_takes_nothing_the_outbox_grows_to_its_limit_and_then_new_work_is_refused() {
    let (store, log) = (MemoryStore::new(Toy::KINDS), MemoryLog::new(1));
    let config = ShellConfig { outbox_limit: 1, ..ShellConfig::default() };
    let shell = Shell::new(Toy, store, Arc::new(Codec::offline().unwrap()), config);
    let mut relay = Relay::new(&shell, log.clone(), RelayConfig::default());
    for _ in 0..2 {
        let (placed, _) = tokio::join!(shell.call(Call::new("Place").new_work(), publish), shell.run_once());
        assert_eq!(placed, Ok(()));
    }
    log.fail_next_append(0, false);
    assert_eq!(relay.run_once().await, Outcome::Failed);
    assert!(matches!(shell.call(Call::new("Place").new_work(), publish).await, Err(CallError::Overloaded { .. })));
}

#[tokio::test]
async fn while_more_wait_for_others_than_may_new_work_is_refused_and_then_taken_again() {
    let (store, log) = (MemoryStore::new(Toy::KINDS), MemoryLog::new(1));
    let config = ShellConfig { waiting_limit: 1, ..ShellConfig::default() };
    let shell = Shell::new(Toy, store, Arc::new(Codec::offline().unwrap()), config);
    let mut relay = Relay::new(&shell, log, RelayConfig::default());
    let put = async |id: u128, deadline_ms: Option<i64>, call: Call| {
        let fold = move |_: &Toy, unit: &mut Unit| {
            unit.get::<Tally>(Uuid::from_u128(id))?;
            unit.put(Uuid::from_u128(id), Tally { approved: 0, cancelled: 0, deadline_ms });
            Ok(())
        };
        // Refused before the fold: then no batch comes, and nobody may wait for one.
        tokio::select! {
            biased;
            answer = shell.call(call, fold) => answer,
            () = async { while shell.run_once().await > 0 {} } => panic!("nothing came, and no answer"),
        }
    };
    let keyed = |key: &str| Call::new("Place").new_work().idempotent(Idempotency::new("kiosk", key, b"place"));
    assert_eq!(put(1, Some(i64::MAX), keyed("first")).await, Ok(()));
    assert_eq!(put(2, Some(i64::MAX), Call::new("Place").new_work()).await, Ok(()));
    relay.run_once().await;
    for call in [Call::new("Place").new_work(), keyed("another")] {
        let refused = put(3, Some(i64::MAX), call).await;
        assert!(matches!(refused, Err(CallError::Overloaded { .. })), "{refused:?}");
    }
    assert_eq!(shell.get::<Tally>(Uuid::from_u128(3)).await, Ok(None));
    assert_eq!(put(1, Some(i64::MAX), keyed("first")).await, Ok(()), "what was let in is answered again");
    assert_eq!(put(1, None, Call::new("Approve")).await, Ok(()), "what goes on with old work is taken");
    relay.run_once().await;
    assert_eq!(put(3, Some(i64::MAX), Call::new("Place").new_work()).await, Ok(()));
}

#[tokio::test]
async fn what_could_not_be_deleted_after_it_was_sent_is_deleted_later_and_not_sent_again() {
    let (store, log) = (MemoryStore::new(Toy::KINDS), MemoryLog::new(1));
    let codec = Arc::new(Codec::offline().unwrap());
    let shell = Shell::new(Toy, store.clone(), codec, ShellConfig::default());
    let mut relay = Relay::new(&shell, log.clone(), RelayConfig::default());
    let (placed, _) = tokio::join!(shell.call(Call::new("Place"), publish), shell.run_once());
    assert_eq!(placed, Ok(()));
    store.fail_next_deletion();
    assert_eq!(relay.run_once().await, Outcome::Failed);
    assert_eq!(store.backlog().await.unwrap().rows, 1);
    relay.run_once().await;
    assert_eq!(store.backlog().await.unwrap().rows, 0);
    assert_eq!(log.records("mallbots.orders.events").len(), 1);
}

/// The numbers of the published approvals, in the order of the log.
fn sequence(toy: &MemoryShell<Toy>) -> Vec<u64> {
    toy.log.records("mallbots.orders.events").iter().map(number).collect()
}

fn number(record: &Record) -> u64 {
    let value = record.headers.get("ce_sequence").unwrap();
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// Two processes of one context, that call in turn.
struct Two {
    shells: [Shell<Toy, MemoryStore>; 2],
    store: MemoryStore,
}

impl Two {
    fn new() -> Self {
        let store = MemoryStore::new(Toy::KINDS);
        let shell = || {
            let codec = Arc::new(Codec::offline().unwrap());
            Shell::new(Toy, store.clone(), codec, ShellConfig::default())
        };
        Self { shells: [shell(), shell()], store }
    }

    async fn call<T, F>(&self, process: usize, fold: F) -> T
    where
        T: Serialize + serde::de::DeserializeOwned + Send + 'static,
        F: Fn(&Toy, &mut Unit) -> Fold<T> + Send + Sync + 'static,
    {
        let shell = &self.shells[process];
        let (answer, _) = tokio::join!(shell.call(Call::new("test"), fold), shell.run_once());
        answer.unwrap()
    }

    async fn approve_once(&self, process: usize) {
        let fold = |_: &Toy, unit: &mut Unit| {
            let before = tally(unit, ORDER)?;
            unit.put(ORDER, Tally { approved: before.approved + 1, ..before });
            Ok(())
        };
        self.call(process, fold).await;
    }

    async fn look(&self, process: usize) -> u32 {
        self.call(process, |_: &Toy, unit: &mut Unit| Ok(tally(unit, ORDER)?.approved)).await
    }
}

#[tokio::test]
async fn what_another_process_has_changed_is_neither_lost_nor_overlooked() {
    let two = Two::new();
    for turn in 0..8 {
        // The one that saved last looks first: it may still know. The other's knowledge is old by then.
        two.approve_once(turn % 2).await;
        assert_eq!(two.look(turn % 2).await, turn as u32 + 1);
        assert_eq!(two.look((turn + 1) % 2).await, turn as u32 + 1);
    }
    let row = &two.store.get("tally", &[ORDER]).await.unwrap()[0];
    assert_eq!(row.version, 8, "each change was saved once");
}

#[tokio::test]
async fn what_the_last_batch_saved_is_not_loaded_again() {
    let two = Two::new();
    two.approve_once(0).await;
    let loads = two.store.loads();
    for _ in 0..3 {
        two.approve_once(0).await;
    }
    assert_eq!(two.look(0).await, 4);
    assert_eq!(two.store.loads(), loads, "rows loaded");
}

#[tokio::test]
async fn what_another_process_has_parked_is_given_up_without_a_trace() {
    let two = Two::new();
    let [ours, theirs] = &two.shells;
    let take = async |shell: &Shell<Toy, MemoryStore>, seq: u64, reason: &str| {
        shell.deliver(cancellation(shell, seq, reason)).await.unwrap();
        shell.run_once().await;
    };
    take(ours, 4, "").await;
    // The partition goes to another process, which cannot make anything of number 7; an operator gives that up, and we are told.
    take(theirs, 7, "panic").await;
    assert!(two.store.decide(two.store.parked()[0].id, ParkedAction::Skip));
    assert_eq!(Parking::new(ours.clone()).run_once().await.unwrap(), 1);
    ours.run_once().await;
    assert_eq!(two.store.parked(), []);
    take(ours, 8, "").await;
    assert_eq!(two.store.parked(), [], "nothing of the stream waits any more");
}
