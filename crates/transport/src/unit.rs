//! A unit of work: what a fold sees of the world and what it does to it.
//!
//! A fold is a pure function of the rows it reads. It may run several times before its effects count, because rows that it
//! asks for are loaded only when it has asked: each `?` on these methods may end the run with [`Stop::Need`].

use crate::{
    cache::RowCache,
    codec::Codec,
    context::Aggregate,
    error::Stop,
    fence::{Conversation, Given},
    ports::{ClaimRows, Mark, Row, StreamMark, Wanted},
};
use message::{EffectKey, Envelope, Event, Message, Outcome, Outgoing, Refusal, SagaRef, Stream, TraceContext};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{
    any::Any,
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};
use uuid::Uuid;

/// The result of a fold or of reading a row within one.
pub type Fold<T> = Result<T, Stop>;

pub(crate) type Key = (&'static str, Uuid);

/// A wish for one free row of a kind, locked so that nobody else gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The status rows to choose from must have.
    pub status: &'static str,
    /// The least [`Aggregate::rank`] that will do.
    pub min_rank: i64,
}

/// How many more rows than wished for a claim brings, so that a fold has a choice (the nearest robot).
const CLAIM_SPARE: usize = 8;

/// A typed aggregate with its type erased: an `Arc` of it, so that reading copies nothing.
pub(crate) trait State: Send {
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
    /// (status, parent, rank, wake, JSON)
    fn save(&self) -> Result<Saved, serde_json::Error>;
}

pub(crate) struct Saved {
    pub status: &'static str,
    pub parent: Option<Uuid>,
    pub rank: i64,
    pub wake_at_ms: Option<i64>,
    pub json: String,
}

struct Held<A>(Arc<A>);

impl<A: Aggregate> State for Held<A> {
    fn any(&self) -> &dyn Any {
        &self.0
    }
    fn any_mut(&mut self) -> &mut dyn Any {
        &mut self.0
    }
    fn save(&self) -> Result<Saved, serde_json::Error> {
        Ok(Saved {
            status: self.0.status(),
            parent: self.0.parent(),
            rank: self.0.rank(),
            wake_at_ms: self.0.wake_at_ms(),
            json: serde_json::to_string(&*self.0)?,
        })
    }
}

/// A row in the working set of a batch.
pub(crate) struct Slot {
    /// As loaded, or, once the batch is put together, as it will stand, then without the text of its state; `None`: it does
    /// not exist.
    pub row: Option<Row>,
    /// What the row holds, once somebody has asked.
    loaded: Option<Box<dyn State>>,
    /// What a fold has put in its place.
    pub changed: Option<Box<dyn State>>,
    pub streams: Vec<StreamMark>,
    /// Came from the cache: not locked, so that its version must be compared at the commit, whether it is saved or not.
    pub cached: bool,
}

impl Slot {
    pub fn new(row: Option<Row>) -> Self {
        let streams = row.as_ref().map(|r| r.streams.clone()).unwrap_or_default();
        Self { row, loaded: None, changed: None, streams, cached: false }
    }

    /// As it stands once the batch has committed, for the next one; `None` where there is nothing to keep.
    fn settled(mut self) -> Option<Self> {
        self.loaded = self.changed.take().or(self.loaded);
        self.cached = true;
        if let Some(row) = &mut self.row {
            row.state = String::new();
        }
        (self.row.is_some() && self.loaded.is_some()).then_some(self)
    }

    /// As it is after the folds so far.
    pub fn value(&self) -> Option<&dyn State> {
        self.changed.as_deref().or(self.loaded.as_deref())
    }

    /// Forgets what was folded.
    fn restart(&mut self) {
        if self.changed.take().is_some() {
            self.streams = self.row.as_ref().map(|r| r.streams.clone()).unwrap_or_default();
        }
    }
}

/// A message on its way to the outbox; its sequence number is given when the fold is kept.
pub(crate) struct Emit {
    pub owner: Key,
    pub topic: String,
    pub key: String,
    pub envelope: EmitHead,
    pub value: Option<Vec<u8>>,
}

pub(crate) struct EmitHead {
    pub name: String,
    pub saga: Option<SagaRef>,
    pub outcome: Option<Outcome>,
}

#[derive(Default)]
pub(crate) struct Staged {
    pub values: HashMap<Key, Box<dyn State>>,
    pub emits: Vec<Emit>,
    pub journal: Vec<(Key, Box<RawValue>)>,
    pub outside: Vec<Box<dyn Any + Send>>,
    claimed: HashSet<Key>,
}

