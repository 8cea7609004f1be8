//! Brings up the servers that the platform stands on: Kafka, Postgres, a schema registry and Jaeger. They are looked for in a fixed
//! order (addresses in the environment, a Docker engine, native processes of pinned versions), and whatever is started here is
//! stopped again, however the program that started it ends.
//!
//! The same code serves demo, run, tests and benchmarks; the program `servers` is its command line.

mod addresses;
mod cache;
mod control;
mod docker;
mod doctor;
mod error;
mod fetch;
mod guard;
mod native;
mod options;
mod ports;
mod probe;
mod process;
mod python;
mod resolve;
mod say;
mod server;
mod tools;

pub use addresses::{Addresses, JAEGER, KAFKA, OTLP, POSTGRES, REGISTRY, exports};
pub use control::{Control, STATE};
pub use doctor::report as doctor;
pub use error::Error;
pub use options::{Backend, Jaeger, Options, Profile};
pub use ports::free_ports;
pub use python::python;

use guard::Guard;
use resolve::{Docker, Source};
use say::{say, seconds};
use server::Running;

/// Servers that answer. Dropping it, or the end of this process by whatever cause, stops what was started for it.
#[derive(Debug)]
pub struct Servers {
    addresses: Addresses,
    control: Option<Control>,
    guard: Option<Guard>,
}

impl Servers {
    /// Finds or starts the servers and waits until each answers. Fetches and builds what is not in the cache, which can take minutes the
    /// first time; says on standard error what it does.
    pub async fn start(mut options: Options) -> Result<Servers, Error> {
        if options.backend == Backend::Auto {
            options.backend = Backend::from_env()?;
        }
        if options.three_brokers && matches!(options.backend, Backend::Compose | Backend::Containers) {
            return Err(Error::NotOurs(
                "three brokers are started as processes only: give --backend native, or unset MALLBOTS_BACKEND".into(),
            ));
        }
        match resolve::resolve(Addresses::from_env()?, &options, ask_docker) {
            Source::Given(addresses) => given(addresses, options.jaeger).await,
            Source::Compose => Ok(ours(docker::compose::start(&options).await?)),
            Source::Containers => Ok(ours(containers(&options).await?)),
            Source::Native => Ok(ours(native::start(&options).await?)),
        }
    }

    /// Where the servers answer.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// All variables for a program that uses these servers: the addresses and, where we started them, the state file.
    pub fn env_vars(&self) -> Vec<(&'static str, String)> {
        let mut vars = self.addresses.env_vars();
        vars.extend(self.control.iter().map(|control| (STATE, control.file().display().to_string())));
        vars
    }

    /// The handle for killing and restarting. An error when neither this nor an outer launcher started the servers.
    pub fn control(&self) -> Result<&Control, Error> {
        let theirs = "servers that were given cannot be killed and restarted; unset the MALLBOTS_ addresses";
        self.control.as_ref().ok_or_else(|| Error::NotOurs(theirs.into()))
    }

    /// Stops what was started here and waits until it is gone and its data removed. Given servers are left alone.
    pub async fn stop(mut self) {
        let Some(guard) = self.guard.take() else { return };
        let started = std::time::Instant::now();
        // A panic of the clean-up could only come from the guard's drop, which has none.
        let _ = tokio::task::spawn_blocking(move || drop(guard)).await;
        say(format!("stopped in {}", seconds(started)));
    }
}

/// Fetches and builds everything for native servers, and starts nothing.
pub async fn fetch(jaeger: Jaeger) -> Result<(), Error> {
    native::fetch(jaeger).await
}

fn ours(Running { addresses, guard, control }: Running) -> Servers {
    Servers { addresses, control: Some(control), guard: Some(guard) }
}

fn ask_docker() -> Docker {
    let offer = docker::offer();
    say(match &offer {
        Docker::Absent => "no Docker engine answers: native servers".to_owned(),
        Docker::Elsewhere(host) => format!("the Docker engine at {host} cannot publish ports here: native servers"),
        Docker::EngineOnly => {
            "a Docker engine answers, but compose is missing (apt-get install -y docker-compose)".to_owned()
        }
        Docker::WithCompose => return offer,
    });
    offer
}

/// Uses servers that somebody else runs, once each of them listens.
async fn given(addresses: Addresses, jaeger: Jaeger) -> Result<Servers, Error> {
    let missing = [(OTLP, &addresses.otlp), (JAEGER, &addresses.jaeger)].into_iter().find(|(_, url)| url.is_none());
    if let (Jaeger::Required, Some((variable, _))) = (jaeger, missing) {
        return Err(Error::Address { variable, problem: "is not set, and Jaeger is required here".into() });
    }
    for (variable, endpoints) in addresses.endpoints() {
        if !probe::any_listens(&endpoints).await {
            return Err(Error::Address { variable, problem: format!("nothing listens at {}", endpoints.join(", ")) });
        }
    }
    // Inside `servers run` the outer launcher's state file lets crash tests restart its servers.
    let control = std::env::var_os(STATE).map(|_| Control::from_env()).transpose()?;
    Ok(Servers { addresses, control, guard: None })
}

#[cfg(feature = "testcontainers")]
async fn containers(options: &Options) -> Result<Running, Error> {
    docker::testcontainers::start(options).await
}

#[cfg(not(feature = "testcontainers"))]
async fn containers(_: &Options) -> Result<Running, Error> {
    Err(Error::NotOurs("this was built without the cargo feature `testcontainers`".into()))
}
