//! The servers as containers of a Docker engine, by compose for demo and run or by the testcontainers crate for tests. Both read
//! infra/compose.yaml, which is compiled in, and share what comes before the containers are made and after.

pub(crate) mod compose;
mod container;
mod engine;
mod file;
mod images;
#[cfg(feature = "testcontainers")]
pub(crate) mod testcontainers;

use std::path::PathBuf;
use std::time::Instant;

use futures::future::try_join_all;

pub(crate) use container::Container;
pub(crate) use engine::{docker, offer};

use crate::cache::Cache;
use crate::control::Control;
use crate::guard::Guard;
use crate::native::postgres;
use crate::say::{say, seconds};
use crate::server::{Running, Server};
use crate::{Error, Options};

use file::{ComposeFile, Ports};

/// What is there before the first container: a run folder with its guard, ports, images.
struct Prepared {
    guard: Guard,
    logs: PathBuf,
    ports: Ports,
    file: ComposeFile,
}

/// Picks ports and gets the images. `maker` is told to the person, as who makes the containers.
async fn prepare(options: &Options, maker: &str) -> Result<Prepared, Error> {
    docker(&["info", "--format", "{{.ID}}"]).await?;
    let logs = Cache::from_env()?.new_log_folder()?;
    say(format!("a Docker engine answers: containers by {maker}; logs in {}", logs.display()));
    let guard = Guard::new(&logs.join("cleanup.log"))?;
    let ports = Ports::free()?;
    let mut file = ComposeFile::read(&ports, options.profile)?;
    images::ensure(&mut file, options.jaeger, guard.folder(), &logs).await?;
    say(format!("starting containers of {}", file.names().join(", ")));
    Ok(Prepared { guard, logs, ports, file })
}

impl Prepared {
    /// A name that no other run has: the run folder's. It names the compose project, the network and the containers.
    fn name(&self) -> String {
        self.guard.folder().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The server in container `id`, its log being copied to the log folder from now on.
    fn server(&self, name: &str, id: &str) -> Result<Server, Error> {
        let container = Container::new(name, id, self.guard.folder(), &self.logs);
        container.follow()?;
        Ok(Server::container(container, self.ports.probe(name)))
    }

    /// Once all serve: writes the state file.
    async fn running(self, servers: Vec<Server>, started: Instant) -> Result<Running, Error> {
        if let Some(postgres) = servers.iter().find(|server| server.name() == "postgres") {
            measure_statements(postgres).await?;
        }
        let addresses = self.ports.addresses(self.file.has("jaeger"));
        let control = Control::write(self.guard.folder(), addresses.clone(), servers)?;
        say(format!("all up in {}", seconds(started)));
        Ok(Running { addresses, guard: self.guard, control })
    }
}

/// Waits until each of them serves.
async fn all_serve(servers: &[Server], started: Instant) -> Result<(), Error> {
    try_join_all(servers.iter().map(|server| server.wait(started))).await.map(|_| ())
}

/// What the native template has from the start: pg_stat_statements in every database that is made later.
async fn measure_statements(server: &Server) -> Result<(), Error> {
    let sql = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
    let password = format!("PGPASSWORD={}", postgres::PASSWORD);
    server.exec(&["env", &password, "psql", "-q", "-U", postgres::USER, "-d", "template1", "-c", sql]).await
}

/// What the guard runs at the end. Looks again until nothing is left: the engine may still be making a container that was ordered
/// just before the one who ordered it was killed.
fn down(label: &str, network: &str) -> String {
    format!(
        "for look in 1 2 3 4 5; do
    ids=$(docker ps --all --quiet --filter label='{label}')
    if [ -n \"$ids\" ]; then docker rm --force --volumes $ids; elif [ \"$look\" -gt 1 ]; then break; fi
    sleep 0.2
done
if docker network inspect '{network}' >/dev/null 2>&1; then docker network rm '{network}'; fi
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clean_up_takes_only_what_carries_the_runs_label_with_its_volumes() {
        let script = down("run=x-1", "x-1_default");
        assert!(script.contains("ps --all --quiet --filter label='run=x-1'"));
        assert!(script.contains("rm --force --volumes $ids"));
        assert!(script.contains("network rm 'x-1_default'") && !script.contains("prune"));
    }
}
