//! What the servers alone can do on this machine at this moment, so that the platform's figures can be judged.

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use rdkafka::{
    ClientConfig, Message as _,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

/// Records of 200 bytes a second.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Ceilings {
    /// Rows inserted by 500 a transaction, two clients, fsync on.
    pub postgres_rows: f64,
    /// Keyed records acknowledged by all replicas, idempotent producer, lz4, linger 5 ms.
    pub kafka_produced: f64,
    pub kafka_consumed: f64,
}

const BYTES: usize = 200;
const BATCH: usize = 500;
const FOR: Duration = Duration::from_secs(3);
const RECORDS: usize = 300_000;

pub async fn measure(kafka: &str, postgres: &str) -> Result<Ceilings> {
    let postgres_rows = inserted(postgres).await.context("raw inserts into Postgres")?;
    let topic = format!("bench.raw.{}", std::process::id());
    let kafka_produced = produced(kafka, &topic).await.context("raw produce")?;
    let kafka_consumed = consumed(kafka, &topic).await.context("raw consume")?;
    Ok(Ceilings { postgres_rows, kafka_produced, kafka_consumed })
}

async fn client(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn inserted(url: &str) -> Result<f64> {
    let url = format!("{url}/postgres");
    let owner = client(&url).await?;
    owner
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS bench_raw (id bigint PRIMARY KEY, value bytea NOT NULL); TRUNCATE bench_raw",
        )
        .await?;
    let started = Instant::now();
    let writers = (0..2_i64).map(|writer| {
        let url = url.clone();
        async move {
            let client = client(&url).await?;
            let insert =
                client.prepare("INSERT INTO bench_raw SELECT * FROM unnest($1::bigint[], $2::bytea[])").await?;
            let mut rows = 0;
            let values: Vec<Vec<u8>> = (0..BATCH).map(|n| vec![n as u8; BYTES]).collect();
            while started.elapsed() < FOR {
                let first = writer * 1_000_000_000 + rows as i64;
                let ids: Vec<i64> = (first..first + BATCH as i64).collect();
                rows += client.execute(&insert, &[&ids, &values]).await? as usize;
            }
            anyhow::Ok(rows)
        }
    });
    let rows: usize = try_join_all(writers).await?.into_iter().sum();
    let rate = rows as f64 / started.elapsed().as_secs_f64();
    owner.batch_execute("DROP TABLE bench_raw").await?;
    Ok(rate)
}

async fn produced(kafka: &str, topic: &str) -> Result<f64> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", kafka).create()?;
    let new = NewTopic::new(topic, 2, TopicReplication::Fixed(1));
    admin.create_topics([&new], &AdminOptions::new()).await?;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "400000")
        .create()?;
    let value = vec![7_u8; BYTES];
    let started = Instant::now();
    let mut waiting = Vec::with_capacity(RECORDS);
    for number in 0..RECORDS {
        let key = number.to_string();
        let record = FutureRecord::to(topic).key(&key).payload(&value);
        waiting.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    for delivery in waiting {
        delivery.await?.map_err(|(error, _)| error)?;
    }
    Ok(RECORDS as f64 / started.elapsed().as_secs_f64())
}

async fn consumed(kafka: &str, topic: &str) -> Result<f64> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", topic)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "2")
        .create()?;
    consumer.subscribe(&[topic])?;
    let (mut bytes, mut first) = (0, None);
    for _ in 0..RECORDS {
        let record = tokio::time::timeout(Duration::from_secs(30), consumer.recv()).await.context("no record")??;
        bytes += record.payload().map_or(0, <[u8]>::len);
        first.get_or_insert_with(Instant::now);
    }
    anyhow::ensure!(bytes == RECORDS * BYTES, "read {bytes} bytes, wrote {}", RECORDS * BYTES);
    Ok(RECORDS as f64 / first.unwrap_or_else(Instant::now).elapsed().as_secs_f64())
}
