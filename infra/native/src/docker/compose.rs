//! The containers made by `docker compose` or `docker-compose`. The project gets a name and ports of its own, so that several can run
//! side by side.

use std::path::Path;
use std::time::Instant;

use super::engine::compose_command;
use super::{Prepared, all_serve, docker, down, file, prepare};
use crate::error::Doing;
use crate::process::Launch;
use crate::say::{say, seconds, with_signs_of_life};
use crate::server::{Running, Server};
use crate::{Error, Options, Profile};

/// Starts the containers and waits until every server answers.
pub(crate) async fn start(options: &Options) -> Result<Running, Error> {
    let compose = compose_command().ok_or_else(|| Error::Missing {
        what: "docker compose".to_owned(),
        command: "apt-get install -y docker-compose".to_owned(),
    })?;
    let prepared = prepare(options, &compose.join(" ")).await?;
    let project = prepared.name();
    prepared.guard.at_the_end(&down(&label(&project), &format!("{project}_default")))?;
    let started = Instant::now();
    up(compose, &prepared, options.profile).await?;
    say(format!("containers of project {project} made in {}", seconds(started)));
    let mut servers = Vec::new();
    for name in prepared.file.names() {
        servers.push(server(&prepared, &project, name).await?);
    }
    all_serve(&servers, started).await?;
    prepared.running(servers, started).await
}

/// Compose labels everything it makes.
fn label(project: &str) -> String {
    format!("com.docker.compose.project={project}")
}

/// Runs `compose up` with this run's ports.
async fn up(compose: &[&str], prepared: &Prepared, profile: Profile) -> Result<(), Error> {
    let path = prepared.guard.folder().join("compose.yaml");
    std::fs::write(&path, file::TEXT).doing(|| format!("write {}", path.display()))?;
    let variables =
        file::variables(&prepared.ports, profile).into_iter().map(|(name, value)| format!("{name}={value}"));
    let up = Launch::new("compose", "env", prepared.guard.folder(), &prepared.logs.join("compose.log"))
        .args(variables)
        .args(compose.iter().copied())
        .args(words(&prepared.name(), &path))
        .args(prepared.file.names());
    with_signs_of_life("still making containers", up.run()).await.inspect_err(|_| {
        say("the containers did not start; MALLBOTS_BACKEND=native in front of the same command does without Docker");
    })
}

fn words(project: &str, file: &Path) -> [String; 6] {
    ["-p", project, "-f", &file.display().to_string(), "up", "-d"].map(str::to_owned)
}

async fn server(prepared: &Prepared, project: &str, name: &str) -> Result<Server, Error> {
    let project = format!("label={}", label(project));
    let service = format!("label=com.docker.compose.service={name}");
    let id = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &project, "--filter", &service]).await?;
    match id.lines().next() {
        Some(id) => prepared.server(name, id),
        None => Err(Error::Docker { doing: format!("compose up {name}"), why: "made no container".to_owned() }),
    }
}
