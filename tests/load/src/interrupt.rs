//! When to stop: Ctrl-C or a termination signal.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when this process is asked to stop.
pub async fn interrupted() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => std::future::pending().await,
    }
}
