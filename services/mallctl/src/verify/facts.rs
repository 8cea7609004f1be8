//! What the databases, the topics and the acquirer's ledger say, loaded for the rules.

use super::ledger::{self, Entry};
use crate::{
    db::{self, failed},
    output::{Failure, usage},
    topics::{client, unreachable},
};
use message::{Direction, Envelope};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    time::Duration,
};
use transport::journal::Chapter;
use uuid::Uuid;

/// An aggregate's row, with its state as JSON.
pub struct Row {
    pub id: Uuid,
    pub status: String,
    pub state: Value,
}

/// A stream as its source keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub last_seq: u64,
    pub hash: u64,
}

/// A stream as the topic has it, deduplicated.
#[derive(Debug, Default)]
pub struct Seen {
    pub last_seq: u64,
    pub hash: u64,
    pub duplicates: u64,
    /// What is wrong: a gap or an inversion of first occurrences.
    pub broken: Option<String>,
}

#[derive(Default)]
pub struct Facts {
    /// By kind.
    pub rows: BTreeMap<&'static str, Vec<Row>>,
    pub marks: BTreeMap<String, Mark>,
    pub seen: BTreeMap<String, Seen>,
    /// Unsent rows by stream: (seq, message id, value).
    pub unsent: HashMap<String, Vec<(u64, Uuid, Option<Vec<u8>>)>>,
    /// (context, conversation).
    pub fences: Vec<(&'static str, Uuid, Value)>,
    /// By saga: entries in order.
    pub journals: BTreeMap<Uuid, Vec<Value>>,
    /// The ledger of payments, in its documented form.
    pub payments: Vec<Entry>,
    /// The acquirer's ledger; `None` when no acquirer was named.
    pub acquirer: Option<Vec<Entry>>,
    /// The different answers on the topic to each do, by saga and effect: (outcome, hash of the value).
    pub replies: BTreeMap<(Uuid, String), BTreeSet<(String, u64)>>,
    pub told: Option<Vec<Value>>,
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// Whether every saga has ended and nothing waits in an outbox of ours.
pub async fn quiet(foreign: &[String]) -> Result<bool, Failure> {
    let client = db::connect("orchestrator").await?;
    let open = "SELECT 1 FROM saga WHERE status NOT IN ('completed', 'compensated') LIMIT 1";
    if client.query_opt(open, &[]).await.map_err(failed)?.is_some() {
        return Ok(false);
    }
    for (context, ..) in ours(foreign) {
        let client = db::connect(context).await?;
        let unsent = "SELECT 1 FROM (SELECT id FROM outbox_0 UNION ALL SELECT id FROM outbox_1) o LIMIT 1";
        if client.query_opt(unsent, &[]).await.map_err(failed)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The contexts whose tables are ours to read.
fn ours(foreign: &[String]) -> impl Iterator<Item = (&'static str, transport::Kinds)> {
    let all = db::contexts().into_iter().map(|(context, kinds, _)| (context, kinds));
    all.filter(|(context, _)| !foreign.iter().any(|f| f == context))
}

pub async fn load(client_log: Option<&Path>, foreign: &[String]) -> Result<Facts, Failure> {
    let mut facts = Facts::default();
    for (context, kinds) in ours(foreign) {
        context_facts(&mut facts, context, kinds).await?;
    }
    topics(&mut facts)?;
    facts.payments = ledger::of_payments().await?;
    if let Ok(acquirer) = std::env::var("MALLBOTS_ACQUIRER_URL") {
        facts.acquirer = Some(ledger::of_acquirer(&acquirer).await?);
    }
    if let Some(file) = client_log {
        let text = std::fs::read_to_string(file).map_err(|e| Failure::Usage(format!("{}: {e}", file.display())))?;
        facts.told = Some(text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect());
    }
    Ok(facts)
}

async fn context_facts(facts: &mut Facts, context: &'static str, kinds: transport::Kinds) -> Result<(), Failure> {
    let client = db::connect(context).await?;
    for kind in kinds.iter().chain(&["fence"]) {
        // Kinds are constants of the program, never input.
        let sql = format!("SELECT id, status, state::json, streams::json FROM \"{kind}\"");
        for row in client.query(&sql, &[]).await.map_err(failed)? {
            let (id, state) = (row.get::<_, Uuid>(0), row.get::<_, Value>(2));
            for mark in row.get::<_, Value>(3).as_array().into_iter().flatten() {
                let topic = mark["t"].as_str().unwrap_or_default();
                let stream = format!("{context}/{kind}/{id}@{topic}");
                let number = |name: &str| mark[name].as_u64().unwrap_or_default();
                facts.marks.insert(stream, Mark { last_seq: number("n"), hash: number("h") });
            }
            if *kind == "fence" {
                facts.fences.push((context, id, state));
            } else {
                facts.rows.entry(kind).or_default().push(Row { id, status: row.get(1), state });
            }
        }
    }
    for table in ["outbox_0", "outbox_1"] {
        let sql = format!("SELECT id, shard, created_ms, pack FROM {table} ORDER BY id");
        for row in client.query(&sql, &[]).await.map_err(failed)? {
            let messages = transport::postgres::unpack(row.get(0), 0, row.get(1), row.get(2), row.get(3));
            for message in messages.map_err(|e| Failure::Check(format!("{context}: {e}")))? {
                let id = message.record.headers.get(message::headers::CE_ID);
                let id = id.and_then(|v| std::str::from_utf8(v).ok()?.parse().ok()).unwrap_or_default();
                facts.unsent.entry(message.stream.to_string()).or_default().push((
                    message.seq,
                    id,
                    message.record.value,
                ));
            }
        }
    }
    if context == "orchestrator" {
        let sql = "SELECT id, entries::json FROM journal ORDER BY id, version";
        for row in client.query(sql, &[]).await.map_err(failed)? {
            let chapters: Vec<Chapter<Value>> = serde_json::from_value(row.get(1)).unwrap_or_default();
            let entries = chapters.into_iter().flat_map(|chapter| chapter.entries);
            facts.journals.entry(row.get(0)).or_default().extend(entries);
        }
    }
    Ok(())
}

/// Reads every topic from its beginning to where it ends now.
fn topics(facts: &mut Facts) -> Result<(), Failure> {
    let kafka = service_kit::config::kafka_from_env("verify").map_err(usage)?;
    let mut config = client(&kafka);
    config.set("group.id", "mallctl-verify").set("enable.auto.commit", "false");
    config.set("fetch.queue.backoff.ms", "2").set("enable.partition.eof", "false");
    // A request that waits for records of one topic holds up the first request for the next.
    config.set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer =
        config.create().map_err(|e| Failure::Usage(format!("MALLBOTS_KAFKA, MALLBOTS_KAFKA_EXTRA: {e}")))?;
    for topic in schemas::topics::ALL {
        let name = format!("{}{topic}", kafka.topic_prefix);
        let metadata = consumer.fetch_metadata(Some(&name), TIMEOUT).map_err(unreachable)?;
        let partitions = metadata.topics().first().map_or(0, |t| t.partitions().len() as i32);
        let mut left = HashMap::new();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let (low, high) = consumer.fetch_watermarks(&name, partition, TIMEOUT).map_err(unreachable)?;
            if high > low {
                left.insert(partition, high);
                list.add_partition_offset(&name, partition, Offset::Offset(low)).map_err(unreachable)?;
            }
        }
        consumer.assign(&list).map_err(unreachable)?;
        while !left.is_empty() {
            let Some(polled) = consumer.poll(TIMEOUT) else {
                let silent = format!("Kafka: {topic} gave nothing for {} s", TIMEOUT.as_secs());
                return Err(Failure::Unreachable(format!("{silent} (MALLBOTS_KAFKA names the brokers)")));
            };
            let record = polled.map_err(unreachable)?;
            see(facts, topic, &record);
            if left.get(&record.partition()).is_some_and(|end| record.offset() + 1 >= *end) {
                left.remove(&record.partition());
            }
        }
    }
    Ok(())
}

fn see(facts: &mut Facts, topic: &str, record: &rdkafka::message::BorrowedMessage<'_>) {
    let headers = transport::kafka::headers_of(record);
    let Ok(envelope) = Envelope::from_headers(topic, record.key(), headers.iter()) else { return };
    if let (Some(saga), Some(outcome)) = (&envelope.saga, envelope.outcome)
        && saga.effect.direction == Direction::Do
    {
        let (effect, hash) = (&saga.effect, transport::running_hash(0, &Uuid::nil(), record.payload()));
        let effect = (effect.saga_id, format!("{}/{}/{}", effect.step, effect.direction, effect.round));
        facts.replies.entry(effect).or_default().insert((outcome.as_str().to_owned(), hash));
    }
    let seen = facts.seen.entry(envelope.stream.to_string()).or_default();
    if envelope.seq <= seen.last_seq {
        seen.duplicates += 1;
    } else if envelope.seq == seen.last_seq + 1 {
        seen.last_seq = envelope.seq;
        seen.hash = transport::running_hash(seen.hash, &envelope.id, record.payload());
    } else if seen.broken.is_none() {
        seen.broken = Some(format!("{} follows {}", envelope.seq, seen.last_seq));
    }
}
