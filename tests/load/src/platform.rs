//! The platform as processes of the programs `mallbots` and `mallctl` beside this one, on free ports, with databases and
//! topics of its own; each role can be killed and started again.

use anyhow::{Context as _, Result, bail};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};
use transport::failpoint::Death;

/// What is started.
#[derive(Debug, Clone)]
pub struct PlatformOptions {
    /// A process a role instead of one for all.
    pub separate: bool,
    /// More processes: `orchestrator#2`, a second one of a role; `relay#orders`, a relay of that context by itself;
    /// `robots#2`, a dozen robots more, who take three seconds for a stop.
    pub replicas: Vec<&'static str>,
    /// Shopper bots; 0 starts none.
    pub robots: usize,
    /// Milliseconds a robot takes for a stop; 0: all at once.
    pub pace_ms: u64,
    /// Before databases and topics, so that runs share servers; empty takes the standard names.
    pub prefix: String,
    /// More variables for every role.
    pub env: Vec<(String, String)>,
    /// Where logs and the acquirer's journal go.
    pub folder: PathBuf,
}

impl PlatformOptions {
    /// For tests: one process, robots that take no time, and a prefix that no other run has.
    pub fn test(folder: &Path, name: &str) -> Self {
        Self {
            separate: false,
            replicas: Vec::new(),
            robots: 4,
            pace_ms: 0,
            prefix: format!("{name}{}", std::process::id()),
            env: Vec::new(),
            folder: folder.to_owned(),
        }
    }
}

/// Every role that `all` runs.
pub const ROLES: [&str; 10] = [
    "stores",
    "orders",
    "payments",
    "depot",
    "notifications",
    "search",
    "orchestrator",
    "kiosk-gateway",
    "robot-gateway",
    "acquirer-sim",
];

/// A running platform. Dropping it kills what is left of it.
pub struct Platform {
    options: PlatformOptions,
    without: Vec<&'static str>,
    env: BTreeMap<String, String>,
    processes: BTreeMap<String, Child>,
    ports: BTreeMap<&'static str, u16>,
}

/// The process of all robots.
pub const ROBOTS: &str = "robots";
/// Where in its code a process is to die.
const DIE_AT: &str = "MALLBOTS_DIE_AT";
/// For a process that nobody calls.
const ANY_PORT: &str = "127.0.0.1:0";
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(15);

impl Platform {
    /// Applies topics, schemas and migrations, starts every role and waits until each answers. The servers' addresses
    /// are taken from the environment.
    pub async fn start(options: PlatformOptions) -> Result<Self> {
        Self::start_without(options, &[]).await
    }

    /// As [`Platform::start`], without the roles of `without`: their ports and addresses are given out all the same, for
    /// the program that takes their place, and `mallctl verify` knows that they are foreign.
    pub async fn start_without(options: PlatformOptions, without: &[&'static str]) -> Result<Self> {
        std::fs::create_dir_all(&options.folder)?;
        let (mut env, ports) = environment(&options)?;
        if !without.is_empty() {
            env.insert("MALLBOTS_FOREIGN".into(), without.join(","));
        }
        let mut platform = Self { options, without: without.to_vec(), env, processes: BTreeMap::new(), ports };
        platform.prepare().await?;
        for role in platform.roles() {
            platform.spawn(&role)?;
        }
        platform.wait_until_ready().await?;
        for replica in platform.options.replicas.clone() {
            platform.spawn(replica)?;
        }
        if platform.options.robots > 0 {
            platform.spawn(ROBOTS)?;
        }
        Ok(platform)
    }

    /// The processes that make up the platform, robots apart.
    pub fn roles(&self) -> Vec<String> {
        if self.options.separate { self.ours().map(str::to_owned).collect() } else { vec!["all".to_owned()] }
    }

    fn ours(&self) -> impl Iterator<Item = &'static str> {
        ROLES.into_iter().filter(|role| !self.without.contains(role))
    }

