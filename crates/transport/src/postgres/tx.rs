//! A batch's transaction: statements of one step are pipelined, so a step costs one round trip whatever it touches.

use super::{Lane, Sql, classify, outbox, rows};
use crate::{
    error::Error,
    failpoint::{self, Place},
    ports::{
        Changes, ClaimRows, CommitError, Committed, IdempotencyKey, Loaded, Mark, Parked, Record, StoredAnswer, Tx,
        Wanted,
    },
};
use deadpool_postgres::Object;
use futures::future::{join, join_all};
use message::Stream;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use tokio_postgres::{
    Statement,
    types::{Json, ToSql},
};

/// Rolled back when dropped before the commit.
pub struct PgTx {
    client: Option<Object>,
    sql: Arc<Sql>,
    begun: bool,
    /// By which the outcome of a commit can be asked for later.
    lane: Arc<Lane>,
    /// The outbox table writers use now.
    table: i16,
}

/// What a transaction is told at its beginning.
struct Head {
    now_ms: i64,
    table: i16,
}

impl PgTx {
    pub(super) fn new(client: Object, sql: Arc<Sql>, lane: Arc<Lane>) -> Self {
        Self { client: Some(client), sql, begun: false, lane, table: 0 }
    }

    fn client(&self) -> Result<&Object, Error> {
        self.client.as_ref().ok_or_else(|| Error::Fatal("a transaction used after its end".into()))
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.client()?.prepare_cached(sql).await.map_err(|e| classify("prepare", e))
    }

    async fn query(
        &self,
        what: &'static str,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Error> {
        let statement = self.prepare(sql).await?;
        self.client()?.query(&statement, values).await.map_err(|e| classify(what, e))
    }

    /// Executes and demands that `expected` rows changed: anything else is a lost race.
    async fn change(
        &self,
        what: &'static str,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        expected: Option<usize>,
    ) -> Result<(), Error> {
        let statement = self.prepare(sql).await?;
        let changed = self.client()?.execute(&statement, values).await.map_err(|e| classify(what, e))?;
        match expected {
            Some(expected) if changed != expected as u64 => Err(overtaken(what, changed as usize, expected)),
            _ => Ok(()),
        }
    }

    /// Begins where that has not happened yet; what is asked of the transaction next may be on its way behind it.
    async fn begin(&self, fresh: bool) -> Result<Option<Head>, Error> {
        if !fresh {
            return Ok(None);
        }
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, (SELECT current FROM outbox_current)";
        let client = self.client()?;
        let begin = async { client.batch_execute("BEGIN").await.map_err(|e| classify("begin", e)) };
        let head = self.query("begin", sql, &[]);
        let ((), head) = both(begin, head).await?;
        let row = head.first().ok_or_else(|| Error::retry("begin", "no answer"))?;
        Ok(Some(Head { now_ms: row.get(0), table: row.get(1) }))
    }

