//! The auditor of I4: every saga that has not ended has exactly one reason to wake for each of its waits, and what waits
//! for a person is counted. A saga that nothing would wake is a defect, and an alarm.

use crate::{Orchestrator, instance::Instance, metric_names as m};
use std::{collections::BTreeSet, future::Future, time::Duration};
use transport::{
    CallError, Shell,
    ports::{Query, Store},
};
use uuid::Uuid;

/// Between looks.
const EVERY: Duration = Duration::from_secs(10);
/// Sagas of each state that are looked at in one step; the next step goes on behind them.
const PAGE: usize = 500;

/// Walks over the sagas that have not ended, a page of each state at a time.
pub struct Auditor<S: Store> {
    shell: Shell<Orchestrator, S>,
    walks: [Walk; 3],
}

struct Walk {
    state: &'static str,
    before: Option<Uuid>,
    seen: usize,
    orphans: usize,
    /// What the last whole walk found.
    found: (usize, usize),
}

impl<S: Store> Auditor<S> {
    pub fn new(shell: Shell<Orchestrator, S>) -> Self {
        let walks = ["running", "compensating", "stuck"];
        Self { shell, walks: walks.map(|state| Walk { state, before: None, seen: 0, orphans: 0, found: (0, 0) }) }
    }

    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            if let Err(error) = self.run_once().await {
                tracing::debug!(%error, "audit");
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// One page of each state; answers (stuck, orphaned) as far as they are known.
    pub async fn run_once(&mut self) -> Result<(usize, usize), CallError> {
        for walk in &mut self.walks {
            let query = Query { status: Some(walk.state.into()), before: walk.before, limit: PAGE, parent: None };
            let page = self.shell.list::<Instance>(&query).await?;
            for (id, instance) in &page {
                if let Some(why) = instance.orphaned() {
                    tracing::error!(saga_id = %id, why, "a saga that nothing would wake");
                    walk.orphans += 1;
                }
            }
            walk.seen += page.len();
            walk.before = page.last().map(|(id, _)| *id).filter(|_| page.len() == PAGE);
            if walk.before.is_none() {
                walk.found = (std::mem::take(&mut walk.seen), std::mem::take(&mut walk.orphans));
            }
        }
        let stuck = self.walks.iter().find(|w| w.state == "stuck").map_or(0, |w| w.found.0);
        let orphans = self.walks.iter().map(|w| w.found.1).sum();
        metrics::gauge!(m::STUCK_NOW).set(stuck as f64);
        metrics::gauge!(m::ORPHANS).set(orphans as f64);
        Ok((stuck, orphans))
    }
}

impl Instance {
    /// Why nothing would wake this saga, or something would in vain; `None` when all is well.
    pub fn orphaned(&self) -> Option<String> {
        let needed: BTreeSet<_> = self.progress.timers().into_iter().collect();
        let set: BTreeSet<_> = self.timers.iter().map(|due| due.timer.clone()).collect();
        match (self.progress.phase().is_terminal(), self.progress.wakes().is_empty()) {
            (true, _) => None,
            (false, true) => Some("it waits for nothing".to_owned()),
            (false, false) if needed == set => None,
            (false, false) => {
                let names = |timers: &BTreeSet<saga::Timer>| {
                    let name = |t: &saga::Timer| format!("{} of {} {}", t.kind.as_str(), t.step, t.direction);
                    timers.iter().map(name).collect::<Vec<_>>().join(", ")
                };
                Some(format!("it needs the timers [{}] and has [{}]", names(&needed), names(&set)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{instance::Due, sagas};

    fn running() -> Instance {
        let definitions = sagas::definitions(&sagas::Deadlines::default());
        let definition = definitions.iter().find(|d| d.saga_type() == "order-fulfilment").unwrap();
        let start = serde_json::json!({
            "order_id": Uuid::from_u128(1), "lines": [], "total": {"amount": 1, "currency": "EUR"}, "volume_ml": 1,
            "payment_token": "tok", "pay_on_arrival": false, "customer_ref": "cus"
        });
        let (progress, effects) = saga::start(definition, Uuid::from_u128(2), &start).unwrap();
        let mut instance =
            Instance { progress, timers: Vec::new(), started_ms: 0, updated_ms: 0, trace: None, child_of: None };
        for effect in effects {
            if let saga::Effect::SetTimer { timer, after_ms } = effect {
                instance.timers.push(Due { timer, due_ms: 0, after_ms: after_ms as i64 });
            }
        }
        instance
    }

    #[test]
    fn i4_a_saga_without_the_timer_of_its_wait_is_an_orphan() {
        let mut saga = running();
        assert_eq!(saga.orphaned(), None);
        let timer = saga.timers.pop().expect("it waits for its first reply");
        assert!(saga.orphaned().unwrap().contains("deadline of authorize-payment do"));
        saga.timers = vec![timer.clone(), Due { timer: saga::Timer { attempt: 9, ..timer.timer }, ..timer }];
        assert!(saga.orphaned().is_some(), "a second reason to wake");
    }
}
