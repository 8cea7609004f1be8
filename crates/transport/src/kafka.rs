//! The log on Apache Kafka, through librdkafka. Every setting that order or durability rests on is set here and asserted.

use crate::{
    error::Error,
    failpoint::{self, Place},
    ports::{Log, LogConsumer, NewRecord, Polled, Record, Wants},
};
use message::headers::CE_TYPE;
use rdkafka::{
    ClientConfig, ClientContext, Message as _, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer},
    util::Timeout,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};
use tokio::sync::mpsc;

/// How Kafka is reached.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `host:port[,host:port…]`.
    pub bootstrap: String,
    /// Put before every topic and group name, so that tests share a broker; empty in production.
    pub topic_prefix: String,
    /// Names this client in the broker's logs.
    pub client_id: String,
    /// After this long without heartbeats a member's partitions go to others.
    pub session_timeout: Duration,
    /// Anything else librdkafka knows (security.protocol, sasl.*, …); settings that correctness rests on are refused.
    pub extra: Vec<(String, String)>,
}

impl KafkaConfig {
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            topic_prefix: String::new(),
            client_id: "mallbots".into(),
            session_timeout: Duration::from_secs(6),
            extra: Vec::new(),
        }
    }
}

/// What must not be changed from outside, with its value.
const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // No message gives up while others of its stream go on: one that is late would come behind its successor, and be dropped
    // there as a duplicate. Timeouts end messages one by one, so there is none; whatever else fails stops the producer.
    ("delivery.timeout.ms", "0"),
    ("enable.gapless.guarantee", "true"),
    ("max.in.flight.requests.per.connection", "5"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "0"),
    ("compression.type", "lz4"),
    // The broker judges whole batches by the topic's max.message.bytes, not records: a batch must not outgrow what one
    // record may take.
    ("batch.size", "262144"),
];
const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "true"),
    ("auto.commit.interval.ms", "1000"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("check.crcs", "true"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("max.poll.interval.ms", "120000"),
    ("fetch.queue.backoff.ms", "2"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.max.bytes", "8000000"),
    ("receive.message.max.bytes", "16000000"),
    ("queued.max.messages.kbytes", "16384"),
];

/// A Kafka cluster.
#[derive(Clone)]
pub struct KafkaLog {
    config: Arc<KafkaConfig>,
    producer: SharedProducer,
    partitions: Arc<Mutex<HashMap<String, i32>>>,
    /// By group: a client that reads the group's offsets and is no member.
    groups: Arc<Mutex<HashMap<String, Arc<BaseConsumer>>>>,
}

impl KafkaLog {
    /// Connects when it is first used. [`Error::Fatal`] when `extra` changes a setting that correctness rests on.
    pub fn new(config: KafkaConfig) -> Result<Self, Error> {
        for (name, value) in &config.extra {
            if PRODUCER.iter().chain(CONSUMER).any(|(fixed, _)| fixed == name) {
                return Err(Error::Fatal(format!("Kafka setting `{name}={value}` is not yours to change: remove it")));
            }
        }
        let producer = shared_producer(&config)?;
        Ok(Self { config: Arc::new(config), producer, partitions: Arc::default(), groups: Arc::default() })
    }

    /// Reads `topics` from their end, outside any group and without keeping offsets: for live views.
    pub async fn tail(&self, topics: &[&str]) -> Result<KafkaConsumer, Error> {
        let mut places = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..self.partition_count(topic).await? {
                let added = places.add_partition_offset(&self.topic(topic), partition, rdkafka::Offset::End);
                added.map_err(|e| Error::retry("tail", e))?;
            }
        }
        let mut client = base(&self.config);
        client.set("group.id", self.topic("tail")).set("enable.auto.commit", "false").set("check.crcs", "true");
        client.set("fetch.queue.backoff.ms", "2").set("fetch.wait.max.ms", "100");
        let (changes, assigned) = assignments();
        let context = Changes(changes, self.config.topic_prefix.clone());
        let consumer: StreamConsumer<Changes> =
            client.create_with_context(context).map_err(|e| Error::Fatal(format!("Kafka consumer: {e}")))?;
        consumer.assign(&places).map_err(|e| Error::retry("tail", e))?;
        let changes = tokio::sync::Mutex::new(assigned);
        Ok(KafkaConsumer { consumer: Arc::new(consumer), changes, prefix: self.config.topic_prefix.clone() })
    }

    fn topic(&self, topic: &str) -> String {
        format!("{}{topic}", self.config.topic_prefix)
    }

    fn current(&self) -> FutureProducer {
        self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An idempotent producer that met a fatal error never recovers: a new one takes its place.
    fn replace_if_fatal(&self) {
        let mut slot = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if slot.client().fatal_error().is_some()
            && let Ok(fresh) = producer(&self.config)
        {
            *slot = fresh;
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        run: impl FnOnce(FutureProducer) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, Error> {
        let producer = self.current();
        let joined = tokio::task::spawn_blocking(move || run(producer)).await;
        joined.map_err(|e| Error::retry(what, e))?.map_err(|e| Error::retry(what, e))
    }

    /// Made when it is first asked for: only who shares its group with others needs one.
    fn observer(&self, group: &str) -> Result<Arc<BaseConsumer>, Error> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = groups.get(group) {
            return Ok(known.clone());
        }
        let mut client = base(&self.config);
        client.set("group.id", self.topic(group)).set("enable.auto.commit", "false");
        let observer: BaseConsumer = client.create().map_err(|e| Error::Fatal(format!("Kafka consumer: {e}")))?;
        let observer = Arc::new(observer);
        groups.insert(group.to_owned(), observer.clone());
        Ok(observer)
    }

    async fn partition_count(&self, topic: &str) -> Result<i32, Error> {
        let known = self.partitions.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        if let Some(count) = known {
            return Ok(count);
        }
        let name = self.topic(topic);
        let count = self
            .blocking("metadata", move |producer| {
                let metadata = producer.client().fetch_metadata(Some(&name), REQUEST_TIMEOUT)?;
                Ok(metadata.topics().first().map_or(0, |t| t.partitions().len() as i32))
            })
            .await?;
        if count == 0 {
            return Err(Error::retry("metadata", format!("topic {topic} does not exist: run `mallctl topics apply`")));
        }
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), count);
        Ok(count)
    }
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

fn base(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.bootstrap).set("client.id", &config.client_id);
    client
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000");
    for (name, value) in &config.extra {
        client.set(name, value);
    }
    client.set_log_level(rdkafka::config::RDKafkaLogLevel::Critical);
    client
}

type SharedProducer = Arc<RwLock<FutureProducer>>;

/// The producer of this process for the cluster and settings of `config`. One for all its roles: a producer of the rdkafka
/// crate costs a thread that spins for up to a millisecond ten times a second, since what is left of its poll's timeout is
/// rounded down to nothing. The broker knows it by the client id of the role that came first.
fn shared_producer(config: &KafkaConfig) -> Result<SharedProducer, Error> {
    static PRODUCERS: Mutex<Vec<(ProducerKey, Weak<RwLock<FutureProducer>>)>> = Mutex::new(Vec::new());
    let mut producers = PRODUCERS.lock().unwrap_or_else(PoisonError::into_inner);
    producers.retain(|(_, producer)| producer.strong_count() > 0);
    let key = (config.bootstrap.clone(), config.extra.clone());
    if let Some(found) = producers.iter().filter(|(k, _)| *k == key).find_map(|(_, producer)| producer.upgrade()) {
        return Ok(found);
    }
    let made = Arc::new(RwLock::new(producer(config)?));
    producers.push((key, Arc::downgrade(&made)));
    Ok(made)
}

/// What must be the same for two logs to share a producer.
type ProducerKey = (String, Vec<(String, String)>);

fn producer(config: &KafkaConfig) -> Result<FutureProducer, Error> {
    let mut client = base(config);
    for (name, value) in PRODUCER {
        client.set(*name, *value);
    }
    client.set("queue.buffering.max.messages", "200000");
    client.create().map_err(|e| Error::Fatal(format!("Kafka producer: {e}")))
}

impl Log for KafkaLog {
    type Consumer = KafkaConsumer;

    async fn append(&self, records: Vec<NewRecord>) -> Vec<Result<(), Error>> {
        let producer = self.current();
        let mut sent = Vec::with_capacity(records.len());
        // What the client does not even take would leave a gap in its partition, which the gapless producer knows nothing of.
        let mut stopped = HashSet::new();
        for record in &records {
            let topic = self.topic(&record.topic);
            if stopped.contains(&topic) {
                sent.push(Err(Error::retry("append", "a record before it on its topic was not taken")));
                continue;
            }
            let taken = enqueue(&producer, &topic, record).await;
            if taken.is_err() {
                stopped.insert(topic);
            }
            sent.push(taken);
        }
        failpoint::pass_soon(Place::ProduceSent);
        let mut results = Vec::with_capacity(sent.len());
        for delivery in sent {
            let delivered = match delivery {
                Ok(future) => match future.await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err((error, _))) => Err(Error::retry("append", error)),
                    Err(_) => Err(Error::retry("append", "the producer was closed")),
                },
                Err(error) => Err(error),
            };
            results.push(delivered);
        }
        if results.iter().any(Result::is_err) {
            self.replace_if_fatal();
        }
        results
    }

    fn subscribe(&self, group: &str, topics: &[&str]) -> Result<KafkaConsumer, Error> {
        let mut client = base(&self.config);
        for (name, value) in CONSUMER {
            client.set(*name, *value);
        }
        client.set("group.id", self.topic(group));
        client.set("session.timeout.ms", self.config.session_timeout.as_millis().to_string());
        client.set("heartbeat.interval.ms", (self.config.session_timeout.as_millis() / 3).to_string());
        let (changes, assigned) = assignments();
        let context = Changes(changes, self.config.topic_prefix.clone());
        let consumer: StreamConsumer<Changes> =
            client.create_with_context(context).map_err(|e| Error::Fatal(format!("Kafka consumer: {e}")))?;
        let names: Vec<String> = topics.iter().map(|t| self.topic(t)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|e| Error::Fatal(format!("subscribe: {e}")))?;
        let changes = tokio::sync::Mutex::new(assigned);
        Ok(KafkaConsumer { consumer: Arc::new(consumer), changes, prefix: self.config.topic_prefix.clone() })
    }

    async fn end_offsets(&self, topic: &str) -> Result<Vec<i64>, Error> {
        let count = self.partition_count(topic).await?;
        let name = self.topic(topic);
        self.blocking("end offsets", move |producer| {
            let end = |p| {
                let (first, end) = producer.client().fetch_watermarks(&name, p, REQUEST_TIMEOUT)?;
                Ok(if first == end { 0 } else { end })
            };
            (0..count).map(end).collect()
        })
        .await
    }

    async fn group_offsets(&self, group: &str, places: &[(&str, i32)]) -> Result<HashMap<(String, i32), i64>, Error> {
        let (observer, prefix) = (self.observer(group)?, self.config.topic_prefix.clone());
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in places {
            asked.add_partition(&self.topic(topic), *partition);
        }
        let read = move || {
            // It has no partitions: this only serves what the client has to say.
            let _ = observer.poll(Duration::ZERO);
            Ok(offsets(&observer.committed_offsets(asked, REQUEST_TIMEOUT)?, &prefix))
        };
        let joined = tokio::task::spawn_blocking(read).await.map_err(|e| Error::retry("group offsets", e))?;
        joined.map_err(|e: KafkaError| Error::retry("group offsets", e))
    }

    async fn partition(&self, topic: &str, key: &str) -> Result<i32, Error> {
        Ok(crate::murmur2::partition(key.as_bytes(), self.partition_count(topic).await? as _) as i32)
    }
}