    /// Whether nothing was sent yet. From now on the connection is not reused before the transaction's end.
    fn open(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// Keeps what the beginning told; answers the time, 0 when it was told before.
    fn note(&mut self, head: Option<Head>) -> i64 {
        let Some(head) = head else { return 0 };
        self.table = head.table;
        head.now_ms
    }

    async fn marks(&self, consumer: &str, streams: &[Stream]) -> Result<Vec<(Stream, Mark)>, Error> {
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = streams.iter().map(Stream::as_str).collect();
        let sql = "SELECT i.stream, i.last_seq, i.parked FROM inbox i WHERE i.consumer = $1 AND i.stream = ANY($2)";
        let found = self.query("inbox", sql, &[&consumer, &names]).await?;
        let by_name: HashMap<&str, &Stream> = names.iter().copied().zip(streams).collect();
        let mark = |r: &tokio_postgres::Row| {
            let stream = by_name.get(r.get::<_, &str>(0))?;
            Some(((*stream).clone(), Mark { last_seq: r.get::<_, i64>(1) as u64, parked: r.get::<_, i32>(2) as u32 }))
        };
        Ok(found.iter().filter_map(mark).collect())
    }

    /// Which of the positions parked records hold; asked only of streams that have any.
    async fn parked(&self, consumer: &str, places: &[(Stream, u64)]) -> Result<Vec<((Stream, u64), Record)>, Error> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let streams: Vec<&str> = places.iter().map(|(stream, _)| stream.as_str()).collect();
        let seqs: Vec<i64> = places.iter().map(|(_, seq)| *seq as i64).collect();
        let sql = "SELECT u.n, p.record FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS u(stream, seq, n)
                   JOIN parked p ON p.consumer = $1 AND p.stream = u.stream AND p.seq = u.seq";
        let found = self.query("parked", sql, &[&consumer, &streams, &seqs]).await?;
        let holder = |r: &tokio_postgres::Row| {
            let place = places.get(usize::try_from(r.get::<_, i64>(0)).ok()?.checked_sub(1)?)?;
            Some((place.clone(), r.get::<_, Json<Record>>(1).0))
        };
        Ok(found.iter().filter_map(holder).collect())
    }

