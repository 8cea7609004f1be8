//! What a batch is made of, what it wants to know beforehand, and how what was loaded gets into its working set.

use super::{CallInput, Decoded, Replied};
use crate::{
    context::Context,
    fence::FENCE,
    fold::{Done, Pass, Work},
    ports::{IdempotencyKey, Loaded, Wanted},
    spans::{self, Span},
    unit::{Claim, Slot, Unit},
};
use message::Stream;
use tokio::sync::oneshot;
use uuid::Uuid;

/// An input on its way through a batch.
pub(super) struct Item<C: Context> {
    /// `None`: a record that is not for this context.
    pub work: Option<Work<C>>,
    pub place: Option<(String, i32, i64)>,
    pub reply: Option<(oneshot::Sender<Replied>, Decoded)>,
    pub span: Option<Span>,
}

impl<C: Context> Item<C> {
    pub fn fold(&self, pass: &mut Pass<'_, C>, unit: &mut Unit) -> Option<Done> {
        let Some(work) = &self.work else { return Some(Done::Nothing) };
        pass.fold(unit, work, self.span.as_ref().map(Span::context))
    }

    /// The stream in which this input was parked, if it was.
    pub fn parked_in(&self) -> Option<&Stream> {
        let position = self.work.as_ref()?.parked()?.position.as_ref()?;
        Some(&position.0)
    }

    /// Whether the rows of this input are hardly known yet: a guess, that costs time only.
    pub fn is_stranger(&self, unit: &Unit) -> bool {
        match &self.work {
            Some(Work::Call { .. }) => true,
            Some(Work::Message { command: true, envelope, .. }) => {
                envelope.saga.as_ref().is_some_and(|saga| !unit.knows(&[FENCE], saga.effect.saga_id))
            }
            Some(Work::Message { envelope, .. }) => {
                let order = envelope.correlation_id.as_deref().and_then(|id| id.parse().ok());
                !order.is_some_and(|id| unit.knows(C::KINDS, id))
            }
            Some(Work::Reply { envelope, .. }) => {
                envelope.saga.as_ref().is_some_and(|saga| !unit.knows(C::KINDS, saga.effect.saga_id))
            }
            Some(Work::Poison { .. } | Work::Skip { .. } | Work::Wake { .. }) | None => false,
        }
    }
}

pub(super) fn prepare_call<C: Context>(input: CallInput<C>) -> Item<C> {
    let CallInput { call, fold, decode, reply, only_repeated } = input;
    let key =
        call.idempotency.map(|i| (IdempotencyKey { caller: i.caller, route: call.name, key: i.key }, i.request_hash));
    let (name, correlation_id) = (format!("{} {}", C::NAME, call.name), call.correlation_id);
    let span = match &correlation_id {
        Some(order) => spans::start_for(C::NAME, name, spans::Kind::Server, call.trace, order),
        None => spans::start(C::NAME, name, spans::Kind::Server, call.trace, &[]),
    };
    Item {
        work: Some(Work::Call { fold, correlation_id, idempotency: key, only_repeated }),
        place: None,
        reply: Some((reply, decode)),
        span,
    }
}

/// When a record was made, by its producer's clock.
pub(super) fn made_ms<C: Context>(item: &Item<C>) -> Option<i64> {
    match item.work.as_ref()? {
        Work::Message { envelope, parked: None, .. } | Work::Reply { envelope, parked: None, .. } => {
            Some(envelope.time_ms).filter(|ms| *ms > 0)
        }
        _ => None,
    }
}

pub(super) fn record_span<C: Context>(work: &Work<C>) -> Option<Span> {
    let (record, envelope) = match work {
        Work::Message { record, envelope, .. } | Work::Reply { record, envelope, .. } => (record, envelope),
        Work::Poison { record, envelope: Some(envelope), .. } => (record, envelope),
        Work::Poison { .. } | Work::Skip { .. } | Work::Wake { .. } | Work::Call { .. } => return None,
    };
    spans::consumed(C::NAME, record, envelope)
}

pub(super) fn first_wanted<C: Context>(items: &[Item<C>]) -> Wanted {
    let mut wanted = Wanted::default();
    let (mut fences, mut woken) = (Vec::new(), Vec::new());
    for work in items.iter().filter_map(|i| i.work.as_ref()) {
        wanted.marks.extend(work.position().map(|(stream, _)| stream.clone()));
        wanted.held.extend(work.parked().map(|parked| parked.id));
        match work {
            // Asked for beforehand, so that the first pass gets as far as the handler's own wishes.
            Work::Message { command: true, envelope, .. } => {
                fences.extend(envelope.saga.as_ref().map(|s| s.effect.saga_id))
            }
            Work::Wake { kind, id } => woken.push((*kind, *id)),
            _ => {}
        }
        if let Work::Call { idempotency: Some((key, _)), .. } = work {
            wanted.idempotency.push(key.clone());
        }
    }
    for kind in C::KINDS {
        let ids = sorted(woken.iter().filter(|(k, _)| k == kind).map(|(_, id)| *id).collect());
        wanted.rows.extend((!ids.is_empty()).then_some((*kind, ids)));
    }
    let fences = sorted(fences);
    wanted.rows.extend((!fences.is_empty()).then_some((FENCE, fences)));
    wanted.marks.sort();
    wanted.marks.dedup();
    wanted.held.sort_unstable();
    wanted.held.dedup();
    wanted.idempotency.sort();
    wanted.idempotency.dedup();
    wanted
}

fn sorted(mut ids: Vec<Uuid>) -> Vec<Uuid> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

pub(super) fn all_kinds<C: Context>() -> Vec<&'static str> {
    C::KINDS.iter().copied().chain([FENCE]).collect()
}

/// Puts loaded rows into the working set; what was asked for and is absent is known to be absent.
pub(super) fn take_in(unit: &mut Unit, wanted: &Wanted, loaded: Loaded) {
    for (kind, ids) in &wanted.rows {
        for id in ids {
            unit.slots.entry((kind, *id)).or_insert_with(|| Slot::new(None));
            unit.peeks.remove(&(*kind, *id));
        }
    }
    for (kind, ids) in &wanted.peeks {
        for id in ids {
            unit.peeks.entry((kind, *id)).or_insert_with(|| Slot::new(None));
        }
    }
    for (kind, row) in loaded.rows {
        unit.slots.insert((kind, row.id), Slot::new(Some(row)));
    }
    for (kind, row) in loaded.peeks {
        unit.peeks.insert((kind, row.id), Slot::new(Some(row)));
    }
    for claim in &wanted.claims {
        let given = loaded.claimed.iter().filter(|(k, r)| *k == claim.kind && r.rank >= claim.min_rank).count();
        if given < claim.count {
            unit.exhausted.insert((claim.kind, Claim { status: claim.status, min_rank: claim.min_rank }));
        }
    }
    for (kind, row) in loaded.claimed {
        let pool = unit.pools.entry(kind).or_default();
        if !pool.contains(&row.id) {
            pool.push(row.id);
        }
        unit.slots.entry((kind, row.id)).or_insert_with(|| Slot::new(Some(row)));
    }
}
