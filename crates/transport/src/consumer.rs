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
use std::{collections::HashSet, sync::Arc, time::Duration};

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
    let mut unknown = HashSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            polled = consumer.poll() => match polled {
                Ok(polled) => accept(&shell, consumer.as_ref(), registry.as_ref(), &mut unknown, polled).await?,
                Err(error) => {
                    tracing::debug!(context = C::NAME, %error, "poll");
                    tokio::time::sleep(RETRY_FIRST).await;
                }
            },
        }
    }
}

async fn accept<C: Context, S: Store, K: LogConsumer>(
    shell: &Shell<C, S>,
    consumer: &K,
    registry: Option<&Registry>,
    unknown: &mut HashSet<u32>,
    polled: Polled,
) -> Result<(), Error> {
    match polled {
        Polled::Record(record) => {
            let record = record.cut();
            let early = learn(shell, consumer, registry, unknown, &record).await?;
            feed(shell, consumer, record).await?;
            for record in early {
                Box::pin(accept(shell, consumer, registry, unknown, Polled::Record(record))).await?;
            }
            Ok(())
        }
        Polled::Revoked(places) => {
            for (topic, partition) in places {
                shell.set_position(&topic, partition, None);
            }
            Ok(())
        }
        Polled::Assigned(places) => {
            let committed = consumer.committed().await.unwrap_or_default();
            for (topic, partition) in places {
                let at = committed.get(&(topic.clone(), partition)).copied().unwrap_or(0);
                shell.set_position(&topic, partition, Some(at));
            }
            Ok(())
        }
    }
}

async fn feed<C: Context, S: Store, K: LogConsumer>(
    shell: &Shell<C, S>,
    consumer: &K,
    record: Record,
) -> Result<(), Error> {
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
    let (room, early) = while_polling(shell, consumer, reserve).await?;
    room.ok_or_else(|| Error::Fatal("the shell has stopped".into()))?.send(input);
    for record in early {
        Box::pin(feed(shell, consumer, record)).await?;
    }
    let _ = consumer.pause(false);
    Ok(())
}

/// Waits for `work` and keeps the group membership alive meanwhile. Paused partitions deliver nothing; records that were
/// on their way already are few, and follow in order.
async fn while_polling<C: Context, S: Store, K: LogConsumer, T>(
    shell: &Shell<C, S>,
    consumer: &K,
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
                Ok(change) => Box::pin(accept(shell, consumer, None, &mut HashSet::new(), change)).await?,
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
    unknown: &mut HashSet<u32>,
    record: &Record,
) -> Result<Vec<Record>, Error> {
    let Some(registry) = registry else { return Ok(Vec::new()) };
    let Some(wire) = record.value.as_deref().and_then(|v| Wire::parse(v).ok()) else { return Ok(Vec::new()) };
    if shell.codec().knows(wire.schema_id) || unknown.contains(&wire.schema_id) {
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
            let waited = while_polling(shell, consumer, asking).await?;
            let _ = consumer.pause(false);
            waited
        }
    };
    if !known && unknown.len() < 10_000 {
        unknown.insert(wire.schema_id);
    }
    Ok(early)
}
