//! The engine, asked by its command line.

use std::process::Stdio;

use crate::Error;
use crate::resolve::Docker;
use crate::tools;

/// Asks what is on offer here. Takes up to a few seconds.
pub(crate) fn offer() -> Docker {
    if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| is_elsewhere(host)) {
        return Docker::Elsewhere(host);
    }
    if tools::which("docker").is_none() || !succeeds("timeout", &["5", "docker", "info"]) {
        return Docker::Absent;
    }
    if compose_command().is_some() { Docker::WithCompose } else { Docker::EngineOnly }
}

/// The words that call compose here: the plugin, else the program of its own.
pub(crate) fn compose_command() -> Option<&'static [&'static str]> {
    if succeeds("docker", &["compose", "version"]) {
        return Some(&["docker", "compose"]);
    }
    tools::which("docker-compose").map(|_| &["docker-compose"] as &[&str])
}

/// Runs `docker` with these arguments; its standard output, or what it said on standard error.
pub(crate) async fn docker(args: &[&str]) -> Result<String, Error> {
    let failed = |why: String| Error::Docker { doing: args.join(" "), why };
    let output = tokio::process::Command::new("docker")
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::Missing { what: "docker".to_owned(), command: "apt-get install -y docker.io".to_owned() }
            }
            _ => failed(error.to_string()),
        })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Whether the engine is on another machine, whose published ports cannot be reached at our loopback interface.
fn is_elsewhere(host: &str) -> bool {
    let Some((scheme, rest)) = host.split_once("://") else { return false };
    let here = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| rest.starts_with(name));
    !matches!(scheme, "unix" | "npipe" | "fd") && !here
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = std::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_behind_a_socket_or_a_loopback_port_is_here_and_any_other_elsewhere() {
        for here in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://localhost:2375", ""] {
            assert!(!is_elsewhere(here), "{here}");
        }
        for elsewhere in ["tcp://docker:2375", "ssh://me@build", "tcp://10.0.0.5:2376"] {
            assert!(is_elsewhere(elsewhere), "{elsewhere}");
        }
    }
}
