//! How a long program ends: by its result, or because it was asked to.

use anyhow::Result;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// As shells have it after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// 0 when `work` answers that everything holds, 1 when not, or with an error, which is printed under `name`. Ctrl-C and a
/// termination signal drop the work, which kills the platform that it has started.
pub async fn unless_interrupted(name: &str, work: impl Future<Output = Result<bool>>) -> ExitCode {
    let done = tokio::select! {
        done = work => done,
        () = interrupted() => return ExitCode::from(INTERRUPTED),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => std::future::pending().await,
    }
}
