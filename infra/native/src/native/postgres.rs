//! Postgres as durable as in production (fsync and synchronous commit on), from relocatable programs. It refuses to run as root,
//! so root runs it as `nobody`. An initialised data folder is kept in the cache as a template and copied for each run.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::cache::{is_root, open_to_all};
use crate::error::Doing;
use crate::fetch::Files;
use crate::probe::Probe;
use crate::process::{Launch, run_logged};
use crate::server::Server;
use crate::{Error, Profile};

/// Superuser of a throw-away server on the loopback interface.
pub(crate) const USER: &str = "mallbots";
pub(crate) const PASSWORD: &str = "mallbots";
/// The registry's own database.
pub(crate) const REGISTRY_DATABASE: &str = "registry";

/// The address that is given to clients.
pub(crate) fn url(port: u16) -> String {
    format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}")
}

/// The server, its data folder copied from the template and its configuration written.
pub(super) async fn server(
    files: &Files,
    profile: Profile,
    run: &Path,
    logs: &Path,
    port: u16,
) -> Result<Server, Error> {
    let log = logs.join("postgres.log");
    let nobody = nobody_if_root()?;
    let program = files.postgres.join("bin/postgres").display().to_string();
    let launch = match nobody {
        Some(ids) => Launch::new("postgres", "setpriv", run, &log).args(as_user(ids)).args([program]),
        None => Launch::new("postgres", program, run, &log),
    };
    let data = launch.folder.join("data");
    std::fs::create_dir_all(&launch.folder).doing(|| format!("make {}", launch.folder.display()))?;
    open_to_all(&launch.folder)?;
    run_logged(Command::new("cp").arg("-a").arg(files.postgres.join("template")).arg(&data), "", &log).await?;
    append(&data.join("postgresql.conf"), &settings(profile, port))?;
    let launch = launch.args(["-D".to_owned(), data.display().to_string()]);
    Ok(Server::process(launch, Probe::Postgres { port, user: USER.to_owned() }))
}

/// Unpacks the programs from the archive inside the fetched jar.
pub(crate) async fn unpack(files: &Path, log: &Path) -> Result<(), Error> {
    let jar = files.join("jar");
    let entries = std::fs::read_dir(&jar).doing(|| format!("list {}", jar.display()))?;
    let archive = entries.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "txz"));
    let archive = archive.ok_or_else(|| Error::failed("no archive in the Postgres jar", log))?;
    run_logged(Command::new("tar").args(["--no-same-owner", "-xJf"]).arg(archive).arg("-C").arg(files), "", log)
        .await?;
    // Whatever the umask: another user must be able to run them.
    run_logged(Command::new("chmod").args(["-R", "a+rX"]).arg(files), "", log).await?;
    std::fs::remove_dir_all(&jar).doing(|| format!("remove {}", jar.display()))
}

