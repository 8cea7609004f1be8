//! Kafka nodes in KRaft mode, each broker and controller in one process: one, or a cluster of three.

use std::path::Path;
use std::process::Command;

use super::archives::{Archive, Archives};
use crate::error::Doing;
use crate::fetch::Files;
use crate::probe::Probe;
use crate::process::{Launch, run_logged};
use crate::server::Server;
use crate::{Error, Profile};

/// Any 16 bytes in base64 will do; one fixed id lets a formatted folder be kept in the cache.
const CLUSTER_ID: &str = "TWFsbEJvdHNMb2NhbEthZg";

const LOG4J: &str = "\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.start.name = kafka.server.KafkaRaftServer
logger.start.level = INFO
";

/// A node of the cluster: its ports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    id: usize,
    port: u16,
    controller: u16,
}

impl Node {
    /// A node for every two ports.
    pub(super) fn all(ports: &[u16]) -> Vec<Node> {
        let pairs = ports.chunks_exact(2).enumerate();
        pairs.map(|(at, pair)| Node { id: at + 1, port: pair[0], controller: pair[1] }).collect()
    }

    /// `kafka`, `kafka-2`, `kafka-3`.
    fn name(&self) -> String {
        if self.id == 1 { "kafka".to_owned() } else { format!("kafka-{}", self.id) }
    }
}

pub(super) fn bootstrap(nodes: &[Node]) -> String {
    nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect::<Vec<_>>().join(",")
}

/// The servers, their configurations written and their data folders formatted.
pub(super) fn servers(
    files: &Files,
    profile: Profile,
    archives: &Archives,
    run: &Path,
    logs: &Path,
    nodes: &[Node],
) -> Result<Vec<Server>, Error> {
    nodes.iter().map(|node| server(files, profile, archives, run, logs, node, nodes)).collect()
}

fn server(
    files: &Files,
    profile: Profile,
    archives: &Archives,
    run: &Path,
    logs: &Path,
    node: &Node,
    nodes: &[Node],
) -> Result<Server, Error> {
    let name = node.name();
    let launch = Launch::new(&name, "java", run, &logs.join(format!("{name}.log")));
    let data = launch.folder.join("data");
    copy_folder(&files.kafka.join("formatted"), &data).doing(|| format!("make {}", data.display()))?;
    if node.id > 1 {
        let meta = data.join("meta.properties");
        give_id(&meta, node.id).doing(|| format!("write {}", meta.display()))?;
    }
    let config = launch.folder.join("server.properties");
    std::fs::write(&config, properties(node, nodes, &data)).doing(|| format!("write {}", config.display()))?;
    let launch = launch
        .args(flags(profile, &archives.kafka))
        .args([format!("-Dlog4j2.configurationFile={}", files.kafka.join("log4j2.properties").display())])
        .args(["-cp".to_owned(), class_path(&files.kafka)?, "kafka.Kafka".to_owned(), config.display().to_string()]);
    Ok(Server::process(launch, Probe::Kafka { port: node.port }))
}

/// Makes the first node's formatted folder another's: its id, and the id of the folder, which is 16 bytes in base64.
fn give_id(meta: &Path, id: usize) -> std::io::Result<()> {
    let text = std::fs::read_to_string(meta)?;
    let line = |line: &str| match line.split_once('=') {
        Some(("node.id", _)) => format!("node.id={id}\n"),
        Some(("directory.id", _)) => format!("directory.id=TWFsbEJvdHNGb2xkZX{id}wMA\n"),
        _ => format!("{line}\n"),
    };
    std::fs::write(meta, text.lines().map(line).collect::<String>())
}

/// Formats a data folder into `files/formatted`, once for all runs: with a static quorum nothing in it depends on a port.
pub(crate) async fn format(files: &Path, log: &Path) -> Result<(), Error> {
    let config = files.join("format.properties");
    let nodes = Node::all(&[9092, 9093]);
    let text = properties(&nodes[0], &nodes, &files.join("formatted"));
    std::fs::write(&config, text).doing(|| format!("write {}", config.display()))?;
    let logging = files.join("log4j2.properties");
    std::fs::write(&logging, LOG4J).doing(|| format!("write {}", logging.display()))?;
    let mut command = Command::new("java");
    command.args(flags(Profile::Small, &Archive::None)).arg("-cp").arg(class_path(files)?);
    command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(config);
    run_logged(&command, "", log).await
}

