//! One server process: how it is started, recognised and signalled. The description is plain data and goes into the state file,
//! so that another process can start the same server again on the same port and data.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::Doing;
use crate::probe::Probe;

/// A server that does not serve after this time has failed. Generous: two busy cores share it with compilers.
const UP_WITHIN: Duration = Duration::from_secs(120);
/// A signalled process that is still there after this time has failed to end.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two looks at a process that starts or ends.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// How to start one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub name: String,
    program: PathBuf,
    args: Vec<String>,
    /// The server's working and data folder inside the run folder. Working there is what marks a process as ours.
    pub folder: PathBuf,
    pid_file: PathBuf,
    pub log: PathBuf,
}

impl Launch {
    /// `program` as server `name` of the run in `run`, writing to `log`.
    pub(crate) fn new(name: &str, program: impl Into<PathBuf>, run: &Path, log: &Path) -> Launch {
        Launch {
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            folder: run.join(name),
            pid_file: run.join("pids").join(name),
            log: log.to_owned(),
        }
    }

    pub(crate) fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Launch {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Starts the process and returns its id. It lives in its own process group, so that Ctrl-C in the terminal reaches the
    /// platform first, and writes its own pid file before it becomes the server, so that the guard can never miss it.
    pub(crate) fn spawn(&self) -> Result<u32, Error> {
        let what = || format!("start {} ({})", self.name, self.program.display());
        fs::create_dir_all(&self.folder).doing(what)?;
        let log = File::options().create(true).append(true).open(&self.log).doing(what)?;
        let mut child = Command::new("sh")
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(&self.pid_file)
            .arg(&self.program)
            .args(&self.args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing(what)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .doing(what)?;
        let pid = child.id();
        // Reaped as soon as it ends, whoever ended it.
        std::thread::spawn(move || child.wait());
        Ok(pid)
    }

    /// Starts the process and waits until `probe` is answered; fails early when the process ends instead.
    pub(crate) async fn up(&self, probe: &Probe) -> Result<u32, Error> {
        let pid = self.spawn()?;
        let start = Instant::now();
        while !probe.answers().await {
            if !self.owns(pid) {
                return Err(Error::failed(format!("{} ended while starting", self.name), &self.log));
            }
            if start.elapsed() > UP_WITHIN {
                return Err(Error::failed(format!("{} does not answer after {UP_WITHIN:?}", self.name), &self.log));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(pid)
    }

    /// The id of the running process, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        let pid = fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()?;
        self.owns(pid).then_some(pid)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// Sends `signal` and waits until the process is gone.
    pub(crate) async fn end_by(&self, signal: Signal) -> Result<(), Error> {
        let pid = self.pid().ok_or_else(|| Error::NotOurs(format!("{} is not running", self.name)))?;
        send(pid, signal).doing(|| format!("signal {} ({pid})", self.name))?;
        let start = Instant::now();
        while self.owns(pid) {
            if start.elapsed() > GONE_WITHIN {
                return Err(Error::failed(
                    format!("{} has not ended {GONE_WITHIN:?} after its signal", self.name),
                    &self.log,
                ));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Whether `pid` is this server: its working folder is inside ours. False for a stranger with a reused id, and for a zombie,
    /// but not while its last threads still die: until then its port is taken.
    fn owns(&self, pid: u32) -> bool {
        match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(cwd) => cwd.starts_with(&self.folder),
            Err(_) => fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1),
        }
    }
}

/// Sends a signal to a process.
pub(crate) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// Runs a program to its end with all output in `log` (appended); `input` is its standard input. Killed if we are dropped.
pub(crate) async fn run_logged(command: &mut Command, input: &str, log: &Path) -> Result<(), Error> {
    let what = format!("{} {:?}", command.get_program().display(), command.get_args().next().unwrap_or_default());
    let out = File::options().create(true).append(true).open(log).doing(|| format!("open {}", log.display()))?;
    command.stdout(out.try_clone().doing(|| what.clone())?).stderr(out).stdin(Stdio::piped());
    let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("true")));
    let mut child = command.kill_on_drop(true).spawn().doing(|| format!("run {what}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is judged by its exit status.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await;
    }
    let status = child.wait().await.doing(|| format!("wait for {what}"))?;
    if status.success() { Ok(()) } else { Err(Error::failed(format!("{what}… failed: {status}"), log)) }
}