    async fn prepare(&self) -> Result<()> {
        let (topics, schemas, databases) = tokio::join!(
            self.ctl(&["topics", "apply"]),
            self.ctl(&["schemas", "register"]),
            self.ctl(&["db", "migrate", "--create"])
        );
        topics.context("mallctl topics apply")?;
        schemas.context("mallctl schemas register")?;
        databases.context("mallctl db migrate --create")?;
        Ok(())
    }

    /// Runs `mallctl` in this platform's environment and answers its output; an exit code other than 0 is an error with it.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let (code, out) = self.ctl_code(arguments).await?;
        if code != 0 {
            bail!("mallctl {} ended with {code}:\n{out}", arguments.join(" "));
        }
        Ok(out)
    }

    /// As [`Platform::ctl`], with the exit code.
    pub async fn ctl_code(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output =
            Command::new(program("mallctl")?).args(arguments).envs(&self.env).stdin(Stdio::null()).output().await?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        Ok((output.status.code().unwrap_or(-1), text))
    }

    /// Every process there is: roles, replicas and robots.
    pub fn processes(&self) -> Vec<String> {
        self.processes.keys().cloned().collect()
    }

    /// Starts the process of `role`.
    pub fn spawn(&mut self, role: &str) -> Result<()> {
        self.spawn_to_die(role, None)
    }

    /// As [`Platform::spawn`], a process that ends at a place of its code.
    pub fn spawn_to_die(&mut self, role: &str, death: Option<Death>) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log(role))?;
        let mut command = Command::new(program("mallbots")?);
        command.envs(&self.env).env_remove(DIE_AT).envs(death.map(|death| (DIE_AT, death.to_string())));
        match role.split_once('#') {
            Some(("relay", context)) => {
                command.args(["relay", "--context", context]);
            }
            Some((role, _)) => {
                command.arg(role).env(format!("MALLBOTS_{}_LISTEN", variable(role)), ANY_PORT);
                command.env(format!("MALLBOTS_{}_HTTP", variable(role)), ANY_PORT);
            }
            None => {
                command.arg(role);
            }
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        if role == ROBOTS {
            command.args(["--count", &self.options.robots.to_string(), "--pace-ms", &self.options.pace_ms.to_string()]);
        }
        if let Some((ROBOTS, _)) = role.split_once('#') {
            // Robots that nobody else is.
            command.args(["--count", "12", "--pace-ms", "3000", "--base", &uuid::Uuid::now_v7().to_string()]);
        }
        if role == "all" && !self.without.is_empty() {
            command.args(["--without", &self.without.join(",")]);
        }
        let child = command.spawn().with_context(|| format!("start mallbots {role}"))?;
        self.processes.insert(role.to_owned(), child);
        Ok(())
    }

    /// Starts `count` shopper bots.
    pub fn spawn_robots(&mut self, count: usize) -> Result<()> {
        self.options.robots = count;
        self.spawn(ROBOTS)
    }

    /// `kill -9`.
    pub async fn kill(&mut self, role: &str) -> Result<()> {
        let child = self.processes.get_mut(role).with_context(|| format!("{role} does not run"))?;
        child.kill().await.with_context(|| format!("kill {role}"))
    }

    /// `kill -9` of a process that will not come back.
    pub async fn bury(&mut self, role: &str) -> Result<()> {
        // It may have ended already.
        let _ = self.kill(role).await;
        self.processes.remove(role);
        Ok(())
    }

    /// How the process of `role` ended, if it has.
    pub fn ended(&mut self, role: &str) -> Result<Option<ExitStatus>> {
        let child = self.processes.get_mut(role).with_context(|| format!("{role} does not run"))?;
        child.try_wait().with_context(|| format!("look at {role}"))
    }

    pub fn pid(&self, role: &str) -> Option<u32> {
        self.processes.get(role).and_then(Child::id)
    }

    pub fn log(&self, role: &str) -> PathBuf {
        self.options.folder.join(format!("{role}.log"))
    }

    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The base URL of a role's own address: gRPC, or HTTP for gateway and acquirer.
    pub fn url(&self, role: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports.get(role).copied().unwrap_or_default())
    }

    /// Where metrics and health of `role` are (of everything, when one process runs all).
    pub fn http(&self, role: &str) -> String {
        let role = if self.options.separate { role } else { "all" };
        let key = match role {
            "all" => "MALLBOTS_HTTP".to_owned(),
            role => format!("MALLBOTS_{}_HTTP", variable(role)),
        };
        format!("http://{}", self.env.get(&key).cloned().unwrap_or_default())
    }

    /// Waits until every service answers; fails early when a process has ended.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        for role in self.ours().collect::<Vec<_>>() {
            let address = ("127.0.0.1", self.ports.get(role).copied().unwrap_or_default());
            while tokio::net::TcpStream::connect(address).await.is_err() {
                let ended = |(_, child): &mut (&String, &mut Child)| matches!(child.try_wait(), Ok(Some(_)));
                if let Some((role, _)) =
                    self.processes.iter_mut().find_map(|mut entry| ended(&mut entry).then_some(entry))
                {
                    let log = self.options.folder.join(format!("{role}.log"));
                    bail!("{role} ended:\n{}", tail(&log));
                }
                if started.elapsed() > READY_WITHIN {
                    bail!(
                        "{role} does not answer after {} s, see {}",
                        READY_WITHIN.as_secs(),
                        self.options.folder.display()
                    );
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Asks every process to stop and waits for it.
    pub async fn stop(mut self) -> Result<()> {
        for child in self.processes.values() {
            if let Some(pid) = child.id() {
                let _ = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
            }
        }
        for (role, child) in &mut self.processes {
            if tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_err() {
                eprintln!("{role} did not stop in {} s and is killed", STOP_WITHIN.as_secs());
                child.kill().await?;
            }
        }
        Ok(())
    }
}

pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// The address that a variable holds, of a server that this program needs.
pub(crate) fn address(variable: &str) -> Result<String> {
    std::env::var(variable).with_context(|| format!("{variable} is not set: run this by `make`"))
}

/// A program of this workspace: built beside the one that runs.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let beside = here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.exists());
    beside.with_context(|| format!("the program `{name}` is not built: run `cargo build -p {name}`"))
}

