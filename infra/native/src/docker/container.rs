//! One server in a container of a run: its log, its end, its next start.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::docker;
use crate::Error;
use crate::process::{GONE_WITHIN, Launch};

/// Each look runs the docker program.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A container of this run. Plain data, so that another process can kill it and start it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Container {
    id: String,
    /// Copies what the container prints to the run's log folder; ends with the container.
    follower: Launch,
}

impl Container {
    pub(crate) fn new(name: &str, id: &str, run: &Path, logs: &Path) -> Container {
        let follower = Launch::new(name, "docker", run, &logs.join(format!("{name}.log"))).args(["logs", "--follow"]);
        Container { id: id.to_owned(), follower }
    }

    /// The server's name, such as `kafka`.
    pub(crate) fn name(&self) -> &str {
        &self.follower.name
    }

    /// The beginning of the container's id, as Docker prints it.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    pub(crate) fn log(&self) -> &Path {
        &self.follower.log
    }

    /// Begins to copy the log from its first line.
    pub(crate) fn follow(&self) -> Result<(), Error> {
        self.follow_since(0)
    }

    fn follow_since(&self, second: u64) -> Result<(), Error> {
        let follower = self.follower.clone().args(["--since".to_owned(), second.to_string(), self.id.clone()]);
        follower.spawn().map(|_| ())
    }

    /// The id of the container's first process, where that is a process of this machine: an engine may keep it in a virtual one,
    /// and there the same number means somebody else.
    pub(crate) fn pid(&self) -> Option<u32> {
        let mut inspect = std::process::Command::new("docker");
        let output = inspect.args(["inspect", "--format", "{{.State.Pid}}", &self.id]).output().ok()?;
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|pid| *pid != 0)?;
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        groups.contains(&self.id).then_some(pid)
    }

    pub(crate) async fn is_running(&self) -> Result<bool, Error> {
        Ok(docker(&["inspect", "--format", "{{.State.Running}}", &self.id]).await? == "true")
    }

    /// Sends `signal` to the container's first process and waits until the container has ended.
    pub(crate) async fn end_by(&self, signal: Signal) -> Result<(), Error> {
        if !self.is_running().await? {
            return Err(Error::NotOurs(format!("{} is not running", self.name())));
        }
        docker(&["kill", "--signal", &signal.as_raw().to_string(), &self.id]).await?;
        let start = Instant::now();
        while self.is_running().await? {
            if start.elapsed() > GONE_WITHIN {
                let what = format!("{} has not ended {GONE_WITHIN:?} after its signal", self.name());
                return Err(Error::failed(what, self.log()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Starts the container again: the same port on the host, the same data.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        docker(&["start", &self.id]).await?;
        self.follow_since(now)
    }

    /// Runs a program inside.
    pub(crate) async fn exec(&self, command: &[&str]) -> Result<(), Error> {
        docker(&[&["exec", &self.id], command].concat()).await.map(|_| ())
    }

    /// Once the container has ended: until the last line it printed is in the log.
    pub(crate) async fn log_is_whole(&self) {
        let start = Instant::now();
        while self.follower.is_running() && start.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }
}
