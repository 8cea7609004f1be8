//! What this machine has and lacks for each way of getting servers, as a text for a person.

use std::fmt::Write;

use crate::cache::{Cache, is_root};
use crate::resolve::Docker;
use crate::tools::{self, GO, JAVA, MAVEN, SETPRIV, TAR, Tool, XZ};
use crate::{Addresses, Error, docker, fetch};

/// What was found. The flag says whether `servers up` can work here.
pub fn report() -> Result<(String, bool), Error> {
    let mut text = String::new();
    let given = Addresses::from_env();
    let docker = docker::offer();
    let missing: Vec<Tool> = native_tools().into_iter().filter(|tool| tool.path().is_none()).collect();
    line(&mut text, "given addresses", &given_words(&given));
    line(&mut text, "Docker", docker_words(&docker));
    for tool in native_tools().iter().chain([&GO]) {
        let place = tool.path().map_or("MISSING".to_owned(), |path| path.display().to_string());
        line(&mut text, tool.program, &format!("{place} ({})", tool.purpose));
    }
    for (name, folder, there) in fetch::inventory(&Cache::from_env()?)? {
        let state = if there { "in the cache" } else { "not fetched yet" };
        line(&mut text, &name, &format!("{state}: {}", folder.display()));
    }
    let usable = matches!(given, Ok(Some(_))) || docker == Docker::WithCompose || missing.is_empty();
    let lacking: Vec<Tool> = missing.into_iter().chain(GO.path().is_none().then_some(GO)).collect();
    if !lacking.is_empty() {
        line(&mut text, "for native servers", &tools::install_command(&lacking));
    }
    Ok((text, usable))
}

fn native_tools() -> Vec<Tool> {
    let root_only = is_root().then_some(SETPRIV);
    [JAVA, MAVEN, TAR, XZ].into_iter().chain(root_only).collect()
}

fn given_words(given: &Result<Option<Addresses>, Error>) -> String {
    match given {
        Ok(Some(addresses)) => format!("Kafka {}, registry {}", addresses.kafka, addresses.registry),
        Ok(None) => "none in the MALLBOTS_ variables".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn docker_words(docker: &Docker) -> &'static str {
    match docker {
        Docker::Absent => "no engine answers",
        Docker::Elsewhere(_) => "the engine of DOCKER_HOST is on another machine, so it is not used",
        Docker::EngineOnly => "an engine answers, but compose is missing",
        Docker::WithCompose => "an engine answers",
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<26}{value}");
}
