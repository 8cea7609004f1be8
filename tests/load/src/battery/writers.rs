//! The outbox under many writers: transactions that hold the ids of their rows for long before they commit, in another order
//! than the ids', some rolled back in the end, a long one elsewhere in the cluster, and three relays, each with a producer of its
//! own, that die and take over from each other. Nothing may be missing on the topic, and nothing out of order.

use super::Check;
use crate::plan::Draw;
use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{Consumer as _, StreamConsumer},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use testkit::Database;
use tokio::{task::JoinSet, time::Instant};
use transport::{
    Context, Router, Shell, ShellConfig,
    codec::Codec,
    kafka::{KafkaConfig, KafkaLog},
    ports::{Changes, CommitError, NewRecord, OutboxRow, Row, Save, Store, Tx, Wanted},
    postgres::{PgConfig, PgStore},
    relay::{Outcome, Relay, RelayConfig},
};
use uuid::Uuid;

const WRITERS: u64 = 64;
const RELAYS: u64 = 3;
/// Aggregates; two writers that meet at one wait for each other.
const THINGS: usize = 400;
/// Holds each transaction that has written to the outbox for up to half a second when it commits, and rolls one of ten back.
const HELD: &str = "
    CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_sleep(random() * 0.5);
        IF random() < 0.1 THEN RAISE EXCEPTION 'rolled back for the sake of the proof'; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER held AFTER INSERT ON outbox_0 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION held();
    CREATE CONSTRAINT TRIGGER held AFTER INSERT ON outbox_1 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION held();";
/// Messages of one transaction, of one aggregate.
const MOST_MESSAGES: u64 = 8;
/// Between steps of a relay that finds nothing.
const IDLE: Duration = Duration::from_millis(20);
const RELAY_LIVES: [u64; 2] = [300, 4_000];
/// For a successor to take over from the last relay that died, and to send the rest.
const SENT_WITHIN: Duration = Duration::from_secs(60);
const TOPIC: &str = "battery.events";
const KIND: &str = "thing";

/// A context of one kind, which needs nothing but its outbox.
struct Things;

impl Context for Things {
    const NAME: &'static str = "battery";
    const KINDS: transport::Kinds = &[KIND];

    fn routes() -> Router<Self> {
        Router::new()
    }
}

/// Writers write for so long; then everything must arrive.
pub async fn run(seed: u64, lasts: Duration) -> Result<Check> {
    let columns = "(id uuid PRIMARY KEY, version bigint NOT NULL, status text NOT NULL, parent uuid,
        rank bigint NOT NULL DEFAULT 0, state text NOT NULL, streams text NOT NULL DEFAULT '[]', armed_ms bigint,
        updated_at timestamptz NOT NULL DEFAULT now())";
    let migration = refinery::Migration::unapplied("V1__things", &format!("CREATE TABLE {KIND} {columns}"))?;
    let database = Database::create("battery", Things::KINDS, refinery::Runner::new(&[migration])).await;
    let pool = PgConfig { max_connections: WRITERS as usize + 8, ..PgConfig::new(database.url()) };
    let store = PgStore::new(&pool, Things::KINDS)?;
    let prefix = testkit::prefix();
    testkit::create_topics(&prefix, &[(TOPIC, 2)]).await;
    let kafka = crate::platform::address("MALLBOTS_KAFKA")?;
    let things: Arc<Vec<Uuid>> = Arc::new((0..THINGS).map(|_| Uuid::now_v7()).collect());
    let new = things.iter().map(|id| Save { kind: KIND, expected: 0, row: thing(*id, 1, 0) }).collect();
    commit(&store, &Changes { saves: new, ..Changes::default() }).await?;

    database.connect().await.batch_execute(HELD).await?;
    let bystander = long_transaction().await?;
    let relay_deaths = Arc::new(AtomicU64::new(0));
    let mut relays = JoinSet::new();
    for number in 0..RELAYS {
        let log = KafkaLog::new(KafkaConfig {
            topic_prefix: prefix.clone(),
            // Two logs of a process share a producer when they are configured alike.
            extra: vec![("metadata.max.age.ms".to_owned(), (300_000 + number).to_string())],
            ..KafkaConfig::new(&kafka)
        })?;
        relays.spawn(mortal_relays(store.clone(), log, Draw(seed ^ number), relay_deaths.clone()));
    }
    let until = Instant::now() + lasts;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write(store.clone(), things.clone(), Draw(seed.wrapping_add(1 + number)), until));
    }
    let mut rolled_back = 0;
    while let Some(done) = writers.join_next().await {
        rolled_back += done??;
    }
    let expected = emitted(&store, &things).await?;
    let rows: u64 = expected.values().sum();
    let seen = read(&kafka, &prefix, rows).await?;
    drop(bystander);
    relays.shutdown().await;
    let deaths = relay_deaths.load(Ordering::Relaxed);
    ensure!(
        deaths > 0 && rolled_back > 0 && rows > WRITERS,
        "INVALID: {deaths} relays died at work, {rolled_back} transactions were rolled back, {rows} messages were written"
    );
    Ok(judge(&expected, &seen, deaths, rolled_back))
}

