//! The robot gateway: one stream a robot, in front of the depot.
//!
//! It owns nothing: what a robot is to do, and which of its reports were taken, the depot knows. So any number of gateways
//! may run side by side, and robots whose gateway dies go on at another one.

mod config;
mod depot;
mod desk;
mod line;
mod metric_names;
mod pause;
mod server;

pub use config::Config;
pub use server::Api;

use anyhow::Context as _;
use schemas::grpc::{Connection, robots::robot_gateway_server::RobotGatewayServer};
use service_kit::{grpc, health};
use std::{future::Future, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tonic::transport::{Server, server::TcpIncoming};

/// Words of robots that wait for the desk; their streams are read no further meanwhile.
const WAITING_WORDS: usize = 1_024;
/// Bytes of one message: 64 reports of long stops are far less.
const MAX_MESSAGE: usize = 512 * 1024;
/// A robot that does not answer a sign of life within this is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Bytes on their way from the depot: a few hundred assignments are more than the usual 64 KiB.
const WINDOW: u32 = 2 * 1024 * 1024;
/// Between two looks whether the depot serves.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// The gateway's API, and its work, which ends with `shutdown`. The depot is reached over a connection that the caller
/// brings: also one that stays in the process.
pub fn gateway<T: Connection>(
    depot: T,
    robots: usize,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> (RobotGatewayServer<Api>, impl Future<Output = anyhow::Result<()>> + Send) {
    let (words, heard) = mpsc::channel(WAITING_WORDS);
    let desk = desk::Desk::new(depot::Depot::over(depot), heard, robots);
    let api = RobotGatewayServer::new(Api::new(words)).max_decoding_message_size(MAX_MESSAGE);
    (api, desk.run(shutdown))
}

/// Runs the gateway until `shutdown`; then robots are told to connect again.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("MALLBOTS_ROBOT_GATEWAY_LISTEN={}", config.listen))?;
    tracing::info!(role = "robot-gateway", address = %listener.local_addr()?, "serving");
    let (stop, stopped) = watch::channel(false);
    let stopping = move || {
        let mut stopped = stopped.clone();
        async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        }
    };
    // None has anything to finish.
    let mut helpers = JoinSet::new();
    if let Some(http) = config.http {
        let listener = TcpListener::bind(http).await.with_context(|| format!("MALLBOTS_ROBOT_GATEWAY_HTTP={http}"))?;
        let router = health::router(vec![config.ready.clone()]);
        helpers.spawn(async move { axum::serve(listener, router).await.context("health") });
    }
    let depot = grpc::endpoint(&config.depot)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .connect_lazy();
    let (api, desk) = gateway(depot.clone(), config.robots, stopping());
    let ready = config.ready.clone();
    helpers.spawn(async move {
        loop {
            ready.set(health::serves(&depot).await);
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    });
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(schemas::grpc::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(api)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopping());
    let mut desk = std::pin::pin!(desk);
    let mut server = std::pin::pin!(server);
    tokio::select! {
        () = shutdown => {}
        ended = &mut desk => return ended.context("the desk stopped"),
        ended = &mut server => return ended.context("the robots' API stopped"),
        Some(failed) = helpers.join_next() => return failed?,
    }
    helpers.shutdown().await;
    config.ready.set(false);
    stop.send_replace(true);
    desk.await?;
    // Every line has had its last word; who does not read it is not waited for.
    let _ = tokio::time::timeout(KEEP_ALIVE, server).await;
    Ok(())
}
