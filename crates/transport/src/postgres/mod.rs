//! The store on PostgreSQL: each method is one round trip where it can be, each table one statement a batch.

mod lane;
pub mod outbox;
mod pack;
mod rows;
mod tx;

use crate::{
    error::Error,
    ports::{Backlog, JournalEntry, Lease, OutboxRow, Parked, ParkedAction, Query, Row, Store, Waiting},
};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use message::EffectKey;

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};
use tokio_postgres::{NoTls, error::SqlState, types::ToSql};
use uuid::Uuid;

pub use lane::Lane;
pub use pack::unpack;
pub use tx::PgTx;

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// How a context reaches its database.
#[derive(Debug, Clone)]
pub struct PgConfig {
    /// `postgres://user:password@host:port/database`; never logged.
    pub url: String,
    pub max_connections: usize,
    pub statement_timeout: Duration,
}

impl PgConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), max_connections: 8, statement_timeout: Duration::from_secs(10) }
    }
}

/// A context's database. Clones share one pool.
#[derive(Clone)]
pub struct PgStore {
    pool: Pool,
    sql: Arc<Sql>,
    lanes: lane::Lanes,
}

/// Statements per kind. Kinds are constants of the program ([`crate::Aggregate::KIND`]), checked to be plain identifiers,
/// so that no input ever becomes part of a statement.
struct Sql {
    kinds: HashMap<&'static str, rows::KindSql>,
}

impl PgStore {
    /// A pool that connects when it is first used. `kinds` are the context's, [`crate::FENCE`] is added.
    pub fn new(config: &PgConfig, kinds: crate::Kinds) -> Result<Self, Error> {
        let mut pg = tokio_postgres::Config::from_str(&config.url)
            .map_err(|e| Error::Fatal(format!("the database URL is not valid: {e}")))?;
        pg.application_name("mallbots");
        pg.connect_timeout(Duration::from_secs(3));
        pg.keepalives(true).keepalives_idle(Duration::from_secs(5)).keepalives_interval(Duration::from_secs(1));
        pg.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(10));
        let timeout = config.statement_timeout.as_millis();
        // Every statement finds its rows by `key = ANY(batch)` and joins only what it found; its plan is made once. Left to
        // statistics, which a new table has none of, the planner walks whole tables, at a cost that grows with them.
        pg.options(format!(
            "-c statement_timeout={timeout} -c idle_in_transaction_session_timeout=30000 -c jit=off \
             -c plan_cache_mode=force_generic_plan -c enable_nestloop=off -c enable_mergejoin=off -c enable_seqscan=off"
        ));
        let manager = Manager::from_config(pg, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(config.max_connections)
            .wait_timeout(Some(Duration::from_secs(5)))
            .create_timeout(Some(Duration::from_secs(5)))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| Error::Fatal(e.to_string()))?;
        let all = kinds.iter().copied().chain([crate::FENCE]);
        let all = all.enumerate().map(|(place, kind)| Ok((kind, rows::KindSql::new(place, kind)?)));
        let kinds = all.collect::<Result<_, Error>>()?;
        Ok(Self { pool, sql: Arc::new(Sql { kinds }), lanes: lane::Lanes::default() })
    }

    /// Brings the database to this version: first the platform's tables, then `own`, the context's. Forward only.
    pub async fn migrate(&self, own: refinery::Runner) -> Result<(), Error> {
        let mut client = self.client().await?;
        let failed = |e: refinery::Error| Error::Fatal(format!("migration failed: {e}"));
        let mut platform = migrations::migrations::runner();
        platform.set_migration_table_name("migrations_platform");
        platform.run_async(&mut **client.as_mut()).await.map_err(failed)?;
        own.run_async(&mut **client.as_mut()).await.map_err(failed)?;
        Ok(())
    }

    /// Why this program cannot work on the database as it is; `None` when it can.
    pub async fn outdated(&self) -> Result<Option<String>, Error> {
        let client = self.client().await?;
        let needed = migrations::migrations::runner().get_migrations().iter().map(|m| m.version()).max().unwrap_or(0);
        let version =
            match client.query_one("SELECT coalesce(max(version), 0)::bigint FROM migrations_platform", &[]).await {
                Ok(row) => row.get::<_, i64>(0),
                Err(e) if e.code() == Some(&SqlState::UNDEFINED_TABLE) => 0,
                Err(e) => return Err(classify("version", e)),
            };
        if version < i64::from(needed) {
            let has = if version == 0 { "has no tables yet".to_owned() } else { format!("is at version {version}") };
            return Ok(Some(format!("the database {has}, this program needs {needed}: run `mallctl db migrate`")));
        }
        let kinds: Vec<String> = self.sql.kinds.keys().map(|kind| format!("\"{kind}\"")).collect();
        let sql = "SELECT k FROM unnest($1::text[]) AS k WHERE to_regclass(k) IS NULL ORDER BY k";
        let absent = client.query(sql, &[&kinds]).await.map_err(|e| classify("version", e))?;
        let absent: Vec<&str> = absent.iter().map(|row| row.get(0)).collect();
        Ok((!absent.is_empty())
            .then(|| format!("the database has no table {}: run `mallctl db migrate`", absent.join(", "))))
    }

    pub(crate) async fn client(&self) -> Result<Object, Error> {
        self.pool.get().await.map_err(|e| Error::retry("connect", e))
    }

    fn kind(&self, kind: &str) -> Result<&rows::KindSql, Error> {
        self.sql.kinds.get(kind).ok_or_else(|| Error::Fatal(format!("`{kind}` is not a kind of this context")))
    }
}