fn thing(id: Uuid, version: i64, emitted: i64) -> Row {
    Row {
        id,
        version,
        status: "open".into(),
        parent: None,
        rank: emitted,
        state: "{}".into(),
        streams: Vec::new(),
        armed_ms: None,
    }
}

/// A transaction with an id of its own in another database of the cluster, open as long as the client lives: what reads
/// by the cluster's oldest transaction stands still.
async fn long_transaction() -> Result<tokio_postgres::Client> {
    let client = super::administrator().await?;
    client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await?;
    Ok(client)
}

/// Writes until it is time; answers how many transactions were rolled back.
async fn write(store: PgStore, things: Arc<Vec<Uuid>>, mut draw: Draw, until: Instant) -> Result<u64> {
    let mut rolled_back = 0;
    while Instant::now() < until {
        let id = things[draw.below(THINGS as u64) as usize];
        let mut tx = store.begin().await?;
        let wanted = Wanted { rows: vec![(KIND, vec![id])], ..Wanted::default() };
        // A statement that waits too long for the same row fails, and the transaction with it.
        let Ok(mut loaded) = tx.load(Things::NAME, &wanted).await else { continue };
        let (_, row) = loaded.rows.pop().context("a thing is gone")?;
        let many = 1 + draw.below(MOST_MESSAGES) as i64;
        let outbox = (1..=many).map(|nth| message(id, (row.rank + nth) as u64)).collect();
        let save = Save { kind: KIND, expected: row.version, row: thing(id, row.version + 1, row.rank + many) };
        let changes = Changes { saves: vec![save], outbox, ..Changes::default() };
        if let Err(CommitError::Unknown(token)) = tx.commit(Things::NAME, &changes).await {
            rolled_back += u64::from(!store.committed(&token).await?);
        }
    }
    Ok(rolled_back)
}

fn message(id: Uuid, seq: u64) -> OutboxRow {
    let record = NewRecord {
        topic: TOPIC.into(),
        key: id.to_string(),
        headers: message::Headers::new(),
        value: Some(seq.to_be_bytes().to_vec()),
    };
    let shard = (id.as_u128() % 4) as i16;
    OutboxRow { id: 0, table: 0, shard, stream: id.to_string().into(), seq, record, created_ms: 0 }
}

async fn commit(store: &PgStore, changes: &Changes) -> Result<()> {
    match store.begin().await?.commit(Things::NAME, changes).await {
        Ok(_) => Ok(()),
        Err(CommitError::Failed(error)) => Err(error.into()),
        Err(CommitError::Unknown(_)) => bail!("the answer to a commit got lost"),
    }
}

