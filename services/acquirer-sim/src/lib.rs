//! A simulated payment provider that runs as its own HTTP process and keeps its own ledger, so that tests can compare the
//! platform's idea of the money with somebody else's.
//!
//! # Protocol
//!
//! Every mutating call carries `Idempotency-Key`; for 24 h the same key with the same request gets the first answer again
//! and with another request 422. Amounts are minor units.
//!
//! | call | body | answers |
//! |---|---|---|
//! | `POST /v1/holds` | `{reference, amount, currency, token}` | 200 [`Entry`] |
//! | `POST /v1/holds/{provider_ref}/capture` | `{amount}` | 200 [`Entry`] |
//! | `POST /v1/holds/{provider_ref}/void` | `{}` | 200 [`Entry`] |
//! | `POST /v1/holds/{provider_ref}/refund` | `{amount}` | 200 [`Entry`] |
//! | `GET /v1/by-reference/{reference}` | | 200 [`HoldView`], 404 `unknown_reference` |
//! | `GET /v1/ledger` | | 200 JSON lines of [`Entry`], oldest first |
//! | `POST /v1/behaviour` | `{behaviour, token_prefix}` or `{behaviour, next}` | 204 |
//! | `DELETE /v1/behaviour` | | 204: only what tokens say counts again |
//!
//! A refusal is 402 with `{"error": {code, message, retryable}}`; other errors have the same form. What a token provokes
//! without any control call is listed at [`Behaviour`].

mod behaviour;
mod book;
mod config;
mod entry;
mod journal;
mod routes;

pub use behaviour::Behaviour;
pub use config::Config;
pub use entry::{Entry, HoldStatus, HoldView, Operation, Status};
pub use routes::app;

use anyhow::Context;
use futures::FutureExt;
use std::{future::Future, time::Duration};
use tokio::net::TcpListener;

/// How long answers that are under way may take after the shutdown was asked for: those that are late on purpose are cut.
const GRACE: Duration = Duration::from_secs(1);

/// Serves on the configured address until `shutdown` completes. What was acted on is in the journal before it is answered.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let listener = TcpListener::bind(&config.listen)
        .await
        .with_context(|| format!("MALLBOTS_ACQUIRER_LISTEN: cannot listen on {}", config.listen))?;
    serve(listener, config, shutdown).await
}

/// As [`run`], on a listener of the caller's: tests take a free port.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "the acquirer listens");
    let shutdown = shutdown.shared();
    let server = axum::serve(listener, app(config)?).with_graceful_shutdown(shutdown.clone());
    tokio::select! {
        ended = server => ended.context("the acquirer's HTTP server failed"),
        () = async { shutdown.await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
