//! The kiosk gateway: REST for kiosks in front of the services' gRPC APIs, and the live view of an order.
//!
//! It owns nothing: state is the services', and what it pushes it reads from the event topics. So any number of
//! gateways may run side by side, and killing one loses nothing.

mod backends;
mod config;
mod extract;
mod guard;
mod inputs;
pub mod live;
mod metric_names;
mod openapi;
mod problem;
mod routes;
mod views;

pub use backends::Backends;
pub use config::{BackendUrls, Config, Limits};
pub use live::Live;
pub use openapi::document;
pub use problem::Problem;

use anyhow::Context;
use axum::{Router, extract::DefaultBodyLimit, middleware, serve::ListenerExt};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Notify};

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
const DRAIN: Duration = Duration::from_secs(15);

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

/// Serves the API at `config.listen` until `shutdown`. `feed` is what feeds the live view (usually
/// [`live::Follower::follow`]) and `extra` the routes that every role has; both end with the API.
pub async fn run(
    config: Config,
    feed: impl AsyncFnOnce(Live),
    extra: impl FnOnce(Backends) -> Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("MALLBOTS_KIOSK_LISTEN: {listen}"))?;
    tracing::info!(address = %listener.local_addr()?, "the kiosk API is served, see /docs");
    let (backends, live) = (Backends::new(&config.backends), Live::new(config.limits.streams));
    let app = app(backends.clone(), live.clone(), config.limits).merge(extra(backends));
    let serving = serve(listener, app, live.clone(), shutdown);
    let feeding = async {
        feed(live).await;
        std::future::pending().await
    };
    tokio::select! {
        ended = serving => ended,
        never = feeding => never,
    }
}
