//! One server process: how it is started, recognised and signalled. The description is plain data and goes into the state file,
//! so that another process can start the same server again on the same port and data.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::Doing;
use crate::tools;

/// A signalled process that is still there after this time has failed to end.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two looks at a process that ends.
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

    /// Starts the process; what it returns says whether it has ended.
    pub(crate) fn spawn(&self) -> Result<Arc<AtomicBool>, Error> {
        let mut child = self.command()?.spawn().doing(|| self.what())?;
        let ended = Arc::new(AtomicBool::new(false));
        let told = ended.clone();
        // Reaped as soon as it ends, whoever ended it.
        std::thread::spawn(move || {
            let _ = child.wait();
            told.store(true, Ordering::Release);
        });
        Ok(ended)
    }

    /// Runs the process to its end. It is killed when this is dropped, and by the guard when we are killed ourselves.
    pub(crate) async fn run(&self) -> Result<(), Error> {
        let child = tokio::process::Command::from(self.command()?).spawn().doing(|| self.what())?;
        let status = Group(child).end().await.doing(|| self.what())?;
        if status.success() { Ok(()) } else { Err(Error::failed(format!("{} failed: {status}", self.name), &self.log)) }
    }

    /// The process lives in its own process group, so that Ctrl-C in the terminal reaches the platform first, and writes its own
    /// pid file before it becomes the program, so that the guard can never miss it.
    fn command(&self) -> Result<Command, Error> {
        fs::create_dir_all(&self.folder).doing(|| self.what())?;
        let log = File::options().create(true).append(true).open(&self.log).doing(|| self.what())?;
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(&self.pid_file)
            .arg(&self.program)
            .args(&self.args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing(|| self.what())?)
            .stderr(log)
            .process_group(0);
        Ok(command)
    }

    fn what(&self) -> String {
        format!("start {} ({})", self.name, self.program.display())
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
    pub(crate) fn owns(&self, pid: u32) -> bool {
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

/// A child with a process group of its own, which is killed as a whole when this is dropped before the child's end.
struct Group(tokio::process::Child);

impl Group {
    async fn end(mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended a moment ago.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            // Reaped, because init may not do it for us in a container; it takes no longer than the kill.
            let killed = Instant::now();
            while matches!(self.0.try_wait(), Ok(None)) && killed.elapsed() < Duration::from_secs(1) {
                std::thread::yield_now();
            }
        }
    }
}

/// Runs a program to its end with all output in `log` (appended); `input` is its standard input. It is killed with all that it
/// started when this is dropped, and by the kernel when we are killed.
pub(crate) async fn run_logged(command: &Command, input: &str, log: &Path) -> Result<(), Error> {
    let what = format!("{} {:?}", command.get_program().display(), command.get_args().next().unwrap_or_default());
    let out = File::options().create(true).append(true).open(log).doing(|| format!("open {}", log.display()))?;
    let mut tied = tied_to_us(command);
    tied.stdout(out.try_clone().doing(|| what.clone())?).stderr(out).stdin(Stdio::piped()).process_group(0);
    let mut child = tokio::process::Command::from(tied).spawn().doing(|| format!("run {what}"))?;
    let stdin = child.stdin.take();
    let group = Group(child);
    if let Some(mut stdin) = stdin {
        // A program that does not read its input is judged by its exit status.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await;
    }
    let status = group.end().await.doing(|| format!("wait for {what}"))?;
    if status.success() { Ok(()) } else { Err(Error::failed(format!("{what}… failed: {status}"), log)) }
}

/// The same command, killed by the kernel when the thread that starts it ends, where setpriv can arrange it. Otherwise a download
/// would go on behind the back of the next launcher, in the same folder.
fn tied_to_us(command: &Command) -> Command {
    let Some(setpriv) = tools::which("setpriv") else { return copy_of(command, Command::new(command.get_program())) };
    let mut tied = Command::new(setpriv);
    tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
    copy_of(command, tied)
}

fn copy_of(command: &Command, mut copy: Command) -> Command {
    copy.args(command.get_args());
    copy.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("servers-process-test-{}-{name}", std::process::id()))
    }

    #[tokio::test]
    async fn what_a_dropped_command_has_started_is_killed_with_it() {
        let (log, file) = (scratch("log"), scratch("pid"));
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $! > \"$0.new\" && mv \"$0.new\" \"$0\"; wait"]).arg(&file);
        let grandchild = tokio::select! {
            ended = run_logged(&command, "", &log) => panic!("it ended by itself: {ended:?}"),
            pid = appears(&file) => pid,
        };
        let gone = || !Path::new(&format!("/proc/{grandchild}/cwd")).exists();
        let started = Instant::now();
        while !gone() {
            assert!(started.elapsed() < Duration::from_secs(10), "{grandchild} still runs");
            std::thread::yield_now();
        }
        fs::remove_file(log).unwrap();
        fs::remove_file(file).unwrap();
    }

    async fn appears(file: &Path) -> u32 {
        loop {
            match fs::read_to_string(file) {
                Ok(text) => return text.trim().parse().unwrap(),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn a_command_keeps_its_folder_its_variables_and_its_input() {
        let log = scratch("keeps");
        let mut command = Command::new("sh");
        command.args(["-c", "pwd; echo $COLOUR; cat"]).current_dir("/").env("COLOUR", "blue");
        run_logged(&command, "input\n", &log).await.unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "/\nblue\ninput\n");
        fs::remove_file(log).unwrap();
    }
}