type Environment = (BTreeMap<String, String>, BTreeMap<&'static str, u16>);

/// Free ports for every role, and the variables that tell everybody of them.
fn environment(options: &PlatformOptions) -> Result<Environment> {
    let (mut env, mut ports) = (BTreeMap::new(), BTreeMap::new());
    let free = servers::free_ports(ROLES.len() * 2 + 1)?;
    let mut free = free.into_iter();
    let mut next = || free.next().context("no free port");
    for role in ROLES {
        let (port, name) = (next()?, variable(role));
        ports.insert(role, port);
        env.insert(format!("MALLBOTS_{name}_LISTEN"), format!("127.0.0.1:{port}"));
        env.insert(format!("MALLBOTS_{name}_URL"), format!("http://127.0.0.1:{port}"));
        env.insert(format!("MALLBOTS_{name}_HTTP"), format!("127.0.0.1:{}", next()?));
    }
    env.insert("MALLBOTS_HTTP".into(), format!("127.0.0.1:{}", next()?));
    let acquirer = format!("http://127.0.0.1:{}", ports["acquirer-sim"]);
    env.insert("MALLBOTS_PAYMENTS_ACQUIRER_URL".into(), acquirer);
    let journal = options.folder.join("acquirer.journal");
    env.insert("MALLBOTS_ACQUIRER_JOURNAL".into(), journal.display().to_string());
    if !options.prefix.is_empty() {
        env.insert("MALLBOTS_DATABASE_PREFIX".into(), options.prefix.clone());
        env.insert("MALLBOTS_TOPIC_PREFIX".into(), format!("{}.", options.prefix));
    }
    env.extend(options.env.iter().cloned());
    Ok((env, ports))
}

/// `KIOSK` and `ACQUIRER` are the names of their variables.
fn variable(role: &str) -> String {
    match role {
        "kiosk-gateway" => "KIOSK".into(),
        "acquirer-sim" => "ACQUIRER".into(),
        other => other.to_uppercase().replace('-', "_"),
    }
}
