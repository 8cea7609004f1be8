//! What can go wrong when servers are found, fetched or started: one variant per reaction of the person or program that asked.
//! Messages are written for a terminal; they name the file or the command that helps.

use std::io;
use std::path::{Path, PathBuf};

/// How many lines of a failed program's log are shown with the error.
const TAIL_LINES: usize = 20;

/// Why no servers are there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Programs are not installed: run `command`, then try again.
    #[error("missing: {what}\nget it with: {command}")]
    Missing { what: String, command: String },
    /// An environment variable does not hold a usable address: correct it.
    #[error("{variable}: {problem}")]
    Address { variable: &'static str, problem: String },
    /// A program we ran or a server we started failed: read its log, whose end is `tail`.
    #[error("{what} (log: {})\n{tail}", log.display())]
    Failed { what: String, log: PathBuf, tail: String },
    /// An image is not there and could not be pulled: pull it by hand, put another in its place, or do without Docker.
    #[error(
        "image {image} is not here and could not be pulled: {why}\nget it with: docker pull {image}\n\
         or start without Docker: MALLBOTS_BACKEND=native in front of the same command"
    )]
    NoImage { image: String, why: String },
    /// The Docker engine refused: `why` is what it said.
    #[error("docker {doing}: {why}")]
    Docker { doing: String, why: String },
    /// The servers are not ours to stop or start (given addresses), or not in the state asked for.
    #[error("{0}")]
    NotOurs(String),
    /// The file system or a process call failed.
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
}

impl Error {
    /// A failure whose reason stands in `log`; its last lines are taken now, before the log can go.
    pub(crate) fn failed(what: impl Into<String>, log: &Path) -> Error {
        Error::Failed { what: what.into(), log: log.to_owned(), tail: tail(log) }
    }

    /// The last thing a failed program said, else the whole message.
    pub(crate) fn last_line(&self) -> String {
        match self {
            Error::Failed { tail, .. } if !tail.trim().is_empty() => {
                tail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
            }
            other => other.to_string(),
        }
    }
}

/// Adds to an I/O error what was being done, with the path.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing: what(), source })
    }
}

fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
