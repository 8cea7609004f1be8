//! The relay: takes committed rows from the outbox to the log and deletes them after the acknowledgement.
//!
//! One relay at a time owns a shard, by a lease on the database's clock. Rows come in memory right after their commit; a
//! row is sent only if it follows the last one this relay sent of its stream, everything else waits for the scan, which
//! also finds what a crash left. No message of a stream overtakes another; a message may be sent twice, never lost.

use crate::{
    context::Context,
    error::Error,
    failpoint::{self, Place as DeathAt},
    metric_names as m,
    pace::{Linger, Pace},
    ports::{Lease, Log, NewRecord, OutboxRow, Store},
    seeded,
    shell::{Inner, Shell},
    spans,
};
use message::{
    bugs::{Bug, has},
    headers,
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

/// Bounds of a relay.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// Most rows in one append.
    pub max_batch: usize,
    /// Between scans while there is nothing to find; other processes' rows and a crash's leftovers wait at most this long.
    pub scan_idle: Duration,
    /// Between scans while they find rows.
    pub scan_busy: Duration,
    /// Between switches of the outbox tables.
    pub rotate: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(6),
            max_batch: 2_000,
            scan_idle: Duration::from_millis(500),
            scan_busy: Duration::from_millis(10),
            rotate: Duration::from_secs(60),
        }
    }
}

/// Streams whose last sent number is remembered; beyond it all are forgotten and the scan finds what is next.
const REMEMBERED_STREAMS: usize = 200_000;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Idle,
    Sent(usize),
    /// The log did not take everything: what is unsent is scanned again after a pause.
    Failed,
}

/// Sends one context's outbox.
pub struct Relay<C: Context, S: Store, L: Log> {
    inner: Arc<Inner<C, S>>,
    log: L,
    config: RelayConfig,
    owner: Uuid,
    handed: Option<mpsc::Receiver<Vec<OutboxRow>>>,
    leases: Vec<Lease>,
    /// Until when the leases hold, by our own clock, reckoned from before the request: never later than the truth.
    held_until: Instant,
    renew_at: Instant,
    scan_at: Instant,
    rotate_at: Instant,
    watch_at: Instant,
    crowd_at: Instant,
    scan_pause: Duration,
    pace: Pace,
    last_sent: HashMap<Arc<str>, u64>,
    /// Acknowledged, and not yet deleted: the scan must not send them again.
    undeleted: HashSet<i64>,
}

impl<C: Context, S: Store, L: Log> Relay<C, S, L> {
    /// The relay of `shell`'s context; the first one made of a shell gets its rows handed over in memory.
    pub fn new(shell: &Shell<C, S>, log: L, config: RelayConfig) -> Self {
        seeded::relay_starts(C::NAME);
        let now = Instant::now();
        let (scan_pause, rotate_at) = (config.scan_busy, now + config.rotate);
        Self {
            inner: shell.inner.clone(),
            handed: shell.handed_over(),
            log,
            config,
            owner: shell.new_id(),
            leases: Vec::new(),
            held_until: now,
            renew_at: now,
            scan_at: now,
            rotate_at,
            watch_at: now,
            crowd_at: now,
            scan_pause,
            pace: Pace::new(LINGER),
            last_sent: HashMap::new(),
            undeleted: HashSet::new(),
        }
    }

