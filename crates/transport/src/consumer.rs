//! From the log into the shell: one member of the context's consumer group.
//!
//! The group is never left because of a slow shell: while its queue is full the partitions are paused and polling goes on.

use crate::{
    codec::Wire,
    context::Context,
    error::Error,
    ports::{Log, LogConsumer, Polled, Record, Store},
    registry::Registry,
    shell::{Input, Shell},
};
use message::bugs::{Bug, has};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(2);
/// What takes no longer than this is waited for without pausing: a pause throws away what was fetched ahead, and fetching it
/// again takes longer than most waits. Far below the time in which a member must poll.
const PAUSE_AFTER: Duration = Duration::from_secs(1);

/// Feeds `shell` from its topics until `stop` resolves. `registry` is asked about schema ids that the codec does not know.
pub async fn run<C: Context, S: Store, L: Log>(
    shell: Shell<C, S>,
    log: L,
    registry: Option<Registry>,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let topics = shell.topics();
    if topics.is_empty() {
        stop.await;
        return Ok(());
    }
    let consumer = Arc::new(log.subscribe(C::NAME, &topics)?);
    let sink = consumer.clone();
    shell.set_offset_sink(Arc::new(move |topic, partition, offset| {
        // Fails only for a partition that is not ours any more: its new owner reads on from what was committed.
        let _ = sink.store_offset(topic, partition, offset);
    }));
    let mut state =
        State { unknown: HashSet::new(), passed: Passed::default(), unplaced: Vec::new(), place_at: Instant::now() };
    let wants = |topic: &str, name: &str| shell.inner.router.wants(topic, name);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            polled = consumer.poll_for(&wants) => match polled {
                Ok(polled) => accept(&shell, consumer.as_ref(), registry.as_ref(), &mut state, polled).await?,
                Err(error) => {
                    tracing::debug!(context = C::NAME, %error, "poll");
                    tokio::time::sleep(RETRY_FIRST).await;
                }
            },
            // Nothing more is there at this moment, and the shell has room.
            Some(room) = shell.reserve(), if state.passed.count > 0 => {
                drop(room);
                state.passed.tell(&shell);
            }
            () = tokio::time::sleep_until(state.place_at), if !state.unplaced.is_empty() => {
                let unplaced = std::mem::take(&mut state.unplaced);
                state.place(&shell, consumer.as_ref(), unplaced).await;
            }
        }
    }
}

/// How many records are passed over before the shell is told, also while more come.
const MOST_PASSED: usize = 1_000;

/// Places of records that are not for this context. The shell learns of them behind the records before them, so that no
/// offset is stored before its predecessors are processed; a record that follows in the same partition tells it all the same.
#[derive(Default)]
struct Passed {
    last: BTreeMap<(String, i32), i64>,
    count: usize,
}

impl Passed {
    fn note(&mut self, topic: String, partition: i32, offset: i64) {
        self.last.insert((topic, partition), offset);
        self.count += 1;
    }

    /// Forgets what has become needless to tell, or wrong.
    fn forget(&mut self, place: &(String, i32)) {
        self.last.remove(place);
        if self.last.is_empty() {
            self.count = 0;
        }
    }

    /// Tells the shell as far as it has room; the rest waits.
    fn tell<C: Context, S: Store>(&mut self, shell: &Shell<C, S>) {
        while let Some(place) = self.last.keys().next().cloned() {
            let Some(room) = shell.try_reserve() else { return };
            if let Some(offset) = self.last.remove(&place) {
                room.send(Input::Passed(place.0, place.1, offset + 1));
            }
        }
        self.count = 0;
    }
}

/// What the consumer remembers between records.
struct State {
    /// Schema ids that the registry says it does not have.
    unknown: HashSet<u32>,
    passed: Passed,
    /// Partitions of which it is not known yet how far they are processed, and when to ask again.
    unplaced: Vec<(String, i32)>,
    place_at: Instant,
}

impl State {
    /// Tells the shell how far these partitions are processed. Until that is known they have no position, and no deadline
    /// that rests on one fires.
    async fn place<C: Context, S: Store, K: LogConsumer>(
        &mut self,
        shell: &Shell<C, S>,
        consumer: &K,
        places: Vec<(String, i32)>,
    ) {
        match consumer.committed().await {
            Ok(committed) => {
                for (topic, partition) in places {
                    let at = committed.get(&(topic.clone(), partition)).copied().unwrap_or(0);
                    shell.set_position(&topic, partition, Some(at));
                }
            }
            Err(error) => {
                tracing::debug!(context = C::NAME, %error, "committed offsets");
                self.unplaced.extend(places);
                self.place_at = Instant::now() + RETRY_LONGEST;
            }
        }
    }
}

