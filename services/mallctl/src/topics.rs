//! Topics as the file declares them: created, and compared with what the broker has.

use crate::output::{self, Done, Failure, Format};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use transport::kafka::KafkaConfig;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create the topics that are missing, then verify all
    #[command(after_help = "Example:\n  MALLBOTS_KAFKA=127.0.0.1:9092 mallctl topics apply --replication 3")]
    Apply(Options),
    /// Compare the topics with the file; exit 1 when they differ
    #[command(after_help = "Example:\n  MALLBOTS_KAFKA=127.0.0.1:9092 mallctl topics verify -o json")]
    Verify(Options),
    /// Does the file name exactly the platform's topics, with sound settings? Asks no broker; exit 1 when not
    #[command(after_help = "Example:\n  mallctl topics check --file infra/kafka/topics.yaml")]
    Check {
        /// Another file than infra/kafka/topics.yaml
        #[arg(long)]
        file: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
pub struct Options {
    /// Another file than infra/kafka/topics.yaml
    #[arg(long)]
    file: Option<PathBuf>,
    /// Replicas of each partition: 1 on a single broker, else 3
    #[arg(long)]
    replication: Option<i32>,
}

#[derive(Deserialize)]
struct Declared {
    topics: Vec<Topic>,
}

#[derive(Deserialize)]
struct Topic {
    name: String,
    partitions: i32,
    cleanup_policy: String,
    retention_ms: i64,
    max_message_bytes: i64,
}

impl Topic {
    fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("cleanup.policy", self.cleanup_policy.clone()),
            ("retention.ms", self.retention_ms.to_string()),
            ("max.message.bytes", self.max_message_bytes.to_string()),
        ]
    }
}

const DECLARED: &str = include_str!("../../../infra/kafka/topics.yaml");
const TIMEOUT: Duration = Duration::from_secs(10);
/// A new topic is of use within.
const READY_WITHIN: Duration = Duration::from_secs(10);

pub async fn run(command: Command, format: Format) -> Done {
    let (options, create) = match command {
        Command::Apply(options) => (options, true),
        Command::Verify(options) => (options, false),
        Command::Check { file } => return check(&declared(file.as_deref())?, format),
    };
    let kafka = service_kit::config::kafka_from_env("mallctl").map_err(output::usage)?;
    let mut declared = declared(options.file.as_deref())?;
    for topic in &mut declared.topics {
        topic.name = format!("{}{}", kafka.topic_prefix, topic.name);
    }
    let admin: AdminClient<DefaultClientContext> =
        client(&kafka).create().map_err(|e| Failure::Usage(format!("MALLBOTS_KAFKA, MALLBOTS_KAFKA_EXTRA: {e}")))?;
    if create {
        apply(&admin, &declared, options.replication).await?;
    }
    verify(&admin, &declared, format, create).await
}

/// How a tool reaches the brokers.
pub fn client(kafka: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &kafka.bootstrap).set("client.id", &kafka.client_id);
    for (name, value) in &kafka.extra {
        client.set(name, value);
    }
    client.set_log_level(rdkafka::config::RDKafkaLogLevel::Critical);
    client
}

pub fn unreachable(error: KafkaError) -> Failure {
    Failure::Unreachable(format!("Kafka: {error} (MALLBOTS_KAFKA names the brokers)"))
}

/// What the file declares; without a file, the one this program was built with.
fn declared(file: Option<&Path>) -> Result<Declared, Failure> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).map_err(|e| Failure::Usage(format!("{}: {e}", file.display())))?,
        None => DECLARED.to_owned(),
    };
    serde_yaml_ng::from_str(&text).map_err(|e| Failure::Usage(format!("the topics file is not valid: {e}")))
}

fn check(declared: &Declared, format: Format) -> Done {
    let names: Vec<_> = declared.topics.iter().map(|t| t.name.as_str()).collect();
    let missing = schemas::topics::ALL.iter().filter(|name| !names.contains(name));
    let mut rows: Vec<_> = missing.map(|name| [*name, "is not declared"].map(str::to_owned).to_vec()).collect();
    let mut wrong = rows.len();
    for (at, topic) in declared.topics.iter().enumerate() {
        let verdict = match topic {
            t if !schemas::topics::ALL.contains(&t.name.as_str()) => "is no topic of the platform",
            t if names[..at].contains(&t.name.as_str()) => "is declared twice",
            t if t.partitions < 1 => "has no partition",
            t if !matches!(t.cleanup_policy.as_str(), "delete" | "compact") => "has an unknown cleanup policy",
            t if t.max_message_bytes <= transport::codec::MAX_VALUE_BYTES as i64 => {
                "has no room for the largest record"
            }
            _ => "ok",
        };
        wrong += usize::from(verdict != "ok");
        rows.push(vec![topic.name.clone(), verdict.to_owned()]);
    }
    output::print(format, &["topic", "verdict"], &rows);
    if wrong == 0 { Ok(()) } else { Err(Failure::Check(format!("{wrong} topics are not as the platform needs them"))) }
}

