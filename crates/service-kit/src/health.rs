//! `/health/live`, `/health/ready` and `/metrics` over HTTP.

use axum::{Router, http::StatusCode, routing::get};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

/// Whether a role can do its work now; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long a service may take to say that it serves.
const SERVES_WITHIN: Duration = Duration::from_secs(1);

/// Whether the service at the other end says that it serves.
pub async fn serves(channel: &Channel) -> bool {
    let mut client = HealthClient::new(channel.clone());
    let check = client.check(HealthCheckRequest { service: String::new() });
    let answer = tokio::time::timeout(SERVES_WITHIN, check).await;
    answer.is_ok_and(|a| a.is_ok_and(|a| a.into_inner().status() == ServingStatus::Serving))
}

/// The routes; ready only when all of `parts` are.
pub fn router(parts: Vec<Ready>) -> Router {
    let ready = move || async move {
        if parts.iter().all(Ready::get) {
            (StatusCode::OK, "ready")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        }
    };
    Router::new()
        .route("/health/live", get(|| async { "live" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(|| async { crate::telemetry::render() }))
}
