//! One pass over a batch: every input is folded in order into the working set, and the result assembled into changes.
//!
//! Pure: no I/O. A pass that finds rows missing is thrown away after it has learnt of all of them, and run again.

use crate::{
    context::Context,
    error::Stop,
    fence::{Conversation, Fenced},
    journal::Chapter,
    ports::{
        Changes, IdempotencyKey, JournalEntry, Mark, OutboxRow, Parked, Record, Row, Save, StoredAnswer, StreamMark,
    },
    router::{Delivery, Handler, Router},
    unit::{Emit, Fold, Key, Meta, Unit},
};
use message::{
    Direction, Envelope, Refusal, SagaRef, Stream, TraceContext,
    bugs::{Bug, has},
};
use serde_json::value::RawValue;
use std::{
    any::Any,
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hasher,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use uuid::Uuid;

/// How many shards an outbox has: the unit in which relays of several processes divide the work.
pub const SHARDS: i16 = 4;
/// Longest reason that is kept with a parked record.
const MAX_REASON_CHARS: usize = 500;
/// A due timer whose handler leaves it due is tried again after this long.
const WAKE_AGAIN_MS: i64 = 250;

pub(crate) type AnyAnswer = Box<dyn Any + Send>;
pub(crate) type CallFold<C> = Box<dyn Fn(&C, &mut Unit) -> Fold<(AnyAnswer, Option<String>)> + Send + Sync>;

/// What a batch is made of.
pub(crate) enum Work<C: Context> {
    Message {
        record: Arc<Record>,
        envelope: Envelope,
        handler: Handler<C>,
        command: bool,
        parked: Option<Parked>,
    },
    Reply {
        record: Arc<Record>,
        envelope: Envelope,
        body: serde_json::Value,
        parked: Option<Parked>,
    },
    /// Could not be decoded.
    Poison {
        record: Arc<Record>,
        envelope: Option<Envelope>,
        command: bool,
        reason: String,
        parked: Option<Parked>,
    },
    /// An operator gave this parked record up.
    Skip {
        parked: Parked,
        envelope: Option<Envelope>,
    },
    Wake {
        kind: &'static str,
        id: Uuid,
    },
    Call {
        fold: CallFold<C>,
        correlation_id: Option<String>,
        idempotency: Option<(IdempotencyKey, u64)>,
        /// New work that is refused now, unless it was done already.
        only_repeated: bool,
    },
}

impl<C: Context> Work<C> {
    /// The parked record that this is, if it is one.
    pub fn parked(&self) -> Option<&Parked> {
        match self {
            Self::Message { parked, .. } | Self::Reply { parked, .. } | Self::Poison { parked, .. } => parked.as_ref(),
            Self::Skip { parked, .. } => Some(parked),
            Self::Wake { .. } | Self::Call { .. } => None,
        }
    }

    /// The stream that the input is gated by, and its position there.
    pub fn position(&self) -> Option<(&Stream, u64)> {
        match self {
            Self::Message { envelope, .. } => Some((&envelope.stream, envelope.seq)),
            Self::Poison { envelope, .. } | Self::Skip { envelope, .. } => {
                envelope.as_ref().map(|e| (&e.stream, e.seq))
            }
            Self::Reply { .. } | Self::Wake { .. } | Self::Call { .. } => None,
        }
    }
}

/// What became of one input.
pub(crate) enum Done {
    Nothing,
    Duplicate,
    Parked,
    Refused(Refusal),
    Answer(AnyAnswer),
    /// The stored answer of an earlier use of the idempotency key, as JSON.
    Repeated(String),
    KeyReused,
    /// New work, refused since too much is under way.
    Full,
    Failed(String),
}

/// Everything a pass accumulates besides the unit.
pub(crate) struct Pass<'a, C: Context> {
    pub context: &'a C,
    pub router: &'a Router<C>,
    pub marks: HashMap<Stream, (Mark, Mark)>,
    /// The records that hold positions of streams in parking, of those that this batch touches.
    parked: HashMap<(Stream, u64), Arc<Record>>,
    /// The parked records of this batch that are still parked, and were not yet looked at.
    held: HashSet<i64>,
    pub stored: &'a HashMap<IdempotencyKey, StoredAnswer>,
    pub changes: Changes,
    pub woken: HashSet<Key>,
    pub outside: Vec<Box<dyn Any + Send>>,
    journal: BTreeMap<Key, Vec<Chapter<Box<RawValue>>>>,
}

