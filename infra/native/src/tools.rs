//! The programs that native servers are fetched and run with, and the one command that installs those that are missing.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// A program we call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    pub program: &'static str,
    pub purpose: &'static str,
    /// The Debian package it comes in.
    pub package: &'static str,
}

pub(crate) const JAVA: Tool = Tool {
    program: "java",
    purpose: "Java 17 or later, runs Kafka and the registry",
    package: "openjdk-17-jre-headless",
};
pub(crate) const MAVEN: Tool =
    Tool { program: "mvn", purpose: "Maven, fetches Kafka, Postgres and the registry", package: "maven" };
pub(crate) const TAR: Tool = Tool { program: "tar", purpose: "unpacks Postgres", package: "tar" };
pub(crate) const XZ: Tool = Tool { program: "xz", purpose: "unpacks Postgres", package: "xz-utils" };
pub(crate) const SETPRIV: Tool =
    Tool { program: "setpriv", purpose: "runs Postgres as nobody, since it refuses root", package: "util-linux" };
pub(crate) const GO: Tool = Tool {
    program: "go",
    purpose: "Go 1.21 or later, builds Jaeger once; Debian 12's is too old: https://go.dev/dl",
    package: "golang-go",
};
pub(crate) const PYTHON: Tool = Tool {
    program: "python3",
    purpose: "Python 3.9 or later, runs the participants in Python",
    package: "python3-venv",
};

impl Tool {
    pub(crate) fn path(&self) -> Option<PathBuf> {
        which(self.program)
    }
}

/// Ok when all of `tools` are installed; else one error that names the missing ones and the one command that gets them all.
pub(crate) fn require(tools: &[Tool]) -> Result<(), Error> {
    let missing: Vec<Tool> = tools.iter().copied().filter(|tool| tool.path().is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing_error(&missing)) }
}

fn missing_error(missing: &[Tool]) -> Error {
    let what: Vec<String> = missing.iter().map(|t| format!("{} ({})", t.program, t.purpose)).collect();
    Error::Missing { what: what.join(", "), command: install_command(missing) }
}

/// `apt-get install …` for the given tools.
pub(crate) fn install_command(tools: &[Tool]) -> String {
    let packages: Vec<&str> = tools.iter().map(|t| t.package).collect();
    format!("apt-get install -y {}", packages.join(" "))
}

/// The first executable file called `program` on the PATH.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Tool = Tool { program: "no-such-program-here", purpose: "nothing", package: "nothing-pkg" };

    #[test]
    fn missing_programs_come_with_one_command_for_all_of_them() {
        let other = Tool { package: "other-pkg", ..ABSENT };
        let error = require(&[ABSENT, other]).unwrap_err().to_string();
        assert!(error.contains("no-such-program-here (nothing)"), "{error}");
        assert!(error.ends_with("apt-get install -y nothing-pkg other-pkg"), "{error}");
    }

    #[test]
    fn present_programs_are_no_error() {
        let shell = Tool { program: "sh", ..ABSENT };
        require(&[shell]).unwrap();
    }
}
