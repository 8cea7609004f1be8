//! The wiring of a role: its shell between Kafka, Postgres and the registry, its workers, its gRPC and HTTP servers.

use crate::{ServiceConfig, health, workers::Workers};
use anyhow::Context as _;
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;
use tonic::{service::Routes, transport::Server};
use transport::{
    Context, Shell,
    kafka::KafkaLog,
    postgres::PgStore,
    registry::Registry,
    relay::Relay,
    timers::{Always, Gate},
};

/// A context's role before it serves: its workers, and the servers it will have.
pub struct Role<C: Context> {
    workers: Workers<C, PgStore, KafkaLog>,
    config: ServiceConfig,
}

/// How long a migration that has begun may take.
const MIGRATION: Duration = Duration::from_secs(10);

impl<C: Context> Role<C> {
    /// Waits until the registry knows our schemas; everything else connects when it is needed.
    pub async fn start(context: C, config: ServiceConfig) -> anyhow::Result<Self> {
        let registry = Registry::new(&config.registry)?;
        let codec = Arc::new(codec(&registry, C::NAME).await?);
        let store = PgStore::new(&config.postgres, C::KINDS)?;
        let log = KafkaLog::new(config.kafka.clone())?;
        let shell = Shell::new(context, store, codec, config.shell.clone());
        Ok(Self { workers: Workers::new(shell, log, Some(registry), config.relay.clone()), config })
    }

    pub fn shell(&self) -> Shell<C, PgStore> {
        self.workers.shell()
    }

    /// What runs beside the servers: a context adds its own here.
    pub fn workers(&mut self) -> &mut Workers<C, PgStore, KafkaLog> {
        &mut self.workers
    }

    /// Runs nothing but the relay until `shutdown`: it sends what services left unsent, under the same leases as theirs.
    pub async fn relay(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let Workers { shell, log, relay, .. } = self.workers;
        Relay::new(&shell, log, relay).run(shutdown).await;
    }

    /// Serves until `shutdown`, with timers that fire whenever they are due.
    pub async fn serve(
        self,
        routes: Routes,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        self.serve_gated(routes, Always, shutdown).await
    }

    /// As [`Role::serve`], with timers that fire when `gate` lets them.
    pub async fn serve_gated<G: Gate>(
        mut self,
        routes: Routes,
        gate: G,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        self.workers.start(gate);
        self.check_database();
        let grpc = TcpListener::bind(self.config.listen)
            .await
            .with_context(|| format!("{}: cannot listen on {}", C::NAME, self.config.listen))?;
        tracing::info!(role = C::NAME, grpc = %self.config.listen, "serving");
        if let Some(http) = self.config.http {
            let listener =
                TcpListener::bind(http).await.with_context(|| format!("{}: cannot listen on {http}", C::NAME))?;
            let router = health::router(vec![self.config.ready.clone()]);
            self.workers.spawn(|stop| async move {
                let _ = axum::serve(listener, router).with_graceful_shutdown(stop.wait()).await;
            });
        }
        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(schemas::grpc::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        health.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let server = Server::builder().add_routes(routes).add_service(health_service).add_service(reflection);
        self.workers.spawn(|stop| async move {
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(grpc);
            let _ = server.serve_with_incoming_shutdown(incoming, stop.wait()).await;
        });
        self.config.ready.set(true);
        let failed = tokio::select! {
            () = shutdown => None,
            why = self.workers.failed() => Some(why),
        };
        self.config.ready.set(false);
        self.workers.finish().await;
        failed.map_or(Ok(()), |why| Err(anyhow::anyhow!("{}: a worker stopped: {why}", C::NAME)))
    }

    /// Ends the role when its database is, and stays, older than the program: a migration may be under way just now, and
    /// Postgres may be away.
    fn check_database(&mut self) {
        let (store, failure) = (self.workers.shell.store().clone(), self.workers.failure.clone());
        self.workers.spawn(|stop| async move {
            let known = async {
                let (mut since, mut unanswered) = (None, false);
                loop {
                    match store.outdated().await {
                        Ok(None) => return None,
                        Ok(Some(why)) => {
                            let since: &mut Instant = since.get_or_insert_with(|| {
                                tracing::warn!(role = C::NAME, why, "waits for the migration");
                                Instant::now()
                            });
                            if since.elapsed() >= MIGRATION {
                                return Some(why);
                            }
                        }
                        Err(error) if !unanswered => {
                            unanswered = true;
                            tracing::warn!(role = C::NAME, %error, "waits for its database");
                        }
                        Err(_) => {}
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                () = stop.wait() => {}
                outdated = known => if let Some(why) = outdated {
                    failure.send_replace(Some(why));
                },
            }
        });
    }
}

/// A codec with the ids of the registry, for which it waits.
pub async fn codec(registry: &Registry, role: &'static str) -> anyhow::Result<transport::codec::Codec> {
    let mut told = false;
    loop {
        match registry.codec().await {
            Ok(codec) => return Ok(codec),
            Err(error @ transport::Error::Retry { .. }) => {
                if !told {
                    tracing::warn!(role, %error, "waiting for the schema registry");
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(anyhow::Error::new(error).context("run `mallctl schemas register`")),
        }
    }
}