async fn accept<C: Context, S: Store, K: LogConsumer>(
    shell: &Shell<C, S>,
    consumer: &K,
    registry: Option<&Registry>,
    state: &mut State,
    polled: Polled,
) -> Result<(), Error> {
    match polled {
        Polled::Record(record) => {
            let record = record.cut();
            if has(Bug::AutoCommit) {
                let _ = consumer.store_offset(&record.topic, record.partition, record.offset + 1);
            }
            let early = learn(shell, consumer, registry, state, &record).await?;
            feed(shell, consumer, state, record).await?;
            for record in early {
                Box::pin(accept(shell, consumer, registry, state, Polled::Record(record))).await?;
            }
            Ok(())
        }
        Polled::Passed(topic, partition, offset) => {
            state.passed.note(topic, partition, offset);
            if state.passed.count >= MOST_PASSED {
                state.passed.tell(shell);
            }
            Ok(())
        }
        Polled::Revoked(places) => {
            state.unplaced.retain(|place| !places.contains(place));
            for place in places {
                state.passed.forget(&place);
                shell.set_position(&place.0, place.1, None);
            }
            Ok(())
        }
        Polled::Assigned(places) => {
            places.iter().for_each(|place| state.passed.forget(place));
            state.place(shell, consumer, places).await;
            Ok(())
        }
    }
}

async fn feed<C: Context, S: Store, K: LogConsumer>(
    shell: &Shell<C, S>,
    consumer: &K,
    state: &mut State,
    record: Record,
) -> Result<(), Error> {
    // It tells how far its partition is, too.
    state.passed.forget(&(record.topic.clone(), record.partition));
    let input = Input::Record(Arc::new(record));
    if let Some(room) = shell.try_reserve() {
        room.send(input);
        return Ok(());
    }
    let mut reserve = std::pin::pin!(shell.reserve());
    if let Ok(room) = tokio::time::timeout(PAUSE_AFTER, &mut reserve).await {
        room.ok_or_else(|| Error::Fatal("the shell has stopped".into()))?.send(input);
        return Ok(());
    }
    let _ = consumer.pause(true);
    let (room, early) = while_polling(shell, consumer, state, reserve).await?;
    room.ok_or_else(|| Error::Fatal("the shell has stopped".into()))?.send(input);
    for record in early {
        Box::pin(feed(shell, consumer, state, record)).await?;
    }
    let _ = consumer.pause(false);
    Ok(())
}

/// Waits for `work` and keeps the group membership alive meanwhile. Paused partitions deliver nothing; records that were
/// on their way already are few, and follow in order.
async fn while_polling<C: Context, S: Store, K: LogConsumer, T>(
    shell: &Shell<C, S>,
    consumer: &K,
    state: &mut State,
    work: impl Future<Output = T>,
) -> Result<(T, Vec<Record>), Error> {
    let mut work = std::pin::pin!(work);
    let mut early = Vec::new();
    let done = loop {
        tokio::select! {
            biased;
            done = &mut work => break done,
            polled = consumer.poll() => match polled {
                Ok(Polled::Record(record)) => early.push(record.cut()),
                Ok(change) => {
                    Box::pin(accept(shell, consumer, None, state, change)).await?;
                    // What was assigned meanwhile is paused as the rest is.
                    let _ = consumer.pause(true);
                }
                Err(_) => tokio::time::sleep(RETRY_FIRST).await,
            },
        }
    };
    Ok((done, early))
}

/// Asks the registry about a schema id that is new to us. Unreachable: the partition waits. No such id: the record will be
/// parked by the decoder, which does not know the id either.
async fn learn<C: Context, S: Store, K: LogConsumer>(
    shell: &Shell<C, S>,
    consumer: &K,
    registry: Option<&Registry>,
    state: &mut State,
    record: &Record,
) -> Result<Vec<Record>, Error> {
    let Some(registry) = registry else { return Ok(Vec::new()) };
    let Some(wire) = record.value.as_deref().and_then(|v| Wire::parse(v).ok()) else { return Ok(Vec::new()) };
    if shell.codec().knows(wire.schema_id) || state.unknown.contains(&wire.schema_id) {
        return Ok(Vec::new());
    }
    let mut asking = std::pin::pin!(async {
        let mut pause = RETRY_FIRST;
        loop {
            match registry.teach(shell.codec(), wire.schema_id).await {
                Ok(()) => return true,
                Err(Error::Poison(_) | Error::Fatal(_)) => return false,
                Err(Error::Retry { .. }) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(RETRY_LONGEST);
        }
    });
    let (known, early) = match tokio::time::timeout(PAUSE_AFTER, &mut asking).await {
        Ok(known) => (known, Vec::new()),
        Err(_) => {
            let _ = consumer.pause(true);
            let waited = while_polling(shell, consumer, state, asking).await?;
            let _ = consumer.pause(false);
            waited
        }
    };
    if !known && state.unknown.len() < 10_000 {
        state.unknown.insert(wire.schema_id);
    }
    Ok(early)
}
