//! A server of a run, whatever it runs in: a process of this machine or a container.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::docker::Container;
use crate::guard::Guard;
use crate::probe::Probe;
use crate::process::Launch;
use crate::say::{say, seconds};
use crate::{Addresses, Error};

/// A server that does not serve after this time has failed. Generous: two busy cores share it with compilers.
const UP_WITHIN: Duration = Duration::from_secs(180);
/// Pause between two looks at a server that starts.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// To ask for a container's state is to run a program.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A sign of life this often while a server starts.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// What stands once everything is up.
pub(crate) struct Running {
    pub addresses: Addresses,
    pub guard: Guard,
    pub control: Control,
}

/// A server: what it runs in, and how to see that it serves. Plain data for the state file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Server {
    host: Host,
    probe: Probe,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Host {
    Process(Launch),
    Container(Container),
}

impl Server {
    pub(crate) fn process(launch: Launch, probe: Probe) -> Server {
        Server { host: Host::Process(launch), probe }
    }

    pub(crate) fn container(container: Container, probe: Probe) -> Server {
        Server { host: Host::Container(container), probe }
    }

    /// `kafka` (`kafka-2`, `kafka-3`), `postgres`, `registry` or `jaeger`.
    pub(crate) fn name(&self) -> &str {
        match &self.host {
            Host::Process(launch) => &launch.name,
            Host::Container(container) => container.name(),
        }
    }

    /// The process id, if it is a process of this machine and runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.host {
            Host::Process(launch) => launch.pid(),
            Host::Container(container) => container.pid(),
        }
    }

    pub(crate) async fn is_running(&self) -> Result<bool, Error> {
        match &self.host {
            Host::Process(launch) => Ok(launch.is_running()),
            Host::Container(container) => container.is_running().await,
        }
    }

    /// Sends `signal` and waits until the server has ended.
    pub(crate) async fn end_by(&self, signal: Signal) -> Result<(), Error> {
        match &self.host {
            Host::Process(launch) => launch.end_by(signal).await,
            Host::Container(container) => container.end_by(signal).await,
        }
    }

    /// Starts it, on its port and data, and waits until it serves.
    pub(crate) async fn up(&self) -> Result<(), Error> {
        match &self.host {
            Host::Process(launch) => {
                let started = Instant::now();
                let ended = launch.spawn()?;
                self.serve(started, async || Ok(ended.load(Ordering::Acquire))).await
            }
            Host::Container(container) => {
                let started = Instant::now();
                container.start().await?;
                self.wait(started).await
            }
        }
    }

    /// Runs a program inside the server's container; for one that is a process, an error.
    pub(crate) async fn exec(&self, command: &[&str]) -> Result<(), Error> {
        match &self.host {
            Host::Process(launch) => Err(Error::NotOurs(format!("{} is not a container", launch.name))),
            Host::Container(container) => container.exec(command).await,
        }
    }

    /// Waits until the container's server, started at `started`, serves.
    pub(crate) async fn wait(&self, started: Instant) -> Result<(), Error> {
        let asked = Cell::new(Instant::now());
        let ended = async || {
            if asked.get().elapsed() < ASK_AGAIN_AFTER {
                return Ok(false);
            }
            asked.set(Instant::now());
            Ok(!self.is_running().await?)
        };
        self.serve(started, ended).await
    }

    /// Waits until it serves and says so; fails early when it has ended instead.
    async fn serve(&self, started: Instant, ended: impl AsyncFn() -> Result<bool, Error>) -> Result<(), Error> {
        let mut signs = 1;
        while !self.probe.answers().await {
            if ended().await? {
                return Err(self.failed("ended while starting").await);
            }
            if started.elapsed() > UP_WITHIN {
                return Err(self.failed(&format!("does not answer after {UP_WITHIN:?}")).await);
            }
            if started.elapsed() > SIGN_OF_LIFE * signs {
                say(format!("still waiting for {} ({})", self.name(), seconds(started)));
                signs += 1;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        say(format!("{} up in {} ({})", self.name(), seconds(started), self.place()));
        Ok(())
    }

    async fn failed(&self, what: &str) -> Error {
        let log = match &self.host {
            Host::Process(launch) => &launch.log,
            Host::Container(container) => {
                container.log_is_whole().await;
                container.log()
            }
        };
        Error::failed(format!("{} {what}", self.name()), log)
    }

    fn place(&self) -> String {
        match &self.host {
            Host::Process(launch) => launch.pid().map_or("ended".to_owned(), |pid| format!("pid {pid}")),
            Host::Container(container) => format!("container {}", container.short_id()),
        }
    }
}