/// One relay after the other, each dropped where it happens to be.
async fn mortal_relays(store: PgStore, log: KafkaLog, mut draw: Draw, deaths: Arc<AtomicU64>) {
    let Ok(codec) = Codec::offline() else { return };
    let codec = Arc::new(codec);
    let (lease, rotate) = (Duration::from_secs(2), Duration::from_secs(3));
    let config = RelayConfig { lease, rotate, ..RelayConfig::default() };
    loop {
        let shell = Shell::new(Things, store.clone(), codec.clone(), ShellConfig::default());
        let mut relay = Relay::new(&shell, log.clone(), config.clone());
        let lives = Duration::from_millis(RELAY_LIVES[0] + draw.below(RELAY_LIVES[1] - RELAY_LIVES[0]));
        let mut sent = false;
        let work = async {
            loop {
                match relay.run_once().await {
                    Outcome::Sent(_) => sent = true,
                    Outcome::Idle | Outcome::Failed => tokio::time::sleep(IDLE).await,
                }
            }
        };
        let _ = tokio::time::timeout(lives, work).await;
        deaths.fetch_add(u64::from(sent), Ordering::Relaxed);
    }
}

/// How many messages each thing has emitted.
async fn emitted(store: &PgStore, things: &[Uuid]) -> Result<BTreeMap<String, u64>> {
    let rows = store.get(KIND, things).await?;
    Ok(rows.into_iter().map(|row| (row.id.to_string(), row.rank as u64)).collect())
}

/// What is on the topic, by key, in order; waits until `expected` different messages are there, or nothing comes any more.
async fn read(kafka: &str, prefix: &str, expected: u64) -> Result<BTreeMap<String, Vec<u64>>> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", format!("{prefix}reader"))
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[&format!("{prefix}{TOPIC}")])?;
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut distinct = std::collections::BTreeSet::new();
    while (distinct.len() as u64) < expected {
        let Ok(message) = tokio::time::timeout(SENT_WITHIN, consumer.recv()).await else { break };
        let message = message?;
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        let seq = u64::from_be_bytes(message.payload().unwrap_or_default().try_into()?);
        distinct.insert((key.clone(), seq));
        seen.entry(key).or_default().push(seq);
    }
    Ok(seen)
}

fn judge(expected: &BTreeMap<String, u64>, seen: &BTreeMap<String, Vec<u64>>, deaths: u64, rolled_back: u64) -> Check {
    let mut broken = Vec::new();
    let (mut rows, mut doubles) = (0, 0);
    for (key, count) in expected {
        let all = seen.get(key).map_or(&[][..], Vec::as_slice);
        let mut last = 0;
        for seq in all {
            if *seq == last + 1 {
                last = *seq;
            } else if *seq > last {
                broken.push(format!("{key}: {seq} came after {last}"));
                last = *seq;
            }
        }
        if last != *count {
            broken.push(format!("{key}: {count} were committed, the last that came is {last}"));
        }
        rows += count;
        doubles += all.len() as u64 - all.len().min(*count as usize) as u64;
    }
    let what = format!(
        "{WRITERS} writers, {rows} messages, {rolled_back} transactions rolled back; {RELAYS} relays died {deaths} times at \
         work, {doubles} messages came again"
    );
    Check { name: "outbox", what, broken }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(seen: &[u64]) -> Vec<String> {
        judge(&BTreeMap::from([("a".into(), 3)]), &BTreeMap::from([("a".into(), seen.to_vec())]), 1, 1).broken
    }

    #[test]
    fn what_comes_again_is_fine_and_what_is_missing_or_early_is_not() {
        assert_eq!(judged(&[1, 2, 1, 2, 3, 2]), [""; 0]);
        assert_eq!(judged(&[1, 2]).len(), 1);
        assert_eq!(judged(&[1, 3, 2]).len(), 1);
        assert_eq!(judged(&[]).len(), 1);
    }
}