impl<'a, C: Context> Pass<'a, C> {
    pub fn new(
        context: &'a C,
        router: &'a Router<C>,
        marks: &HashMap<Stream, Mark>,
        parked: &HashMap<(Stream, u64), Arc<Record>>,
        held: &HashSet<i64>,
        stored: &'a HashMap<IdempotencyKey, StoredAnswer>,
    ) -> Self {
        let marks = marks.iter().map(|(s, m)| (s.clone(), (*m, *m))).collect();
        let (parked, held) = (parked.clone(), held.clone());
        let changes = Changes::default();
        Self {
            context,
            router,
            marks,
            parked,
            held,
            stored,
            changes,
            woken: HashSet::new(),
            outside: Vec::new(),
            journal: BTreeMap::new(),
        }
    }

    /// Folds one input. `None`: rows are missing; the pass goes on only to learn what else is.
    pub fn fold(&mut self, unit: &mut Unit, work: &Work<C>, trace: Option<TraceContext>) -> Option<Done> {
        // Fed twice, because it was looked for again before its first time was through, or by two processes.
        if work.parked().is_some_and(|parked| !self.held.remove(&parked.id)) {
            return Some(Done::Nothing);
        }
        match work {
            Work::Message { record, envelope, handler, command, parked } => {
                unit.meta = meta(envelope, trace);
                self.message(unit, record, envelope, handler, *command, parked.as_ref())
            }
            Work::Reply { record, envelope, body, parked } => {
                unit.meta = meta(envelope, trace);
                self.reply(unit, record, envelope, body, parked.as_ref())
            }
            Work::Poison { record, envelope, command, reason, parked } => {
                self.poison(unit.now_ms, record, envelope.as_ref(), *command, reason, parked.as_ref());
                Some(Done::Parked)
            }
            Work::Skip { parked, envelope } => self.skip(unit, parked, envelope.as_ref(), trace),
            Work::Wake { kind, id } => self.wake(unit, kind, *id, trace),
            Work::Call { fold, correlation_id, idempotency, only_repeated } => {
                unit.meta = Meta { trace, correlation_id: correlation_id.clone(), causation_id: None };
                self.call(unit, (!only_repeated).then_some(fold), idempotency.as_ref())
            }
        }
    }

    fn message(
        &mut self,
        unit: &mut Unit,
        record: &Arc<Record>,
        envelope: &Envelope,
        handler: &Handler<C>,
        command: bool,
        parked: Option<&Parked>,
    ) -> Option<Done> {
        let mark = self.mark(&envelope.stream);
        if envelope.seq <= mark.last_seq && !has(Bug::NoInbox) {
            self.unpark(parked);
            return Some(Done::Duplicate);
        }
        let behind = parked.is_none() && mark.parked > 0;
        let jump = command && envelope.seq != mark.last_seq + 1 && !has(Bug::NoInbox);
        if behind || jump {
            let reason = if behind { "waits behind a parked record of its stream" } else { "a predecessor is missing" };
            self.park(unit.now_ms, record, Some((envelope, command)), reason, true, parked);
            return Some(Done::Parked);
        }
        let result = guarded(|| {
            if command {
                fold_command(self.context, unit, envelope, handler)
            } else {
                handler(self.context, unit, envelope, Delivery::First).map(|_| ())
            }
        });
        match result {
            Ok(()) => {
                self.keep(unit);
                self.advance(&envelope.stream, envelope.seq);
                self.unpark(parked);
                Some(Done::Nothing)
            }
            Err(Stop::Need) => self.need(unit),
            Err(Stop::Refused(refusal)) => {
                Some(self.give_up(unit, record, envelope, command, &refusal.to_string(), parked))
            }
            Err(Stop::Poison(reason)) => Some(self.give_up(unit, record, envelope, command, &reason, parked)),
        }
    }

    fn give_up(
        &mut self,
        unit: &mut Unit,
        record: &Arc<Record>,
        envelope: &Envelope,
        command: bool,
        reason: &str,
        parked: Option<&Parked>,
    ) -> Done {
        unit.discard_staged();
        self.park(unit.now_ms, record, Some((envelope, command)), reason, false, parked);
        Done::Parked
    }

