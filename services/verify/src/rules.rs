//! The invariants of ARCHITECTURE.md as functions of the facts: each names what it checked and what is broken.

use crate::{
    Verdict,
    facts::{Facts, Row},
    ledger::Entry,
    money,
};
use saga::HistoryEntry;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// The verdicts, in the order of the invariants; those on the acquirer and on clients only where the facts have them.
pub fn all(facts: &Facts) -> Vec<Verdict> {
    let mut verdicts = vec![money::money(facts)];
    verdicts.extend(facts.acquirer.as_ref().map(|acquirer| money::ledgers(facts, acquirer)));
    verdicts.extend([money::ends(facts)]);
    verdicts.extend(facts.told.as_ref().map(|told| clients(facts, told)));
    verdicts.extend([
        stuck(facts),
        streams(facts),
        outboxes(facts),
        effects(facts),
        histories(facts),
        bookings(facts),
        bars(facts),
    ]);
    verdicts
}

pub(super) fn rows<'a>(facts: &'a Facts, kind: &str) -> &'a [Row] {
    facts.rows.get(kind).map_or(&[], Vec::as_slice)
}

pub(super) fn by_id<'a>(facts: &'a Facts, kind: &str) -> HashMap<Uuid, &'a Row> {
    rows(facts, kind).iter().map(|r| (r.id, r)).collect()
}

/// Orders whose saga is still under way cannot be judged yet.
pub(super) fn under_way(facts: &Facts) -> HashSet<String> {
    let open = rows(facts, "saga").iter().filter(|s| !matches!(s.status.as_str(), "completed" | "compensated"));
    open.filter_map(|s| Some(s.state["progress"]["key"].as_str()?.to_owned())).collect()
}

/// The states in which an order stays.
const ENDED: [&str; 4] = ["completed", "rejected", "cancelled", "refunded"];

fn clients(facts: &Facts, told: &[Value]) -> Verdict {
    let (orders, open) = (by_id(facts, "order"), under_way(facts));
    let mut broken = Vec::new();
    for line in told {
        let id = line["order_id"].as_str().unwrap_or_default();
        let order = id.parse().ok().and_then(|id: Uuid| orders.get(&id));
        match (line["answered"].as_str(), order) {
            (Some("ok"), None) => broken.push(format!("order {id} was accepted and does not exist")),
            (Some("ok"), Some(_)) if open.contains(id) => broken.push(format!("order {id} has not ended")),
            // No saga carries it on: one never began, or left it where it was.
            (Some("ok"), Some(order)) if !ENDED.contains(&order.status.as_str()) => {
                broken.push(format!("order {id} is {} and no saga is under way", order.status));
            }
            (Some("refused"), Some(order)) => broken.push(format!("order {id} was refused and is {}", order.status)),
            _ => {}
        }
    }
    Verdict { name: "I3 clients", checked: format!("{} answers", told.len()), broken }
}

fn stuck(facts: &Facts) -> Verdict {
    let sagas = rows(facts, "saga");
    let open = sagas.iter().filter(|s| !matches!(s.status.as_str(), "completed" | "compensated"));
    let broken = open.map(|s| {
        let orphaned =
            serde_json::from_value::<orchestrator::Instance>(s.state.clone()).ok().and_then(|i| i.orphaned());
        let why = orphaned.map(|why| format!(", an orphan: {why}")).unwrap_or_default();
        format!("saga {} is {}{why}", s.id, s.status)
    });
    let broken = broken.collect();
    Verdict { name: "I4 ended", checked: format!("{} sagas", sagas.len()), broken }
}

fn streams(facts: &Facts) -> Verdict {
    let broken = facts.seen.iter().filter_map(|(s, seen)| Some(format!("{s}: {}", seen.broken.as_ref()?))).collect();
    let duplicates: u64 = facts.seen.values().map(|s| s.duplicates).sum();
    Verdict { name: "I5 streams", checked: format!("{} streams, {duplicates} duplicates", facts.seen.len()), broken }
}

