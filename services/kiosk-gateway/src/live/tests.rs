//! The hub's promises, and what the follower makes of records.

use super::{event::tell, *};
use message::{Envelope, Headers, Message, Outgoing, Stream};
use schemas::{
    depot::BotLost,
    ids::{BotId, PaymentId},
    money::{Currency, Money},
    orchestrator::SagaCancelTooLate,
    orders::{OrderApproved, OrderPlaced, OrderRejected},
    payments::PaymentTaken,
};
use transport::{codec::Codec, ports::Record};

fn order(n: u128) -> OrderId {
    OrderId::from(Uuid::from_u128(n))
}

fn event(id: u128) -> LiveEvent {
    LiveEvent { id: Uuid::from_u128(id), ..tell(order(1), Happening::Approved, "Accepted.").event }
}

async fn next_id(view: &mut View) -> Option<u128> {
    match view.next().await {
        Next::Event(event) => Some(event.id.as_u128()),
        Next::TooSlow | Next::Closing => None,
    }
}

#[tokio::test]
async fn every_view_of_an_order_gets_its_events_in_order_and_nobody_elses() {
    let live = Live::new(10);
    let (mut a, mut b) = (live.watch(order(1), None).unwrap(), live.watch(order(1), None).unwrap());
    let mut other = live.watch(order(2), None).unwrap();
    for id in 1..=3 {
        live.publish(order(1), event(id));
    }
    live.publish(order(2), event(9));
    for id in 1..=3 {
        assert_eq!((next_id(&mut a).await, next_id(&mut b).await), (Some(id), Some(id)));
    }
    assert_eq!(next_id(&mut other).await, Some(9));
}