    /// Which of these records are still parked; locked, so that they are until the end of this transaction.
    async fn held(&self, ids: &[i64]) -> Result<Vec<i64>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = "SELECT id FROM parked WHERE id = ANY($1) ORDER BY id FOR UPDATE";
        Ok(self.query("parked", sql, &[&ids]).await?.iter().map(|r| r.get(0)).collect())
    }

    async fn answers(&self, keys: &[IdempotencyKey]) -> Result<Vec<(IdempotencyKey, StoredAnswer)>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let distinct =
            |of: fn(&IdempotencyKey) -> &str| keys.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect();
        let callers: Vec<&str> = distinct(|k| &k.caller);
        let routes: Vec<&str> = distinct(|k| k.route);
        let names: Vec<&str> = distinct(|k| &k.key);
        let sql = "SELECT caller, route, key, request_hash, answer::text FROM idempotency
                   WHERE caller = ANY($1) AND route = ANY($2) AND key = ANY($3)";
        let found = self.query("idempotency", sql, &[&callers, &routes, &names]).await?;
        let known: HashMap<(&str, &str, &str), &IdempotencyKey> =
            keys.iter().map(|k| ((k.caller.as_str(), k.route, k.key.as_str()), k)).collect();
        let answer = |r: &tokio_postgres::Row| {
            let key = known.get(&(r.get(0), r.get(1), r.get(2)))?;
            Some(((*key).clone(), StoredAnswer { request_hash: r.get::<_, i64>(3) as u64, answer: r.get(4) }))
        };
        Ok(found.iter().filter_map(answer).collect())
    }

    async fn rows(
        &self,
        wanted: &[(&'static str, Vec<uuid::Uuid>)],
        locked: bool,
    ) -> Result<Vec<(&'static str, crate::ports::Row)>, Error> {
        let loads = wanted.iter().map(|(kind, ids)| async move {
            let sql = self.sql.kinds.get(kind).ok_or_else(|| unknown(kind))?;
            let found = self.query("load", if locked { &sql.load } else { &sql.peek }, &[ids]).await?;
            found.iter().map(|r| Ok((*kind, rows::read(r)?))).collect::<Result<Vec<_>, Error>>()
        });
        Ok(every(loads).await?.into_iter().flatten().collect())
    }

    async fn claimed(&self, claims: &[ClaimRows]) -> Result<Vec<(&'static str, crate::ports::Row)>, Error> {
        let loads = claims.iter().map(|claim| async move {
            let sql = self.sql.kinds.get(claim.kind).ok_or_else(|| unknown(claim.kind))?;
            let count = claim.count as i64;
            let found = self.query("claim", &sql.claim, &[&claim.status, &claim.min_rank, &count]).await?;
            found.iter().map(|r| Ok((claim.kind, rows::read(r)?))).collect::<Result<Vec<_>, Error>>()
        });
        Ok(every(loads).await?.into_iter().flatten().collect())
    }

    async fn write(&self, consumer: &str, changes: &Changes) -> Result<Committed, Error> {
        // Removed first: a record that is parked again has the same position.
        self.unpark(changes).await?;
        let saves = self.save(changes);
        let marks = self.save_marks(consumer, changes);
        let outbox = outbox::insert(self.client()?, self.table, &changes.outbox);
        let timers = self.save_timers(changes);
        let park = self.park(consumer, &changes.park);
        let witness = self.lane.mark(self.client()?);
        let rest = both(both(self.save_answers(changes), self.save_journal(changes)), witness);
        let ((), ((), (ids, ((), ((), _))))) =
            both(saves, both(marks, both(outbox, both(timers, both(park, rest))))).await?;
        Ok(Committed { outbox: ids.into_iter().map(|id| (id, self.table)).collect() })
    }

    /// Saves rows, and locks those that the batch relied on, as they were when it read them: kind by kind in the order in which
    /// loads lock, so that who loads and who saves what it had kept do not wait for each other.
    async fn save(&self, changes: &Changes) -> Result<(), Error> {
        let mut kinds: BTreeMap<usize, KindChanges<'_>> = BTreeMap::new();
        for save in &changes.saves {
            let of_kind = self.of_kind(&mut kinds, save.kind)?;
            let columns = if save.expected == 0 { &mut of_kind.new } else { &mut of_kind.changed };
            columns.push(save);
        }
        for (kind, id, version) in &changes.unchanged {
            let of_kind = self.of_kind(&mut kinds, kind)?;
            of_kind.unchanged.0.push(*id);
            of_kind.unchanged.1.push(*version);
        }
        let writes = kinds.values().map(|of_kind| {
            let KindChanges { sql, new, changed, unchanged } = of_kind;
            both(
                both(self.put(&sql.update, changed), self.compare(&sql.unchanged, unchanged)),
                self.put(&sql.insert, new),
            )
        });
        every(writes).await.map(|_| ())
    }

    fn of_kind<'a, 'b>(
        &'a self,
        kinds: &'b mut BTreeMap<usize, KindChanges<'a>>,
        kind: &str,
    ) -> Result<&'b mut KindChanges<'a>, Error> {
        let sql = self.sql.kinds.get(kind).ok_or_else(|| unknown(kind))?;
        Ok(kinds.entry(sql.place).or_insert_with(|| KindChanges {
            sql,
            new: rows::Columns::default(),
            changed: rows::Columns::default(),
            unchanged: (Vec::new(), Vec::new()),
        }))
    }

    async fn put(&self, sql: &str, c: &rows::Columns<'_>) -> Result<(), Error> {
        if c.ids.is_empty() {
            return Ok(());
        }
        let values: [&(dyn ToSql + Sync); 8] =
            [&c.ids, &c.expected, &c.status, &c.parent, &c.rank, &c.state, &c.streams, &c.armed];
        self.change("save", sql, &values, Some(c.ids.len())).await
    }

    async fn compare(&self, sql: &str, (ids, versions): &(Vec<uuid::Uuid>, Vec<i64>)) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let found = self.query("unchanged", sql, &[ids, versions]).await?.len();
        if found == ids.len() { Ok(()) } else { Err(overtaken("unchanged", found, ids.len())) }
    }

    async fn save_marks(&self, consumer: &str, changes: &Changes) -> Result<(), Error> {
        if changes.marks.is_empty() {
            return Ok(());
        }
        let streams: Vec<&str> = changes.marks.iter().map(|(s, ..)| s.as_str()).collect();
        let before: Vec<i64> = changes.marks.iter().map(|(_, b, _)| b.last_seq as i64).collect();
        let before_parked: Vec<i32> = changes.marks.iter().map(|(_, b, _)| b.parked as i32).collect();
        let after: Vec<i64> = changes.marks.iter().map(|(.., a)| a.last_seq as i64).collect();
        let parked: Vec<i32> = changes.marks.iter().map(|(.., a)| a.parked as i32).collect();
        // A row that is new to us and not to the table meets the primary key: a lost race, tried again.
        let sql_update = "UPDATE inbox i SET last_seq = u.after, parked = u.parked
                   FROM unnest($2::text[], $3::bigint[], $4::int[], $5::bigint[], $6::int[])
                        AS u(stream, before, before_parked, after, parked)
                   WHERE i.consumer = $1 AND i.stream = ANY($2) AND i.stream = u.stream AND i.last_seq = u.before AND i.parked = u.before_parked";
        let sql_insert = "INSERT INTO inbox (consumer, stream, last_seq, parked)
                   SELECT $1, stream, after, parked FROM unnest($2::text[], $3::bigint[], $4::int[]) AS u(stream, after, parked)";
        let new = |at: &usize| before[*at] == 0 && before_parked[*at] == 0;
        let (fresh, known): (Vec<usize>, Vec<usize>) = (0..streams.len()).partition(new);
        let insert = async {
            if fresh.is_empty() {
                return Ok(());
            }
            let (s, a, p) = (pick(&streams, &fresh), pick(&after, &fresh), pick(&parked, &fresh));
            self.change("inbox", sql_insert, &[&consumer, &s, &a, &p], Some(fresh.len())).await
        };
        let update = async {
            if known.is_empty() {
                return Ok(());
            }
            let (s, b, bp) = (pick(&streams, &known), pick(&before, &known), pick(&before_parked, &known));
            let (a, p) = (pick(&after, &known), pick(&parked, &known));
            self.change("inbox", sql_update, &[&consumer, &s, &b, &bp, &a, &p], Some(known.len())).await
        };
        both(insert, update).await.map(|_| ())
    }

    async fn save_timers(&self, changes: &Changes) -> Result<(), Error> {
        let arm = async {
            if changes.arm.is_empty() {
                return Ok(());
            }
            let kinds: Vec<&str> = changes.arm.iter().map(|(k, ..)| *k).collect();
            let ids: Vec<_> = changes.arm.iter().map(|(_, id, _)| *id).collect();
            let due: Vec<i64> = changes.arm.iter().map(|(.., due)| *due).collect();
            let sql = "INSERT INTO timer (kind, id, due_ms) SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[])
                       ON CONFLICT (kind, id) DO UPDATE SET due_ms = EXCLUDED.due_ms";
            self.change("timer", sql, &[&kinds, &ids, &due], None).await
        };
        let mut by_kind: BTreeMap<&str, Vec<uuid::Uuid>> = BTreeMap::new();
        for (kind, id) in &changes.disarm {
            by_kind.entry(kind).or_default().push(*id);
        }
        let disarm = every(by_kind.iter().map(|(kind, ids)| async move {
            self.change("timer", "DELETE FROM timer WHERE kind = $1 AND id = ANY($2)", &[kind, ids], None).await
        }));
        both(arm, disarm).await.map(|_| ())
    }

    async fn park(&self, consumer: &str, parked: &[Parked]) -> Result<(), Error> {
        if parked.is_empty() {
            return Ok(());
        }
        let stream = |part: fn(&Stream) -> &str| -> Vec<Option<&str>> {
            parked.iter().map(|p| p.position.as_ref().map(|(s, _)| part(s))).collect()
        };
        let names = stream(Stream::as_str);
        let (sources, kinds) = (stream(Stream::source), stream(Stream::aggregate_type));
        let ids = stream(Stream::aggregate_id);
        let seqs: Vec<Option<i64>> = parked.iter().map(|p| p.position.as_ref().map(|(_, n)| *n as i64)).collect();
        let strict: Vec<bool> = parked.iter().map(|p| p.strict).collect();
        let topics: Vec<&str> = parked.iter().map(|p| p.record.topic.as_str()).collect();
        let partitions: Vec<i32> = parked.iter().map(|p| p.record.partition).collect();
        let offsets: Vec<i64> = parked.iter().map(|p| p.record.offset).collect();
        let records: Vec<Json<&Record>> = parked.iter().map(|p| Json(&p.record)).collect();
        let reasons: Vec<&str> = parked.iter().map(|p| p.reason.as_str()).collect();
        let gaps: Vec<bool> = parked.iter().map(|p| p.gap).collect();
        let since: Vec<i64> = parked.iter().map(|p| p.since_ms).collect();
        // A record that is parked already (read again after a rebalance) stays as it is.
        let sql = r#"INSERT INTO parked (consumer, stream, source, aggregate_type, aggregate_id, seq, strict, topic, partition,
                         "offset", record, reason, gap, since_ms)
                     SELECT $1, u.* FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bool[],
                         $8::text[], $9::int[], $10::bigint[], $11::jsonb[], $12::text[], $13::bool[], $14::bigint[]) AS u
                     ON CONFLICT DO NOTHING"#;
        let values: [&(dyn ToSql + Sync); 14] = [
            &consumer,
            &names,
            &sources,
            &kinds,
            &ids,
            &seqs,
            &strict,
            &topics,
            &partitions,
            &offsets,
            &records,
            &reasons,
            &gaps,
            &since,
        ];
        self.change("park", sql, &values, None).await
    }

    async fn unpark(&self, changes: &Changes) -> Result<(), Error> {
        if changes.unpark.is_empty() {
            return Ok(());
        }
        let sql = "DELETE FROM parked WHERE id = ANY($1)";
        self.change("unpark", sql, &[&changes.unpark], Some(changes.unpark.len())).await
    }

    async fn save_answers(&self, changes: &Changes) -> Result<(), Error> {
        if changes.answers.is_empty() {
            return Ok(());
        }
        let callers: Vec<&str> = changes.answers.iter().map(|(k, _)| k.caller.as_str()).collect();
        let routes: Vec<&str> = changes.answers.iter().map(|(k, _)| k.route).collect();
        let keys: Vec<&str> = changes.answers.iter().map(|(k, _)| k.key.as_str()).collect();
        let hashes: Vec<i64> = changes.answers.iter().map(|(_, a)| a.request_hash as i64).collect();
        let answers: Vec<&str> = changes.answers.iter().map(|(_, a)| a.answer.as_str()).collect();
        let sql = "INSERT INTO idempotency (caller, route, key, request_hash, answer)
                   SELECT u.caller, u.route, u.key, u.hash, u.answer::json
                   FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) AS u(caller, route, key, hash, answer)";
        self.change("idempotency", sql, &[&callers, &routes, &keys, &hashes, &answers], None).await
    }

    async fn save_journal(&self, changes: &Changes) -> Result<(), Error> {
        if changes.journal.is_empty() {
            return Ok(());
        }
        let kinds: Vec<&str> = changes.journal.iter().map(|j| j.kind).collect();
        let ids: Vec<_> = changes.journal.iter().map(|j| j.id).collect();
        let versions: Vec<i64> = changes.journal.iter().map(|j| j.version).collect();
        let at: Vec<i64> = changes.journal.iter().map(|j| j.at_ms).collect();
        let entries: Vec<&str> = changes.journal.iter().map(|j| j.entries.as_str()).collect();
        let sql = "INSERT INTO journal (kind, id, version, at_ms, entries)
                   SELECT u.kind, u.id, u.version, u.at_ms, u.entries
                   FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[]) AS u(kind, id, version, at_ms, entries)";
        self.change("journal", sql, &[&kinds, &ids, &versions, &at, &entries], None).await
    }
}