type Delivery = rdkafka::producer::DeliveryFuture;

/// Puts a record into librdkafka's queue, waiting while that is full.
async fn enqueue(producer: &FutureProducer, topic: &str, record: &NewRecord) -> Result<Delivery, Error> {
    let mut headers = OwnedHeaders::new_with_capacity(24);
    for (key, value) in record.headers.iter() {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    let mut message = FutureRecord::to(topic).key(record.key.as_bytes()).headers(headers);
    if let Some(value) = &record.value {
        message = message.payload(value.as_slice());
    }
    loop {
        match producer.send_result(message) {
            Ok(delivery) => return Ok(delivery),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                message = back;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err((error, _)) => return Err(Error::retry("append", error)),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "bounded by rebalances, and the client's callback must not wait")]
fn assignments() -> (mpsc::UnboundedSender<Polled>, mpsc::UnboundedReceiver<Polled>) {
    mpsc::unbounded_channel()
}

/// Reports changes of assignment to the poller.
struct Changes(mpsc::UnboundedSender<Polled>, String);

impl ClientContext for Changes {}

impl ConsumerContext for Changes {
    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if result.is_ok() {
            failpoint::pass(Place::OffsetCommitted);
        }
    }

    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            // What is stored is processed; the commit may fail when the partitions were lost, and then the inbox serves.
            let _ = consumer.commit_consumer_state(rdkafka::consumer::CommitMode::Sync);
            let _ = self.0.send(Polled::Revoked(places(partitions, &self.1)));
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                let _ = self.0.send(Polled::Assigned(places(partitions, &self.1)));
            }
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance"),
            Rebalance::Revoke(_) => {}
        }
    }
}

