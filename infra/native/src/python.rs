//! An environment of Python with pinned packages, for the programs in that language that tests run: made once by its ordinary
//! clients (venv and pip) and kept in the cache.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Error;
use crate::cache::Cache;
use crate::error::Doing;
use crate::process::run_logged;
use crate::say::{say, seconds};
use crate::tools::{self, PYTHON};

/// The interpreter of an environment that holds exactly what the file `requirements` pins. Made, with the reason and the time
/// it took on standard error, when it is not in the cache yet.
pub async fn python(requirements: &Path) -> Result<PathBuf, Error> {
    tools::require(&[PYTHON])?;
    let pinned = std::fs::read_to_string(requirements).doing(|| format!("read {}", requirements.display()))?;
    let cache = Cache::from_env()?;
    // Another interpreter or another pin is another environment; nothing is ever changed in place.
    let mut hasher = DefaultHasher::new();
    (interpreter()?, pinned).hash(&mut hasher);
    let folder = cache.folder(&format!("python-{:016x}", hasher.finish()));
    cache.ensure(&folder, async |partial: &Path| make(partial, requirements, &cache.new_log_folder()?).await).await?;
    Ok(folder.join("bin/python"))
}

/// Version and place of `python3`; an error that names the package when it cannot make environments (Debian splits that off).
fn interpreter() -> Result<String, Error> {
    let asked = "import ensurepip, sys, venv; print(sys.version, sys.executable)";
    let answer = Command::new(PYTHON.program).args(["-c", asked]).output().doing(|| "run python3".into())?;
    if answer.status.success() {
        return Ok(String::from_utf8_lossy(&answer.stdout).into_owned());
    }
    let what = "python3's modules venv and ensurepip".into();
    Err(Error::Missing { what, command: tools::install_command(&[PYTHON]) })
}

async fn make(partial: &Path, requirements: &Path, logs: &Path) -> Result<(), Error> {
    let (started, log) = (Instant::now(), logs.join("python.log"));
    say(format!("making a Python environment of {} (once)", requirements.display()));
    run_logged(Command::new(PYTHON.program).args(["-m", "venv"]).arg(partial), "", &log).await?;
    let mut pip = Command::new(partial.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    run_logged(&pip, "", &log).await?;
    say(format!("the Python environment is there after {}", seconds(started)));
    Ok(())
}