/// Initialises `files/template`: our superuser, the registry's database, and pg_stat_statements in every database made later.
pub(crate) async fn make_template(files: &Path, log: &Path) -> Result<(), Error> {
    let template = files.join("template");
    std::fs::create_dir(&template).doing(|| format!("make {}", template.display()))?;
    std::fs::set_permissions(&template, std::fs::Permissions::from_mode(0o700))
        .doing(|| "protect the template".into())?;
    if let Some((user, group)) = nobody_if_root()? {
        chown(&template, Some(user), Some(group)).doing(|| format!("give {} to nobody", template.display()))?;
    }
    let password = files.join("password");
    std::fs::write(&password, PASSWORD).doing(|| format!("write {}", password.display()))?;
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).doing(|| "open the file".into())?;
    let mut initdb = program(files, "initdb")?;
    initdb.args(["-U", USER, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-instructions"]);
    initdb.arg("--pwfile").arg(&password).arg("-D").arg(&template);
    run_logged(&initdb, "", log).await?;
    std::fs::remove_file(&password).doing(|| format!("remove {}", password.display()))?;
    single(files, &template, "template1", "CREATE EXTENSION pg_stat_statements\n", log).await?;
    single(files, &template, "postgres", &format!("CREATE DATABASE {REGISTRY_DATABASE}\n"), log).await
}

/// Runs SQL without a server and without a client, in single-user mode.
async fn single(files: &Path, data: &Path, database: &str, sql: &str, log: &Path) -> Result<(), Error> {
    let mut postgres = program(files, "postgres")?;
    // exit_on_error: single-user mode goes on after a failed statement and exits with 0.
    postgres.args(["--single", "-c", "exit_on_error=on", "-D"]).arg(data).arg(database);
    run_logged(&postgres, sql, log).await
}

/// One of the programs, run as nobody when we are root.
fn program(files: &Path, name: &str) -> Result<Command, Error> {
    let path = files.join("bin").join(name);
    let mut command = match nobody_if_root()? {
        Some(ids) => {
            let mut command = Command::new("setpriv");
            command.args(as_user(ids)).arg(path);
            command
        }
        None => Command::new(path),
    };
    command.current_dir("/");
    Ok(command)
}

fn as_user((user, group): (u32, u32)) -> [String; 4] {
    [format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into(), "--".into()]
}

/// User and group id of `nobody`, when we are root.
fn nobody_if_root() -> Result<Option<(u32, u32)>, Error> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").doing(|| "read /etc/passwd".into())?;
    let ids = nobody(&passwd).ok_or_else(|| Error::NotOurs("no user nobody, as whom Postgres would run".into()))?;
    Ok(Some(ids))
}

fn nobody(passwd: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> = passwd.lines().find(|line| line.starts_with("nobody:"))?.split(':').collect();
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

fn append(file: &Path, text: &str) -> Result<(), Error> {
    let mut whole = std::fs::read_to_string(file).doing(|| format!("read {}", file.display()))?;
    whole.push_str(text);
    std::fs::write(file, whole).doing(|| format!("write {}", file.display()))
}

/// Durable, measured by pg_stat_statements, and quick to notice clients that vanished without a word. After a crash everything
/// is synced by file system: file by file that took 40 s once tests had left some tens of thousands behind.
fn settings(profile: Profile, port: u16) -> String {
    // For benchmarks as much as a server of its own would have, and room for the log of some minutes.
    let (buffers, log) = match profile {
        Profile::Small => ("256MB", "2GB"),
        Profile::Bench => ("2GB", "16GB"),
    };
    format!(
        "
port = {port}
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = on
synchronous_commit = on
recovery_init_sync_method = syncfs
shared_buffers = {buffers}
max_wal_size = {log}
max_connections = 200
shared_preload_libraries = 'pg_stat_statements'
tcp_keepalives_idle = 5
tcp_keepalives_interval = 1
tcp_keepalives_count = 3
idle_in_transaction_session_timeout = 60s
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_is_on_and_only_loopback_listens() {
        let text = settings(Profile::Bench, 12_345);
        for line in ["fsync = on", "synchronous_commit = on", "listen_addresses = '127.0.0.1'", "port = 12345"] {
            assert!(text.lines().any(|l| l == line), "{line}");
        }
    }

    #[test]
    fn the_address_is_one_that_we_accept_ourselves() {
        let given = |name: &str| match name {
            crate::addresses::POSTGRES => Some(url(12_345)),
            crate::addresses::KAFKA => Some("127.0.0.1:1".into()),
            _ => Some("http://127.0.0.1:2".into()),
        };
        assert_eq!(crate::Addresses::from_vars(given).unwrap().unwrap().postgres, url(12_345));
    }

    #[test]
    fn nobody_is_found_by_name_wherever_it_stands() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/nonexistent:/bin/false\n";
        assert_eq!(nobody(passwd), Some((65534, 65533)));
        assert_eq!(nobody("root:x:0:0::/:/bin/sh\n"), None);
    }
}