fn places(partitions: &TopicPartitionList, prefix: &str) -> Vec<(String, i32)> {
    partitions.elements().iter().map(|e| (strip(e.topic(), prefix).to_owned(), e.partition())).collect()
}

fn strip<'a>(topic: &'a str, prefix: &str) -> &'a str {
    topic.strip_prefix(prefix).unwrap_or(topic)
}

/// A member of a consumer group.
pub struct KafkaConsumer {
    consumer: Arc<StreamConsumer<Changes>>,
    changes: tokio::sync::Mutex<mpsc::UnboundedReceiver<Polled>>,
    prefix: String,
}

impl KafkaConsumer {
    fn polled(&self, message: &BorrowedMessage<'_>, wants: Wants<'_>) -> Polled {
        let topic = strip(message.topic(), &self.prefix);
        let wanted = readable(|| type_of(message).is_none_or(|name| wants(topic, name)));
        match wanted {
            Some(false) => Polled::Passed(topic.to_owned(), message.partition(), message.offset()),
            Some(true) | None => Polled::Record(record(message, topic)),
        }
    }
}

impl LogConsumer for KafkaConsumer {
    async fn poll_for(&self, wants: Wants<'_>) -> Result<Polled, Error> {
        let mut changes = self.changes.lock().await;
        tokio::select! {
            biased;
            Some(change) = changes.recv() => Ok(change),
            message = self.consumer.recv() => match message {
                Ok(message) => Ok(self.polled(&message, wants)),
                Err(error) => Err(Error::retry("poll", error)),
            },
        }
    }

