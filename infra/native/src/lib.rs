//! Brings up the servers that the platform stands on: Kafka, Postgres, a schema registry and Jaeger. They are looked for in a fixed
//! order (addresses in the environment, a Docker engine, native processes of pinned versions), and whatever is started here is
//! stopped again, however the program that started it ends.
//!
//! The same code serves demo, run, tests and benchmarks; the program `servers` is its command line.

mod addresses;
mod cache;
mod compose;
#[cfg(feature = "testcontainers")]
mod containers;
mod control;
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
mod tools;

pub use addresses::{Addresses, JAEGER, KAFKA, OTLP, POSTGRES, REGISTRY, exports};
pub use control::{Control, STATE};
pub use doctor::report as doctor;
pub use error::Error;
pub use options::{Backend, Jaeger, Options, Profile};
pub use python::python;

use guard::Guard;
use resolve::{Docker, Source};
use say::{say, seconds};

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
    pub async fn start(options: Options) -> Result<Servers, Error> {
        match resolve::resolve(Addresses::from_env()?, &options, ask_docker) {
            Source::Given(addresses) => given(addresses, options.jaeger).await,
            Source::Compose => {
                let compose::Running { addresses, guard } = compose::start(&options).await?;
                Ok(Servers { addresses, control: None, guard: Some(guard) })
            }
            Source::Containers => containers(&options).await,
            Source::Native => {
                let native::Running { addresses, guard, control } = native::start(&options).await?;
                Ok(Servers { addresses, control: Some(control), guard: Some(guard) })
            }
        }
    }

    /// Where the servers answer.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// All variables for a program that uses these servers: the addresses and, when native, the state file.
    pub fn env_vars(&self) -> Vec<(&'static str, String)> {
        let mut vars = self.addresses.env_vars();
        vars.extend(self.control.iter().map(|control| (STATE, control.file().display().to_string())));
        vars
    }

    /// The handle for killing and restarting. An error when the servers are not native processes of this or an outer launcher.
    pub fn control(&self) -> Result<&Control, Error> {
        self.control.as_ref().ok_or_else(|| {
            Error::NotOurs(
                "only servers that were started natively can be killed and restarted (`--backend native`)".into(),
            )
        })
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

fn ask_docker() -> Docker {
    let docker = compose::docker();
    if docker == Docker::EngineOnly {
        say("Docker answers, but compose is missing (apt-get install -y docker-compose): starting natively");
    }
    docker
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
async fn containers(options: &Options) -> Result<Servers, Error> {
    let compose::Running { addresses, guard } = containers::start(options).await?;
    Ok(Servers { addresses, control: None, guard: Some(guard) })
}

#[cfg(not(feature = "testcontainers"))]
async fn containers(_: &Options) -> Result<Servers, Error> {
    Err(Error::NotOurs("this was built without the cargo feature `testcontainers`".into()))
}
