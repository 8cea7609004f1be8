//! The program as a person or a Makefile uses it: what it starts ends with it, also when it is killed outright.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use servers::Control;

/// A launcher with servers of its own around a shell command that prints the state file's name.
struct Launched {
    process: Child,
    pids: Vec<(String, u32)>,
    folder: PathBuf,
}

fn launch(script: &str) -> Launched {
    let mut process = Command::new(env!("CARGO_BIN_EXE_servers"))
        .args(["run", "--own", "--backend", "native", "--jaeger", "if-built", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut state = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut state).unwrap();
    let control = Control::open(Path::new(state.trim())).unwrap();
    let folder = control.file().parent().unwrap().to_owned();
    let pids = control.pids();
    assert!(pids.len() >= 3, "{pids:?}");
    Launched { process, pids, folder }
}

impl Launched {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn nothing_is_left(&self) -> bool {
        let gone = |pid: u32| !Path::new(&format!("/proc/{pid}/cwd")).exists();
        !self.folder.exists() && self.pids.iter().all(|(_, pid)| gone(*pid))
    }
}

#[test]
fn a_launcher_that_is_killed_outright_leaves_neither_processes_nor_data() {
    let mut launched = launch("echo $MALLBOTS_SERVERS_STATE; exec sleep 1000");
    launched.signal(Signal::KILL);
    launched.process.wait().unwrap();
    let killed = Instant::now();
    while !launched.nothing_is_left() {
        assert!(killed.elapsed() < Duration::from_secs(30), "still there: {:?} {:?}", launched.folder, launched.pids);
        std::thread::yield_now();
    }
}

#[test]
fn termination_reaches_the_command_first_and_its_exit_code_comes_back() {
    let script = "trap 'test -d $(dirname $MALLBOTS_SERVERS_STATE) && exit 7' TERM; echo $MALLBOTS_SERVERS_STATE; while :; do sleep 0.05; done";
    let mut launched = launch(script);
    launched.signal(Signal::TERM);
    assert_eq!(launched.process.wait().unwrap().code(), Some(7));
    assert!(launched.nothing_is_left());
}
