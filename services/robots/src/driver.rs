//! Runs a fleet against the depot: everything due at one moment goes out in one request, and a few calls wait for the
//! assignments of idle robots.
//!
//! While the depot does not answer everybody is silent, for longer and longer; nothing is forgotten meanwhile.

use crate::{
    brain::{Answer, Instruction},
    depot::{Connection, Depot, MAX_REPORTS},
    fleet::{Fleet, Room},
};
use anyhow::Context as _;
use message::Refusal;
use schemas::ids::{BotId, OrderId};
use std::{collections::BTreeMap, future::Future, pin::pin, time::Duration};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinError, JoinSet},
    time::Instant,
};
use tonic::Status;

/// Requests with reports under way. While they are, what becomes due gathers for the next: batches grow with the load.
const MAX_REQUESTS: usize = 2;
/// Registrations under way.
const MAX_REGISTRATIONS: usize = 32;
/// Robots that one call listens for. A robot's assignment ends the call of all its group, and the depot reads a group's rows
/// each time: so a busy few should not share a call with many that sleep.
const GROUP: usize = 32;
/// Calls that listen, above what full groups would need.
const SPARE_GROUPS: usize = 3;
/// Silence after the first failure; it doubles with each that follows.
const FIRST_PAUSE_MS: u64 = 100;
const LONGEST_PAUSE_MS: u64 = 3_000;
/// How long a stopping process waits for the depot.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

pub struct Driver<T> {
    fleet: Fleet,
    depot: Depot<T>,
    /// Where staff learn of deliveries.
    delivered: Option<mpsc::Sender<OrderId>>,
    calls: JoinSet<Done>,
    requests: usize,
    registrations: usize,
    groups: BTreeMap<u64, Group>,
    next_group: u64,
    pause: Pause,
    started: Instant,
}

struct Group {
    bots: Vec<BotId>,
    call: AbortHandle,
}

/// A call that ended.
enum Done {
    Registered(BotId, Result<i64, Status>),
    Reported(Vec<BotId>, Result<Vec<(BotId, Answer)>, Status>),
    Listened(u64, Result<Vec<(BotId, Instruction)>, Status>),
}

impl<T: Connection> Driver<T> {
    pub fn new(fleet: Fleet, depot: Depot<T>, delivered: Option<mpsc::Sender<OrderId>>) -> Self {
        Self {
            fleet,
            depot,
            delivered,
            calls: JoinSet::new(),
            requests: 0,
            registrations: 0,
            groups: BTreeMap::new(),
            next_group: 0,
            pause: Pause::default(),
            started: Instant::now(),
        }
    }