fn outboxes(facts: &Facts) -> Verdict {
    let mut broken = Vec::new();
    let mut unsent = 0;
    for (stream, mark) in &facts.marks {
        let seen = facts.seen.get(stream);
        let (mut last, mut hash) = seen.map_or((0, 0), |s| (s.last_seq, s.hash));
        for (seq, id, value) in facts.unsent.get(stream).into_iter().flatten() {
            // A row that was sent and not yet deleted is on the topic already.
            if *seq == last + 1 {
                (last, hash) = (*seq, transport::running_hash(hash, id, value.as_deref()));
                unsent += 1;
            }
        }
        if (last, hash) != (mark.last_seq, mark.hash) {
            broken.push(format!("{stream}: emitted {}, on the topic {last}", mark.last_seq));
        }
    }
    // Foreign participants keep no marks here; what claims to come from us must have one.
    let ours: HashSet<&str> = facts.marks.keys().filter_map(|s| s.split('/').next()).collect();
    for stream in facts.seen.keys().filter(|s| s.split('/').next().is_some_and(|c| ours.contains(c))) {
        if !facts.marks.contains_key(stream) {
            broken.push(format!("{stream}: on the topic and never emitted"));
        }
    }
    let compacted = format!("@{}", schemas::topics::STORES_CATALOGUE);
    broken.retain(|b| !b.contains(&compacted));
    Verdict {
        name: "I6 outbox = topic",
        checked: format!("{} streams, {unsent} unsent rows", facts.marks.len()),
        broken,
    }
}

/// Every command that a history says was sent and answered has exactly that answer in its participant's fence; whoever
/// answers a do more than once says the same; and each entry of payments' ledger was asked for, and took effect once.
fn effects(facts: &Facts) -> Verdict {
    let given = given(facts);
    let mut broken: Vec<String> = given
        .iter()
        .filter(|(_, answers)| answers.len() > 1)
        .map(|((saga, effect), _)| format!("saga {saga}: {effect} was carried out by two participants"))
        .collect();
    let (mut compared, mut sent) = (0, HashSet::new());
    for (saga, entries) in &facts.journals {
        for entry in entries {
            let (kind, step) = (entry["kind"].as_str().unwrap_or_default(), entry["step"].as_str().unwrap_or_default());
            let (direction, round) = (entry["direction"].as_str().unwrap_or_default(), entry["round"].as_u64());
            let effect = format!("{step}/{direction}/{}", round.unwrap_or_default());
            let expected = match kind {
                "accepted" => "ok",
                "refused" => "refused",
                "sent" => {
                    sent.insert(format!("{saga}/{effect}"));
                    continue;
                }
                _ => continue,
            };
            let Some(answers) = given.get(&(*saga, effect.clone())) else { continue };
            compared += 1;
            if direction == "do" && answers.iter().any(|a| a.as_str() != Some(expected)) {
                let said: Vec<_> = answers.iter().map(|a| a.as_str().unwrap_or("nothing")).collect();
                broken
                    .push(format!("saga {saga}: {effect} was answered {expected}, its fence says {}", said.join(", ")));
            }
        }
    }
    for ((saga, effect), answers) in facts.replies.iter().filter(|(_, answers)| answers.len() > 1) {
        broken.push(format!("saga {saga}: {effect} was answered in {} different ways", answers.len()));
    }
    broken.extend(asked_for(&facts.payments, &sent));
    let checked = format!("{} effects, {compared} answers, {} replies", given.len(), facts.replies.len());
    Verdict { name: "I7 once", checked, broken }
}

/// What the fences say was answered, by saga and effect.
fn given(facts: &Facts) -> BTreeMap<(Uuid, String), Vec<&Value>> {
    let mut given: BTreeMap<(Uuid, String), Vec<&Value>> = BTreeMap::new();
    for (_, saga, conversation) in &facts.fences {
        for (effect, what) in conversation["effects"].as_object().into_iter().flatten() {
            given.entry((*saga, effect.clone())).or_default().push(&what["given"]["outcome"]);
        }
    }
    given
}

