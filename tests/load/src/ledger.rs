//! The acquirer's ledger, as the demo's table sums it up.

use anyhow::Result;
use serde_json::Value;

/// Minor units captured and refunded, by the acquirer's own account.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    pub captured: i64,
    pub refunded: i64,
}

/// Reads `GET /v1/ledger`: entries with `operation`, `amount` and `status`, as an array or one a line.
pub async fn read(acquirer: &str) -> Result<Money> {
    let text = reqwest::get(format!("{acquirer}/v1/ledger")).await?.error_for_status()?.text().await?;
    let entries: Vec<Value> = match serde_json::from_str(&text) {
        Ok(Value::Array(entries)) => entries,
        Ok(Value::Object(page)) => page.get("entries").and_then(Value::as_array).cloned().unwrap_or_default(),
        _ => text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
    };
    let mut money = Money::default();
    for entry in entries {
        let refused = entry["status"].as_str().is_some_and(|s| s.contains("refused") || s.contains("declined"));
        let amount = entry["amount"].as_i64().unwrap_or_default();
        match entry["operation"].as_str() {
            Some("capture") if !refused => money.captured += amount,
            Some("refund") if !refused => money.refunded += amount,
            _ => {}
        }
    }
    Ok(money)
}
