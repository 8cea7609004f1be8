//! The wiring of a role: its shell between Kafka, Postgres and the registry, its workers, its gRPC and HTTP servers.

use crate::{ServiceConfig, health};
use anyhow::Context as _;
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tonic::{service::Routes, transport::Server};
use transport::{
    Context, Shell, consumer,
    kafka::KafkaLog,
    parking::Parking,
    postgres::PgStore,
    registry::Registry,
    relay::Relay,
    timers::{Always, Gate, Timers},
};

/// A context's role before it serves: [`Role::shell`] for its API, [`Role::spawn`] for its own workers.
pub struct Role<C: Context> {
    shell: Shell<C, PgStore>,
    log: KafkaLog,
    registry: Registry,
    config: ServiceConfig,
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    /// Why the role cannot go on; the sender lives in the consumer.
    failure: watch::Sender<Option<String>>,
}

/// How long workers have to finish after the signal.
const GRACE: Duration = Duration::from_secs(5);
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
        let (stop, workers) = (watch::channel(false).0, JoinSet::new());
        Ok(Self { shell, log, registry, config, stop, workers, failure: watch::channel(None).0 })
    }

    pub fn shell(&self) -> Shell<C, PgStore> {
        self.shell.clone()
    }

    pub fn log(&self) -> KafkaLog {
        self.log.clone()
    }

    /// Runs `work` beside the role; it should end when the future it is given resolves.
    pub fn spawn<F, W>(&mut self, work: W)
    where
        F: Future<Output = ()> + Send + 'static,
        W: FnOnce(Stop) -> F,
    {
        let stop = Stop(self.stop.subscribe());
        self.workers.spawn(work(stop));
    }

    /// Runs nothing but the relay until `shutdown`: it sends what services left unsent, under the same leases as theirs.
    pub async fn relay(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        Relay::new(&self.shell, self.log, self.config.relay).run(shutdown).await;
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
        self.start_workers(gate);
        self.check_database();
        let grpc = TcpListener::bind(self.config.listen)
            .await
            .with_context(|| format!("{}: cannot listen on {}", C::NAME, self.config.listen))?;
        tracing::info!(role = C::NAME, grpc = %self.config.listen, "serving");
        if let Some(http) = self.config.http {
            let listener =
                TcpListener::bind(http).await.with_context(|| format!("{}: cannot listen on {http}", C::NAME))?;
            let router = health::router(vec![self.config.ready.clone()]);
            self.spawn(|stop| async move {
                let _ = axum::serve(listener, router).with_graceful_shutdown(stop.wait()).await;
            });
        }
        let stop = Stop(self.stop.subscribe());
        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(schemas::grpc::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        health.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let server = Server::builder()
            .add_routes(routes)
            .add_service(health_service)
            .add_service(reflection)
            .serve_with_incoming_shutdown(tokio_stream::wrappers::TcpListenerStream::new(grpc), stop.wait());
        self.workers.spawn(async move {
            let _ = server.await;
        });
        self.config.ready.set(true);
        let mut failure = self.failure.subscribe();
        let failed = tokio::select! {
            () = shutdown => None,
            failed = failure.wait_for(Option::is_some) => failed.ok().and_then(|f| f.clone()),
            panicked = panicked(&mut self.workers) => Some(panicked),
        };
        self.config.ready.set(false);
        self.finish().await;
        failed.map_or(Ok(()), |why| Err(anyhow::anyhow!("{}: a worker stopped: {why}", C::NAME)))
    }

    /// Ends the role when its database is, and stays, older than the program: a migration may be under way just now, and
    /// Postgres may be away.
    fn check_database(&mut self) {
        let (store, failure) = (self.shell.store().clone(), self.failure.clone());
        self.spawn(|stop| async move {
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

    fn start_workers<G: Gate>(&mut self, gate: G) {
        let shell = self.shell.clone();
        self.workers.spawn(async move { shell.run().await });
        let relay = Relay::new(&self.shell, self.log.clone(), self.config.relay.clone());
        self.spawn(|stop| relay.run(stop.wait()));
        let timers = Timers::new(self.shell.clone(), gate);
        self.spawn(|stop| timers.run(stop.wait()));
        let parking = Parking::new(self.shell.clone());
        self.spawn(|stop| parking.run(stop.wait()));
        let (shell, log, registry) = (self.shell.clone(), self.log.clone(), self.registry.clone());
        let failure = self.failure.clone();
        self.spawn(|stop| async move {
            if let Err(error) = consumer::run(shell, log, Some(registry), stop.wait()).await {
                failure.send_replace(Some(error.to_string()));
            }
        });
    }

    /// Lets workers end; what does not end in time is dropped, which loses nothing.
    async fn finish(mut self) {
        let _ = self.stop.send(true);
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                () = &mut grace => break,
                // The shell itself has no end of its own: it is the last one.
                done = self.workers.join_next() => if done.is_none() || self.workers.len() <= 1 { break },
            }
        }
        self.workers.shutdown().await;
    }
}

/// Resolves when a worker has panicked: a role that goes on without one of its workers looks healthy and is not.
async fn panicked(workers: &mut JoinSet<()>) -> String {
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            return error.to_string();
        }
    }
    std::future::pending().await
}

/// Resolves when the role stops.
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    pub async fn wait(mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
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
