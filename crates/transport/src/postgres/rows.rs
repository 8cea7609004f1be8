//! Aggregate rows: their statements and how they are read.

use crate::{
    error::Error,
    ports::{Parked, ParkedAction, Record, Row, Save},
};
use message::Stream;
use tokio_postgres::types::Json;
use uuid::Uuid;

pub(super) const ROW_COLUMNS: &str = "id, version, status, parent, rank, state::text, streams::text, armed_ms";

/// The statements of one kind's table.
pub(super) struct KindSql {
    /// Its place among the context's kinds, in whose order rows are locked.
    pub place: usize,
    pub load: String,
    pub peek: String,
    pub list: String,
    pub list_status: String,
    pub insert: String,
    pub update: String,
    pub claim: String,
    pub waiting: String,
    pub unchanged: String,
}

impl KindSql {
    pub fn new(place: usize, kind: &'static str) -> Result<Self, Error> {
        if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            return Err(Error::Fatal(format!("`{kind}` is not a name for a table: use a-z and _")));
        }
        let table = format!("\"{kind}\"");
        let values = "unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::bigint[])
                      AS u(id, expected, status, parent, rank, state, streams, armed_ms)";
        let list = |status: &str| {
            format!(
                "SELECT {ROW_COLUMNS} FROM {table} WHERE {status}
                 AND ($2::uuid IS NULL OR parent = $2) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
            )
        };
        Ok(Self {
            place,
            load: format!("SELECT {ROW_COLUMNS} FROM {table} WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"),
            peek: format!("SELECT {ROW_COLUMNS} FROM {table} WHERE id = ANY($1)"),
            list: list("$1::text IS NULL"),
            // A statement of its own: with `$1 IS NULL OR status = $1` no index on the status would be of use.
            list_status: list("status = $1"),
            insert: format!(
                "INSERT INTO {table} (id, version, status, parent, rank, state, streams, armed_ms)
                 SELECT id, expected + 1, status, parent, rank, state, streams, armed_ms FROM {values}"
            ),
            update: format!(
                "UPDATE {table} t SET version = u.expected + 1, status = u.status, parent = u.parent, rank = u.rank,
                 state = u.state, streams = u.streams, armed_ms = u.armed_ms, updated_at = now()
                 FROM {values} WHERE t.id = ANY($1) AND t.id = u.id AND t.version = u.expected"
            ),
            claim: format!(
                "SELECT {ROW_COLUMNS} FROM {table} WHERE status = $1 AND rank >= $2 ORDER BY rank, id LIMIT $3
                 FOR NO KEY UPDATE SKIP LOCKED"
            ),
            // `rank > 0` names the index of those that wait.
            waiting: format!(
                "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE rank > 0
                 AND rank > (extract(epoch FROM statement_timestamp()) * 1000)::bigint - $1 LIMIT $2) w"
            ),
            unchanged: format!(
                "SELECT t.id FROM {table} t, unnest($1::uuid[], $2::bigint[]) AS u(id, version)
                 WHERE t.id = ANY($1) AND t.id = u.id AND t.version = u.version ORDER BY t.id FOR NO KEY UPDATE OF t"
            ),
        })
    }
}

pub(super) fn read(row: &tokio_postgres::Row) -> Result<Row, Error> {
    let streams: &str = row.get(6);
    Ok(Row {
        id: row.get(0),
        version: row.get(1),
        status: row.get(2),
        parent: row.get(3),
        rank: row.get(4),
        state: row.get(5),
        streams: serde_json::from_str(streams).map_err(|e| Error::Poison(format!("streams of a row: {e}")))?,
        armed_ms: row.get(7),
    })
}

pub(super) fn parked(row: &tokio_postgres::Row) -> Result<(Parked, ParkedAction), Error> {
    let position = row.get::<_, Option<&str>>(1).map(|source| {
        let text = |at| row.get::<_, Option<&str>>(at).unwrap_or_default();
        let stream = Stream::new(source, text(2), text(3), row.get(4));
        (stream, row.get::<_, Option<i64>>(5).unwrap_or_default() as u64)
    });
    let Json(record) = row.get::<_, Json<Record>>(7);
    let action = match row.get::<_, Option<&str>>(11) {
        Some("skip") => ParkedAction::Skip,
        _ => ParkedAction::Release,
    };
    let parked = Parked {
        id: row.get(0),
        position,
        strict: row.get(6),
        record,
        reason: row.get(8),
        gap: row.get(9),
        since_ms: row.get(10),
    };
    Ok((parked, action))
}

/// The columns of many saves, as arrays for `unnest`.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub ids: Vec<Uuid>,
    pub expected: Vec<i64>,
    pub status: Vec<&'a str>,
    pub parent: Vec<Option<Uuid>>,
    pub rank: Vec<i64>,
    pub state: Vec<&'a str>,
    pub streams: Vec<String>,
    pub armed: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    pub fn push(&mut self, save: &'a Save) {
        self.ids.push(save.row.id);
        self.expected.push(save.expected);
        self.status.push(&save.row.status);
        self.parent.push(save.row.parent);
        self.rank.push(save.row.rank);
        self.state.push(&save.row.state);
        self.streams.push(serde_json::to_string(&save.row.streams).unwrap_or_default());
        self.armed.push(save.row.armed_ms);
    }
}
