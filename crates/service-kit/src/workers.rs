//! What runs in a context's process beside its servers: shell, relay, consumer, timers, parking and the context's own
//! workers, on whatever log and store it is given. The simulator runs just this.

use std::{future::Future, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use transport::{
    Context, Shell, consumer,
    parking::Parking,
    ports::{Log, Store},
    registry::Registry,
    relay::{Relay, RelayConfig},
    timers::{Gate, Timers},
};

/// How long workers have to finish after the signal.
const GRACE: Duration = Duration::from_secs(5);

/// The workers of one process. Dropping them ends each where it is, as a crash would.
pub struct Workers<C: Context, S: Store, L: Log> {
    pub(crate) shell: Shell<C, S>,
    pub(crate) log: L,
    registry: Option<Registry>,
    pub(crate) relay: RelayConfig,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    /// Why the role cannot go on.
    pub(crate) failure: watch::Sender<Option<String>>,
}

impl<C: Context, S: Store, L: Log> Workers<C, S, L> {
    /// Nothing runs yet. Without a `registry`, records with schemas that the codec does not know are parked.
    pub fn new(shell: Shell<C, S>, log: L, registry: Option<Registry>, relay: RelayConfig) -> Self {
        let (stop, failure) = (watch::channel(false).0, watch::channel(None).0);
        Self { shell, log, registry, relay, stop, tasks: JoinSet::new(), failure }
    }

    pub fn shell(&self) -> Shell<C, S> {
        self.shell.clone()
    }

    pub fn log(&self) -> L {
        self.log.clone()
    }

    /// Runs `work` beside the others; it should end when the future it is given resolves.
    pub fn spawn<F, W>(&mut self, work: W)
    where
        F: Future<Output = ()> + Send + 'static,
        W: FnOnce(Stop) -> F,
    {
        let stop = Stop(self.stop.subscribe());
        self.tasks.spawn(work(stop));
    }

    /// Starts what every context has; timers fire when `gate` lets them.
    pub fn start<G: Gate>(&mut self, gate: G) {
        let shell = self.shell.clone();
        self.tasks.spawn(async move { shell.run().await });
        let relay = Relay::new(&self.shell, self.log.clone(), self.relay.clone());
        self.spawn(|stop| relay.run(stop.wait()));
        let timers = Timers::new(self.shell.clone(), gate);
        self.spawn(|stop| timers.run(stop.wait()));
        let parking = Parking::new(self.shell.clone());
        self.spawn(|stop| parking.run(stop.wait()));
        let (shell, log, registry) = (self.shell.clone(), self.log.clone(), self.registry.clone());
        let failure = self.failure.clone();
        self.spawn(|stop| async move {
            if let Err(error) = consumer::run(shell, log, registry, stop.wait()).await {
                failure.send_replace(Some(error.to_string()));
            }
        });
    }

    /// Resolves, with the reason, when a worker has failed or panicked: a role that goes on without one of its workers looks
    /// healthy and is not.
    pub async fn failed(&mut self) -> String {
        let mut failure = self.failure.subscribe();
        tokio::select! {
            biased;
            failed = failure.wait_for(Option::is_some) => failed.ok().and_then(|f| f.clone()).unwrap_or_default(),
            panicked = panicked(&mut self.tasks) => panicked,
        }
    }

    /// Lets workers end; what does not end in time is dropped, which loses nothing.
    pub(crate) async fn finish(mut self) {
        let _ = self.stop.send(true);
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                () = &mut grace => break,
                // The shell itself has no end of its own: it is the last one.
                done = self.tasks.join_next() => if done.is_none() || self.tasks.len() <= 1 { break },
            }
        }
        self.tasks.shutdown().await;
    }
}

async fn panicked(tasks: &mut JoinSet<()>) -> String {
    while let Some(ended) = tasks.join_next().await {
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
