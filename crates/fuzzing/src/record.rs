//! Whole records through a context: whatever a topic of commands or replies brings is processed or parked, and nothing that
//! a record says stops the context, which goes on with what comes next.

use crate::{
    cut::{Cut, Glue},
    headers::{lines, pairs},
    sample::{ID, Numbers, sample},
    station::{self, CONTEXTS, Station, Watched},
};
use message::{Direction, EffectKey, Envelope, Message as _, Outcome, Outgoing, Refusal, SagaRef, Stream};
use schemas::{Kind, Schema, topics};
use transport::ports::Record;
use uuid::Uuid;

/// Records of one input; more are left out.
const MOST: usize = 64;
/// No key, no value, time passes afterwards, the place of the record before.
const KEYLESS: u8 = 1;
const EMPTY: u8 = 2;
const PAUSE: u8 = 4;
const AGAIN: u8 = 8;
/// Longer than any deadline of a step.
const PAUSE_MS: i64 = 60_000;

/// The input: a context, and records one after another.
pub fn record(bytes: &[u8]) {
    let mut cut = Cut::new(bytes);
    let context = cut.pick(CONTEXTS);
    let station = station::open(context);
    let (watched, topics, mut offset) = (Watched::new(), station.topics(), 0);
    for _ in 0..MOST {
        if cut.is_empty() {
            return;
        }
        let flags = cut.flags();
        offset += i64::from(!flags.has(AGAIN));
        let record = next(&mut cut, &topics, flags.has(KEYLESS), flags.has(EMPTY), offset);
        let json = serde_json::to_string(&record).unwrap_or_else(|e| panic!("it cannot be parked: {e}"));
        assert_eq!(serde_json::from_str::<Record>(&json).ok().as_ref(), Some(&record));
        watched.see(&record);
        let ours = record.topic.ends_with(".commands") || record.topic.ends_with(".replies");
        let told = format!("{record:?}");
        let committed = station.deliver(record);
        assert!(committed || !ours, "neither processed nor parked: {told}");
        if flags.has(PAUSE) {
            station.pass(PAUSE_MS);
        }
    }
}

fn next(cut: &mut Cut<'_>, topics: &[&str], keyless: bool, empty: bool, offset: i64) -> Record {
    let topic = topics.get(usize::from(cut.byte()) % topics.len().max(1)).copied().unwrap_or(topics::STORES_EVENTS);
    let (key, headers, value) = (cut.block().to_vec(), pairs(cut.block()), cut.block().to_vec());
    Record {
        topic: topic.to_owned(),
        partition: 0,
        offset,
        key: (!keyless).then_some(key),
        headers: headers.iter().map(|(name, value)| (name, value)).collect(),
        value: (!empty).then_some(value),
    }
}

/// For each context everything it reads, in the order of the list of messages, with the largest numbers there are, and
/// backwards with the lowest, all about one order; and an order from its beginning to its end, as the orchestrator reads of it.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (index, context) in (0..).zip(CONTEXTS) {
        let topics = station::open(context).topics();
        let all: Vec<&Schema> = schemas::all().iter().filter(|schema| topics.contains(&schema.topic)).collect();
        let backwards = all.iter().rev().copied().collect();
        let life: Vec<_> = FULFILMENT.iter().filter_map(|name| schemas::find(&format!("mallbots.{name}"))).collect();
        let mut named = vec![
            (context.to_string(), Numbers::Small, all.clone()),
            (format!("{context}-backwards"), Numbers::Lowest, backwards),
            (format!("{context}-largest"), Numbers::Largest, all),
        ];
        named.extend((*context == "orchestrator").then(|| (format!("{context}-fulfilment"), Numbers::Small, life)));
        for (name, numbers, messages) in named {
            seeds.push((name, records(Glue::default().byte(index), &topics, &messages, numbers).rest([])));
        }
    }
    seeds
}

/// What the orchestrator hears of an order that goes well.
const FULFILMENT: &[&str] = &[
    "orders.OrderPlaced",
    "payments.PaymentHeld",
    "depot.ShoppingPlanReady",
    "orders.OrderApprovalDone",
    "depot.ShoppingStarted",
    "orders.MarkedShopping",
    "depot.ShoppingChecked",
    "orders.MarkedReady",
    "payments.PaymentTaken",
    "payments.PaymentCollected",
    "payments.InvoiceReady",
    "depot.ItemsReleaseDone",
    "orders.OrderCompletionDone",
];

