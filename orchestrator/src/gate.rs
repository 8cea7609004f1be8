//! When a deadline may fire. An outage must not undo orders that succeeded: a saga's deadline fires only when its
//! partition of replies (and of the events it may wait for) has been read to the end as it stood after the deadline; it
//! starts again when its command still waits in our outbox, or when the log was out of reach while it ran.
//!
//! Of several orchestrators, the one that reads a saga's replies fires its timers. It need not read the same partition of the
//! other topics: how far those are read it learns from the group's committed offsets, and effects are committed before them.

use crate::{
    Orchestrator,
    handlers::is_deadline,
    instance::{Due, Instance},
};
use schemas::topics;
use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use transport::{
    Aggregate, Context as _, Error, Shell,
    ports::{Log, Store},
    timers::Gate,
};
use uuid::Uuid;

/// A deadline that starts again because of trouble is prolonged by at most this.
const LONGEST_EXTENSION_MS: i64 = 60_000;
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// What a saga may be waiting for comes on these topics.
const AWAITED: [&str; 4] =
    [topics::ORCHESTRATOR_REPLIES, topics::DEPOT_EVENTS, topics::PAYMENTS_EVENTS, topics::ORDERS_EVENTS];

/// What is known of the log's health and of commands that were not sent.
#[derive(Debug, Default)]
pub struct Health {
    /// When the log was last out of reach, by the database's clock; the start of this process counts.
    trouble_ms: AtomicI64,
    /// Sagas whose commands wait in our outbox, and when that was seen. One that is out of date does no harm: a saga is asked
    /// about again before it fires.
    unsent: Mutex<HashMap<Uuid, Instant>>,
}

impl Health {
    /// By how long the deadline is to be put off; `None`: it may fire.
    pub fn postpone(&self, saga: Uuid, due: &Due) -> Option<i64> {
        if !is_deadline(due) {
            return None;
        }
        let set_at = due.due_ms - due.after_ms.min(LONGEST_EXTENSION_MS);
        let troubled = self.trouble_ms.load(Ordering::Relaxed) >= set_at;
        let unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&saga);
        (troubled || unsent).then(|| due.after_ms.min(LONGEST_EXTENSION_MS))
    }

    fn trouble(&self, now_ms: i64) {
        self.trouble_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// Looks at the log every two seconds, so that an outage is known even when no deadline falls into it.
    pub async fn probe(&self, log: impl Log, store: impl Store, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut first = true;
        loop {
            let reached = log.end_offsets(topics::ORCHESTRATOR_REPLIES).await.is_ok();
            if (!reached || first)
                && let Ok(now) = store.now_ms().await
            {
                self.trouble(now);
                first = false;
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = tokio::time::sleep(PROBE_EVERY) => {}
            }
        }
    }

    /// Of the sagas that were asked about, these have commands that wait; what is known of others stands, since their wakes may
    /// not be folded yet.
    fn note_unsent(&self, asked: impl Iterator<Item = Uuid>, waiting: impl Iterator<Item = Uuid>) {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        for saga in asked {
            unsent.remove(&saga);
        }
        unsent.retain(|_, seen| seen.elapsed() < FORGOTTEN_AFTER);
        unsent.extend(waiting.map(|saga| (saga, Instant::now())));
    }
}

/// The ends of topics, by partition.
type Ends = HashMap<&'static str, Vec<i64>>;
/// Topic, partition, and the offset up to which it must be read.
type Aim = (&'static str, i32, i64);

/// A saga whose timer is due, and what must be read before it fires.
struct Aimed {
    kind: String,
    id: Uuid,
    due_ms: i64,
    aims: Vec<Aim>,
}

/// The gate of the orchestrator's timers.
pub struct RepliesRead<S: Store, L: Log> {
    shell: Shell<Orchestrator, S>,
    log: L,
    health: std::sync::Arc<Health>,
    /// By saga that is held.
    targets: Mutex<HashMap<Uuid, Target>>,
}

/// Of a saga that is held.
struct Target {
    /// The due time that was looked at.
    due_ms: i64,
    /// How far each topic must be read before it fires.
    aims: Vec<Aim>,
    seen: Instant,
}

/// A saga that was not seen for so long is due no more; far longer than a walk over everything that is due takes.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

impl<S: Store, L: Log> RepliesRead<S, L> {
    pub fn new(shell: Shell<Orchestrator, S>, log: L, health: std::sync::Arc<Health>) -> Self {
        Self { shell, log, health, targets: Mutex::default() }
    }

    /// The ends of all awaited topics now, after the deadlines; an error means that nothing fires.
    async fn ends(&self) -> Result<Ends, Error> {
        let mut ends = HashMap::new();
        for topic in AWAITED {
            match self.log.end_offsets(topic).await {
                Ok(end) => ends.insert(topic, end),
                Err(error) => {
                    if let Ok(now) = self.shell.store().now_ms().await {
                        self.health.trouble(now);
                    }
                    return Err(error);
                }
            };
        }
        Ok(ends)
    }

    async fn aim(&self, key: &str, ends: &Ends) -> Result<Vec<Aim>, Error> {
        let mut aims = Vec::new();
        for topic in AWAITED {
            let partition = self.log.partition(topic, key).await?;
            aims.push((topic, partition, end_of(ends, topic, partition)));
        }
        Ok(aims)
    }

    /// How far the group has read what these sagas wait for, as far as we have not read it ourselves.
    async fn read_by_others(&self, aimed: &[Aimed], ends: &Ends) -> HashMap<(String, i32), i64> {
        let ours = aimed.iter().filter(|saga| saga.aims.iter().any(|aim| self.is_ours(aim)));
        let behind: HashSet<(&str, i32)> = ours
            .flat_map(|saga| &saga.aims)
            .filter(|aim| self.shell.position(aim.0, aim.1).is_none_or(|read| read < reachable(aim, ends)))
            .map(|aim| (aim.0, aim.1))
            .collect();
        if behind.is_empty() {
            return HashMap::new();
        }
        let behind: Vec<_> = behind.into_iter().collect();
        // What is not known counts as unread: sagas that need it wait, others need not.
        self.log.group_offsets(Orchestrator::NAME, &behind).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "offsets of the group");
            HashMap::new()
        })
    }

    /// Whether this is a saga's partition of replies, and read by us.
    fn is_ours(&self, (topic, partition, _): &Aim) -> bool {
        *topic == topics::ORCHESTRATOR_REPLIES && self.shell.position(topic, *partition).is_some()
    }

    /// Our own position may lag behind what is committed, where it was not known for a while after a rebalance.
    fn reached(&self, aims: &[Aim], ends: &Ends, others: &HashMap<(String, i32), i64>) -> bool {
        let is_read = |aim: &Aim| {
            let (topic, partition, _) = *aim;
            let read = self.shell.position(topic, partition);
            read.max(others.get(&(topic.to_owned(), partition)).copied())
                .is_some_and(|read| read >= reachable(aim, ends))
        };
        aims.iter().any(|aim| self.is_ours(aim)) && aims.iter().all(is_read)
    }

    fn known(&self, id: Uuid, due_ms: i64) -> Option<Vec<Aim>> {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.get(&id).filter(|target| target.due_ms == due_ms).map(|target| target.aims.clone())
    }
}

