//! The kiosk gateway: REST for kiosks in front of the services' gRPC APIs, and the live view of an order.
//!
//! It owns nothing: state is the services', and what it pushes it reads from the event topics. So any number of
//! gateways may run side by side, and killing one loses nothing.

mod backends;
mod config;
mod extract;
mod feed;
mod guard;
mod inputs;
pub mod live;
mod metric_names;
mod openapi;
mod problem;
mod routes;
mod views;

pub use backends::Backends;
pub use config::{ApiConfig, BackendUrls, Config, FeedConfig, Limits};
pub use live::Live;
pub use openapi::document;
pub use problem::Problem;

use anyhow::Context as _;
use axum::{Router, extract::DefaultBodyLimit, middleware, serve::ListenerExt};
use service_kit::health::{self, Ready};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Gateway {
    backends: Backends,
    live: Live,
    heartbeat: Duration,
}

/// The whole API with its limits; `live` must be fed (see [`live::Follower`]) for changes to be told.
pub fn app(backends: Backends, live: Live, limits: Limits) -> Router {
    let gateway = Gateway { backends, live, heartbeat: limits.heartbeat };
    let (api, _) = routes::routes().split_for_parts();
    api.merge(openapi::pages())
        .fallback(async || Problem::no_such_route())
        .layer(DefaultBodyLimit::max(extract::MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(guard::Guard::new(limits), guard::guard))
        .with_state(gateway)
}

/// How long requests under way may take to end after `shutdown`, before they are dropped.
const DRAIN: Duration = Duration::from_secs(12);

/// Serves `app` until `shutdown`, then lets requests under way finish and ends live views. Routes that are not the API's
/// (health, metrics) are merged into `app` by the caller: they pass none of its limits.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    live: Live,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let stopping = Arc::new(Notify::new());
    let stop = {
        let stopping = stopping.clone();
        async move {
            shutdown.await;
            live.close();
            stopping.notify_one();
        }
    };
    // Small answers must not wait for a full segment.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, app).with_graceful_shutdown(stop).into_future();
    let overdue = async move {
        stopping.notified().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = server => ended.context("the kiosk API stopped"),
        () = overdue => Ok(()),
    }
}

/// Runs the gateway until `shutdown`: the API, the feed of its live view, and health and metrics on the same address. The
/// feed connects when it can: without Kafka or the registry everything else works.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let Config { api, feed, ready } = config;
    let listener =
        TcpListener::bind(api.listen).await.with_context(|| format!("MALLBOTS_KIOSK_LISTEN={}", api.listen))?;
    tracing::info!(role = "kiosk-gateway", address = %listener.local_addr()?, "serving, see /docs");
    let (backends, live) = (Backends::new(&api.backends), Live::new(api.limits.streams));
    let app = app(backends.clone(), live.clone(), api.limits).merge(health::router(vec![ready.clone()]));
    // Dropped at the end, which stops them: neither has anything to finish.
    let mut helpers = JoinSet::new();
    helpers.spawn(feed::run(live.clone(), feed));
    helpers.spawn(watch(backends, ready));
    serve(listener, app, live, shutdown).await
}

/// How often the services are asked whether they serve.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps `ready` true while every service says that it serves.
async fn watch(backends: Backends, ready: Ready) {
    loop {
        let unready = backends.unready().await;
        if ready.get() != unready.is_empty() {
            tracing::info!(role = "kiosk-gateway", ?unready, "readiness changed");
        }
        ready.set(unready.is_empty());
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}
