//! The outbox's statements: leases, the scan, deletion and the switch between its two tables.
//!
//! No cursor over ids or times is ever kept (committed rows would be skipped when transactions commit out of order):
//! the scan takes what is unsent, in the order of ids, which within a stream is the order of its sequence, because the
//! row lock of the aggregate makes its transactions follow each other.

use super::{PgStore, classify};
use crate::{
    error::Error,
    ports::{Backlog, Lease, NewRecord, OutboxRow},
};
use deadpool_postgres::Object;
use message::{EffectKey, Headers};
use std::time::Duration;
use uuid::Uuid;

const TABLES: [&str; 2] = ["outbox_0", "outbox_1"];

pub(super) async fn insert(client: &Object, table: i16, rows: &[OutboxRow]) -> Result<Vec<i64>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let shards: Vec<i16> = rows.iter().map(|r| r.shard).collect();
    let streams: Vec<&str> = rows.iter().map(|r| r.stream.as_str()).collect();
    let seqs: Vec<i64> = rows.iter().map(|r| r.seq as i64).collect();
    let topics: Vec<&str> = rows.iter().map(|r| r.record.topic.as_str()).collect();
    let keys: Vec<&str> = rows.iter().map(|r| r.record.key.as_str()).collect();
    let headers: Vec<&[u8]> = rows.iter().map(|r| r.record.headers.as_bytes()).collect();
    let payloads: Vec<Option<&[u8]>> = rows.iter().map(|r| r.record.value.as_deref()).collect();
    let created: Vec<i64> = rows.iter().map(|r| r.created_ms).collect();
    let table = TABLES[usize::from(table == 1)];
    // RETURNING follows the order of the input rows; the sequence number comes back too, to be compared.
    let sql = format!(
        "INSERT INTO {table} (shard, stream, seq, topic, key, headers, payload, created_ms)
         SELECT * FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::bigint[])
         RETURNING id, seq"
    );
    let statement = client.prepare_cached(&sql).await.map_err(|e| classify("outbox", e))?;
    let ids = client
        .query(&statement, &[&shards, &streams, &seqs, &topics, &keys, &headers, &payloads, &created])
        .await
        .map_err(|e| classify("outbox", e))?;
    let in_order = ids.len() == rows.len() && ids.iter().zip(&seqs).all(|(r, seq)| r.get::<_, i64>(1) == *seq);
    // Out of order, the ids are no use for handing over; the scan will find the rows.
    Ok(if in_order { ids.iter().map(|r| r.get(0)).collect() } else { Vec::new() })
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
    let sql = "SELECT id, t, shard, stream, seq, topic, key, headers, payload, created_ms FROM (
                   (SELECT 0::smallint AS t, * FROM outbox_0 WHERE shard = ANY($1) ORDER BY id LIMIT $2)
                   UNION ALL
                   (SELECT 1::smallint AS t, * FROM outbox_1 WHERE shard = ANY($1) ORDER BY id LIMIT $2)
               ) u ORDER BY id LIMIT $2";
    let statement = client.prepare_cached(sql).await.map_err(|e| classify("scan", e))?;
    let found = client.query(&statement, &[&shards, &(limit as i64)]).await.map_err(|e| classify("scan", e))?;
    found.iter().map(read).collect()
}

fn read(row: &tokio_postgres::Row) -> Result<OutboxRow, Error> {
    Ok(OutboxRow {
        id: row.get(0),
        table: row.get(1),
        shard: row.get(2),
        stream: row.get(3),
        seq: row.get::<_, i64>(4) as u64,
        record: NewRecord {
            topic: row.get(5),
            key: row.get(6),
            headers: Headers::from_bytes(row.get(7)).ok_or_else(|| Error::Poison("headers of an outbox row".into()))?,
            value: row.get(8),
        },
        created_ms: row.get(9),
    })
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
    let sql = "SELECT count(*), coalesce(min(created_ms), 0),
                      (extract(epoch FROM clock_timestamp()) * 1000)::bigint
               FROM ((SELECT created_ms FROM outbox_0 LIMIT 500000) UNION ALL (SELECT created_ms FROM outbox_1 LIMIT 500000)) u";
    let row = client.query_one(sql, &[]).await.map_err(|e| classify("backlog", e))?;
    let (rows, oldest, now): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    Ok(Backlog { rows: rows as u64, oldest_ms: if rows == 0 { 0 } else { (now - oldest).max(0) } })
}

pub(super) async fn contains(store: &PgStore, keys: &[EffectKey]) -> Result<Vec<EffectKey>, Error> {
    let client = store.client().await?;
    let sagas: Vec<String> = keys.iter().map(|k| k.saga_id.to_string()).collect();
    let sql = "SELECT headers FROM outbox_0 o WHERE split_part(split_part(o.stream, '/', 3), '@', 1) = ANY($1)
               UNION ALL
               SELECT headers FROM outbox_1 o WHERE split_part(split_part(o.stream, '/', 3), '@', 1) = ANY($1)";
    let found = client.query(sql, &[&sagas]).await.map_err(|e| classify("outbox", e))?;
    let waiting: Vec<Headers> = found.iter().filter_map(|r| Headers::from_bytes(r.get(0))).collect();
    Ok(keys.iter().filter(|key| waiting.iter().any(|headers| headers.names(key))).cloned().collect())
}