    fn store_offset(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        // librdkafka stores the offset of the record and commits the next one.
        let topic = format!("{}{topic}", self.prefix);
        self.consumer.store_offset(&topic, partition, offset - 1).map_err(|e| Error::retry("store offset", e))
    }

    fn pause(&self, paused: bool) -> Result<(), Error> {
        let assigned = self.consumer.assignment().map_err(|e| Error::retry("assignment", e))?;
        let change = if paused { self.consumer.pause(&assigned) } else { self.consumer.resume(&assigned) };
        change.map_err(|e| Error::retry("pause", e))
    }

    async fn committed(&self) -> Result<HashMap<(String, i32), i64>, Error> {
        let (consumer, prefix) = (self.consumer.clone(), self.prefix.clone());
        let read = move || Ok(offsets(&consumer.committed(Timeout::After(REQUEST_TIMEOUT))?, &prefix));
        let joined = tokio::task::spawn_blocking(read).await.map_err(|e| Error::retry("committed", e))?;
        joined.map_err(|e: KafkaError| Error::retry("committed", e))
    }
}

/// What is committed of each partition; 0 where nothing is.
fn offsets(committed: &TopicPartitionList, prefix: &str) -> HashMap<(String, i32), i64> {
    let offset = |e: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match e.offset() {
        rdkafka::Offset::Offset(offset) => offset,
        _ => 0,
    };
    let elements = committed.elements();
    elements.iter().map(|e| ((strip(e.topic(), prefix).to_owned(), e.partition()), offset(e))).collect()
}

fn type_of<'a>(message: &'a BorrowedMessage<'_>) -> Option<&'a str> {
    let value = message.headers()?.iter().find(|h| h.key == CE_TYPE)?.value?;
    std::str::from_utf8(value).ok().filter(|name| !name.is_empty())
}

/// Runs what reads header names: the rdkafka crate panics at one that is not UTF-8, and anybody may send that.
fn readable<T>(read: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
}

/// All headers of a record; none where a name is not UTF-8, so that it is parked for what it lacks.
pub fn headers_of(message: &BorrowedMessage<'_>) -> message::Headers {
    let all = || message.headers().map(|all| all.iter().map(|h| (h.key, h.value.unwrap_or_default())).collect());
    readable(all).flatten().unwrap_or_default()
}

fn record(message: &BorrowedMessage<'_>, topic: &str) -> Record {
    Record {
        topic: topic.to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        headers: headers_of(message),
        value: message.payload().map(<[u8]>::to_vec),
    }
}
