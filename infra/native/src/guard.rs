//! The folder of one run and the small shell process that cleans up after it. The guard waits for its pipe to close, which
//! happens when we close it, when we panic and when we are killed outright: servers, containers and data then go the same way.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::cache::{is_root, world_reachable};
use crate::error::Doing;

const SCRIPT: &str = include_str!("guard.sh");

/// A fresh run folder with its guard. Dropping it stops what was started there and waits until that is done, at most some 10 s.
#[derive(Debug)]
pub(crate) struct Guard {
    folder: PathBuf,
    process: Child,
}

impl Guard {
    /// Makes the run folder and starts its guard; `cleanup_log` receives what the clean-up commands say.
    pub(crate) fn new(cleanup_log: &Path) -> Result<Guard, Error> {
        let folder = make_run_folder()?;
        let log = fs::File::create(cleanup_log).doing(|| format!("make {}", cleanup_log.display()))?;
        let again = log.try_clone().doing(|| "share the log".to_owned())?;
        let process = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(again)
            // Its own process group: Ctrl-C in the terminal must not reach it.
            .process_group(0)
            .spawn()
            .doing(|| "start the guard (sh)".to_owned())?;
        Ok(Guard { folder, process })
    }

    /// The run folder: data, process ids and state; removed at the end.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds shell commands that the guard runs at the end, after the processes are gone.
    pub(crate) fn at_the_end(&self, commands: &str) -> Result<(), Error> {
        let file = self.folder.join("down");
        fs::write(&file, commands).doing(|| format!("write {}", file.display()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn make_run_folder() -> Result<PathBuf, Error> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let folder = base()?.join(format!("mallbots-{}-{nanos}", std::process::id()));
    // Postgres as nobody must be able to walk through to its own folder, but need not read this one.
    let mode = if is_root() { 0o711 } else { 0o700 };
    let make = |path: &Path| fs::DirBuilder::new().mode(mode).create(path);
    make(&folder).and_then(|()| make(&folder.join("pids"))).doing(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

/// The temporary folder; as root the first one that nobody can reach.
fn base() -> Result<PathBuf, Error> {
    let candidates = [std::env::temp_dir(), PathBuf::from("/var/tmp"), PathBuf::from("/tmp")];
    let usable =
        candidates.into_iter().filter_map(|c| c.canonicalize().ok()).find(|c| !is_root() || world_reachable(c));
    usable.ok_or_else(|| Error::NotOurs("no temporary folder that other users can reach".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Launch;

    fn log() -> PathBuf {
        std::env::temp_dir().join(format!(
            "servers-guard-test-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ))
    }

    #[test]
    fn dropping_the_guard_ends_its_processes_and_removes_the_folder() {
        let guard = Guard::new(&log()).unwrap();
        let launch = Launch::new("sleeper", "sleep", guard.folder(), &log()).args(["1000"]);
        launch.spawn().unwrap();
        while !launch.is_running() {
            std::thread::yield_now();
        }
        let folder = guard.folder().to_owned();
        drop(guard);
        assert!(!launch.is_running() && !folder.exists());
        fs::remove_file(log()).unwrap();
    }

    #[test]
    fn a_process_that_has_left_the_run_folder_is_not_touched() {
        let guard = Guard::new(&log()).unwrap();
        let mut stranger = Command::new("sleep").arg("1000").current_dir("/").spawn().unwrap();
        fs::write(guard.folder().join("pids/stranger"), stranger.id().to_string()).unwrap();
        drop(guard);
        assert!(stranger.try_wait().unwrap().is_none(), "it was killed");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        fs::remove_file(log()).unwrap();
    }

    #[test]
    fn commands_for_the_end_are_run() {
        let guard = Guard::new(&log()).unwrap();
        guard.at_the_end("echo was here").unwrap();
        drop(guard);
        assert_eq!(fs::read_to_string(log()).unwrap(), "was here\n");
        fs::remove_file(log()).unwrap();
    }
}