/// What each context has heard before anybody calls it, when an input says so.
const BEFORE: &[&str] = &[
    "stores.CatalogueStore",
    "stores.CatalogueProduct",
    "orders.CustomerContactGiven",
    "orders.OrderPlaced",
    "payments.AuthorizePayment",
    "depot.PlanShopping",
    "depot.StartShopping",
    "payments.PaymentHeld",
    "depot.ShoppingPlanReady",
];

/// Lets the context hear of the order.
pub fn tell(station: &dyn Station) {
    let topics = station.topics();
    let named = BEFORE.iter().filter_map(|name| schemas::find(&format!("mallbots.{name}")));
    let told: Vec<_> = named.filter(|schema| topics.contains(&schema.topic)).collect();
    let records = records(Glue::default(), &topics, &told, Numbers::Small).rest([]);
    let (mut cut, mut offset) = (Cut::new(&records), 0);
    while !cut.is_empty() {
        let _ = cut.flags();
        offset += 1;
        station.deliver(next(&mut cut, &topics, false, false, offset));
    }
}

fn records(start: Glue, topics: &[&str], messages: &[&Schema], numbers: Numbers) -> Glue {
    let numbered = messages.iter().take(MOST - 1).enumerate();
    let glue = numbered.fold(start, |glue, (at, schema)| {
        let before = messages[..at].iter().filter(|other| other.topic == schema.topic).count();
        one(glue, topics, schema, &sample(schema, numbers), before as u64 + 1, 0)
    });
    // The first once more, as brokers deliver, and a pause.
    messages
        .iter()
        .take(1)
        .fold(glue, |glue, schema| one(glue, topics, schema, &sample(schema, numbers), 1, AGAIN | PAUSE))
}

fn one(glue: Glue, topics: &[&str], schema: &Schema, message: &Outgoing, seq: u64, flags: u8) -> Glue {
    let topic = topics.iter().position(|topic| *topic == schema.topic).unwrap_or_default();
    let value = crate::avro::encoded(message);
    let headers = envelope(schema, seq).to_headers();
    glue.byte(flags).byte(topic as u8).block(ID).block(lines(&headers)).block(value)
}

fn envelope(schema: &Schema, seq: u64) -> Envelope {
    let context = schema.name.split('.').nth(1).unwrap_or_default();
    let (source, saga, outcome) = match schema.kind {
        Kind::Command => ("orchestrator", Some(saga(schema)), None),
        Kind::Reply if schema.name == Refusal::NAME => ("payments", Some(saga(schema)), Some(Outcome::Refused)),
        Kind::Reply => (context, Some(saga(schema)), Some(Outcome::Ok)),
        Kind::Event | Kind::Catalogue => (context, None, None),
    };
    Envelope {
        id: Uuid::from_u128(u128::from(seq)),
        name: schema.name.to_owned(),
        stream: Stream::new(source, "order", ID, schema.topic),
        seq,
        time_ms: 1_790_000_000_000,
        trace: None,
        correlation_id: Some(ID.to_owned()),
        causation_id: None,
        saga,
        outcome,
    }
}

/// The saga of the order, at the step that sends the command or is answered by the reply: steps are named as their commands.
fn saga(schema: &Schema) -> SagaRef {
    let asks = |other: &&Schema| {
        other.kind == Kind::Command && (other.name == schema.name || other.reply == Some(schema.name))
    };
    let command = schemas::all().iter().find(asks).map_or("AuthorizePayment", |command| command.name);
    let words = command.rsplit('.').next().unwrap_or_default();
    let step = words.chars().fold(String::new(), |step, c| match c {
        c if c.is_uppercase() && !step.is_empty() => step + "-" + &c.to_lowercase().to_string(),
        c => step + &c.to_lowercase().to_string(),
    });
    let saga_id = orchestrator::saga_id("order-fulfilment", ID);
    let effect = EffectKey { saga_id, step, direction: Direction::Do, round: 1 };
    let (saga_type, reply_to) = ("order-fulfilment".into(), topics::ORCHESTRATOR_REPLIES.into());
    SagaRef { saga_type, effect, attempt: 1, reply_to, key: ID.into() }
}
