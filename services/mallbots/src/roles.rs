//! Starts roles with their configuration, and stops them on a signal.

use crate::Role;
use anyhow::Context as _;
use service_kit::{
    ServiceConfig,
    health::{self, Ready},
    telemetry,
};
use std::{future::Future, net::SocketAddr, pin::Pin};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// The roles of `all`, in no order: each waits for what it needs.
pub const ALL: [&str; 10] = [
    "stores",
    "orders",
    "payments",
    "depot",
    "notifications",
    "search",
    "orchestrator",
    "kiosk-gateway",
    "robot-gateway",
    "acquirer-sim",
];

/// The contexts, whose outboxes `relay` sends.
pub const CONTEXTS: [&str; 7] = ["stores", "orders", "payments", "depot", "notifications", "search", "orchestrator"];

/// Runs `role` until SIGINT or SIGTERM.
pub async fn run(role: Role) -> anyhow::Result<()> {
    let name = match &role {
        Role::All { without } => return all(without).await,
        Role::Stores => "stores",
        Role::Orders => "orders",
        Role::Payments => "payments",
        Role::Depot => "depot",
        Role::Notifications => "notifications",
        Role::Search => "search",
        Role::Orchestrator => "orchestrator",
        Role::KioskGateway => "kiosk-gateway",
        Role::RobotGateway => "robot-gateway",
        Role::AcquirerSim => "acquirer-sim",
        Role::Relay { context } => return relay(context).await,
        Role::Robots(options) => {
            let telemetry = telemetry::start(&["robots"])?;
            let ran = robots::run(options.clone().into_config()?, stop_on_signal()?.wait()).await;
            telemetry.shutdown();
            return ran;
        }
    };
    let telemetry = telemetry::start(&[name])?;
    let ran = start(name, None, stop_on_signal()?).await;
    tokio::task::spawn_blocking(|| telemetry.shutdown()).await?;
    ran
}

async fn all(without: &[String]) -> anyhow::Result<()> {
    let names: Vec<&'static str> = ALL.into_iter().filter(|name| !without.iter().any(|w| w == name)).collect();
    let telemetry = telemetry::start(&names)?;
    let stop = stop_on_signal()?;
    let http: SocketAddr = service_kit::env_parse("MALLBOTS_HTTP", SocketAddr::from(([127, 0, 0, 1], 7150)))?;
    let listener = TcpListener::bind(http).await.with_context(|| format!("MALLBOTS_HTTP: cannot listen on {http}"))?;
    let mut roles = JoinSet::new();
    let served = stop.clone();
    let parts: Vec<Ready> = names.iter().map(|_| Ready::default()).collect();
    let health = axum::serve(listener, health::router(parts.clone())).with_graceful_shutdown(served.wait());
    roles.spawn(async move { health.await.context("health") });
    for (name, ready) in names.into_iter().zip(parts) {
        let stop = stop.clone();
        roles.spawn(async move { start(name, Some(ready), stop).await.with_context(|| format!("role {name}")) });
    }
    let mut ended = Ok(());
    while let Some(role) = roles.join_next().await {
        let role = role.map_err(anyhow::Error::from).and_then(|r| r);
        // One role that cannot run ends all of them: half a platform helps nobody.
        if role.is_err() && ended.is_ok() {
            ended = role;
            stop.now();
        }
    }
    tokio::task::spawn_blocking(|| telemetry.shutdown()).await?;
    ended
}

/// A role with a `shared` readiness is one of several: it reports there and serves no health and metrics of its own.
fn start(name: &'static str, shared: Option<Ready>, stop: Stop) -> Running {
    let (alone, ready) = (shared.is_none(), shared.unwrap_or_default());
    let reported = ready.clone();
    let service = move || -> anyhow::Result<ServiceConfig> {
        let config = ServiceConfig::from_env(name)?;
        let http = config.http.filter(|_| alone);
        Ok(ServiceConfig { http, ready: reported, ..config })
    };
    let shutdown = stop.wait();
    match name {
        "stores" => Box::pin(async move { stores::run(service()?, shutdown).await }),
        "orders" => Box::pin(async move { orders::run(service()?, shutdown).await }),
        "payments" => Box::pin(async move { payments::run(service()?, shutdown).await }),
        "depot" => Box::pin(async move { depot::run(service()?, shutdown).await }),
        "notifications" => Box::pin(async move { notifications::run(service()?, shutdown).await }),
        "search" => Box::pin(async move { search::run(service()?, shutdown).await }),
        "orchestrator" => Box::pin(async move { orchestrator::run(service()?, shutdown).await }),
        "acquirer-sim" => Box::pin(async move {
            // It waits for nobody: it listens at once, or its failure ends the process.
            ready.set(true);
            acquirer_sim::run(acquirer_sim::Config::from_env()?, shutdown).await
        }),
        "robot-gateway" => Box::pin(async move {
            let config = robot_gateway::Config::from_env()?;
            let http = config.http.filter(|_| alone);
            robot_gateway::run(robot_gateway::Config { http, ready, ..config }, shutdown).await
        }),
        _ => Box::pin(async move {
            let config = kiosk_gateway::Config { ready, ..kiosk_gateway::Config::from_env()? };
            kiosk_gateway::run(config, shutdown).await
        }),
    }
}

async fn relay(context: &str) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&["relay"])?;
    let service = ServiceConfig::from_env(context)?;
    let stop = stop_on_signal()?.wait();
    macro_rules! relay_of {
        ($context:expr) => {
            service_kit::Role::start($context, service).await?.relay(stop).await
        };
    }
    match context {
        "stores" => relay_of!(stores::Stores),
        "orders" => relay_of!(orders::Orders::from_env()?),
        "payments" => relay_of!(payments::Payments::from_env()?),
        "depot" => relay_of!(depot::Depot::from_env()?),
        "notifications" => relay_of!(notifications::Notifications),
        "search" => relay_of!(search::Search),
        "orchestrator" => relay_of!(orchestrator::Orchestrator::new(Vec::new())),
        other => anyhow::bail!("there is no context `{other}`: there are {}", CONTEXTS.join(", ")),
    }
    tokio::task::spawn_blocking(|| telemetry.shutdown()).await?;
    Ok(())
}

/// Resolves everywhere once the process is asked to stop.
#[derive(Clone)]
struct Stop(watch::Sender<bool>);

impl Stop {
    fn wait(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopped = self.0.subscribe();
        async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        }
    }

    fn now(&self) {
        self.0.send_replace(true);
    }
}

fn stop_on_signal() -> anyhow::Result<Stop> {
    let stop = Stop(watch::channel(false).0);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        stopped.now();
    });
    Ok(stop)
}
