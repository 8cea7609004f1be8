//! A mall that is full says so: while more orders wait to be approved than may, nobody new is let in, and as soon as fewer wait
//! everybody is.

use anyhow::{Result, ensure};
use load::{Answer, Kiosk, Mall, Platform, PlatformOptions};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

const LIMIT: usize = 5;
/// What comes between two looks at how many wait may still be let in.
const MOST: usize = 60;

async fn open_basket(kiosk: &Kiosk) -> Result<Answer> {
    kiosk.ask(Method::POST, "/v1/baskets", &json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_too_many_orders_wait_new_ones_are_refused_and_none_of_those_let_in_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let env = vec![("MALLBOTS_WAITING_LIMIT".to_owned(), LIMIT.to_string())];
    let options = PlatformOptions { separate: true, env, ..PlatformOptions::test(folder.path(), "full") };
    let mut platform = Platform::start(options).await?;
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 1, 100).await?;
    let kiosk = Kiosk::new(platform.url("kiosk-gateway"))?;
    let product = mall.ordinary[0].id.as_str();
    let first = kiosk.order(product, "tok_ok", "now").await?;
    kiosk.until(&first, "completed").await?;
    // Nothing is approved without payments.
    platform.kill("payments").await?;
    let mut let_in = Vec::new();
    let refused = loop {
        ensure!(let_in.len() < MOST, "{} orders wait, and more are let in", let_in.len());
        let opened = open_basket(&kiosk).await?;
        if opened.status != 201 {
            break opened;
        }
        let basket = opened.text("basket_id").to_owned();
        kiosk.put(&basket, product, 1).await?.ok()?;
        match kiosk.checkout(&basket, "tok_ok", "now").await? {
            answer if answer.status == 503 => break answer,
            answer => drop(answer.ok()?),
        }
        let_in.push(basket);
    };
    ensure!(let_in.len() > LIMIT, "only {} orders were let in", let_in.len());
    assert_eq!((refused.status, refused.text("code")), (503, "platform.overloaded"), "{}", refused.body);
    assert_eq!(refused.retry_after, Some(2));
    platform.spawn("payments")?;
    for order in &let_in {
        kiosk.until(order, "completed").await?;
    }
    let emptied = Instant::now();
    while open_basket(&kiosk).await?.status != 201 {
        ensure!(emptied.elapsed() < Duration::from_secs(10), "nobody is let in though no order waits");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    platform.ctl(&["verify", "--wait", "30s"]).await?;
    platform.stop().await
}