    /// Runs until `stop` resolves, then gives the leases back.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let step = async {
                let rows = self.wait().await;
                self.step(rows).await
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                outcome = step => if outcome == Outcome::Failed {
                    tokio::select! {
                        biased;
                        () = &mut stop => break,
                        () = tokio::time::sleep(Duration::from_millis(200)) => {}
                    }
                },
            }
        }
        let _ = self.inner.store.release(self.owner).await;
    }

    /// Rows that were handed over, or nothing when the next chore is due.
    async fn wait(&mut self) -> Vec<OutboxRow> {
        let mut due = self.renew_at.min(self.scan_at).min(self.rotate_at);
        if self.inner.is_crowded() {
            due = due.min(self.crowd_at);
        }
        let mut rows = Vec::new();
        match &mut self.handed {
            Some(handed) => {
                tokio::select! {
                    biased;
                    batch = handed.recv() => match batch {
                        Some(batch) => rows = batch,
                        None => self.handed = None,
                    },
                    () = tokio::time::sleep_until(due) => {}
                }
            }
            None => tokio::time::sleep_until(due).await,
        }
        self.drain(&mut rows);
        if rows.is_empty() {
            return rows;
        }
        if let Some(wait) = self.pace.linger(Instant::now(), rows.len(), self.config.max_batch) {
            tokio::time::sleep(wait).await;
            self.drain(&mut rows);
        }
        self.pace.note(Instant::now(), rows.len());
        rows
    }

    fn drain(&mut self, rows: &mut Vec<OutboxRow>) {
        if let Some(handed) = &mut self.handed {
            while rows.len() < self.config.max_batch
                && let Ok(more) = handed.try_recv()
            {
                rows.extend(more);
            }
        }
    }

    /// One step without waiting: sends what was handed over, scans, looks at the crowd, and does the chores that are due.
    pub async fn run_once(&mut self) -> Outcome {
        let mut rows = Vec::new();
        self.drain(&mut rows);
        (self.scan_at, self.crowd_at) = (Instant::now(), Instant::now());
        self.step(rows).await
    }

    async fn step(&mut self, handed: Vec<OutboxRow>) -> Outcome {
        match self.try_step(handed).await {
            Ok(outcome) => outcome,
            Err(error) => {
                metrics::counter!(m::RELAY_ERRORS, "context" => C::NAME).increment(1);
                tracing::debug!(context = C::NAME, %error, "relay");
                self.start_over();
                Outcome::Failed
            }
        }
    }

    /// After any doubt: forget what was sent, so that everything comes from the scan, oldest first.
    fn start_over(&mut self) {
        self.last_sent.clear();
        self.scan_at = Instant::now();
        self.scan_pause = self.config.scan_busy;
    }

    async fn try_step(&mut self, handed: Vec<OutboxRow>) -> Result<Outcome, Error> {
        if Instant::now() >= self.renew_at {
            self.renew().await?;
        }
        // First, so that the limit holds just when nothing can be sent.
        self.watch().await?;
        let mut sent = 0;
        let ready = self.next_in_stream(handed);
        sent += self.send(ready).await?;
        if Instant::now() >= self.scan_at {
            sent += self.scan().await?;
        }
        self.chores().await?;
        Ok(if sent == 0 { Outcome::Idle } else { Outcome::Sent(sent) })
    }

    async fn renew(&mut self) -> Result<(), Error> {
        let asked = Instant::now();
        let leases = self.inner.store.lease(self.owner, crate::fold::SHARDS, self.config.lease).await?;
        let leases = seeded::leases(self.owner, leases);
        if leases != self.leases {
            let lost = self.leases.iter().filter(|old| !leases.contains(old)).count();
            metrics::counter!(m::LEASES_LOST, "context" => C::NAME).increment(lost as u64);
            // Another relay may have sent for these shards in between: trust nothing remembered.
            self.start_over();
            metrics::gauge!(m::LEASES_HELD, "context" => C::NAME).set(leases.len() as f64);
        }
        self.leases = leases;
        self.held_until = asked + self.config.lease;
        self.renew_at = asked + self.config.lease / 3;
        Ok(())
    }

    /// The messages that may be sent now: ours, and each following the last one sent of its stream. What shares an id is
    /// sent, and deleted, together: where one of them must wait, all do.
    fn next_in_stream(&mut self, rows: Vec<OutboxRow>) -> Vec<OutboxRow> {
        let mut waits: HashSet<i64> = HashSet::new();
        loop {
            let out_of_turn = self.out_of_turn(rows.iter().filter(|row| !waits.contains(&row.id)));
            if out_of_turn.is_empty() {
                break;
            }
            // They take others with which they share an id along, and with those what follows them elsewhere.
            waits.extend(out_of_turn);
            self.scan_at = Instant::now();
        }
        rows.into_iter().filter(|row| !waits.contains(&row.id)).collect()
    }

    /// The ids of those among `rows` that are not ours, or do not follow in their stream.
    fn out_of_turn<'a>(&self, rows: impl Iterator<Item = &'a OutboxRow>) -> Vec<i64> {
        let mut expected: HashMap<&str, u64> = HashMap::new();
        let mut found = Vec::new();
        for row in rows {
            let last = expected.get(&*row.stream).or_else(|| self.last_sent.get(&row.stream)).copied();
            let follows = row.seq == last.map_or(1, |n| n + 1);
            if follows && self.leases.iter().any(|l| l.shard == row.shard) {
                expected.insert(&row.stream, row.seq);
            } else {
                found.push(row.id);
            }
        }
        found
    }

    async fn scan(&mut self) -> Result<usize, Error> {
        let shards: Vec<i16> = self.leases.iter().map(|l| l.shard).collect();
        if shards.is_empty() {
            self.scan_at = self.renew_at;
            return Ok(0);
        }
        let rows = self.inner.store.unsent(&shards, self.config.max_batch).await?;
        let rows = seeded::unsent(C::NAME, self.owner, rows);
        let full = rows.len() >= self.config.max_batch;
        let (stale, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|r| self.undeleted.contains(&r.id));
        if !stale.is_empty() {
            self.delete(&ids_of(stale.iter().map(|r| (r.id, r.table)))).await?;
        }
        let sent = self.send(rows).await;
        seeded::scanned(self.owner);
        let sent = sent?;
        self.scan_pause =
            if sent > 0 { self.config.scan_busy } else { (self.scan_pause * 2).min(self.config.scan_idle) };
        self.scan_at = Instant::now() + if full { Duration::ZERO } else { self.scan_pause };
        Ok(sent)
    }

    /// Appends, waits for the acknowledgements, deletes. On a failed record nothing after it in its stream is remembered as sent.
    async fn send(&mut self, rows: Vec<OutboxRow>) -> Result<usize, Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        if Instant::now() + LEASE_MARGIN >= self.held_until {
            self.renew_at = Instant::now();
            self.start_over();
            return Ok(0);
        }
        let epochs: HashMap<i16, i64> = self.leases.iter().map(|l| (l.shard, l.epoch)).collect();
        let mut open = Vec::new();
        let (mut places, mut records) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            let epoch = epochs.get(&row.shard).copied().unwrap_or_default();
            records.push(prepare(C::NAME, row.record, row.created_ms, epoch, &mut open));
            places.push(Place {
                id: row.id,
                table: row.table,
                shard: row.shard,
                stream: row.stream,
                seq: row.seq,
                created_ms: row.created_ms,
            });
        }
        if has(Bug::DeleteBeforeAck) {
            self.delete(&ids_of(places.iter().map(|p| (p.id, p.table)))).await?;
        }
        failpoint::pass(DeathAt::ProduceBefore);
        let results = self.append(records).await;
        failpoint::pass(DeathAt::ProduceAfter);
        for span in open {
            span.end(spans::Ended::Ok);
        }
        let mut acknowledged = Vec::with_capacity(places.len());
        let (mut failed, mut kept, mut stopped) = (None, HashSet::new(), HashSet::new());
        for (row, result) in places.into_iter().zip(results) {
            // What follows a failure in its shard is sent again behind it, so that the last of a key is its newest.
            if result.is_err() || stopped.contains(&row.shard) {
                kept.insert(row.id);
                stopped.insert(row.shard);
            }
            match result {
                Ok(()) => acknowledged.push(row),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let ids = ids_of(acknowledged.iter().filter(|r| !kept.contains(&r.id)).map(|r| (r.id, r.table)));
        let sent = acknowledged.len();
        self.note(acknowledged);
        self.undeleted.extend(ids.iter().map(|(id, _)| *id));
        self.delete(&ids).await?;
        failpoint::pass(DeathAt::DeleteAfter);
        failed.map_or(Ok(sent), Err)
    }

    /// Appends, however long the log takes. Meanwhile the leases are kept and the limit is watched.
    async fn append(&mut self, records: Vec<NewRecord>) -> Vec<Result<(), Error>> {
        let log = self.log.clone();
        let mut append = std::pin::pin!(log.append(records));
        loop {
            tokio::select! {
                biased;
                results = &mut append => return results,
                () = tokio::time::sleep(self.config.lease / 3) => {}
            }
            let kept = async {
                self.renew().await?;
                self.watch().await
            };
            if let Err(error) = kept.await {
                tracing::debug!(context = C::NAME, %error, "relay, while the log takes its time");
            }
        }
    }

    /// Deletes what was acknowledged; what fails here is tried again when the scan finds it.
    async fn delete(&mut self, ids: &[(i64, i16)]) -> Result<(), Error> {
        self.inner.store.sent(&self.leases, ids).await?;
        for (id, _) in ids {
            self.undeleted.remove(id);
        }
        Ok(())
    }

    fn note(&mut self, rows: Vec<Place>) {
        if self.last_sent.len() > REMEMBERED_STREAMS {
            self.start_over();
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        if let Some(oldest) = rows.iter().map(|r| r.created_ms).min() {
            let dwell = (now.as_millis() as i64 - oldest).max(0) as f64 / 1000.0;
            metrics::histogram!(m::RELAY_DWELL_SECONDS, "context" => C::NAME).record(dwell);
        }
        metrics::counter!(m::RELAY_SENT, "context" => C::NAME).increment(rows.len() as u64);
        self.last_sent.extend(rows.into_iter().map(|row| (row.stream, row.seq)));
    }

    /// How much waits; new work is refused while it is over the limit.
    async fn watch(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.watch_at {
            self.watch_at = now + WATCH_EVERY;
            let backlog = self.inner.store.backlog().await?;
            metrics::gauge!(m::OUTBOX_ROWS, "context" => C::NAME).set(backlog.rows as f64);
            metrics::gauge!(m::OUTBOX_OLDEST_SECONDS, "context" => C::NAME).set(backlog.oldest_ms as f64 / 1000.0);
            let over = backlog.rows > self.inner.config.outbox_limit;
            self.inner.overloaded.store(over, Ordering::Relaxed);
        }
        if now >= self.crowd_at {
            self.crowd_at = now + CROWD_EVERY;
            if !watch_the_crowd(&self.inner).await {
                self.crowd_at = now + WATCH_EVERY;
            }
        }
        Ok(())
    }

    async fn chores(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.rotate_at {
            self.rotate_at = now + self.config.rotate;
            if !self.leases.is_empty() {
                self.inner.store.rotate().await?;
                self.inner.store.sweep().await?;
            }
        }
        Ok(())
    }
}

/// How many wait for others; the store is not asked while nothing new comes and nobody waits. What goes wrong here must not
/// stop the sending: then the last look stands, and the answer is false.
async fn watch_the_crowd<C: Context, S: Store>(inner: &Inner<C, S>) -> bool {
    let Some(kind) = C::AWAITED else { return true };
    if !inner.new_work.swap(false, Ordering::Relaxed) && inner.waiting.load(Ordering::Relaxed) == 0 {
        return true;
    }
    let limit = inner.config.waiting_limit;
    let look = inner.store.waiting(kind, STUCK_AFTER, limit.saturating_add(1));
    let waiting = match tokio::time::timeout(LOOK_WITHIN, look).await {
        Ok(Ok(waiting)) => waiting,
        Ok(Err(error)) => {
            tracing::debug!(context = C::NAME, %error, "how many wait");
            return false;
        }
        Err(_) => return false,
    };
    metrics::gauge!(m::WAITING_ROWS, "context" => C::NAME).set(waiting as f64);
    inner.waiting.store(waiting, Ordering::Relaxed);
    if inner.is_crowded() && !inner.told_full.swap(true, Ordering::Relaxed) {
        tracing::warn!(context = C::NAME, kind, limit, "new work is refused: more wait than may");
    }
    // Under a rush the number swings around the limit.
    if waiting <= limit / 4 * 3 && inner.told_full.swap(false, Ordering::Relaxed) {
        tracing::info!(context = C::NAME, kind, limit, "new work is taken again");
    }
    true
}

/// The wait for more rows, under load.
const LINGER: Linger = Linger::under_load(Duration::from_millis(10));
/// Less than this left on the lease is treated as none.
const LEASE_MARGIN: Duration = Duration::from_millis(500);
/// Between looks at how much waits.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// Between looks at how many wait for others: what comes in between is let in, so it is short.
const CROWD_EVERY: Duration = Duration::from_millis(200);
/// For such a look.
const LOOK_WITHIN: Duration = Duration::from_secs(1);
/// What has waited for longer is stuck, and for an operator: it must not keep everybody else out.
const STUCK_AFTER: Duration = Duration::from_secs(600);

/// Each once: several messages share an id.
fn ids_of(messages: impl Iterator<Item = (i64, i16)>) -> Vec<(i64, i16)> {
    messages.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What is remembered of a row while its record is on its way.
struct Place {
    id: i64,
    table: i16,
    shard: i16,
    stream: Arc<str>,
    seq: u64,
    created_ms: i64,
}

/// The record as it is appended: with the relay's epoch, and the producer span in place of the span that wrote the row.
fn prepare(
    context: &'static str,
    mut record: NewRecord,
    created_ms: i64,
    epoch: i64,
    open: &mut Vec<spans::Span>,
) -> NewRecord {
    record.headers.push(headers::RELAY_EPOCH, epoch.to_string().as_bytes());
    let parent = record.headers.get(headers::TRACEPARENT).and_then(|value| std::str::from_utf8(value).ok());
    let parent = parent.and_then(|value| value.parse::<message::TraceContext>().ok()).filter(|p| p.sampled);
    if let Some(span) = parent.and_then(|parent| spans::published(context, &record, created_ms, parent)) {
        record.headers = record.headers.with(headers::TRACEPARENT, span.context().to_string().as_bytes());
        open.push(span);
    }
    record
}
