//! How the outcome of a commit is found out when its answer got lost.
//!
//! A transaction id is no witness: one that only the server's memory knew when it crashed is given out again, and may be
//! the id of somebody else's committed transaction by the time one asks. So each transaction leaves a number of its own
//! in a row of the database, its lane, and whoever doubts reads that row: it is there or it is not.

use super::PgStore;
use crate::error::Error;
use deadpool_postgres::Object;
use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;

/// The lanes of one store that no transaction uses just now.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<Vec<Place>>>);

#[derive(Debug, Default)]
struct Place {
    lane: Uuid,
    /// Of the last transaction that used it.
    number: i64,
}

impl Lanes {
    /// A lane for one transaction; it comes back when it is dropped.
    pub(super) fn take(&self) -> Arc<Lane> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut place = free.pop().unwrap_or_else(|| Place { lane: Uuid::now_v7(), number: 0 });
        place.number += 1;
        Arc::new(Lane { place, home: self.clone() })
    }
}

/// The witness of one transaction, and afterwards the token by which its outcome is asked for.
pub struct Lane {
    place: Place,
    home: Lanes,
}

impl Lane {
    /// Part of the transaction: stands if, and only if, the transaction does.
    pub(super) async fn mark(&self, client: &Object) -> Result<(), Error> {
        let sql = "INSERT INTO commits (lane, number) VALUES ($1, $2)
                   ON CONFLICT (lane) DO UPDATE SET number = EXCLUDED.number, at = now()";
        let statement = client.prepare_cached(sql).await.map_err(|e| super::classify("mark", e))?;
        let marked = client.execute(&statement, &[&self.place.lane, &self.place.number]).await;
        marked.map(|_| ()).map_err(|e| super::classify("mark", e))
    }

    /// Whether the mark stands. Writes to the row, and so waits for a transaction that the server has not ended yet; were it
    /// only read, one that is about to commit would count as one that failed.
    pub(super) async fn stands(&self, store: &PgStore) -> Result<bool, Error> {
        let client = store.client().await?;
        let sql = "INSERT INTO commits (lane, number) VALUES ($1, 0)
                   ON CONFLICT (lane) DO UPDATE SET at = now() RETURNING number";
        let statement = client.prepare_cached(sql).await.map_err(|e| super::classify("outcome", e))?;
        let row = client.query_one(&statement, &[&self.place.lane]).await;
        Ok(row.map_err(|e| super::classify("outcome", e))?.get::<_, i64>(0) == self.place.number)
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.place.number, self.place.lane)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(mem::take(&mut self.place));
    }
}

/// Forgets the lanes of processes that are gone. A lane that comes back begins again.
pub(super) async fn sweep(client: &Object) -> Result<(), Error> {
    let sql = "DELETE FROM commits WHERE at < now() - interval '30 days'";
    client.execute(sql, &[]).await.map(|_| ()).map_err(|e| super::classify("sweep", e))
}