/// The end of a partition lies below an aim only when retention has deleted what was aimed at.
fn reachable((topic, partition, aim): &Aim, ends: &Ends) -> i64 {
    end_of(ends, topic, *partition).min(*aim)
}

fn end_of(ends: &Ends, topic: &str, partition: i32) -> i64 {
    ends.get(topic).and_then(|e| e.get(usize::try_from(partition).unwrap_or_default())).copied().unwrap_or_default()
}

impl<S: Store, L: Log> Gate for RepliesRead<S, L> {
    async fn open(&self, due: Vec<(String, Uuid, i64)>) -> Result<Vec<(String, Uuid)>, Error> {
        let ids: Vec<Uuid> = due.iter().map(|(_, id, _)| *id).collect();
        let rows = self.shell.store().get(Instance::KIND, &ids).await?;
        let instances: HashMap<Uuid, Instance> =
            rows.iter().filter_map(|r| Some((r.id, serde_json::from_str(&r.state).ok()?))).collect();
        let ends = self.ends().await?;
        let (mut open, mut aimed, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, id, due_ms) in due {
            let Some(instance) = instances.get(&id) else {
                open.push((kind, id));
                continue;
            };
            let aims = match self.known(id, due_ms) {
                Some(aims) => aims,
                None => self.aim(&instance.progress.key, &ends).await?,
            };
            aimed.push(Aimed { kind, id, due_ms, aims });
        }
        let others = self.read_by_others(&aimed, &ends).await;
        for Aimed { kind, id, due_ms, aims } in aimed {
            if self.reached(&aims, &ends, &others) {
                open.push((kind, id));
            } else {
                held.push((id, Target { due_ms, aims, seen: Instant::now() }));
            }
        }
        self.note_unsent(&open, &instances).await?;
        self.hold(&open, held);
        Ok(open)
    }
}

impl<S: Store, L: Log> RepliesRead<S, L> {
    /// Others may be held as well that did not stand in this look at what is due.
    fn hold(&self, open: &[(String, Uuid)], held: Vec<(Uuid, Target)>) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|_, target| target.seen.elapsed() < FORGOTTEN_AFTER);
        for (_, id) in open {
            targets.remove(id);
        }
        targets.extend(held);
    }

    async fn note_unsent(&self, open: &[(String, Uuid)], instances: &HashMap<Uuid, Instance>) -> Result<(), Error> {
        let awaited = open.iter().filter_map(|(_, id)| instances.get(id)).flat_map(|instance| {
            let key = |d: &Due| instance.progress.effect_key(&d.timer.step, d.timer.direction, d.timer.round);
            instance.timers.iter().filter(|d| is_deadline(d)).map(key).collect::<Vec<_>>()
        });
        let awaited: Vec<_> = awaited.collect();
        let waiting = if awaited.is_empty() { Vec::new() } else { self.shell.store().in_outbox(&awaited).await? };
        self.health.note_unsent(open.iter().map(|(_, id)| *id), waiting.into_iter().map(|key| key.saga_id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use saga::{Timer, TimerKind};

    #[test]
    fn a_command_that_waits_puts_its_deadline_off_until_it_is_known_to_be_sent() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (step, direction) = ("pay".to_owned(), message::Direction::Do);
        let timer = Timer { kind: TimerKind::Deadline, step, direction, round: 1, attempt: 1 };
        let due = Due { timer, due_ms: 50_000, after_ms: 8_000 };
        let health = Health::default();
        health.note_unsent([one].into_iter(), [one].into_iter());
        assert_eq!((health.postpone(one, &due), health.postpone(other, &due)), (Some(8_000), None));
        // A look at others, before the wake of the first is folded.
        health.note_unsent([other].into_iter(), [].into_iter());
        assert_eq!(health.postpone(one, &due), Some(8_000));
        health.note_unsent([one].into_iter(), [].into_iter());
        assert_eq!(health.postpone(one, &due), None);
    }
}
