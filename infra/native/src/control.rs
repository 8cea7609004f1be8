//! The state file of a run: which servers there are and how each is started. With it crash tests, also in other processes, kill Kafka
//! or Postgres and start them again on the same port and data, be they processes or containers.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::error::Doing;
use crate::server::Server;
use crate::{Addresses, Error};

/// The name of the only broker, or the first.
const BROKER: &str = "kafka";

/// Names the state file of the run that a program belongs to.
pub const STATE: &str = "MALLBOTS_SERVERS_STATE";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    addresses: Addresses,
    servers: Vec<Server>,
}

/// A handle on the servers of a run. Dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Control {
    file: PathBuf,
    state: State,
}

impl Control {
    /// The servers of the `servers run` or `servers up` that set `MALLBOTS_SERVERS_STATE`.
    pub fn from_env() -> Result<Control, Error> {
        match std::env::var_os(STATE) {
            Some(file) => Control::open(Path::new(&file)),
            None => Err(Error::NotOurs(format!(
                "{STATE} is not set: only servers that this launcher started can be killed and restarted"
            ))),
        }
    }

    /// The servers that the state file describes.
    pub fn open(file: &Path) -> Result<Control, Error> {
        let text = std::fs::read_to_string(file).doing(|| format!("read {}", file.display()))?;
        let state = serde_json::from_str(&text).map_err(std::io::Error::from);
        Ok(Control { file: file.to_owned(), state: state.doing(|| format!("understand {}", file.display()))? })
    }

    pub(crate) fn write(run: &Path, addresses: Addresses, servers: Vec<Server>) -> Result<Control, Error> {
        let control = Control { file: run.join("state.json"), state: State { addresses, servers } };
        let text = serde_json::to_string_pretty(&control.state).map_err(std::io::Error::from);
        let written = text.and_then(|text| std::fs::write(&control.file, text));
        written.doing(|| format!("write {}", control.file.display()))?;
        Ok(control)
    }

    /// The state file, for `MALLBOTS_SERVERS_STATE`.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where the servers answer.
    pub fn addresses(&self) -> &Addresses {
        &self.state.addresses
    }

    /// Names and process ids of the servers that run now as processes of this machine: `kafka` (`kafka-2`, `kafka-3`), `postgres` (its
    /// first process), `registry`, `jaeger`. Empty for containers of an engine that keeps them in a virtual machine.
    pub fn pids(&self) -> Vec<(String, u32)> {
        let servers = self.state.servers.iter();
        servers.filter_map(|server| Some((server.name().to_owned(), server.pid()?))).collect()
    }

    /// Kills the broker as a power cut would (SIGKILL) and waits until it is gone.
    pub async fn kill_kafka(&self) -> Result<(), Error> {
        self.kill_broker(BROKER).await
    }

    /// Starts the broker again on the same port and data, and waits until it serves.
    pub async fn start_kafka(&self) -> Result<(), Error> {
        self.start_broker(BROKER).await
    }

    /// The names of the brokers: `kafka`, and where there are three, `kafka-2` and `kafka-3`.
    pub fn brokers(&self) -> Vec<String> {
        let names = self.state.servers.iter().map(Server::name);
        names.filter(|name| name.starts_with(BROKER)).map(str::to_owned).collect()
    }

    /// As [`Control::kill_kafka`] one broker of several.
    pub async fn kill_broker(&self, name: &str) -> Result<(), Error> {
        self.end(name, Signal::KILL).await
    }

    /// As [`Control::start_kafka`] one broker of several.
    pub async fn start_broker(&self, name: &str) -> Result<(), Error> {
        self.start(name).await
    }

    /// Postgres's immediate shutdown (SIGQUIT): no checkpoint, recovery at the next start. Waits until it is gone.
    pub async fn stop_postgres_immediate(&self) -> Result<(), Error> {
        self.end("postgres", Signal::QUIT).await
    }

    /// Starts Postgres again on the same port and data, and waits until it serves.
    pub async fn start_postgres(&self) -> Result<(), Error> {
        self.start("postgres").await
    }

    /// Ends one server by a signal and waits until it is gone.
    pub(crate) async fn end(&self, name: &str, signal: Signal) -> Result<(), Error> {
        self.server(name)?.end_by(signal).await
    }

    async fn start(&self, name: &str) -> Result<(), Error> {
        let server = self.server(name)?;
        if server.is_running().await? {
            return Err(Error::NotOurs(format!("{name} is running already")));
        }
        server.up().await
    }

    fn server(&self, name: &str) -> Result<&Server, Error> {
        let found = self.state.servers.iter().find(|server| server.name() == name);
        found.ok_or_else(|| Error::NotOurs(format!("there is no {name} in {}", self.file.display())))
    }
}