    /// A reply that cannot be placed is parked alone: nothing waits behind it.
    fn reply(
        &mut self,
        unit: &mut Unit,
        record: &Arc<Record>,
        envelope: &Envelope,
        body: &serde_json::Value,
        parked: Option<&Parked>,
    ) -> Option<Done> {
        let Some(route) = &self.router.replies else { return Some(Done::Nothing) };
        let reason = match guarded(|| (route.fold)(self.context, unit, envelope, body)) {
            Ok(()) => {
                self.keep(unit);
                self.unpark(parked);
                return Some(Done::Nothing);
            }
            Err(Stop::Need) => return self.need(unit),
            Err(Stop::Refused(refusal)) => refusal.to_string(),
            Err(Stop::Poison(reason)) => reason,
        };
        unit.discard_staged();
        self.park(unit.now_ms, record, None, &reason, false, parked);
        Some(Done::Parked)
    }

    fn fail(&mut self, unit: &mut Unit, reason: String) -> Option<Done> {
        unit.discard_staged();
        Some(Done::Failed(reason))
    }

    fn poison(
        &mut self,
        now_ms: i64,
        record: &Arc<Record>,
        envelope: Option<&Envelope>,
        command: bool,
        reason: &str,
        parked: Option<&Parked>,
    ) {
        // Known to be a duplicate by its headers: what its body is does not matter any more.
        if let Some(envelope) = envelope
            && envelope.seq <= self.mark(&envelope.stream).last_seq
        {
            return self.unpark(parked);
        }
        if has(Bug::SkipPoison) {
            return self.unpark(parked);
        }
        self.park(now_ms, record, envelope.map(|e| (e, command)), reason, false, parked);
    }

    fn skip(
        &mut self,
        unit: &mut Unit,
        parked: &Parked,
        envelope: Option<&Envelope>,
        trace: Option<TraceContext>,
    ) -> Option<Done> {
        if let Some(envelope) = envelope.filter(|e| self.may_skip(parked, e)) {
            unit.meta = meta(envelope, trace);
            if envelope.saga.is_some() && envelope.outcome.is_none() {
                match guarded(|| skip_command(unit, envelope)) {
                    Ok(()) => self.keep(unit),
                    Err(Stop::Need) => return self.need(unit),
                    Err(Stop::Refused(r)) => return self.fail(unit, r.to_string()),
                    Err(Stop::Poison(reason)) => return self.fail(unit, reason),
                }
            }
            self.advance(&envelope.stream, envelope.seq);
        }
        self.unpark(Some(parked));
        Some(Done::Nothing)
    }

    /// Whether giving the record up moves its stream: only when it stands where the stream goes on. One that claims a place
    /// the stream has not come to, or that another record has, may be forged; moving the mark would drop what is genuine.
    fn may_skip(&self, parked: &Parked, envelope: &Envelope) -> bool {
        let last_seq = self.mark(&envelope.stream).last_seq;
        parked.position.is_some() && envelope.seq > last_seq && (parked.gap || envelope.seq == last_seq + 1)
    }

    fn wake(&mut self, unit: &mut Unit, kind: &'static str, id: Uuid, trace: Option<TraceContext>) -> Option<Done> {
        unit.meta = Meta { trace, ..Meta::default() };
        let Some(handle) = self.router.wakes.get(kind) else {
            return Some(Done::Failed(format!("no wake route for {kind}")));
        };
        match guarded(|| handle(self.context, unit, id)) {
            Ok(()) => {
                self.keep(unit);
                self.woken.insert((kind, id));
                Some(Done::Nothing)
            }
            Err(Stop::Need) => self.need(unit),
            Err(Stop::Refused(refusal)) => self.fail(unit, refusal.to_string()),
            Err(Stop::Poison(reason)) => self.fail(unit, reason),
        }
    }

    fn call(
        &mut self,
        unit: &mut Unit,
        fold: Option<&CallFold<C>>,
        key: Option<&(IdempotencyKey, u64)>,
    ) -> Option<Done> {
        if let Some((key, hash)) = key {
            let earlier = self.changes.answers.iter().find(|(k, _)| k == key).map(|(_, a)| a);
            if let Some(answer) = self.stored.get(key).or(earlier) {
                let same = answer.request_hash == *hash;
                return Some(if same { Done::Repeated(answer.answer.clone()) } else { Done::KeyReused });
            }
        }
        let Some(fold) = fold else { return Some(Done::Full) };
        match guarded(|| fold(self.context, unit)) {
            Ok((answer, json)) => {
                self.keep(unit);
                if let (Some((key, hash)), Some(json)) = (key, json) {
                    self.changes.answers.push((key.clone(), StoredAnswer { request_hash: *hash, answer: json }));
                }
                Some(Done::Answer(answer))
            }
            Err(Stop::Need) => self.need(unit),
            Err(Stop::Refused(refusal)) => {
                unit.discard_staged();
                Some(Done::Refused(refusal))
            }
            Err(Stop::Poison(reason)) => self.fail(unit, reason),
        }
    }

