//! The clock that deadlines are judged by in production: the database's, so that all processes of a context agree.

use crate::{
    error::Error,
    ports::{Clock, Store},
};
use std::time::Duration;

/// Tells the time of a store's server. Waiting is done by this process: a wait measures a distance, not a moment.
#[derive(Debug, Clone)]
pub struct DbClock<S> {
    store: S,
}

impl<S: Store> DbClock<S> {
    pub fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Clock for DbClock<S> {
    async fn now_ms(&self) -> Result<i64, Error> {
        self.store.now_ms().await
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
