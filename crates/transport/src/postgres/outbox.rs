//! The outbox's statements: leases, the scan, deletion and the switch between its two tables.
//!
//! No cursor over ids or times is ever kept (committed rows would be skipped when transactions commit out of order):
//! the scan takes what is unsent, in the order of ids, which within a stream is the order of its sequence: whoever writes
//! number n + 1 has read a committed n, whose id was given before that.

use super::{
    PgStore, classify,
    pack::{self, unpack},
};
use crate::{
    error::Error,
    ports::{Backlog, Lease, OutboxRow},
};
use deadpool_postgres::Object;
use message::{EffectKey, Headers, headers};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use uuid::Uuid;

const TABLES: [&str; 2] = ["outbox_0", "outbox_1"];

pub(super) async fn insert(client: &Object, table: i16, rows: &[OutboxRow]) -> Result<Vec<i64>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (packs, places) = pack::pack(rows)?;
    let shards: Vec<i16> = packs.iter().map(|p| p.shard).collect();
    let messages: Vec<i32> = packs.iter().map(|p| p.messages).collect();
    let created: Vec<i64> = packs.iter().map(|p| p.created_ms).collect();
    // An array of arrays must be rectangular: the sagas of all packs in one, and whose they are in another.
    let sagas: Vec<Uuid> = packs.iter().flat_map(|p| p.sagas.iter().copied()).collect();
    let owners: Vec<i64> = (1..).zip(&packs).flat_map(|(n, p)| p.sagas.iter().map(move |_| n)).collect();
    let closed: Vec<Vec<u8>> = packs.iter().map(pack::Pack::close).collect();
    let table = TABLES[usize::from(table == 1)];
    // RETURNING follows the order of the input rows; what tells them apart comes back too, to be compared.
    let sql = format!(
        "INSERT INTO {table} (shard, messages, created_ms, pack, sagas)
         SELECT u.shard, u.messages, u.created_ms, u.pack,
                ARRAY(SELECT s.saga FROM unnest($5::uuid[], $6::bigint[]) AS s(saga, n) WHERE s.n = u.n)
         FROM unnest($1::smallint[], $2::int[], $3::bigint[], $4::bytea[]) WITH ORDINALITY AS u(shard, messages, created_ms, pack, n)
         RETURNING id, messages, shard"
    );
    let statement = client.prepare_cached(&sql).await.map_err(|e| classify("outbox", e))?;
    let ids = client
        .query(&statement, &[&shards, &messages, &created, &closed, &sagas, &owners])
        .await
        .map_err(|e| classify("outbox", e))?;
    let same = |(row, pack): (&tokio_postgres::Row, &pack::Pack)| {
        (row.get::<_, i32>(1), row.get::<_, i16>(2)) == (pack.messages, pack.shard)
    };
    let in_order = ids.len() == packs.len()
        && ids.iter().zip(&packs).all(same)
        && ids.windows(2).all(|pair| pair[0].get::<_, i64>(0) < pair[1].get::<_, i64>(0));
    // Out of order, the ids are no use for handing over; the scan will find the rows.
    Ok(if in_order { places.iter().map(|at| ids[*at].get(0)).collect() } else { Vec::new() })
}

pub(super) async fn lease(store: &PgStore, owner: Uuid, shards: i16, ttl: Duration) -> Result<Vec<Lease>, Error> {
    let client = store.client().await?;
    let ttl = ttl.as_secs_f64();
    // Taken when free, expired or ours; the epoch rises when the owner changes.
    let sql = "INSERT INTO relay_lease AS l (shard, owner, epoch, until)
               SELECT s, $1, 1, clock_timestamp() + make_interval(secs => $3) FROM generate_series(0, $2::int - 1) AS s
               ON CONFLICT (shard) DO UPDATE SET owner = EXCLUDED.owner, until = EXCLUDED.until,
                    epoch = l.epoch + (l.owner <> EXCLUDED.owner)::int
               WHERE l.owner = EXCLUDED.owner OR l.until < clock_timestamp()
               RETURNING shard, epoch";
    let statement = client.prepare_cached(sql).await.map_err(|e| classify("lease", e))?;
    let found =
        client.query(&statement, &[&owner, &i32::from(shards), &ttl]).await.map_err(|e| classify("lease", e))?;
    Ok(found.iter().map(|r| Lease { shard: r.get(0), owner, epoch: r.get(1) }).collect())
}

pub(super) async fn unsent(store: &PgStore, shards: &[i16], limit: usize) -> Result<Vec<OutboxRow>, Error> {
    let client = store.client().await?;
    // Whole rows, as many as hold `limit` messages; which those are is found without their packs.
    let sql = "WITH next AS (
                   SELECT t, id FROM (
                       SELECT u.*, sum(messages) OVER (ORDER BY id) - messages AS before FROM (
                           (SELECT 0::smallint AS t, id, messages FROM outbox_0 WHERE shard = ANY($1) ORDER BY id LIMIT $2)
                           UNION ALL
                           (SELECT 1::smallint AS t, id, messages FROM outbox_1 WHERE shard = ANY($1) ORDER BY id LIMIT $2)
                       ) u
                   ) v WHERE before < $2
               )
               SELECT o.id, 0::smallint, o.shard, o.created_ms, o.pack FROM outbox_0 o
               WHERE o.id = ANY(ARRAY(SELECT id FROM next WHERE t = 0))
               UNION ALL
               SELECT o.id, 1::smallint, o.shard, o.created_ms, o.pack FROM outbox_1 o
               WHERE o.id = ANY(ARRAY(SELECT id FROM next WHERE t = 1))
               ORDER BY 1";
    let statement = client.prepare_cached(sql).await.map_err(|e| classify("scan", e))?;
    let found = client.query(&statement, &[&shards, &(limit as i64)]).await.map_err(|e| classify("scan", e))?;
    let mut rows = Vec::new();
    for row in &found {
        rows.extend(unpack(row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))?);
    }
    Ok(rows)
}

