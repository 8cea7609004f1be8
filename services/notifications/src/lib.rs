//! Tells customers what became of their orders, by text message, once per order and cause.

pub mod api;
pub mod domain;
pub mod handlers;
pub mod sender;
#[cfg(test)]
mod tests;

use schemas::grpc::notifications::notifications_server::NotificationsServer;
use service_kit::{Role, ServiceConfig, Workers};
use std::{future::Future, time::Duration};
use tonic::service::Routes;
use transport::{
    Aggregate, Context, Kinds, Linger, Router,
    ports::{Log, Store},
};

/// The context: it has no configuration of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Notifications;

impl Context for Notifications {
    const NAME: &'static str = "notifications";
    const KINDS: Kinds = &[domain::Contact::KIND, domain::Notification::KIND];

    fn routes() -> Router<Self> {
        handlers::routes()
    }
}

/// The context's tables; the platform's own come from `transport`.
pub mod migrations {
    refinery::embed_migrations!("migrations");
}

/// Nobody waits for a text message by the millisecond.
const LINGER: Linger = Linger { longest: Duration::from_millis(250), from: 100.0 };

/// Serves until `shutdown`.
pub async fn run(mut config: ServiceConfig, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    config.shell.linger = LINGER;
    let mut role = Role::start(Notifications, config).await?;
    start_sender(role.workers(), sender::LogSender);
    let api = api::Api { shell: role.shell() };
    role.serve(Routes::new(NotificationsServer::new(api)), shutdown).await
}

/// Messages go out by `sender`, unless the shell has one already.
pub fn start_sender<S: Store, L: Log>(workers: &mut Workers<Notifications, S, L>, sender: impl sender::Sender) {
    if let Some(worker) = sender::Worker::new(workers.shell(), sender) {
        workers.spawn(|stop| worker.run(stop.wait()));
    }
}