impl Tx for PgTx {
    type Token = Arc<Lane>;

    async fn load(&mut self, consumer: &str, wanted: &Wanted) -> Result<Loaded, Error> {
        let begin = self.open();
        let begin = self.begin(begin);
        let locked = both(self.rows(&wanted.rows, true), self.claimed(&wanted.claims));
        let read = both(self.rows(&wanted.peeks, false), self.answers(&wanted.idempotency));
        let parking = both(self.parked(consumer, &wanted.parked), self.held(&wanted.held));
        let inbox = both(self.marks(consumer, &wanted.marks), parking);
        let (head, (((marks, (parked, held)), (rows, claimed)), (peeks, answers))) =
            both(begin, both(both(inbox, locked), read)).await?;
        let now_ms = self.note(head);
        Ok(Loaded { now_ms, rows, peeks, claimed, marks, parked, held, answers })
    }

    async fn commit(mut self, consumer: &str, changes: &Changes) -> Result<Committed, CommitError<Arc<Lane>>> {
        let begin = self.open();
        let head = self.begin(begin).await.map_err(CommitError::Failed)?;
        self.note(head);
        let committed = self.write(consumer, changes).await.map_err(CommitError::Failed)?;
        let client = self.client().map_err(CommitError::Failed)?;
        failpoint::pass(Place::CommitBefore);
        failpoint::pass_soon(Place::CommitSent);
        match client.batch_execute("COMMIT").await {
            Ok(()) => {
                self.begun = false;
                Ok(committed)
            }
            // Also when the server says that it failed: what went wrong may have come after the commit was written down.
            Err(_) => Err(CommitError::Unknown(self.lane.clone())),
        }
    }
}

