//! A day in the mall on real servers: predicted ends, invariants, one trace an order. Needs the programs to be built and the servers'
//! addresses in the environment, which `make test` sees to; fails without them.

use anyhow::{Context, Result};
use load::{Crowd, Mall, Plan, Platform, PlatformOptions, Scenario, Told, Ways};
use std::time::Duration;

async fn day(platform: &Platform, seed: u64, orders: usize) -> Result<Vec<Told>> {
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 3, 100).await?;
    let plan = Plan::draw(seed, orders, mall.ordinary.len());
    let kiosk = platform.url("kiosk-gateway");
    let crowd = Crowd {
        kiosk,
        mall,
        at_once: 16,
        patience: Duration::from_secs(90),
        run: format!("day{seed}"),
        ways: Ways::default(),
    };
    crowd.shop(&plan, |_| {}).await
}

/// Asks Jaeger until the trace with this tag has been exported.
async fn trace(service: &str, order: &str, complete: impl Fn(&str) -> bool) -> Result<String> {
    let jaeger =
        std::env::var("MALLBOTS_JAEGER").context("MALLBOTS_JAEGER is not set: run the tests by `make test`")?;
    let url =
        format!("{jaeger}/api/traces?service={service}&limit=20&lookback=1h&tags=%7B%22order.id%22%3A%22{order}%22%7D");
    for _ in 0..300 {
        let text = reqwest::get(&url).await?.text().await?;
        if complete(&text) {
            return Ok(text);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("Jaeger has no complete trace of order {order}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_ends_as_its_story_says_and_all_invariants_hold() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let platform = Platform::start(PlatformOptions::test(folder.path(), "story")).await?;
    let told = day(&platform, 11, 60).await?;
    for one in &told {
        assert_eq!(Some(one.end.as_str()), one.scenario.map(Scenario::end), "order {}", one.order_id);
    }
    platform.ctl(&["verify", "--wait", "60s"]).await?;
    one_trace_of(&told, "completed", &["kiosk-gateway", "orders", "orchestrator", "payments", "depot"]).await?;
    let undone = one_trace_of(&told, "cancelled", &["kiosk-gateway", "orders", "orchestrator", "payments"]).await?;
    assert!(undone.contains(r#""value":"undo""#), "compensation is not marked");
    platform.stop().await
}

/// The trace of an order that ended so: services of all roles, producers, consumers and the time in the outbox.
async fn one_trace_of(told: &[Told], end: &str, services: &[&str]) -> Result<String> {
    let order = told.iter().find(|t| t.end == end).context("no such order in the plan")?;
    let wanted: Vec<String> = services.iter().map(|s| format!(r#""serviceName":"{s}""#)).collect();
    let complete = |text: &str| wanted.iter().all(|service| text.contains(service));
    let text = trace("orchestrator", &order.order_id, complete).await?;
    let found: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "an order has one trace");
    for mark in ["mallbots.outbox.dwell_ms", r#""value":"producer""#, r#""value":"consumer""#] {
        assert!(text.contains(mark), "{mark} is missing in the trace");
    }
    Ok(text)
}