    fn need(&mut self, unit: &mut Unit) -> Option<Done> {
        unit.discard_staged();
        None
    }

    fn mark(&self, stream: &Stream) -> Mark {
        self.marks.get(stream).map(|(_, now)| *now).unwrap_or_default()
    }

    fn mark_mut(&mut self, stream: &Stream) -> &mut Mark {
        &mut self.marks.entry(stream.clone()).or_default().1
    }

    fn advance(&mut self, stream: &Stream, seq: u64) {
        self.mark_mut(stream).last_seq = seq;
    }

    fn unpark(&mut self, parked: Option<&Parked>) {
        let Some(parked) = parked else { return };
        self.changes.unpark.push(parked.id);
        if let Some(position) = &parked.position {
            self.parked.remove(position);
            let mark = self.mark_mut(&position.0);
            mark.parked = mark.parked.saturating_sub(1);
        }
    }

    fn park(
        &mut self,
        now_ms: i64,
        record: &Arc<Record>,
        envelope: Option<(&Envelope, bool)>,
        reason: &str,
        gap: bool,
        again: Option<&Parked>,
    ) {
        self.unpark(again);
        let (mut position, mut gap) = (envelope.map(|(e, _)| (e.stream.clone(), e.seq)), gap);
        // PostgreSQL's text holds no NUL.
        let mut reason: String = reason.chars().filter(|c| *c != '\0').take(MAX_REASON_CHARS).collect();
        match position.as_ref().and_then(|place| self.parked.get(place)) {
            // Parked already, and read again after a rebalance, a crash or a repeated append.
            Some(holder) if is_same(holder, record) => return,
            // Two different records claim one position: which of them is genuine, only a person can tell.
            Some(holder) => {
                reason = format!(
                    "position {} of its stream is held by offset {}",
                    position.map_or(0, |p| p.1),
                    holder.offset
                );
                (position, gap) = (None, false);
            }
            None => {}
        }
        if let Some(place) = &position {
            self.mark_mut(&place.0).parked += 1;
            self.parked.insert(place.clone(), record.clone());
        }
        self.changes.park.push(Parked {
            id: 0,
            strict: position.is_some() && envelope.is_some_and(|(_, command)| command),
            position,
            record: (**record).clone(),
            reason,
            gap,
            since_ms: again.map_or(now_ms, |p| p.since_ms),
        });
    }

    /// Moves what the fold staged into the working set: sequence numbers are given here.
    fn keep(&mut self, unit: &mut Unit) {
        let mut staged = unit.keep_staged();
        for emit in staged.emits.drain(..) {
            let row = outbox_row(unit, emit);
            self.changes.outbox.push(row);
        }
        for (key, entry) in staged.journal.drain(..) {
            self.note(unit.meta(), key, entry);
        }
        self.outside.append(&mut staged.outside);
    }

