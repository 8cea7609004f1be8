//! Wakes aggregates whose time has come, by the database's clock, through the same door as messages.

use crate::{
    context::Context,
    error::Error,
    failpoint::{self, Place},
    metric_names as m,
    ports::Store,
    seeded,
    shell::{Input, Shell},
};
use std::{future::Future, time::Duration};
use uuid::Uuid;

/// Most aggregates woken in one step.
const MAX_WAKES: usize = 500;
/// Between looks at the timers: a deadline is met at most this much late.
const TICK: Duration = Duration::from_millis(250);

/// Decides which due aggregates may wake now; the others stay due and are asked about again.
pub trait Gate: Send + Sync + 'static {
    fn open(&self, due: Vec<(String, Uuid, i64)>) -> impl Future<Output = Result<Vec<(String, Uuid)>, Error>> + Send;
}

/// Everything that is due may wake.
pub struct Always;

impl Gate for Always {
    async fn open(&self, due: Vec<(String, Uuid, i64)>) -> Result<Vec<(String, Uuid)>, Error> {
        Ok(due.into_iter().map(|(kind, id, _)| (kind, id)).collect())
    }
}

/// The timers of one context.
pub struct Timers<C: Context, S: Store, G: Gate> {
    shell: Shell<C, S>,
    gate: G,
    /// Due time and id of the last one that was looked at, while more may be due behind it: those that the gate holds, however
    /// many, hide nobody.
    looked_at: Option<(i64, Uuid)>,
}

impl<C: Context, S: Store, G: Gate> Timers<C, S, G> {
    pub fn new(shell: Shell<C, S>, gate: G) -> Self {
        Self { shell, gate, looked_at: None }
    }

    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = tokio::time::sleep(TICK) => {}
            }
            if let Err(error) = self.run_once().await {
                tracing::debug!(context = C::NAME, %error, "timers");
            }
        }
    }

    /// Wakes what is due and answers how many that were; where more are due than one look takes, the next one goes on.
    pub async fn run_once(&mut self) -> Result<usize, Error> {
        let behind = self.looked_at.take();
        let mut due = self.shell.store().due(behind, MAX_WAKES).await?;
        if due.is_empty() && behind.is_some() {
            due = self.shell.store().due(None, MAX_WAKES).await?;
        }
        self.looked_at = due.get(MAX_WAKES - 1).map(|(_, id, due_ms)| (*due_ms, *id));
        let due = seeded::due(self.shell.inner.config.id_seed, due);
        if due.is_empty() {
            return Ok(0);
        }
        failpoint::pass(Place::TimerBefore);
        let open = self.gate.open(due).await?;
        let mut woken = 0;
        for (kind, id) in open {
            let Some(kind) = C::KINDS.iter().find(|k| **k == kind) else { continue };
            self.shell.enqueue(Input::Wake(kind, id)).await?;
            woken += 1;
        }
        if woken > 0 {
            failpoint::pass(Place::TimerAfter);
        }
        metrics::counter!(m::TIMERS_FIRED, "context" => C::NAME).increment(woken);
        Ok(woken as usize)
    }
}