/// All jars, sorted: a class archive fits only the class path it was made with.
fn class_path(files: &Path) -> Result<String, Error> {
    let libs = files.join("libs");
    let entries = std::fs::read_dir(&libs).doing(|| format!("list {}", libs.display()))?;
    let mut jars: Vec<String> = entries.flatten().map(|e| e.path().display().to_string()).collect();
    jars.sort();
    Ok(jars.join(":"))
}

fn flags(profile: Profile, archive: &Archive) -> Vec<String> {
    let size: &[&str] = match profile {
        Profile::Small => {
            &["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:MaxDirectMemorySize=64m"]
        }
        Profile::Bench => &["-Xms1g", "-Xmx1g", "-XX:+UseSerialGC"],
    };
    size.iter().map(|flag| flag.to_string()).chain(archive.flags()).collect()
}

/// The settings of a node that is alone.
#[cfg(test)]
pub(crate) fn alone(port: u16, controller: u16, data: &Path) -> String {
    let nodes = Node::all(&[port, controller]);
    properties(&nodes[0], &nodes, data)
}

/// The broker's settings. Beyond the usual: topics are never made by accident; groups form without delay; a broker that was
/// killed is let in again after 4 s instead of 9, and a consumer of the new group protocol missed after 10 instead of 45.
fn properties(node: &Node, nodes: &[Node], data: &Path) -> String {
    let voters = nodes.iter().map(|n| format!("{}@127.0.0.1:{}", n.id, n.controller)).collect::<Vec<_>>().join(",");
    format!(
        "\
process.roles=broker,controller
node.id={id}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={data}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor={copies}
min.insync.replicas={in_step}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_step}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_step}
share.coordinator.state.topic.num.partitions=1
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=10000
group.consumer.min.heartbeat.interval.ms=1000
group.consumer.heartbeat.interval.ms=2000
log.cleaner.dedupe.buffer.size=16777216
",
        id = node.id,
        port = node.port,
        controller = node.controller,
        copies = nodes.len(),
        in_step = nodes.len().div_ceil(2),
        data = data.display()
    )
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(ports: &[u16]) -> String {
        let nodes = Node::all(ports);
        properties(&nodes[0], &nodes, Path::new("/d"))
    }

    #[test]
    fn every_listener_is_on_the_loopback_interface() {
        let text = one(&[12_001, 12_002]);
        let listeners: Vec<&str> = text.lines().filter(|l| l.contains("listeners=")).collect();
        assert_eq!(
            listeners,
            [
                "listeners=PLAINTEXT://127.0.0.1:12001,CONTROLLER://127.0.0.1:12002",
                "advertised.listeners=PLAINTEXT://127.0.0.1:12001"
            ]
        );
        assert!(text.contains("controller.quorum.voters=1@127.0.0.1:12002\n") && text.contains("log.dirs=/d\n"));
    }

    #[test]
    fn no_internal_topic_wants_a_second_node() {
        let text = one(&[1, 2]);
        let copies: Vec<&str> =
            text.lines().filter(|l| ["replication.factor", "min.i"].iter().any(|name| l.contains(name))).collect();
        assert_eq!(copies.len(), 7);
        assert!(copies.iter().all(|l| l.ends_with("=1")), "{copies:?}");
    }

    #[test]
    fn of_three_nodes_two_must_have_what_is_acknowledged() {
        let text = one(&[1, 2, 3, 4, 5, 6]);
        assert!(text.contains("\ncontroller.quorum.voters=1@127.0.0.1:2,2@127.0.0.1:4,3@127.0.0.1:6\n"));
        assert!(text.contains("\nmin.insync.replicas=2\n") && text.contains("\ndefault.replication.factor=3\n"));
    }

    #[test]
    fn the_bench_profile_leaves_the_second_compiler_on() {
        let small = flags(Profile::Small, &Archive::None).join(" ");
        let bench = flags(Profile::Bench, &Archive::None).join(" ");
        assert!(small.contains("TieredStopAtLevel=1") && small.contains("-Xmx384m"));
        assert!(!bench.contains("Tiered") && bench.contains("-Xmx1g"));
    }
}