    /// Completes the changes after a pass in which nothing was missing.
    pub fn finish(mut self, unit: &mut Unit) -> Result<(Changes, Vec<Box<dyn Any + Send>>), String> {
        for (stream, (before, after)) in std::mem::take(&mut self.marks) {
            if before != after {
                self.changes.marks.push((stream.clone(), before, after));
            }
            unit.marks.push((stream, after));
        }
        self.changes.marks.sort_by(|a, b| a.0.cmp(&b.0));
        let now_ms = unit.now_ms;
        for (key, slot) in &mut unit.slots {
            let woken = self.woken.contains(key);
            if slot.value().is_none() && slot.row.is_none() && woken {
                self.changes.disarm.push(*key);
            }
            let dirty = slot.changed.is_some();
            let mut saved_row = None;
            if let Some(value) = slot.value().filter(|_| dirty || woken) {
                let saved = value.save().map_err(|e| format!("{} {} cannot be written: {e}", key.0, key.1))?;
                let armed = slot.row.as_ref().and_then(|r| r.armed_ms);
                let (armed, changed) = arm(&mut self.changes, *key, saved.wake_at_ms, armed, woken.then_some(now_ms));
                if dirty || changed {
                    let version = slot.row.as_ref().map_or(0, |r| r.version);
                    // Without the text of its state, which nobody needs who has the state itself.
                    let kept = Row {
                        id: key.1,
                        version: version + 1,
                        status: saved.status.to_owned(),
                        parent: saved.parent,
                        rank: saved.rank,
                        state: String::new(),
                        streams: slot.streams.clone(),
                        armed_ms: armed,
                    };
                    let row = Row { state: saved.json, ..kept.clone() };
                    self.changes.saves.push(Save { kind: key.0, expected: version, row });
                    saved_row = Some(kept);
                }
            }
            match (&slot.row, saved_row) {
                (_, Some(row)) => slot.row = Some(row),
                (Some(row), None) if slot.cached => self.changes.unchanged.push((key.0, key.1, row.version)),
                _ => {}
            }
        }
        self.changes.unchanged.sort_unstable();
        self.changes.saves.sort_by(|a, b| (a.kind, a.row.id).cmp(&(b.kind, b.row.id)));
        self.changes.arm.sort_unstable();
        self.changes.disarm.sort_unstable();
        self.journal(now_ms)?;
        Ok((self.changes, self.outside))
    }

    /// Adds an entry to the history, under what caused it.
    fn note(&mut self, cause: &Meta, key: Key, entry: Box<RawValue>) {
        let chapters = self.journal.entry(key).or_default();
        match chapters.last_mut() {
            Some(last) if last.caused_by.is_some() && last.caused_by == cause.causation_id => last.entries.push(entry),
            _ => chapters.push(Chapter {
                trace_id: cause.trace.map(|t| format!("{:032x}", t.trace_id)),
                caused_by: cause.causation_id.clone(),
                entries: vec![entry],
            }),
        }
    }

    fn journal(&mut self, at_ms: i64) -> Result<(), String> {
        for ((kind, id), chapters) in std::mem::take(&mut self.journal) {
            let saves = &self.changes.saves;
            let at = saves.binary_search_by(|s| (s.kind, s.row.id).cmp(&(kind, id)));
            let version = at.map_or(0, |at| saves[at].row.version);
            let entries = serde_json::to_string(&chapters).map_err(|e| format!("a history cannot be written: {e}"))?;
            self.changes.journal.push(JournalEntry { kind, id, version, at_ms, entries });
        }
        Ok(())
    }
}

/// Sets the aggregate's one timer row where the state asks for an earlier one than stands; answers the bound and whether it changed.
fn arm(
    changes: &mut Changes,
    key: Key,
    wake_at_ms: Option<i64>,
    armed: Option<i64>,
    woken_at: Option<i64>,
) -> (Option<i64>, bool) {
    match (wake_at_ms, armed, woken_at) {
        (Some(wake), _, Some(now)) => {
            let next = wake.max(now + WAKE_AGAIN_MS);
            changes.arm.push((key.0, key.1, next));
            (Some(next), true)
        }
        (Some(wake), Some(armed), None) if wake >= armed => (Some(armed), false),
        (Some(wake), _, None) => {
            changes.arm.push((key.0, key.1, wake));
            (Some(wake), true)
        }
        (None, None, None) => (None, false),
        (None, _, _) => {
            changes.disarm.push(key);
            (None, true)
        }
    }
}

/// Whether two records are one message: read twice from the same place, or appended twice.
fn is_same(one: &Record, other: &Record) -> bool {
    let id = |record: &Record| record.headers.get(message::headers::CE_ID).map(<[u8]>::to_vec);
    let same_place = (one.partition, one.offset) == (other.partition, other.offset);
    same_place || (id(one) == id(other) && one.value == other.value)
}

fn meta(envelope: &Envelope, trace: Option<TraceContext>) -> Meta {
    Meta { trace, correlation_id: envelope.correlation_id.clone(), causation_id: Some(envelope.id.to_string()) }
}