#[tokio::test]
async fn a_redelivered_event_is_told_once() {
    let live = Live::new(1);
    let mut view = live.watch(order(1), None).unwrap();
    for id in [1, 2, 1, 2, 3] {
        live.publish(order(1), event(id));
    }
    assert_eq!(
        [next_id(&mut view).await, next_id(&mut view).await, next_id(&mut view).await],
        [Some(1), Some(2), Some(3)]
    );
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_told_so_and_the_others_go_on() {
    let live = Live::new(2);
    let (mut slow, mut quick) = (live.watch(order(1), None).unwrap(), live.watch(order(1), None).unwrap());
    for id in 1..=MAX_BEHIND as u128 + 1 {
        live.publish(order(1), event(id));
        assert_eq!(next_id(&mut quick).await, Some(id));
    }
    assert_eq!(slow.next().await, Next::TooSlow);
}

#[tokio::test]
async fn who_comes_back_within_the_grace_is_told_what_was_missed() {
    let live = Live::new(1);
    let view = live.watch(order(1), None).unwrap();
    for id in 1..=2 {
        live.publish(order(1), event(id));
    }
    drop(view);
    live.publish(order(1), event(3));
    let mut back = live.watch(order(1), Some(Uuid::from_u128(1))).unwrap();
    let missed: Vec<_> = back.missed().iter().map(|e| e.id.as_u128()).collect();
    assert_eq!(missed, [2, 3]);
    live.publish(order(1), event(4));
    assert_eq!(next_id(&mut back).await, Some(4));
}

#[test]
fn an_unknown_last_event_gets_nothing_twice() {
    let live = Live::new(2);
    let _keeps = live.watch(order(1), None).unwrap();
    live.publish(order(1), event(1));
    assert!(live.watch(order(1), Some(Uuid::from_u128(77))).unwrap().missed().is_empty());
}

#[test]
fn views_are_bounded_and_a_left_one_makes_room() {
    let live = Live::new(1);
    let view = live.watch(order(1), None).unwrap();
    assert_eq!(live.watch(order(2), None).unwrap_err(), Full);
    drop(view);
    assert!(live.watch(order(2), None).is_ok());
}

#[test]
fn a_feed_that_told_nothing_leaves_with_its_last_view() {
    let live = Live::new(2);
    let (a, b) = (live.watch(order(1), None).unwrap(), live.watch(order(1), None).unwrap());
    drop(a);
    assert!(live.is_watched(order(1)));
    drop(b);
    assert!(!live.is_watched(order(1)));
}

#[test]
fn a_feed_past_its_grace_is_forgotten() {
    let live = Live::with_grace(1, Duration::ZERO);
    let view = live.watch(order(1), None).unwrap();
    live.publish(order(1), event(1));
    drop(view);
    assert!(live.is_watched(order(1)));
    let _other = live.watch(order(2), None).unwrap();
    assert!(!live.is_watched(order(1)));
}

#[test]
fn a_crowd_of_left_feeds_is_forgotten_before_its_grace() {
    let live = Live::new(2);
    for n in 0..1000 {
        let view = live.watch(order(n), None).unwrap();
        live.publish(order(n), event(n));
        drop(view);
    }
    assert!(live.feeds().by_order.len() <= 5);
}

#[tokio::test]
async fn closing_ends_every_view_and_lets_no_new_one_in() {
    let live = Live::new(2);
    let mut view = live.watch(order(1), None).unwrap();
    live.close();
    assert_eq!(view.next().await, Next::Closing);
    assert!(live.watch(order(2), None).is_err());
}

// ---------------------------------------------------------------- the follower

struct Feed {
    live: Live,
    codec: Arc<Codec>,
    follower: Follower,
}

impl Feed {
    fn new() -> Self {
        let (live, codec) = (Live::new(10), Arc::new(Codec::offline().unwrap()));
        Self { follower: Follower::new(live.clone(), codec.clone()), live, codec }
    }

    fn record<M: Message>(&self, kind: &str, stream_id: Uuid, message: M) -> Record {
        let stream = Stream::new("test", kind, &stream_id.to_string(), M::TOPIC);
        let envelope = Envelope {
            id: Uuid::from_u128(0xabc),
            name: M::NAME.into(),
            stream,
            seq: 1,
            time_ms: 1_790_000_000_123,
            trace: None,
            correlation_id: None,
            causation_id: None,
            saga: None,
            outcome: None,
        };
        let headers = envelope.to_headers();
        let value = Some(self.codec.encode(&Outgoing::new(message)).unwrap());
        Record { topic: M::TOPIC.into(), partition: 0, offset: 0, key: None, headers, value }
    }
}

fn approved(order: OrderId) -> OrderApproved {
    OrderApproved { order_id: order }
}

#[tokio::test]
async fn an_event_of_a_watched_order_is_told_with_its_id_and_time() {
    let feed = Feed::new();
    let mut view = feed.live.watch(order(1), None).unwrap();
    let record = feed.record("order", Uuid::from_u128(1), approved(order(1)));
    assert_eq!(feed.follower.on_record(&record), Seen::Published);
    let Next::Event(told) = view.next().await else { panic!("no event") };
    assert_eq!((told.id.as_u128(), told.at_ms, told.kind), (0xabc, 1_790_000_000_123, Happening::Approved));
}

#[test]
fn events_of_orders_that_nobody_watches_are_not_even_decoded() {
    let feed = Feed::new();
    let mut record = feed.record("order", Uuid::from_u128(1), approved(order(1)));
    record.value = Some(b"not avro".to_vec());
    assert_eq!(feed.follower.on_record(&record), Seen::Ignored);
}

#[test]
fn garbage_is_passed_over_and_what_follows_is_told() {
    let feed = Feed::new();
    let _view = feed.live.watch(order(1), None).unwrap();
    let good = feed.record("order", Uuid::from_u128(1), approved(order(1)));
    let torn = good.value.as_ref().map(|v| v[..v.len() - 3].to_vec());
    for value in [vec![], b"not avro".to_vec(), torn.unwrap()] {
        assert_eq!(feed.follower.on_record(&Record { value: Some(value), ..good.clone() }), Seen::Unreadable);
    }
    assert_eq!(feed.follower.on_record(&Record { headers: Headers::new(), ..good.clone() }), Seen::Unreadable);
    assert_eq!(feed.follower.on_record(&good), Seen::Published);
}

#[test]
fn an_unknown_schema_is_asked_for_by_its_id() {
    let feed = Feed::new();
    let _view = feed.live.watch(order(1), None).unwrap();
    let record = feed.record("order", Uuid::from_u128(1), approved(order(1)));
    let value = Some(vec![0, 0, 1, 0, 0, 2]);
    assert_eq!(feed.follower.on_record(&Record { value, ..record }), Seen::UnknownSchema(0x0001_0000));
}

#[tokio::test]
async fn events_on_other_streams_find_their_order_in_the_body() {
    let feed = Feed::new();
    let mut view = feed.live.watch(order(1), None).unwrap();
    let lost = |order_id| BotLost { bot_id: BotId::from(Uuid::from_u128(7)), order_id, carried: vec![] };
    let late = |saga_type: &str| SagaCancelTooLate {
        saga_id: Uuid::from_u128(5).into(),
        saga_type: saga_type.into(),
        business_key: order(1).to_string(),
        reason: "too late".into(),
    };
    assert_eq!(feed.follower.on_record(&feed.record("bot", Uuid::from_u128(7), lost(None))), Seen::Ignored);
    assert_eq!(feed.follower.on_record(&feed.record("saga", Uuid::from_u128(5), late("store-closing"))), Seen::Ignored);
    feed.follower.on_record(&feed.record("bot", Uuid::from_u128(7), lost(Some(order(1)))));
    let Next::Event(told) = view.next().await else { panic!("no event") };
    assert_eq!(told.kind, Happening::RobotLost);
    let mut record = feed.record("saga", Uuid::from_u128(5), late("order-fulfilment"));
    record.headers = record.headers.with("ce_id", Uuid::from_u128(2).to_string().as_bytes());
    feed.follower.on_record(&record);
    let Next::Event(told) = view.next().await else { panic!("no event") };
    assert_eq!(told.kind, Happening::CancelTooLate);
}

#[tokio::test]
async fn i11_neither_tokens_nor_names_of_staff_reach_a_screen() {
    let feed = Feed::new();
    let mut view = feed.live.watch(order(1), None).unwrap();
    let placed = OrderPlaced {
        order_id: order(1),
        lines: vec![],
        total: Money::zero(Currency::EUR),
        volume_ml: 0,
        payment_token: "tok_secret".into(),
        pay_on_arrival: false,
        customer_ref: "cus_secret".into(),
    };
    assert_eq!(feed.follower.on_record(&feed.record("order", Uuid::from_u128(1), placed)), Seen::Ignored);
    let taken = PaymentTaken { payment_id: PaymentId::from(order(1)), order_id: order(1), by: "staff secret".into() };
    feed.follower.on_record(&feed.record("payment", Uuid::from_u128(1), taken));
    let Next::Event(told) = view.next().await else { panic!("no event") };
    assert!(!serde_json::to_string(&told).unwrap().contains("secret"));
}

#[tokio::test]
async fn a_rejection_says_why() {
    let feed = Feed::new();
    let mut view = feed.live.watch(order(1), None).unwrap();
    let rejected =
        OrderRejected { order_id: order(1), code: "depot.no_bay".into(), reason: "No bay is large enough.".into() };
    feed.follower.on_record(&feed.record("order", Uuid::from_u128(1), rejected));
    let Next::Event(told) = view.next().await else { panic!("no event") };
    assert_eq!(told.code.as_deref(), Some("depot.no_bay"));
    assert!(told.detail.contains("No bay is large enough."));
}