/// What is wrong with the effect keys of payments' ledger.
fn asked_for(ledger: &[Entry], sent: &HashSet<String>) -> Vec<String> {
    let mut known = HashSet::new();
    let mut wrong = Vec::new();
    for entry in ledger.iter().filter(|e| !e.key.is_empty()) {
        let what = format!("order {}: {} under {}", entry.order, entry.operation, entry.key);
        if !known.insert(&entry.key) {
            wrong.push(format!("{what} took effect twice"));
        } else if !sent.contains(&entry.key) {
            wrong.push(format!("{what} took effect and no saga asked for it"));
        }
    }
    wrong
}

/// Each saga's history replays, move by move, to the state that is stored.
fn histories(facts: &Facts) -> Verdict {
    let definitions = orchestrator::sagas::definitions(&facts.deadlines);
    let mut broken = Vec::new();
    for saga in rows(facts, "saga") {
        let progress = &saga.state["progress"];
        let definition = definitions.iter().find(|d| {
            Some(d.saga_type()) == progress["saga_type"].as_str()
                && Some(u64::from(d.version())) == progress["version"].as_u64()
        });
        let Some(definition) = definition else { continue };
        let entries = facts.journals.get(&saga.id).map_or(&[][..], Vec::as_slice);
        let history: Result<Vec<HistoryEntry>, _> = entries.iter().cloned().map(serde_json::from_value).collect();
        let replayed = history
            .map_err(|e| e.to_string())
            .and_then(|history| saga::replay_history(definition, saga.id, &history).map_err(|e| e.to_string()));
        match replayed {
            Ok(end) if end.phase().as_str() == saga.status => {}
            Ok(end) => {
                broken.push(format!("saga {} is {}, its history ends {}", saga.id, saga.status, end.phase().as_str()))
            }
            Err(why) => broken.push(format!("saga {}: {why}", saga.id)),
        }
    }
    Verdict { name: "I8 histories", checked: format!("{} histories replayed", facts.journals.len()), broken }
}

fn bookings(facts: &Facts) -> Verdict {
    let mut broken = Vec::new();
    let mut bays: HashMap<i64, Uuid> = HashMap::new();
    for list in rows(facts, "shopping_list").iter().filter(|l| l.state["holds_bay"] == true) {
        let Some(bay) = list.state["bay"].as_i64() else { continue };
        if let Some(other) = bays.insert(bay, list.id) {
            broken.push(format!("bay {bay} is kept for {other} and {}", list.id));
        }
    }
    let mut jobs: HashMap<String, Uuid> = HashMap::new();
    for bot in rows(facts, "bot").iter().filter(|b| b.status == "busy") {
        let order = bot.state["order"].as_str().or_else(|| bot.state["job"]["order"].as_str());
        let Some(order) = order else { continue };
        if let Some(other) = jobs.insert(order.to_owned(), bot.id) {
            broken.push(format!("order {order} is with bots {other} and {}", bot.id));
        }
    }
    let checked = format!("{} bays kept, {} bots at work", bays.len(), jobs.len());
    Verdict { name: "I9 bookings", checked, broken }
}