/// What is known of the input that is being folded.
#[derive(Default, Clone)]
pub struct Meta {
    pub trace: Option<TraceContext>,
    pub correlation_id: Option<String>,
    pub causation_id: Option<String>,
}

/// See the module's documentation.
pub struct Unit {
    pub(crate) source: &'static str,
    pub(crate) slots: HashMap<Key, Slot>,
    pub(crate) peeks: HashMap<Key, Slot>,
    pub(crate) pools: HashMap<&'static str, Vec<Uuid>>,
    /// Wishes for which the store has given all it had.
    pub(crate) exhausted: HashSet<(&'static str, Claim)>,
    pub(crate) staged: Staged,
    pub(crate) needs: Needs,
    pub(crate) codec: Arc<Codec>,
    pub(crate) meta: Meta,
    pub(crate) now_ms: i64,
    cache: RowCache,
    /// The marks of this batch's streams, as they are after its commit.
    pub(crate) marks: Vec<(Stream, Mark)>,
    taken: HashSet<Key>,
    wishes: HashMap<(&'static str, Claim), usize>,
    id_seed: u64,
}

#[derive(Default)]
pub(crate) struct Needs {
    rows: HashMap<&'static str, BTreeSet<Uuid>>,
    peeks: HashMap<&'static str, BTreeSet<Uuid>>,
    claims: HashMap<(&'static str, Claim), usize>,
}

impl Unit {
    pub(crate) fn new(source: &'static str, codec: Arc<Codec>, id_seed: u64, cache: RowCache) -> Self {
        Self {
            source,
            slots: HashMap::new(),
            peeks: HashMap::new(),
            pools: HashMap::new(),
            exhausted: HashSet::new(),
            staged: Staged::default(),
            needs: Needs::default(),
            codec,
            meta: Meta::default(),
            now_ms: 0,
            cache,
            marks: Vec::new(),
            taken: HashSet::new(),
            wishes: HashMap::new(),
            id_seed,
        }
    }

    /// The database's time at the start of the batch, milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// A fresh UUIDv7.
    pub fn new_id(&mut self) -> Uuid {
        self.id_seed = self.id_seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = mix(self.id_seed);
        let random = (u128::from(mixed) << 64) | u128::from(mix(mixed ^ self.id_seed));
        uuid::Builder::from_unix_timestamp_millis(self.now_ms.max(0) as u64, &first_ten(random)).into_uuid()
    }

    /// Where the input came from: trace, correlation and causation.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What this fold emits from here on belongs to this trace and order, also when the input came in another trace or, as
    /// wake-ups do, in none.
    pub fn follow(&mut self, trace: Option<TraceContext>, correlation_id: Option<String>) {
        let within = |input: &TraceContext| trace.is_none_or(|t| t.trace_id == input.trace_id);
        self.meta.trace = self.meta.trace.filter(within).or(trace);
        self.meta.correlation_id = self.meta.correlation_id.take().or(correlation_id);
    }

    /// The aggregate with this id; `None` when there is none. What becomes of the batch stands only if nobody else changes it
    /// before the commit.
    pub fn get<A: Aggregate>(&mut self, id: Uuid) -> Fold<Option<A>> {
        Ok(self.read(id)?.map(Arc::unwrap_or_clone))
    }

    /// As [`Unit::get`], without a copy: for what this fold only looks at.
    pub fn read<A: Aggregate>(&mut self, id: Uuid) -> Fold<Option<Arc<A>>> {
        let key = (A::KIND, id);
        if let Some(state) = self.staged.values.get(&key) {
            return downcast(state.as_ref()).map(Some);
        }
        if self.recall(key) {
            return self.slots.get_mut(&key).map_or(Ok(None), read);
        }
        self.needs.rows.entry(A::KIND).or_default().insert(id);
        Err(Stop::Need)
    }

    /// Whether the row is in the working set, or could be taken there from the cache.
    pub(crate) fn recall(&mut self, key: Key) -> bool {
        if self.slots.contains_key(&key) {
            return true;
        }
        let Some(slot) = self.cache.take_row(&key) else { return false };
        self.slots.insert(key, slot);
        true
    }

    /// Whether a row with this id of one of these kinds is at hand.
    pub(crate) fn knows(&self, kinds: &[&'static str], id: Uuid) -> bool {
        let at_hand = |kind: &&'static str| match self.slots.get(&(*kind, id)) {
            Some(slot) => slot.row.is_some(),
            None => self.cache.has_row(&(*kind, id)),
        };
        kinds.iter().any(at_hand)
    }

    pub(crate) fn recall_mark(&mut self, stream: &Stream) -> Option<Mark> {
        self.cache.take_mark(stream)
    }

    /// The cache for the next batch: with what this one has committed, or without anything it touched.
    pub(crate) fn into_cache(mut self, committed: bool) -> RowCache {
        let used = self.slots.values().any(|slot| slot.cached);
        if committed {
            self.cache.succeeded(used);
            for (key, slot) in self.slots {
                if let Some(slot) = slot.settled() {
                    self.cache.put_row(key, slot);
                }
            }
            for (stream, mark) in self.marks {
                self.cache.put_mark(stream, mark);
            }
        } else if used {
            self.cache.overtaken();
        }
        self.cache
    }

    /// As [`Unit::get`], without a lock: for reference data that this fold does not change.
    pub fn peek<A: Aggregate>(&mut self, id: Uuid) -> Fold<Option<A>> {
        let key = (A::KIND, id);
        if self.staged.values.contains_key(&key) || self.slots.contains_key(&key) {
            return self.get(id);
        }
        let found: Option<Arc<A>> = match self.peeks.get_mut(&key) {
            Some(slot) => read(slot)?,
            None => {
                self.needs.peeks.entry(A::KIND).or_default().insert(id);
                return Err(Stop::Need);
            }
        };
        Ok(found.map(Arc::unwrap_or_clone))
    }

    /// As [`Unit::peek`] for many at once: one need, not one after another.
    pub fn peek_all<A: Aggregate>(&mut self, ids: impl IntoIterator<Item = Uuid>) -> Fold<Vec<Option<A>>> {
        let all: Vec<_> = ids.into_iter().map(|id| self.peek(id)).collect();
        all.into_iter().collect()
    }

    /// Saves the aggregate. It must have been read with [`Unit::get`] or claimed, so that its version is known.
    pub fn put<A: Aggregate>(&mut self, id: Uuid, aggregate: A) {
        self.put_shared(id, Arc::new(aggregate));
    }

    /// As [`Unit::put`], for who goes on looking at what was put.
    pub fn put_shared<A: Aggregate>(&mut self, id: Uuid, aggregate: Arc<A>) {
        self.staged.values.insert((A::KIND, id), Box::new(Held(aggregate)));
    }

    /// The aggregate as this fold leaves it so far, to be changed where it is.
    fn change<A: Aggregate>(&mut self, id: Uuid) -> Fold<&mut A> {
        self.touch::<A>(id)?;
        let staged = self.staged.values.get_mut(&(A::KIND, id)).and_then(|s| s.any_mut().downcast_mut::<Arc<A>>());
        staged.map(Arc::make_mut).ok_or_else(|| Stop::Poison(format!("two types share the kind `{}`", A::KIND)))
    }

    /// One row of kind `A` that satisfies `claim`, chosen by `choose` among those that are free (an index into the slice);
    /// `None` when nobody is free. The row is locked for this batch; it is taken when the fold [`Unit::put`]s it.
    pub fn claim<A: Aggregate>(
        &mut self,
        claim: Claim,
        choose: impl FnOnce(&[(Uuid, A)]) -> Option<usize>,
    ) -> Fold<Option<(Uuid, A)>> {
        *self.wishes.entry((A::KIND, claim)).or_default() += 1;
        let mut free = Vec::new();
        for id in self.pools.get(A::KIND).cloned().unwrap_or_default() {
            let key = (A::KIND, id);
            let used = self.taken.contains(&key) || self.staged.claimed.contains(&key);
            let Some(aggregate) = (if used { None } else { self.get::<A>(id)? }) else { continue };
            if aggregate.status() == claim.status && aggregate.rank() >= claim.min_rank {
                free.push((id, aggregate));
            }
        }
        if free.is_empty() && self.must_ask((A::KIND, claim)) {
            return Err(Stop::Need);
        }
        let chosen = (!free.is_empty()).then(|| choose(&free)).flatten().filter(|i| *i < free.len());
        Ok(chosen.map(|i| {
            let (id, aggregate) = free.swap_remove(i);
            self.staged.claimed.insert((A::KIND, id));
            (id, aggregate)
        }))
    }

    /// Whether the store may still have rows for this wish; if so it is asked for as many as this pass has wished.
    fn must_ask(&mut self, wish: (&'static str, Claim)) -> bool {
        if self.exhausted.contains(&wish) {
            return false;
        }
        let wished = self.wishes.get(&wish).copied().unwrap_or(1);
        self.needs.claims.insert(wish, wished);
        true
    }

    /// Publishes `event` on the stream of aggregate (`A`, `id`), keyed by `id`. The aggregate must have been [`Unit::put`]
    /// or read in this fold.
    pub fn emit<A: Aggregate, E: Event>(&mut self, id: Uuid, event: E) -> Fold<()> {
        self.send::<A>(id, id.to_string(), Outgoing::new(event), None)
    }

    /// Publishes a deletion under the name of `M` on the aggregate's stream (compacted topics).
    pub fn tombstone<A: Aggregate, M: Message>(&mut self, id: Uuid) -> Fold<()> {
        self.touch::<A>(id)?;
        let envelope = EmitHead { name: M::NAME.to_owned(), saga: None, outcome: None };
        let (topic, key) = (M::TOPIC.to_owned(), id.to_string());
        self.staged.emits.push(Emit { owner: (A::KIND, id), topic, key, envelope, value: None });
        Ok(())
    }

    /// Publishes `outgoing` on the stream of (`A`, `id`) under record key `key`, as a command when `saga` is given.
    pub fn send<A: Aggregate>(&mut self, id: Uuid, key: String, outgoing: Outgoing, saga: Option<SagaRef>) -> Fold<()> {
        self.touch::<A>(id)?;
        let value = self.codec.encode(&outgoing).map_err(|e| Stop::Poison(e.to_string()))?;
        let envelope = EmitHead { name: outgoing.name.to_owned(), saga, outcome: None };
        let topic = outgoing.topic.to_owned();
        self.staged.emits.push(Emit { owner: (A::KIND, id), topic, key, envelope, value: Some(value) });
        Ok(())
    }

    /// Marks the aggregate as changed, since its streams move with it.
    fn touch<A: Aggregate>(&mut self, id: Uuid) -> Fold<()> {
        if !self.staged.values.contains_key(&(A::KIND, id)) {
            let aggregate = self.read::<A>(id)?;
            let aggregate =
                aggregate.ok_or_else(|| Stop::Poison(format!("{} {id} emits before it exists", A::KIND)))?;
            self.put_shared(id, aggregate);
        }
        Ok(())
    }

    /// Answers the command with this effect key, whenever it came: for handlers that said [`crate::Answer::Later`].
    /// A refusal of an undo is sent but not recorded, so that the undo can be tried again.
    pub fn answer<R: message::Reply>(&mut self, effect: &EffectKey, answer: Result<R, Refusal>) -> Fold<()> {
        self.answer_any(effect, answer.map(Outgoing::new))
    }

    pub(crate) fn answer_any(&mut self, effect: &EffectKey, answer: Result<Outgoing, Refusal>) -> Fold<()> {
        if self.read::<Conversation>(effect.saga_id)?.is_none() {
            return Err(Stop::Poison(format!("an answer to {effect}, which nobody asked for")));
        }
        let given = self.given(answer)?;
        let saga = self.change::<Conversation>(effect.saga_id)?.record(effect, &given).map_err(Stop::Poison)?;
        self.reply(saga, given)
    }

    pub(crate) fn given(&self, answer: Result<Outgoing, Refusal>) -> Fold<Given> {
        let (outgoing, outcome) = match answer {
            Ok(reply) => (reply, Outcome::Ok),
            Err(refusal) => (Outgoing::new(refusal), Outcome::Refused),
        };
        let value = self.codec.encode(&outgoing).map_err(|e| Stop::Poison(e.to_string()))?;
        Ok(Given { outcome, name: outgoing.name.to_owned(), value })
    }

    pub(crate) fn reply(&mut self, saga: SagaRef, given: Given) -> Fold<()> {
        let id = saga.effect.saga_id;
        self.touch::<Conversation>(id)?;
        let (topic, key) = (saga.reply_to.clone(), saga.key.clone());
        let envelope = EmitHead { name: given.name, saga: Some(saga), outcome: Some(given.outcome) };
        let value = Some(given.value);
        self.staged.emits.push(Emit { owner: (Conversation::KIND, id), topic, key, envelope, value });
        Ok(())
    }

    /// Appends to the immutable history of (`A`, `id`); all entries of a batch stand under the version they led to.
    pub fn journal<A: Aggregate>(&mut self, id: Uuid, entry: &impl Serialize) -> Fold<()> {
        let entry = to_raw_value(entry).map_err(|e| Stop::Poison(format!("an entry of the history: {e}")))?;
        self.staged.journal.push(((A::KIND, id), entry));
        Ok(())
    }

    /// Hands `request` to the context's outside worker after the commit. Nothing is stored: the state that the fold enters
    /// must have a wake-up ([`Aggregate::wake_at_ms`]) that asks again, for the process may die in between.
    pub fn ask_outside<T: Send + 'static>(&mut self, request: T) {
        self.staged.outside.push(Box::new(request));
    }

    /// Makes this fold's claims and values count.
    pub(crate) fn keep_staged(&mut self) -> Staged {
        let mut staged = std::mem::take(&mut self.staged);
        self.taken.extend(staged.claimed.drain());
        for (key, state) in staged.values.drain() {
            let slot = self.slots.entry(key).or_insert_with(|| Slot::new(None));
            slot.changed = Some(state);
        }
        staged
    }

    pub(crate) fn discard_staged(&mut self) {
        self.staged = Staged::default();
    }

    /// Forgets what was folded, keeps what was loaded: before the next pass.
    pub(crate) fn restart(&mut self) {
        self.discard_staged();
        self.taken.clear();
        self.wishes.clear();
        for slot in self.slots.values_mut() {
            slot.restart();
        }
    }

    /// What the passes so far asked for, and have not got.
    pub(crate) fn take_needs(&mut self, kinds: &[&'static str]) -> Wanted {
        let needs = std::mem::take(&mut self.needs);
        let in_order = |mut map: HashMap<&'static str, BTreeSet<Uuid>>| -> Vec<(&'static str, Vec<Uuid>)> {
            let mut out: Vec<_> = map.drain().map(|(k, ids)| (k, ids.into_iter().collect())).collect();
            out.sort_by_key(|(kind, _)| kinds.iter().position(|k| k == kind));
            out
        };
        let mut claims = Vec::new();
        for ((kind, claim), count) in needs.claims {
            let (status, min_rank) = (claim.status, claim.min_rank);
            claims.push(ClaimRows { kind, status, min_rank, count: count + CLAIM_SPARE });
        }
        claims.sort_by_key(|c| (c.kind, c.min_rank));
        Wanted { rows: in_order(needs.rows), peeks: in_order(needs.peeks), claims, ..Wanted::default() }
    }

    pub(crate) fn envelope(&mut self, emit: &Emit, seq: u64) -> Envelope {
        Envelope {
            id: self.new_id(),
            name: emit.envelope.name.clone(),
            stream: self.stream(emit.owner, &emit.topic),
            seq,
            time_ms: self.now_ms,
            trace: self.meta.trace,
            correlation_id: self.meta.correlation_id.clone(),
            causation_id: self.meta.causation_id.clone(),
            saga: emit.envelope.saga.clone(),
            outcome: emit.envelope.outcome,
        }
    }

    pub(crate) fn stream(&self, owner: Key, topic: &str) -> Stream {
        Stream::new(self.source, owner.0, owner.1.hyphenated().encode_lower(&mut Uuid::encode_buffer()), topic)
    }
}

fn read<A: Aggregate>(slot: &mut Slot) -> Fold<Option<Arc<A>>> {
    if slot.value().is_none() {
        let Some(row) = &slot.row else { return Ok(None) };
        let aggregate: A = serde_json::from_str(&row.state)
            .map_err(|e| Stop::Poison(format!("{} {} cannot be read back: {e}", A::KIND, row.id)))?;
        slot.loaded = Some(Box::new(Held(Arc::new(aggregate))));
    }
    slot.value().map(downcast).transpose()
}

fn downcast<A: Aggregate>(state: &dyn State) -> Fold<Arc<A>> {
    let typed = state.any().downcast_ref::<Arc<A>>().cloned();
    typed.ok_or_else(|| Stop::Poison(format!("two types share the kind `{}`", A::KIND)))
}

/// SplitMix64's finalizer (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn first_ten(random: u128) -> [u8; 10] {
    let bytes = random.to_be_bytes();
    let mut ten = [0; 10];
    ten.copy_from_slice(&bytes[..10]);
    ten
}
