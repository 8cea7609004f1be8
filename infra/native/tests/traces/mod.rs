//! What a run leaves on the machine while it runs and must not leave behind: its folder, its processes, its containers and network.

use std::path::{Path, PathBuf};
use std::process::Command;

use servers::Control;

/// Where to look for what one run has made.
#[derive(Debug)]
pub struct Traces {
    folder: PathBuf,
    pids: Vec<(String, u32)>,
    containers: Vec<String>,
}

impl Traces {
    /// The traces of the run that `control` belongs to, now that it runs.
    pub fn of(control: &Control) -> Traces {
        let folder = control.file().parent().unwrap().to_owned();
        let containers = docker_names(&["ps", "--all", "--format", "{{.Names}}"], &folder);
        Traces { pids: control.pids(), containers, folder }
    }

    /// How many servers were found.
    pub fn servers(&self) -> usize {
        self.pids.len() + self.containers.len()
    }

    /// What is still there.
    pub fn left(&self) -> Vec<String> {
        // A zombie that waits to be reaped has no working folder any more.
        let runs = |pid: u32| Path::new(&format!("/proc/{pid}/cwd")).exists();
        let folder = self.folder.exists().then(|| self.folder.display().to_string());
        let processes = self.pids.iter().filter(|(_, pid)| runs(*pid)).map(|(name, pid)| format!("{name} {pid}"));
        let mut left: Vec<String> = folder.into_iter().chain(processes).collect();
        if !self.containers.is_empty() {
            left.extend(docker_names(&["ps", "--all", "--format", "{{.Names}}"], &self.folder));
            left.extend(docker_names(&["network", "ls", "--format", "{{.Name}}"], &self.folder));
        }
        left
    }
}

/// Names that begin with the run's; none where there is no engine.
fn docker_names(list: &[&str], folder: &Path) -> Vec<String> {
    let run = folder.file_name().unwrap().to_str().unwrap();
    let Ok(output) = Command::new("docker").args(list).output() else { return vec![] };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|name| name.starts_with(run)).map(str::to_owned).collect()
}