/// Sorts a database error by reaction.
pub(crate) fn classify(what: &'static str, error: tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else { return Error::retry(what, error) };
    let class = db.code().code().get(..2).unwrap_or_default().to_owned();
    let why = format!("{} ({})", db.message(), db.code().code());
    match (class.as_str(), db.code()) {
        // A unique violation is a lost race: the other side's row will be found on the next try.
        (_, code) if *code == SqlState::UNIQUE_VIOLATION => Error::overtaken(format!("{what}: {why}")),
        // Serialization failures, connections, resources, shutdown and cancelled statements, system errors.
        ("40" | "08" | "53" | "57" | "58" | "25" | "55", _) => Error::Retry { what, why },
        // Data exceptions, cardinalities, constraints and values beyond a limit fail the same way each time.
        ("21" | "22" | "23" | "54", _) => Error::Poison(format!("{what}: {why}")),
        _ => Error::Retry { what, why },
    }
}

impl Store for PgStore {
    type Tx = PgTx;
    type Token = Arc<Lane>;

    async fn begin(&self) -> Result<PgTx, Error> {
        Ok(PgTx::new(self.client().await?, self.sql.clone(), self.lanes.take()))
    }

    async fn committed(&self, token: &Arc<Lane>) -> Result<bool, Error> {
        token.stands(self).await
    }

    async fn now_ms(&self) -> Result<i64, Error> {
        let client = self.client().await?;
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let row = client.query_one(sql, &[]).await.map_err(|e| classify("now", e))?;
        Ok(row.get(0))
    }

    async fn get(&self, kind: &'static str, ids: &[Uuid]) -> Result<Vec<Row>, Error> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&self.kind(kind)?.peek).await.map_err(|e| classify("get", e))?;
        let found = client.query(&statement, &[&ids]).await.map_err(|e| classify("get", e))?;
        found.iter().map(rows::read).collect()
    }

    async fn list(&self, kind: &'static str, query: &Query) -> Result<Vec<Row>, Error> {
        let client = self.client().await?;
        let sql = self.kind(kind)?;
        let sql = if query.status.is_some() { &sql.list_status } else { &sql.list };
        let statement = client.prepare_cached(sql).await.map_err(|e| classify("list", e))?;
        let limit = query.limit.clamp(1, 500) as i64;
        let found = client
            .query(&statement, &[&query.status, &query.parent, &query.before, &limit])
            .await
            .map_err(|e| classify("list", e))?;
        found.iter().map(rows::read).collect()
    }

    async fn journal(&self, kind: &'static str, id: Uuid) -> Result<Vec<JournalEntry>, Error> {
        let client = self.client().await?;
        let sql = "SELECT version, at_ms, entries FROM journal WHERE kind = $1 AND id = $2 ORDER BY version";
        let found = client.query(sql, &[&kind, &id]).await.map_err(|e| classify("journal", e))?;
        let entry =
            |r: &tokio_postgres::Row| JournalEntry { kind, id, version: r.get(0), at_ms: r.get(1), entries: r.get(2) };
        Ok(found.iter().map(entry).collect())
    }

    async fn lease(&self, owner: Uuid, shards: i16, ttl: Duration) -> Result<Vec<Lease>, Error> {
        outbox::lease(self, owner, shards, ttl).await
    }

    async fn release(&self, owner: Uuid) -> Result<(), Error> {
        let client = self.client().await?;
        let sql = "UPDATE relay_lease SET until = now() WHERE owner = $1";
        client.execute(sql, &[&owner]).await.map_err(|e| classify("release", e))?;
        Ok(())
    }

