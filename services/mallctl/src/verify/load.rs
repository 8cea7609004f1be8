//! What the databases, the topics and the acquirer's ledger say, loaded for the rules.

use super::ledger;
use crate::{
    db::{self, failed},
    output::{Failure, usage},
    topics::{client, unreachable},
};
use ::verify::Facts;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use std::{collections::HashMap, path::Path, time::Duration};

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
    // Read from the same variables as the orchestrator's.
    let deadlines = orchestrator::Config::from_env().map(|c| c.deadlines).unwrap_or_default();
    let mut facts = Facts { deadlines, ..Facts::default() };
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
    for &kind in kinds.iter().chain(&[transport::FENCE]) {
        // Kinds are constants of the program, never input.
        let sql = format!("SELECT id, status, state::json, streams::json FROM \"{kind}\"");
        for row in client.query(&sql, &[]).await.map_err(failed)? {
            // Marks that cannot be read are as good as none: the rules then miss them for what is on the topic.
            let streams = serde_json::from_value(row.get(3)).unwrap_or_default();
            facts.add_row(context, kind, row.get(0), row.get(1), row.get(2), streams);
        }
    }
    for table in ["outbox_0", "outbox_1"] {
        let sql = format!("SELECT id, shard, created_ms, pack FROM {table} ORDER BY id");
        for row in client.query(&sql, &[]).await.map_err(failed)? {
            let messages = transport::postgres::unpack(row.get(0), 0, row.get(1), row.get(2), row.get(3));
            for message in messages.map_err(|e| Failure::Check(format!("{context}: {e}")))? {
                facts.add_unsent(message);
            }
        }
    }
    if context == "orchestrator" {
        let sql = "SELECT id, entries::json FROM journal ORDER BY id, version";
        for row in client.query(sql, &[]).await.map_err(failed)? {
            facts.add_chapters(row.get(0), serde_json::from_value(row.get(1)).unwrap_or_default());
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
            facts.see(topic, record.key(), &transport::kafka::headers_of(&record), record.payload());
            if left.get(&record.partition()).is_some_and(|end| record.offset() + 1 >= *end) {
                left.remove(&record.partition());
            }
        }
    }
    Ok(())
}
