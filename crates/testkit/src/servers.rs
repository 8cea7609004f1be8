//! The servers that tests share: given by the environment (`make test` runs everything under `servers run`), else started
//! once for this test process.

use servers::{Addresses, Jaeger, Options, Servers};
use std::{
    sync::{OnceLock, mpsc},
    thread,
};

static SERVERS: OnceLock<Result<Addresses, String>> = OnceLock::new();

/// Where Kafka, Postgres and the registry answer. The first call may take seconds: it starts what is not given, and the
/// end of this process stops it. Panics with what is missing.
pub fn servers() -> &'static Addresses {
    match SERVERS.get_or_init(start) {
        Ok(addresses) => addresses,
        Err(why) => panic!("tests need the servers: {why}"),
    }
}

/// On a thread and runtime of their own, because each test has a runtime that ends with it.
fn start() -> Result<Addresses, String> {
    let (tell, told) = mpsc::channel();
    let hold = move || match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(start_and_hold(tell)),
        Err(e) => tell.send(Err(e.to_string())).unwrap_or_default(),
    };
    thread::Builder::new().name("servers".into()).spawn(hold).map_err(|e| e.to_string())?;
    told.recv().map_err(|_| "the launcher panicked".to_owned())?
}

async fn start_and_hold(tell: mpsc::Sender<Result<Addresses, String>>) {
    // Tests that look at traces ask for the address of Jaeger themselves; the others need not wait for its build.
    let options = Options { jaeger: Jaeger::IfBuilt, prefer_testcontainers: true, ..Options::default() };
    match Servers::start(options).await {
        Ok(servers) => {
            let _ = tell.send(Ok(servers.addresses().clone()));
            std::future::pending::<()>().await;
            drop(servers);
        }
        Err(e) => tell.send(Err(e.to_string())).unwrap_or_default(),
    }
}
