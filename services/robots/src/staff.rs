//! The depot's staff: they count what robots delivered. Every piece a robot reported is there.
//!
//! Lists are checked as robots deliver them; a regular look at what lies there finds those of a process that died in between.

use crate::depot::Depot;
use schemas::{grpc::Connection, ids::OrderId};
use std::{collections::HashSet, time::Duration};
use tokio::{sync::mpsc, task::JoinSet, time::MissedTickBehavior};
use tonic::Code;

/// Lists being checked at once.
const MAX_CHECKS: usize = 32;
/// Lists that wait to be checked; more are found by the regular look.
const MAX_WAITING: usize = 4_096;
/// How often staff look for what was forgotten.
const LOOK: Duration = Duration::from_secs(5);

pub struct Staff<T> {
    depot: Depot<T>,
    name: String,
    delivered: mpsc::Receiver<OrderId>,
    checks: JoinSet<OrderId>,
    /// Being checked: not to be checked twice at the same time.
    at_work: HashSet<OrderId>,
}

impl<T: Connection> Staff<T> {
    /// What is sent to the other end is checked under this name.
    pub fn new(depot: Depot<T>, name: String) -> (Self, mpsc::Sender<OrderId>) {
        let (sender, delivered) = mpsc::channel(MAX_WAITING);
        (Self { depot, name, delivered, checks: JoinSet::new(), at_work: HashSet::new() }, sender)
    }

    /// Works until the other end is dropped.
    pub async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let free = self.checks.len() < MAX_CHECKS;
            tokio::select! {
                // The same each time. Checks end only after they were begun below, and a look is rare: nothing starves.
                biased;
                Some(done) = self.checks.join_next() => {
                    if let Ok(order) = done { self.at_work.remove(&order); }
                }
                _ = look.tick(), if free => self.look().await,
                order = self.delivered.recv(), if free => match order {
                    Some(order) => self.check(order),
                    None => return,
                },
            }
        }
    }

    async fn look(&mut self) {
        match self.depot.delivered().await {
            Ok(orders) => orders.into_iter().take(MAX_CHECKS).for_each(|order| self.check(order)),
            Err(status) => tracing::debug!(code = %status.code(), "staff cannot see what was delivered"),
        }
    }

    fn check(&mut self, order: OrderId) {
        if !self.at_work.insert(order) {
            return;
        }
        let (depot, name) = (self.depot.clone(), self.name.clone());
        self.checks.spawn(async move {
            match depot.check(order, &name).await {
                Ok(()) => {}
                // Somebody else was faster, or it is going back already.
                Err(status) if status.code() == Code::FailedPrecondition => {
                    tracing::debug!(%order, reason = status.message(), "not to be checked any more");
                }
                Err(status) => tracing::warn!(%order, code = %status.code(), "not checked yet, staff will try again"),
            }
            order
        });
    }
}