/// The fence around a command (design: effect keys): see [`Conversation::admit`].
fn fold_command<C: Context>(context: &C, unit: &mut Unit, envelope: &Envelope, handler: &Handler<C>) -> Fold<()> {
    let saga = envelope.saga.as_ref().ok_or_else(|| Stop::Poison("a command without saga headers".into()))?;
    match admit(unit, saga)? {
        Fenced::Waiting => match handler(context, unit, envelope, Delivery::WhileAwaited) {
            Err(Stop::Refused(_)) => {
                unit.discard_staged();
                admit(unit, saga).map(|_| ())
            }
            other => other.map(|_| ()),
        },
        Fenced::Answered(given) => {
            let talk = unit.read::<Conversation>(saga.effect.saga_id)?;
            let to = talk.map(|talk| talk.saga_ref(&saga.effect, saga.attempt));
            to.map_or(Ok(()), |to| unit.reply(to, given))
        }
        Fenced::Barred(refusal) => unit.answer_any(&saga.effect, Err(refusal)),
        Fenced::New => match handler(context, unit, envelope, Delivery::First) {
            Ok(None) => Ok(()),
            Ok(Some(reply)) => unit.answer_any(&saga.effect, Ok(reply)),
            Err(Stop::Refused(refusal)) => {
                unit.discard_staged();
                admit(unit, saga)?;
                unit.answer_any(&saga.effect, Err(refusal))
            }
            Err(other) => Err(other),
        },
    }
}

/// Notes the command in the saga's conversation, and says how it is met.
fn admit(unit: &mut Unit, saga: &SagaRef) -> Fold<Fenced> {
    let id = saga.effect.saga_id;
    let mut talk = unit.get::<Conversation>(id)?.unwrap_or_else(|| Conversation::new(saga));
    let met = talk.admit(saga);
    unit.put(id, talk);
    Ok(met)
}

/// A skipped do is barred and refused, a skipped undo refused for good, so that its saga becomes stuck and visible.
fn skip_command(unit: &mut Unit, envelope: &Envelope) -> Fold<()> {
    let Some(saga) = &envelope.saga else { return Ok(()) };
    if admit(unit, saga)? != Fenced::New {
        return Ok(());
    }
    let what = match saga.effect.direction {
        Direction::Do => "was given up by an operator and is not carried out",
        Direction::Undo => "could not be undone: an operator gave the command up",
    };
    let refusal = Refusal::new(Refusal::SKIPPED, format!("`{}` {what}", saga.effect.step));
    unit.answer_any(&saga.effect, Err(refusal))
}

/// A panic in a fold is a poison input, not the end of the process.
fn guarded<T>(fold: impl FnOnce() -> Fold<T>) -> Fold<T> {
    catch_unwind(AssertUnwindSafe(fold))
        .unwrap_or_else(|panic| Err(Stop::Poison(format!("the handler panicked: {}", text_of(&*panic)))))
}

pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

fn outbox_row(unit: &mut Unit, emit: Emit) -> OutboxRow {
    let seq = unit.slots.get(&emit.owner).and_then(|s| s.streams.iter().find(|m| m.topic == emit.topic));
    let (seq, hash) = seq.map_or((1, 0), |m| (m.last_seq + 1, m.hash));
    let envelope = unit.envelope(&emit, seq);
    let hash = running_hash(hash, &envelope.id, emit.value.as_deref());
    if let Some(slot) = unit.slots.get_mut(&emit.owner) {
        slot.streams.retain(|m| m.topic != emit.topic);
        slot.streams.push(StreamMark { topic: emit.topic.clone(), last_seq: seq, hash });
    }
    OutboxRow {
        id: 0,
        table: 0,
        shard: shard_of(&emit.key),
        stream: envelope.stream.name(),
        seq,
        record: crate::ports::NewRecord {
            topic: emit.topic,
            key: emit.key,
            headers: envelope.to_headers(),
            value: emit.value,
        },
        created_ms: unit.now_ms,
    }
}

/// Order holds per key, so the shard goes by the key.
fn shard_of(key: &str) -> i16 {
    let mut hasher = Fnv::default();
    hasher.write(key.as_bytes());
    (hasher.finish() % SHARDS as u64) as i16
}

/// The running hash of a stream after one more message: FNV-1a, 64 bits, over the previous hash (big-endian), the message
/// id (16 bytes) and the value (nothing for a tombstone). Truncated to 53 bits so that it survives JSON everywhere.
pub fn running_hash(previous: u64, id: &Uuid, value: Option<&[u8]>) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(&previous.to_be_bytes());
    hasher.write(id.as_bytes());
    hasher.write(value.unwrap_or_default());
    hasher.finish() & ((1 << 53) - 1)
}

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>): stable across processes and languages, unlike std's hashers.
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
