//! The invariants, judged by the same rules as `mallctl verify`, over the stores and the log as they are.

use crate::{
    chaos::POISON,
    dice::mix,
    platform::{CONTEXTS, DEADLINES, Platform},
};
use payments::{
    acquirer::Decided,
    domain::{EntryStatus, Payment},
};
use std::collections::BTreeMap;
use transport::{
    journal::Chapter,
    ports::{Parked, Record},
};
use uuid::Uuid;
use verify::{Facts, ledger::Entry};

/// Looks at a platform again and again; what it has read of the topics it does not read anew.
#[derive(Default)]
pub struct Oracle {
    facts: Facts,
    read: BTreeMap<&'static str, Vec<usize>>,
}

impl Oracle {
    /// What is broken, one line each. While sagas run and messages are on their way, `ended` is false: then nothing is said
    /// of sagas that have not ended.
    pub fn broken(&mut self, platform: &Platform, ended: bool, told: Option<&[serde_json::Value]>) -> Vec<String> {
        self.look(platform, told);
        let verdicts = verify::all(&self.facts).into_iter().filter(|v| ended || !v.name.starts_with("I4"));
        let broken = verdicts.flat_map(|v| v.broken.into_iter().map(move |what| format!("{}: {what}", v.name)));
        broken.chain(platform.world.seen_wrong()).collect()
    }

    fn look(&mut self, platform: &Platform, told: Option<&[serde_json::Value]>) {
        let before = std::mem::take(&mut self.facts);
        let told = told.map(<[_]>::to_vec);
        let mut facts =
            Facts { seen: before.seen, replies: before.replies, told, deadlines: DEADLINES, ..Facts::default() };
        for topic in schemas::topics::ALL {
            for record in platform.log.records_since(topic, self.read.entry(topic).or_default()) {
                facts.see(topic, record.key.as_deref(), &record.headers, record.value.as_deref());
            }
        }
        for (context, kinds) in CONTEXTS {
            let store = platform.store(context);
            for &kind in kinds.iter().chain(&[transport::FENCE]) {
                for row in store.rows(kind) {
                    let state = serde_json::from_str(&row.state).unwrap_or_default();
                    facts.add_row(context, kind, row.id, row.status, state, row.streams);
                }
            }
            store.outbox().into_iter().for_each(|row| facts.add_unsent(row));
        }
        for entry in platform.store("orchestrator").histories() {
            let chapters: Vec<Chapter<serde_json::Value>> = serde_json::from_str(&entry.entries).unwrap_or_default();
            facts.add_chapters(entry.id, chapters);
        }
        let payments = platform.store("payments").rows("payment");
        let payments = payments.iter().filter_map(|row| serde_json::from_str::<Payment>(&row.state).ok());
        facts.payments = payments.flat_map(|p| payments::api::entries(&p)).map(Entry::from).collect();
        let decided = platform.acquirer.ledger().into_iter();
        facts.acquirer = Some(decided.filter(|d| d.status == EntryStatus::Done).map(entry).collect());
        self.facts = facts;
    }
}

fn entry(decided: Decided) -> Entry {
    let Decided { reference, operation, idempotency_key, amount, .. } = decided;
    Entry { order: reference, operation: operation.as_str().to_owned(), key: idempotency_key, amount }
}

