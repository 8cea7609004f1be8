//! I1 and I2: the money, as payments and the acquirer account for it, against how the orders ended.

use crate::{
    Verdict,
    facts::Facts,
    ledger::{Entry, standings},
    rules::{by_id, rows, under_way},
};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

fn amount(value: &Value) -> i64 {
    value["amount"].as_i64().unwrap_or_default()
}

/// Captured less refunded is the total of the orders that were completed.
pub fn money(facts: &Facts) -> Verdict {
    let (standings, open) = (standings(&facts.payments), under_way(facts));
    let (mut broken, mut total) = (Vec::new(), 0);
    let judged = rows(facts, "order").iter().filter(|o| !open.contains(&o.id.to_string()));
    for order in judged {
        let owed =
            if matches!(order.status.as_str(), "completed" | "returning") { amount(&order.state["total"]) } else { 0 };
        let held = standings.get(order.id.to_string().as_str()).map_or(0, |s| s.net());
        total += held;
        if owed != held {
            broken.push(format!("order {} owes {owed}, {held} is captured", order.id));
        }
    }
    Verdict { name: "I1 money", checked: format!("{} orders, {total} captured", rows(facts, "order").len()), broken }
}

/// Payments and the acquirer say the same of every order, operation by operation.
pub fn ledgers(facts: &Facts, acquirer: &[Entry]) -> Verdict {
    let mut broken = Vec::new();
    let mut keys = HashSet::new();
    for entry in acquirer.iter().filter(|e| !keys.insert((&e.operation, &e.key))) {
        broken.push(format!("order {}: {} twice under {}", entry.order, entry.operation, entry.key));
    }
    let open = under_way(facts);
    let mut sides: BTreeMap<(&str, &str, i64), (usize, usize)> = BTreeMap::new();
    let closed = |entry: &&Entry| !open.contains(&entry.order);
    // What the provider gave up by itself is no operation of its ledger.
    for entry in facts.payments.iter().filter(closed).filter(|e| e.operation != "expire") {
        sides.entry((&entry.order, &entry.operation, entry.amount)).or_default().0 += 1;
    }
    for entry in acquirer.iter().filter(closed) {
        sides.entry((&entry.order, &entry.operation, entry.amount)).or_default().1 += 1;
    }
    for ((order, operation, amount), (ours, theirs)) in sides.into_iter().filter(|(_, (a, b))| a != b) {
        let told = format!("payments says {ours} times, the acquirer {theirs} times");
        broken.push(format!("order {order}: {operation} of {amount}: {told}"));
    }
    let checked = format!("{} entries of payments, {} of the acquirer", facts.payments.len(), acquirer.len());
    Verdict { name: "I1 ledgers", checked, broken }
}

/// A completed order is paid and was collected; of one that did not come about nothing is left.
pub fn ends(facts: &Facts) -> Verdict {
    let (standings, lists, open) = (standings(&facts.payments), by_id(facts, "shopping_list"), under_way(facts));
    let mut broken = Vec::new();
    for order in rows(facts, "order").iter().filter(|o| !open.contains(&o.id.to_string())) {
        let payment = standings.get(order.id.to_string().as_str()).copied().unwrap_or_default();
        let list = lists.get(&order.id);
        let status = list.map_or("none", |l| l.status.as_str());
        let keeps_bay = list.is_some_and(|l| l.state["holds_bay"] == true);
        let fits = match order.status.as_str() {
            "completed" => {
                payment.captured.is_some()
                    && payment.refunded.is_none()
                    && !matches!(status, "none" | "cancelled" | "returned")
            }
            "rejected" | "cancelled" => {
                !payment.keeps_money() && matches!(status, "none" | "cancelled" | "returned") && !keeps_bay
            }
            _ => true,
        };
        if !fits {
            broken.push(format!("order {} is {}, its payment {payment:?}, its list {status}", order.id, order.status));
        }
    }
    Verdict { name: "I2 ends", checked: format!("{} orders", rows(facts, "order").len()), broken }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::{row, with};
    use serde_json::json;

    fn entry(order: &str, operation: &str, key: &str, amount: i64) -> Entry {
        Entry { order: order.into(), operation: operation.into(), key: key.into(), amount }
    }

    #[test]
    fn i1_a_completed_order_without_a_capture_is_broken() {
        let facts = with("order", row(1, "completed", json!({"total": {"amount": 5}})));
        assert_eq!(money(&facts).broken.len(), 1);
    }

    #[test]
    fn i1_what_only_one_ledger_knows_or_knows_otherwise_is_broken() {
        let one = entry("o", "capture", "k", 5);
        let facts = |payments| Facts { payments, ..Facts::default() };
        assert_eq!(ledgers(&facts(vec![one.clone()]), std::slice::from_ref(&one)).broken, Vec::<String>::new());
        assert_eq!(ledgers(&facts(vec![]), std::slice::from_ref(&one)).broken.len(), 1);
        assert_eq!(ledgers(&facts(vec![one.clone()]), &[]).broken.len(), 1);
        assert_eq!(ledgers(&facts(vec![one.clone()]), &[entry("o", "capture", "k", 6)]).broken.len(), 2);
        assert_eq!(ledgers(&facts(vec![one.clone()]), &[one.clone(), one]).broken.len(), 2, "the same key acted twice");
        assert_eq!(ledgers(&facts(vec![entry("o", "expire", "", 5)]), &[]).broken, Vec::<String>::new());
    }

    #[test]
    fn i2_a_cancelled_order_that_keeps_its_bay_is_broken() {
        let mut facts = with("order", row(1, "cancelled", json!({})));
        facts.rows.entry("shopping_list").or_default().push(row(1, "cancelled", json!({"holds_bay": true})));
        assert_eq!(ends(&facts).broken.len(), 1);
    }

    #[test]
    fn i2_a_rejected_order_whose_money_is_still_held_is_broken() {
        let mut facts = with("order", row(1, "rejected", json!({})));
        let order = rows(&facts, "order")[0].id.to_string();
        facts.payments = vec![entry(&order, "authorize", "k", 5)];
        assert_eq!(ends(&facts).broken.len(), 1);
        facts.payments.push(entry(&order, "void", "l", 5));
        assert_eq!(ends(&facts).broken.len(), 0);
    }
}
