//! Programs of `tests/participants`, run by an interpreter that has what they need.

use anyhow::{Context as _, Result, bail};
use load::Platform;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

const UP_WITHIN: Duration = Duration::from_secs(30);

/// The interpreter; see [`servers::python`] on what is said when it is missing.
pub struct Python(PathBuf);

fn scripts() -> PathBuf {
    // Cargo runs tests in their package's folder. Where it was compiled may be another clone, gone since.
    PathBuf::from("../participants")
}

impl Python {
    pub async fn ready() -> Result<Self> {
        Ok(Self(servers::python(&scripts().join("requirements.txt")).await?))
    }

    fn command(&self, env: &BTreeMap<String, String>, script: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        // No `__pycache__` beside the sources.
        command.arg("-B").arg(scripts().join(script)).args(arguments).envs(env);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a script of `tests/participants` to its end and answers what it printed; a failure is an error with its words.
    pub async fn run(&self, env: &BTreeMap<String, String>, script: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(env, script, arguments).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{script} ended with {}:\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(text)
    }

    /// Starts `payments.py` in the place of payments and waits until it answers.
    pub async fn payments(&self, platform: &Platform, folder: &Path, more: &[&str]) -> Result<Payments> {
        let (store, log) = (folder.join("payments.sqlite"), folder.join("payments.py.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let mut arguments = vec!["--store", store.to_str().context("a path that is not UTF-8")?];
        arguments.extend(more);
        let mut command = self.command(platform.env(), "payments.py", &arguments);
        let child = command.stdout(out.try_clone()?).stderr(out).spawn().context("start payments.py")?;
        let mut payments = Payments { child, log };
        payments.wait_until_up(&platform.url("payments").replace("http://", "")).await?;
        Ok(payments)
    }
}

/// The participant as a process.
pub struct Payments {
    child: Child,
    log: PathBuf,
}

impl Payments {
    async fn wait_until_up(&mut self, address: &str) -> Result<()> {
        let started = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if self.child.try_wait()?.is_some() || started.elapsed() > UP_WITHIN {
                bail!("payments.py does not answer at {address}:\n{}", self.log()?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// `kill -9`.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("kill payments.py")
    }

    /// Asks it to stop, as its supervisor would, and waits for it.
    pub async fn stop(mut self) -> Result<()> {
        let pid =
            self.child.id().with_context(|| format!("payments.py had ended:\n{}", self.log().unwrap_or_default()))?;
        Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        let status =
            tokio::time::timeout(UP_WITHIN, self.child.wait()).await.context("payments.py does not stop")??;
        if !status.success() {
            bail!("payments.py ended with {status}:\n{}", self.log()?);
        }
        Ok(())
    }

    /// All it has printed, over all its starts.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }
}