/// Deletes under the lease: a relay whose lease went to another deletes nothing, and that is harmless.
pub(super) async fn sent(store: &PgStore, leases: &[Lease], rows: &[(i64, i16)]) -> Result<(), Error> {
    let client = store.client().await?;
    let shards: Vec<i16> = leases.iter().map(|l| l.shard).collect();
    let epochs: Vec<i64> = leases.iter().map(|l| l.epoch).collect();
    let owner = leases.first().map(|l| l.owner).unwrap_or_default();
    for (at, table) in TABLES.iter().enumerate() {
        let ids: Vec<i64> = rows.iter().filter(|(_, t)| usize::from(*t == 1) == at).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            continue;
        }
        // A lost deletion costs a duplicate, which the inbox drops: no need to wait for the disk. The setting is read at the
        // end of the statement's own transaction, and holds for that alone.
        let sql = format!(
            "WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS set)
             DELETE FROM {table} o USING quick, relay_lease l, unnest($3::smallint[], $4::bigint[]) AS held(shard, epoch)
             WHERE quick.set = 'off' AND o.id = ANY($1) AND l.shard = o.shard AND held.shard = o.shard AND l.epoch = held.epoch AND l.owner = $2"
        );
        let statement = client.prepare_cached(&sql).await.map_err(|e| classify("delete", e))?;
        client.execute(&statement, &[&ids, &owner, &shards, &epochs]).await.map_err(|e| classify("delete", e))?;
    }
    Ok(())
}

/// The drained table is truncated under a lock that waits at most 50 ms, after a look that it is empty: a row that a slow
/// writer put there in between is seen, and the table then stays until the next time.
pub(super) async fn rotate(store: &PgStore) -> Result<bool, Error> {
    let client = store.client().await?;
    let sql = "SELECT current FROM outbox_current";
    let current: i16 = client.query_one(sql, &[]).await.map_err(|e| classify("rotate", e))?.get(0);
    let other = TABLES[usize::from(current != 1)];
    let truncate = format!(
        "BEGIN; SET LOCAL lock_timeout = '50ms'; LOCK TABLE {other} IN ACCESS EXCLUSIVE MODE;
         DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM {other}) THEN TRUNCATE {other}; END IF; END $$;
         UPDATE outbox_current SET current = 1 - {current} WHERE current = {current} AND NOT EXISTS (SELECT 1 FROM {other}); COMMIT"
    );
    match client.batch_execute(&truncate).await {
        Ok(()) => {
            let now: i16 = client.query_one(sql, &[]).await.map_err(|e| classify("rotate", e))?.get(0);
            Ok(now != current)
        }
        Err(error) => {
            client.batch_execute("ROLLBACK").await.map_err(|e| classify("rotate", e))?;
            match classify("rotate", error) {
                Error::Retry { .. } => Ok(false),
                other => Err(other),
            }
        }
    }
}

pub(super) async fn backlog(store: &PgStore) -> Result<Backlog, Error> {
    let client = store.client().await?;
    // Bounded: beyond the limit the exact number does not matter.
    let sql = "SELECT coalesce(sum(messages), 0), coalesce(min(created_ms), 0),
                      (extract(epoch FROM clock_timestamp()) * 1000)::bigint
               FROM ((SELECT messages, created_ms FROM outbox_0 LIMIT 500000)
                     UNION ALL (SELECT messages, created_ms FROM outbox_1 LIMIT 500000)) u";
    let row = client.query_one(sql, &[]).await.map_err(|e| classify("backlog", e))?;
    let (rows, oldest, now): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    Ok(Backlog { rows: rows as u64, oldest_ms: if rows == 0 { 0 } else { (now - oldest).max(0) } })
}

pub(super) async fn contains(store: &PgStore, keys: &[EffectKey]) -> Result<Vec<EffectKey>, Error> {
    let client = store.client().await?;
    let sagas: Vec<Uuid> = keys.iter().map(|k| k.saga_id).collect();
    let sql = "SELECT 0::smallint, id, shard, created_ms, pack FROM outbox_0 WHERE sagas && $1
               UNION ALL
               SELECT 1::smallint, id, shard, created_ms, pack FROM outbox_1 WHERE sagas && $1";
    let found = client.query(sql, &[&sagas]).await.map_err(|e| classify("outbox", e))?;
    let asked: HashSet<String> = keys.iter().map(|k| k.saga_id.to_string()).collect();
    let mut waiting: HashMap<String, Vec<Headers>> = HashMap::new();
    for row in &found {
        for message in unpack(row.get(1), row.get(0), row.get(2), row.get(3), row.get(4))? {
            let saga = message.record.headers.get(headers::SAGA_ID).and_then(|id| std::str::from_utf8(id).ok());
            if let Some(saga) = saga.and_then(|id| asked.get(id)) {
                waiting.entry(saga.clone()).or_default().push(message.record.headers);
            }
        }
    }
    let waits = |key: &&EffectKey| {
        waiting.get(&key.saga_id.to_string()).is_some_and(|of_saga| of_saga.iter().any(|headers| headers.names(key)))
    };
    Ok(keys.iter().filter(waits).cloned().collect())
}