    /// Works until `shutdown`, then lets the robots leave.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut shutdown = pin!(shutdown);
        loop {
            self.speak();
            self.listen();
            let next = self.next();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(done) = self.calls.join_next() => {
                    self.done(done)?;
                    while let Some(done) = self.calls.try_join_next() {
                        self.done(done)?;
                    }
                }
                () = tokio::time::sleep_until(next) => {}
            }
        }
        if tokio::time::timeout(LEAVE_WITHIN, self.leave()).await.is_err() {
            tracing::info!("the depot did not answer the robots' leave");
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// When there is something to do if no call ends before.
    fn next(&self) -> Instant {
        let now_ms = self.now_ms();
        let due = if self.pause.until_ms > now_ms { Some(self.pause.until_ms) } else { self.fleet.due_ms(self.room()) };
        // Nothing due at all: an ending call brings the next thing.
        self.started + Duration::from_millis(due.unwrap_or(now_ms + LONGEST_PAUSE_MS))
    }

    fn room(&self) -> Room {
        Room {
            registrations: MAX_REGISTRATIONS.saturating_sub(self.registrations),
            reports: if self.requests < MAX_REQUESTS { MAX_REPORTS } else { 0 },
        }
    }

    fn speak(&mut self) {
        let now_ms = self.now_ms();
        if self.pause.until_ms > now_ms {
            return;
        }
        let speech = self.fleet.speak(now_ms, self.room());
        for (bot, name) in speech.registrations {
            self.registrations += 1;
            let depot = self.depot.clone();
            self.calls.spawn(async move { Done::Registered(bot, depot.register(bot, name).await) });
        }
        if !speech.reports.is_empty() {
            self.requests += 1;
            let (depot, bots) = (self.depot.clone(), speech.reports.iter().map(|(bot, _)| *bot).collect());
            self.calls.spawn(async move { Done::Reported(bots, depot.report(speech.reports).await) });
        }
    }

    /// Starts calls for idle robots that no call listens for.
    fn listen(&mut self) {
        if self.pause.until_ms > self.now_ms() {
            return;
        }
        let mut bots = self.fleet.listen();
        if bots.is_empty() {
            return;
        }
        let most = self.fleet.len().div_ceil(GROUP) + SPARE_GROUPS;
        while self.groups.len() >= most {
            bots.extend(self.dissolve_smallest());
        }
        for group in bots.chunks(GROUP) {
            self.listen_for(group.to_vec());
        }
    }

    fn listen_for(&mut self, bots: Vec<BotId>) {
        let (id, depot, asked) = (self.next_group, self.depot.clone(), bots.clone());
        self.next_group += 1;
        let call = self.calls.spawn(async move { Done::Listened(id, depot.listen(&asked).await) });
        self.groups.insert(id, Group { bots, call });
    }

    /// Ends the call of the smallest group; its robots are to be listened for by another.
    fn dissolve_smallest(&mut self) -> Vec<BotId> {
        let smallest = self.groups.iter().min_by_key(|(id, group)| (group.bots.len(), **id)).map(|(id, _)| *id);
        let group = smallest.and_then(|id| self.groups.remove(&id));
        group.map_or_else(Vec::new, |group| {
            group.call.abort();
            group.bots
        })
    }

    fn done(&mut self, done: Result<Done, JoinError>) -> anyhow::Result<()> {
        match done {
            Ok(Done::Registered(bot, epoch)) => self.registered(bot, epoch),
            Ok(Done::Reported(bots, answers)) => self.reported(bots, answers),
            Ok(Done::Listened(group, told)) => self.listened(group, told),
            Err(dissolved) if dissolved.is_cancelled() => {}
            Err(bug) => return Err(bug).context("a call to the depot"),
        }
        Ok(())
    }

    fn registered(&mut self, bot: BotId, epoch: Result<i64, Status>) {
        self.registrations -= 1;
        match epoch {
            Ok(epoch) => {
                self.pause.end();
                self.fleet.registered(bot, epoch);
            }
            Err(status) => {
                self.fleet.unheard([bot]);
                self.failed(&status);
            }
        }
    }

    fn reported(&mut self, bots: Vec<BotId>, answers: Result<Vec<(BotId, Answer)>, Status>) {
        self.requests -= 1;
        match answers {
            Ok(answers) => self.heard(answers),
            Err(status) => {
                self.fleet.unheard(bots);
                self.failed(&status);
            }
        }
    }

    fn heard(&mut self, answers: Vec<(BotId, Answer)>) {
        let (now_ms, mut judged, mut later) = (self.now_ms(), false, None);
        for (bot, answer) in answers {
            match &answer {
                Answer::Later(refusal) => later = Some(Status::unavailable(refusal.message.clone())),
                Answer::Judged { refusals, .. } => {
                    judged = true;
                    refusals.iter().flatten().for_each(|refusal| log_refusal(bot, refusal));
                }
                Answer::Unknown => tracing::info!(%bot, "the depot does not know this robot, it registers again"),
            }
            if let Some(order) = self.fleet.heard(now_ms, bot, answer) {
                // With a full desk staff find it when they look around.
                let _ = self.delivered.as_ref().map(|desk| desk.try_send(order));
            }
        }
        // One robot in trouble hesitates by itself; the others go on.
        match later.filter(|_| !judged) {
            None => self.pause.end(),
            Some(status) => self.failed(&status),
        }
    }

    fn listened(&mut self, group: u64, told: Result<Vec<(BotId, Instruction)>, Status>) {
        // Dissolved while its answer was on its way: the next call is told the same.
        let Some(group) = self.groups.remove(&group) else { return };
        self.fleet.unlisten(group.bots);
        match told {
            Ok(told) => {
                let now_ms = self.now_ms();
                told.into_iter().for_each(|(bot, instruction)| self.fleet.told(now_ms, bot, instruction));
            }
            Err(status) => self.failed(&status),
        }
    }

    fn failed(&mut self, status: &Status) {
        let now_ms = self.now_ms();
        if self.pause.begin(now_ms) {
            tracing::warn!(code = %status.code(), reason = status.message(), "the depot does not answer, robots try again");
        }
    }

    async fn leave(&mut self) {
        for group in std::mem::take(&mut self.groups).into_values() {
            group.call.abort();
        }
        while let Some(done) = self.calls.join_next().await {
            let _ = self.done(done);
        }
        let leaving = self.fleet.leave();
        for part in leaving.chunks(MAX_REPORTS) {
            let _ = self.depot.report(part.to_vec()).await;
        }
    }
}

/// A stale epoch is how a robot learns that its order was cancelled; anything else should not happen.
fn log_refusal(bot: BotId, refusal: &Refusal) {
    if refusal.code == "depot.stale_epoch" {
        tracing::debug!(%bot, reason = %refusal.message, "the robot has a newer instruction");
    } else {
        tracing::warn!(%bot, code = %refusal.code, reason = %refusal.message, "a report was refused");
    }
}

/// Silence after failures.
#[derive(Debug, Default)]
struct Pause {
    until_ms: u64,
    failures: u32,
}

impl Pause {
    /// Answers whether this failure is the first in a row. Calls that fail during a pause were begun before it.
    fn begin(&mut self, now_ms: u64) -> bool {
        if now_ms < self.until_ms {
            return false;
        }
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE_MS);
        (self.until_ms, self.failures) = (now_ms + pause, self.failures.saturating_add(1));
        self.failures == 1
    }

    fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_make_longer_pauses_up_to_a_bound_and_an_answer_ends_them() {
        let (mut pause, mut now, mut lengths) = (Pause::default(), 0, Vec::new());
        for _ in 0..8 {
            pause.begin(now);
            lengths.push(pause.until_ms - now);
            now = pause.until_ms;
        }
        assert_eq!(lengths, [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
        pause.end();
        assert!(pause.begin(now));
        assert_eq!(pause.until_ms - now, 100);
    }

    #[test]
    fn calls_that_fail_together_count_once() {
        let mut pause = Pause::default();
        assert!(pause.begin(10));
        assert!(!pause.begin(20));
        assert_eq!((pause.until_ms, pause.failures), (110, 1));
    }
}
