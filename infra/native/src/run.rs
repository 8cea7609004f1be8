//! Runs one command on the servers, in the same terminal, passing signals on, so that the command ends first and in its own way.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use servers::{JAEGER, KAFKA, OTLP, POSTGRES, REGISTRY, STATE, Servers};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the command to its end; its exit code, or 128 plus the signal that ended it.
pub async fn run(command: &[String], servers: &Servers) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for termination")?;
    let mut hangup = signal(SignalKind::hangup()).context("listen for hang-up")?;
    let mut child = start(command, servers)?;
    loop {
        let pass_on = tokio::select! {
            status = child.wait() => return Ok(exit_code(status.context("wait for the command")?)),
            // Ctrl-C in a terminal goes to the command as well, directly; twice could mean "at once" to it.
            _ = interrupt.recv() => (!std::io::stdin().is_terminal()).then_some(Signal::INT),
            _ = terminate.recv() => Some(Signal::TERM),
            _ = hangup.recv() => Some(Signal::HUP),
        };
        if let Some(signal) = pass_on {
            send(&child, signal);
        }
    }
}

/// Starts the command. If we are killed outright the servers go, so the command is asked to go too, where setpriv can arrange it.
fn start(words: &[String], servers: &Servers) -> anyhow::Result<Child> {
    let program = words.first().context("no command was given")?;
    let with_setpriv = ["setpriv", "--pdeathsig", "TERM", "--"].into_iter().map(OsStr::new);
    let prefix = with_setpriv.take(if on_path("setpriv") { 4 } else { 0 });
    let mut all = prefix.chain(words.iter().map(OsStr::new));
    let mut command = Command::new(all.next().unwrap_or(OsStr::new(program)));
    // Addresses of servers that are not these must not shine through where these have none.
    for name in [KAFKA, POSTGRES, REGISTRY, OTLP, JAEGER, STATE] {
        command.env_remove(name);
    }
    command.args(all).envs(servers.env_vars());
    command.spawn().with_context(|| format!("start {program}"))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A command that has just ended needs no signal any more.
fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_commands_or_tells_its_signal() {
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), ExitCode::from(7));
        assert_eq!(exit_code(ExitStatus::from_raw(9)), ExitCode::from(137));
    }
}
