//! The two ledgers: that of payments in its one documented form, whoever implements payments, and the acquirer's.

use crate::output::Failure;
use ::verify::ledger::Entry;
use schemas::grpc::payments::{self as pb, payments_client::PaymentsClient};
use serde_json::Value;

/// The ledger of payments: `Payments.ListLedger`, as `payments.proto` documents it.
pub async fn of_payments() -> Result<Vec<Entry>, Failure> {
    let url = service_kit::env_or("MALLBOTS_PAYMENTS_URL", "http://127.0.0.1:7103");
    let unreachable = |why: String| {
        Failure::Unreachable(format!(
            "payments does not offer its ledger at {url} (MALLBOTS_PAYMENTS_URL names it, Payments.ListLedger answers it): {why}"
        ))
    };
    let client = PaymentsClient::connect(url.clone()).await;
    let mut client = client.map_err(|e| unreachable(format!("{:#}", anyhow::Error::from(e))))?;
    let answer = client.list_ledger(pb::ListLedgerRequest::default()).await;
    let mut stream = answer.map_err(|s| unreachable(s.message().to_owned()))?.into_inner();
    let mut entries = Vec::new();
    while let Some(entry) = stream.message().await.map_err(|s| unreachable(s.message().to_owned()))? {
        entries.push(entry.into());
    }
    Ok(entries)
}

/// What the acquirer's own ledger says was done.
pub async fn of_acquirer(acquirer: &str) -> Result<Vec<Entry>, Failure> {
    let failed = |e: reqwest::Error| Failure::Unreachable(format!("acquirer: {e} (MALLBOTS_ACQUIRER_URL names it)"));
    let text = reqwest::get(format!("{acquirer}/v1/ledger")).await.map_err(failed)?.text().await.map_err(failed)?;
    let lines = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    Ok(lines.filter(|e| e["status"] == "done").filter_map(|e| done(&e)).collect())
}

fn done(entry: &Value) -> Option<Entry> {
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    let (order, operation, key) = (text("order_id")?, text("operation")?, text("idempotency_key")?);
    Some(Entry { order, operation, key, amount: entry["amount"].as_i64()? })
}
