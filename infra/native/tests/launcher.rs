//! The program as a person or a Makefile uses it: what it starts ends with it, also when it is killed outright.

mod traces;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use servers::Control;
use traces::Traces;

/// A launcher with servers of its own around a shell command that prints the state file's name.
struct Launched {
    process: Child,
    traces: Traces,
}

fn launch(script: &str) -> Launched {
    let mut process = Command::new(env!("CARGO_BIN_EXE_servers"))
        .args(["run", "--own", "--testcontainers", "--jaeger", "if-built", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut state = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut state).unwrap();
    let control = Control::open(Path::new(state.trim())).unwrap();
    let traces = Traces::of(&control);
    assert!(traces.servers() >= 3, "{traces:?}");
    Launched { process, traces }
}

impl Launched {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

#[test]
fn a_launcher_that_is_killed_outright_leaves_neither_processes_nor_data() {
    let mut launched = launch("echo $MALLBOTS_SERVERS_STATE; exec sleep 1000");
    launched.signal(Signal::KILL);
    launched.process.wait().unwrap();
    let killed = Instant::now();
    while !launched.traces.left().is_empty() {
        assert!(killed.elapsed() < Duration::from_secs(30), "still there: {:?}", launched.traces.left());
        std::thread::yield_now();
    }
}

#[test]
fn termination_reaches_the_command_first_and_its_exit_code_comes_back() {
    let script = "trap 'test -d $(dirname $MALLBOTS_SERVERS_STATE) && exit 7' TERM; echo $MALLBOTS_SERVERS_STATE; while :; do sleep 0.05; done";
    let mut launched = launch(script);
    launched.signal(Signal::TERM);
    assert_eq!(launched.process.wait().unwrap().code(), Some(7));
    assert_eq!(launched.traces.left(), Vec::<String>::new());
}
