//! The real thing, processes or containers as this machine has it: all servers killed and restarted with their data still there,
//! stopped without a trace.

mod traces;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use servers::{Jaeger, Options, Servers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::{Client, NoTls};

const SCHEMA: &str = r#"{"schema":"{\"type\":\"record\",\"name\":\"A\",\"fields\":[]}"}"#;

fn options() -> Options {
    // Of our own: these servers get killed, which must not happen to those that other tests share.
    Options { jaeger: Jaeger::IfBuilt, prefer_testcontainers: true, own: true, ..Options::default() }
}

#[tokio::test]
async fn servers_come_back_with_their_data_after_a_kill_and_leave_nothing_when_stopped() {
    let servers = Servers::start(options()).await.unwrap();
    kafka_keeps_a_record_over_a_kill(&servers).await;
    postgres_and_registry_keep_theirs_over_an_immediate_shutdown(&servers).await;
    if let Some(jaeger) = &servers.addresses().jaeger {
        assert!(http(jaeger, "GET", "/api/services", "").await.starts_with("HTTP/1.1 200"));
    }
    let traces = traces::Traces::of(servers.control().unwrap());
    assert!(traces.servers() >= 3, "{traces:?}");
    servers.stop().await;
    assert_eq!(traces.left(), Vec::<String>::new());
}

async fn kafka_keeps_a_record_over_a_kill(servers: &Servers) {
    let client = kafka(servers);
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let topic = NewTopic::new("kept", 1, TopicReplication::Fixed(1));
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let producer: FutureProducer = client.create().unwrap();
    let record = FutureRecord::to("kept").key("k").payload("v");
    producer.send(record, Duration::from_secs(30)).await.unwrap();

    let control = servers.control().unwrap();
    control.kill_kafka().await.unwrap();
    assert!(TcpStream::connect(&servers.addresses().kafka).await.is_err(), "it still listens");
    assert!(control.kill_kafka().await.is_err(), "it was killed twice");
    control.start_kafka().await.unwrap();
    assert!(control.start_kafka().await.is_err(), "it was started twice");

    let consumer: BaseConsumer = kafka(servers).create().unwrap();
    let (low, high) = consumer.fetch_watermarks("kept", 0, Duration::from_secs(30)).unwrap();
    assert_eq!((low, high), (0, 1));
}

fn kafka(servers: &Servers) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &servers.addresses().kafka);
    config
}

async fn postgres_and_registry_keep_theirs_over_an_immediate_shutdown(servers: &Servers) {
    let registry = &servers.addresses().registry;
    assert!(http(registry, "POST", "/subjects/kept/versions", SCHEMA).await.starts_with("HTTP/1.1 200"));
    let client = postgres(servers, "postgres").await;
    client.batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").await.unwrap();
    for (setting, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("max_connections", "200")] {
        let row = client.query_one(&format!("SHOW {setting}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), value, "{setting}");
    }
    client.batch_execute("CREATE DATABASE later").await.unwrap();
    let later = postgres(servers, "later").await;
    later.query_one("SELECT count(*) FROM pg_stat_statements", &[]).await.unwrap();

    let control = servers.control().unwrap();
    control.stop_postgres_immediate().await.unwrap();
    control.start_postgres().await.unwrap();

    let client = postgres(servers, "postgres").await;
    assert_eq!(client.query_one("SELECT n FROM kept", &[]).await.unwrap().get::<_, i32>(0), 7);
    eventually(async || http(registry, "GET", "/subjects", "").await.contains("kept")).await;
}

async fn postgres(servers: &Servers, database: &str) -> Client {
    let url = format!("{}/{database}", servers.addresses().postgres);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The whole answer to one request; empty when the server did not answer.
async fn http(base: &str, method: &str, path: &str, body: &str) -> String {
    let (host, prefix) =
        base.strip_prefix("http://").unwrap().split_once('/').map_or((&base[7..], ""), |(h, p)| (h, p));
    let slash = if prefix.is_empty() { "" } else { "/" };
    let head = format!("{method} {slash}{prefix}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    let kind = "Content-Type: application/vnd.schemaregistry.v1+json\r\n";
    let request = format!("{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut answer = Vec::new();
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The registry's connections to Postgres broke; it makes new ones by itself.
async fn eventually(condition: impl AsyncFn() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.expect("in 30 s");
}
