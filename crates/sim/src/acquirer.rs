//! The payment provider as one process of payments sees it.

use crate::process::Process;
use payments::{
    acquirer::{Acquirer, Error, MemoryAcquirer, NewHold, OnHold},
    domain::Known,
};
use std::sync::Arc;

pub struct SimAcquirer {
    inner: MemoryAcquirer,
    process: Arc<Process>,
}

impl SimAcquirer {
    pub fn new(inner: MemoryAcquirer, process: Arc<Process>) -> Self {
        Self { inner, process }
    }

    async fn ask<T>(&self, operation: &'static str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let reached = self.process.reach(operation).await;
        let world = &self.process.world;
        if world.is_away("acquirer") {
            return Err(Error::Unknown("not reached".into()));
        }
        let unheard = reached.fails(world.faults.acquirer_unheard, "acquirer unheard");
        if unheard && reached.choose("effect", 2) == 0 {
            return Err(Error::Unknown("not reached".into()));
        }
        let answer = work.await;
        reached.travel("back").await;
        if unheard { Err(Error::Unknown("the answer got lost".into())) } else { answer }
    }
}

impl Acquirer for SimAcquirer {
    async fn authorize(&self, hold: &NewHold) -> Result<String, Error> {
        self.ask("authorize", self.inner.authorize(hold)).await
    }

    async fn capture(&self, change: &OnHold) -> Result<(), Error> {
        self.ask("capture", self.inner.capture(change)).await
    }

    async fn void(&self, change: &OnHold) -> Result<(), Error> {
        self.ask("void", self.inner.void(change)).await
    }

    async fn refund(&self, change: &OnHold) -> Result<(), Error> {
        self.ask("refund", self.inner.refund(change)).await
    }

    async fn query_by_reference(&self, reference: &str, provider_ref: Option<&str>) -> Result<Option<Known>, Error> {
        self.ask("query", self.inner.query_by_reference(reference, provider_ref)).await
    }
}