/// What must hold once the platform is at rest, beyond the invariants: what nobody could read is parked with each of its
/// readers, and the copies that contexts keep of each other's data agree with the originals.
pub fn broken_at_rest(platform: &Platform) -> Vec<String> {
    let mut broken = Vec::new();
    for topic in schemas::topics::ALL {
        for record in platform.log.records(topic).iter().filter(|record| is_poison(record)) {
            for context in platform.readers(topic) {
                let is_it = |parked: &Parked| place(&parked.record) == place(record);
                if !platform.store(context).parked().iter().any(is_it) {
                    broken.push(format!("parking: {context} passed over {:?}, which nobody can read", place(record)));
                }
            }
        }
    }
    let views: BTreeMap<_, _> = statuses(platform, "search", "order_view").collect();
    for (id, status) in statuses(platform, "orders", "order") {
        let view = views.get(&id).map_or("absent", String::as_str);
        if view != status {
            broken.push(format!("search: order {id} is {status} and is found as {view}"));
        }
    }
    let copies: BTreeMap<_, _> = versions(platform, "orders", "catalogue_product").collect();
    for (id, version) in versions(platform, "stores", "product") {
        if copies.get(&id) != Some(&version) {
            broken.push(format!("catalogue: product {id} has version {version}, its copy {:?}", copies.get(&id)));
        }
    }
    broken
}

fn versions(platform: &Platform, context: &str, kind: &str) -> impl Iterator<Item = (Uuid, i64)> + use<> {
    let version = |state: &str| serde_json::from_str::<serde_json::Value>(state).ok()?["version"].as_i64();
    platform.store(context).rows(kind).into_iter().filter_map(move |row| Some((row.id, version(&row.state)?)))
}

fn statuses(platform: &Platform, context: &str, kind: &str) -> impl Iterator<Item = (Uuid, String)> + use<> {
    platform.store(context).rows(kind).into_iter().map(|row| (row.id, row.status))
}

fn is_poison(record: &Record) -> bool {
    record.key.as_deref() == Some(POISON.as_bytes())
}

fn place(record: &Record) -> (&str, i32, i64) {
    (&record.topic, record.partition, record.offset)
}

/// How many sagas are where: type, phase, and the code of what they were turned back for.
pub fn ends(platform: &Platform) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for row in platform.store("orchestrator").rows("saga") {
        let state: serde_json::Value = serde_json::from_str(&row.state).unwrap_or_default();
        let (saga, cause) = (&state["progress"]["saga_type"], &state["progress"]["cause"]["code"]);
        let (saga, cause) = (saga.as_str().unwrap_or_default(), cause.as_str().unwrap_or_default());
        *ends.entry(format!("{saga} {} {cause}", row.status).trim_end().to_owned()).or_default() += 1;
    }
    ends
}

/// A number for what is on each topic and in each table, by name: two runs of a seed have the same.
pub fn fingerprints(platform: &Platform) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for topic in schemas::topics::ALL {
        let mut hash = 0;
        for record in platform.log.records(topic) {
            hash = record.headers.iter().fold(hash, |hash, (name, value)| mix(mix(hash, name.as_bytes()), value));
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            hash = mix(mix(hash, key.unwrap_or_default()), value.unwrap_or_default());
        }
        all.push(((*topic).to_owned(), hash));
    }
    for (context, kinds) in CONTEXTS {
        for kind in kinds {
            let rows = platform.store(context).rows(kind);
            let hash = rows.iter().fold(0, |hash, row| mix(mix(hash, row.id.as_bytes()), row.state.as_bytes()));
            all.push((format!("{context} {kind}"), hash));
        }
    }
    all
}

/// Why the platform has not come to rest yet; `None`: every saga has ended, every outbox is empty, nothing is parked.
pub fn restless(platform: &Platform) -> Option<String> {
    let sagas = platform.store("orchestrator").rows("saga");
    if let Some(saga) = sagas.iter().find(|s| !matches!(s.status.as_str(), "completed" | "compensated")) {
        return Some(format!("saga {} is {}", saga.id, saga.status));
    }
    for (context, _) in CONTEXTS {
        let store = platform.store(context);
        if let Some(row) = store.outbox().first() {
            return Some(format!("{context} has not sent {} {}", row.stream, row.seq));
        }
        if let Some(parked) = store.parked().iter().find(|parked| !is_poison(&parked.record)) {
            return Some(format!("{context} has parked {}: {}", parked.record.topic, parked.reason));
        }
    }
    None
}