impl Drop for PgTx {
    /// The connection of an unfinished transaction is closed, not reused: that is the rollback.
    fn drop(&mut self) {
        if self.begun
            && let Some(client) = self.client.take()
        {
            drop(Object::take(client));
        }
    }
}

/// What becomes of the rows of one kind.
struct KindChanges<'a> {
    sql: &'a rows::KindSql,
    new: rows::Columns<'a>,
    changed: rows::Columns<'a>,
    /// Ids and versions.
    unchanged: (Vec<uuid::Uuid>, Vec<i64>),
}

fn overtaken(what: &str, found: usize, expected: usize) -> Error {
    Error::overtaken(format!("{what}: {found} rows are as expected of {expected}"))
}

fn unknown(kind: &str) -> Error {
    Error::Fatal(format!("`{kind}` is not a kind of this context"))
}

fn pick<T: Clone>(values: &[T], at: &[usize]) -> Vec<T> {
    at.iter().map(|i| values[*i].clone()).collect()
}

/// Two statements on their way at once, both to their end: the one that fails takes the other down with it, and which answer
/// is seen first says nothing about which was the cause.
async fn both<A, B>(
    one: impl Future<Output = Result<A, Error>>,
    other: impl Future<Output = Result<B, Error>>,
) -> Result<(A, B), Error> {
    // Boxed, for they are joined to a deep tree: together they would not fit a thread's stack.
    match join(Box::pin(one), Box::pin(other)).await {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(one), Err(other)) => Err(cause(one, other)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// [`both`] for any number.
async fn every<T>(all: impl IntoIterator<Item = impl Future<Output = Result<T, Error>>>) -> Result<Vec<T>, Error> {
    let (mut done, mut failed) = (Vec::new(), None);
    for result in join_all(all).await {
        match result {
            Ok(value) => done.push(value),
            Err(error) => {
                failed = Some(match failed {
                    None => error,
                    Some(first) => cause(first, error),
                })
            }
        }
    }
    failed.map_or(Ok(done), Err)
}

/// Of two failures in one transaction the one that decides what to do: what only failed in another's wake is retryable.
fn cause(first: Error, second: Error) -> Error {
    if matches!((&first, &second), (Error::Retry { .. }, Error::Poison(_) | Error::Fatal(_))) { second } else { first }
}