    async fn unsent(&self, shards: &[i16], limit: usize) -> Result<Vec<OutboxRow>, Error> {
        outbox::unsent(self, shards, limit).await
    }

    async fn sent(&self, leases: &[Lease], rows: &[(i64, i16)]) -> Result<(), Error> {
        outbox::sent(self, leases, rows).await
    }

    async fn rotate(&self) -> Result<bool, Error> {
        outbox::rotate(self).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        outbox::backlog(self).await
    }

    async fn waiting(&self, kind: &'static str, since: Duration, at_most: u64) -> Result<u64, Error> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&self.kind(kind)?.waiting).await.map_err(|e| classify("waiting", e))?;
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        let values: [&(dyn ToSql + Sync); 2] = [&(since.as_millis() as i64), &at_most];
        let row = client.query_one(&statement, &values).await.map_err(|e| classify("waiting", e))?;
        Ok(row.get::<_, i64>(0) as u64)
    }

    async fn in_outbox(&self, keys: &[EffectKey]) -> Result<Vec<EffectKey>, Error> {
        outbox::contains(self, keys).await
    }

    async fn due(&self, after: Option<(i64, Uuid)>, limit: usize) -> Result<Vec<(String, Uuid, i64)>, Error> {
        let client = self.client().await?;
        // The bounds of `due_ms` are what the index serves; a time that moves within the statement would serve nothing.
        let sql = "SELECT kind, id, due_ms FROM timer
                   WHERE due_ms >= $2 AND (due_ms, id) > ($2, $3)
                   AND due_ms <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint ORDER BY due_ms, id LIMIT $1";
        let (due_ms, id) = after.unwrap_or((i64::MIN, Uuid::nil()));
        let statement = client.prepare_cached(sql).await.map_err(|e| classify("timers", e))?;
        let values: [&(dyn ToSql + Sync); 3] = [&(limit as i64), &due_ms, &id];
        let found = client.query(&statement, &values).await.map_err(|e| classify("timers", e))?;
        Ok(found.iter().map(|r| (r.get(0), r.get(1), r.get(2))).collect())
    }

    async fn held(&self, consumer: &str) -> Result<Waiting, Error> {
        let client = self.client().await?;
        let sql = "SELECT count(DISTINCT coalesce(stream, id::text)),
                          coalesce((extract(epoch FROM clock_timestamp()) * 1000)::bigint - min(since_ms), 0)
                   FROM parked WHERE consumer = $1";
        let statement = client.prepare_cached(sql).await.map_err(|e| classify("parked", e))?;
        let row = client.query_one(&statement, &[&consumer]).await.map_err(|e| classify("parked", e))?;
        Ok(Waiting { streams: row.get::<_, i64>(0) as u64, oldest_ms: row.get(1) })
    }

    async fn released(&self, consumer: &str, limit: usize) -> Result<Vec<(Parked, ParkedAction)>, Error> {
        let client = self.client().await?;
        // The lowest parked record of each stream, when an operator decided about it, its predecessor has arrived, or the
        // stream went on without it.
        let sql = r#"SELECT * FROM (
                SELECT DISTINCT ON (coalesce(p.stream, p.id::text)) p.id, p.source, p.aggregate_type, p.aggregate_id, p.topic,
                       p.seq, p.strict, p.record, p.reason, p.gap, p.since_ms, p.action,
                       (SELECT i.last_seq FROM inbox i WHERE i.consumer = p.consumer AND i.stream = p.stream) AS last_seq
                FROM parked p WHERE p.consumer = $1 ORDER BY coalesce(p.stream, p.id::text), p.seq
            ) lowest
            WHERE action IS NOT NULL OR seq <= last_seq OR (gap AND (NOT strict OR seq <= coalesce(last_seq, 0) + 1))
            LIMIT $2"#;
        let statement = client.prepare_cached(sql).await.map_err(|e| classify("released", e))?;
        let found =
            client.query(&statement, &[&consumer, &(limit as i64)]).await.map_err(|e| classify("released", e))?;
        found.iter().map(rows::parked).collect()
    }

    async fn sweep(&self) -> Result<u64, Error> {
        let client = self.client().await?;
        lane::sweep(&client).await?;
        let sql = "DELETE FROM idempotency WHERE created_at < now() - interval '24 hours'";
        client.execute(sql, &[]).await.map_err(|e| classify("sweep", e))
    }
}