async fn apply(admin: &AdminClient<DefaultClientContext>, declared: &Declared, replication: Option<i32>) -> Done {
    let brokers = admin.inner().fetch_metadata(None, TIMEOUT).map_err(unreachable)?;
    let replication = replication.unwrap_or(if brokers.brokers().len() < 3 { 1 } else { 3 });
    let settings: Vec<_> = declared.topics.iter().map(Topic::settings).collect();
    let topics: Vec<_> = declared
        .topics
        .iter()
        .zip(&settings)
        .map(|(topic, settings)| {
            let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication));
            for (name, value) in settings {
                new = new.set(name, value);
            }
            if replication >= 3 { new.set("min.insync.replicas", "2") } else { new }
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let created = admin.create_topics(&topics, &options).await.map_err(unreachable)?;
    for result in created {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Failure::Refused(format!("topic {topic}: {code}"))),
        }
    }
    Ok(())
}

/// With `created`, topics are waited for that are not of use yet: one broker may not have heard of what another has made, and
/// each partition needs a leader.
async fn verify(admin: &AdminClient<DefaultClientContext>, declared: &Declared, format: Format, created: bool) -> Done {
    let until = Instant::now() + if created { READY_WITHIN } else { Duration::ZERO };
    let Compared { rows, differing, unready } = loop {
        let compared = compare(admin, declared).await?;
        if compared.unready == 0 || Instant::now() >= until {
            break compared;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    output::print(format, &["topic", "partitions", "cleanup", "verdict"], &rows);
    match (differing, unready) {
        (0, 1..) if created => Err(Failure::Unreachable("the new topics have no leaders after 10 s".into())),
        (0, _) => Ok(()),
        _ => Err(Failure::Check(format!("{differing} topics are not as declared"))),
    }
}

/// The topics as they are beside the topics as they are declared.
struct Compared {
    rows: Vec<Vec<String>>,
    differing: usize,
    /// Of which the brokers that were asked know nothing, or no leader of a partition.
    unready: usize,
}

async fn compare(admin: &AdminClient<DefaultClientContext>, declared: &Declared) -> Result<Compared, Failure> {
    let metadata = admin.inner().fetch_metadata(None, TIMEOUT).map_err(unreachable)?;
    let resources: Vec<_> = declared.topics.iter().map(|t| ResourceSpecifier::Topic(&t.name)).collect();
    let configs = admin
        .describe_configs(&resources, &AdminOptions::new().request_timeout(Some(TIMEOUT)))
        .await
        .map_err(unreachable)?;
    let (mut rows, mut differing, mut unready) = (Vec::new(), 0, 0);
    for (topic, config) in declared.topics.iter().zip(configs) {
        let found = metadata.topics().iter().find(|m| m.name() == topic.name).map_or(&[][..], |m| m.partitions());
        let partitions = found.len();
        unready += usize::from(partitions == 0 || config.is_err() || found.iter().any(|p| p.leader() < 0));
        let mut wrong = Vec::new();
        if partitions != topic.partitions as usize {
            wrong.push(format!("{partitions} partitions, {} declared", topic.partitions));
        }
        for (name, declared) in topic.settings() {
            let actual = config.as_ref().ok().and_then(|c| c.get(name)).and_then(|e| e.value.clone());
            if actual.as_deref() != Some(declared.as_str()) {
                wrong.push(format!("{name} is {}, {declared} declared", actual.unwrap_or_else(|| "unknown".into())));
            }
        }
        differing += usize::from(!wrong.is_empty());
        let verdict = if wrong.is_empty() { "ok".into() } else { wrong.join("; ") };
        rows.push(vec![topic.name.clone(), partitions.to_string(), topic.cleanup_policy.clone(), verdict]);
    }
    Ok(Compared { rows, differing, unready })
}
