//! What is done after a commit: robots that wait for an assignment are told of it, and lists and robots that missed each
//! other in one batch are brought together.
//!
//! It remembers nothing and may lose everything: heartbeats of idle robots look for lists, and robots read what they missed.

use crate::{Depot, Hint, handlers};
use schemas::ids::BotId;
use std::{any::Any, future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};
use transport::{Call, Shell, ports::Store};

/// How long an idle robot that found nothing waits before it is looked again for a list of another process.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Hints taken at once.
const MAX_HINTS: usize = 1_024;

/// Robots whose news a slow listener may miss before it reads everything anew.
const BOARD_LENGTH: usize = 4_096;

/// Where it is written which robots have a new instruction; clones share it.
#[derive(Debug, Clone)]
pub struct Board(Arc<broadcast::Sender<BotId>>);

impl Default for Board {
    fn default() -> Self {
        Self(Arc::new(broadcast::channel(BOARD_LENGTH).0))
    }
}

impl Board {
    pub fn post(&self, bot: BotId) {
        // Nobody listening is fine: who comes later reads the rows.
        let _ = self.0.send(bot);
    }

    pub fn watch(&self) -> broadcast::Receiver<BotId> {
        self.0.subscribe()
    }
}

/// How one step ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No hints, or none that calls for a match.
    Idle,
    /// So many pairs of list and robot were made.
    Matched(usize),
    /// The shell did not answer: heartbeats will find what is left.
    Unanswered,
}

/// See the module's documentation.
pub struct Dispatcher<S: Store> {
    shell: Shell<Depot, S>,
    board: Board,
    hints: mpsc::Receiver<Box<dyn Any + Send>>,
    /// A robot fell idle and no match has been tried since.
    idle_bot: bool,
}

impl<S: Store> Dispatcher<S> {
    /// The dispatcher of this shell; `None` when it has one already.
    pub fn new(shell: Shell<Depot, S>, board: Board) -> Option<Self> {
        let hints = shell.outside()?;
        Some(Self { shell, board, hints, idle_bot: false })
    }

    /// Works off all hints that are there; the shell must be running.
    pub async fn run_once(&mut self) -> Outcome {
        let mut waits = false;
        while let Ok(hint) = self.hints.try_recv() {
            waits |= self.note(&hint);
        }
        if waits || self.idle_bot { self.bring_together().await } else { Outcome::Idle }
    }

    /// Works until `stop`. A waiting list is matched at once; an idle robot alone can wait for company.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut hints = Vec::new();
        loop {
            let waits = tokio::select! {
                biased;
                () = &mut stop => return,
                count = self.hints.recv_many(&mut hints, MAX_HINTS) => {
                    if count == 0 {
                        return;
                    }
                    // Every hint is noted, also those after the first list that waits.
                    hints.drain(..).filter(|hint| self.note(hint)).count() > 0
                }
                () = tokio::time::sleep(LOOK_AGAIN), if self.idle_bot => true,
            };
            if waits {
                self.bring_together().await;
            }
        }
    }

    /// Answers whether a list waits.
    fn note(&mut self, hint: &Box<dyn Any + Send>) -> bool {
        match hint.downcast_ref::<Hint>() {
            Some(Hint::Instructed(bot)) => self.board.post(*bot),
            Some(Hint::BotIdle) => self.idle_bot = true,
            Some(Hint::ListWaits) => return true,
            None => {}
        }
        false
    }

    async fn bring_together(&mut self) -> Outcome {
        self.idle_bot = false;
        match self.shell.call(Call::new("match"), handlers::match_waiting).await {
            Ok(pairs) => Outcome::Matched(pairs),
            Err(error) => {
                tracing::warn!(%error, "lists and robots could not be matched now");
                Outcome::Unanswered
            }
        }
    }
}