fn bars(facts: &Facts) -> Verdict {
    let (mut broken, mut checked) = (Vec::new(), 0);
    for (context, saga, conversation) in &facts.fences {
        for (effect, what) in conversation["effects"].as_object().into_iter().flatten() {
            if what["barred"] == true {
                checked += 1;
                if what["given"]["outcome"] != "refused" {
                    broken.push(format!("{context}, saga {saga}: {effect} is barred and was not refused"));
                }
            }
        }
    }
    Verdict { name: "I10 bars", checked: format!("{checked} barred effects"), broken }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::facts::{Mark, Seen};
    use serde_json::json;

    pub fn row(id: u128, status: &str, state: Value) -> Row {
        Row { id: Uuid::from_u128(id), status: status.to_owned(), state }
    }

    pub fn with(kind: &'static str, row: Row) -> Facts {
        let mut facts = Facts::default();
        facts.rows.entry(kind).or_default().push(row);
        facts
    }

    #[test]
    fn i3_an_accepted_order_that_does_not_exist_is_broken() {
        let told = [json!({"order_id": Uuid::from_u128(1).to_string(), "answered": "ok"})];
        assert_eq!(clients(&Facts::default(), &told).broken.len(), 1);
    }

    #[test]
    fn i4_a_saga_that_has_not_ended_is_broken() {
        assert_eq!(stuck(&with("saga", row(1, "stuck", json!({})))).broken.len(), 1);
    }

    #[test]
    fn i5_a_gap_is_broken() {
        let mut facts = Facts::default();
        facts.seen.insert("s".into(), Seen { broken: Some("3 follows 1".into()), ..Seen::default() });
        assert_eq!(streams(&facts).broken.len(), 1);
    }

    #[test]
    fn i6_a_message_that_is_missing_changed_or_extra_is_broken() {
        let mut facts = Facts::default();
        facts.marks.insert("orders/order/1@t".into(), Mark { last_seq: 1, hash: 7 });
        assert_eq!(outboxes(&facts).broken.len(), 1, "missing");
        facts.seen.insert("orders/order/1@t".into(), Seen { last_seq: 1, hash: 8, ..Seen::default() });
        assert_eq!(outboxes(&facts).broken.len(), 1, "changed");
        facts.seen.insert("orders/order/1@t".into(), Seen { last_seq: 1, hash: 7, ..Seen::default() });
        assert_eq!(outboxes(&facts).broken.len(), 0);
        facts.seen.insert("orders/order/2@t".into(), Seen { last_seq: 1, hash: 7, ..Seen::default() });
        assert_eq!(outboxes(&facts).broken.len(), 1, "extra");
    }

    #[test]
    fn i7_an_effect_of_two_participants_is_broken() {
        let mut facts = Facts::default();
        for context in ["payments", "depot"] {
            facts.fences.push((
                context,
                Uuid::from_u128(1),
                json!({"effects": {"a/do/1": {"given": {"outcome": "ok"}}}}),
            ));
        }
        assert_eq!(effects(&facts).broken.len(), 1);
    }

    #[test]
    fn i7_two_different_answers_to_one_do_are_broken() {
        let mut facts = Facts::default();
        let replies = [("ok".to_owned(), 1), ("refused".to_owned(), 2)];
        facts.replies.insert((Uuid::from_u128(1), "a/do/1".into()), replies.into());
        assert_eq!(effects(&facts).broken.len(), 1);
    }

    #[test]
    fn i7_a_ledger_entry_that_nobody_asked_for_or_that_stands_twice_is_broken() {
        let (saga, key) = (Uuid::from_u128(1), format!("{}/a/do/1", Uuid::from_u128(1)));
        let entry = Entry { order: "o".into(), operation: "capture".into(), key, amount: 5 };
        let mut facts = Facts { payments: vec![entry.clone()], ..Facts::default() };
        assert_eq!(effects(&facts).broken.len(), 1, "nobody asked");
        let sent = json!({"kind": "sent", "step": "a", "direction": "do", "round": 1});
        facts.journals.insert(saga, vec![sent]);
        assert_eq!(effects(&facts).broken, Vec::<String>::new());
        facts.payments.push(entry);
        assert_eq!(effects(&facts).broken.len(), 1, "twice");
    }

    #[test]
    fn i8_a_saga_without_its_history_is_broken() {
        let state = json!({"progress": {"saga_type": "order-fulfilment", "version": 1}});
        assert_eq!(histories(&with("saga", row(1, "completed", state))).broken.len(), 1);
    }

    #[test]
    fn i9_a_bay_kept_for_two_orders_is_broken() {
        let mut facts = with("shopping_list", row(1, "checked", json!({"holds_bay": true, "bay": 3})));
        facts.rows.entry("shopping_list").or_default().push(row(2, "checked", json!({"holds_bay": true, "bay": 3})));
        assert_eq!(bookings(&facts).broken.len(), 1);
    }

    #[test]
    fn i10_a_barred_do_that_was_not_refused_is_broken() {
        let effects = json!({"effects": {"a/do/1": {"barred": true, "given": {"outcome": "ok"}}}});
        let facts = Facts { fences: vec![("payments", Uuid::from_u128(1), effects)], ..Facts::default() };
        assert_eq!(bars(&facts).broken.len(), 1);
    }
}
