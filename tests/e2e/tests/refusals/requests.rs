//! Requests that are wrong in themselves.

use super::{Stage, problem};
use anyhow::Result;
use load::kiosk::contact;
use reqwest::Method;
use serde_json::json;

pub async fn are_refused(stage: &Stage) -> Result<()> {
    unreadable(stage).await?;
    fields(stage).await?;
    used_keys(stage).await
}

async fn unreadable(stage: &Stage) -> Result<()> {
    let kiosk = &stage.kiosk;
    let path = format!("/v1/baskets/{}/checkout", kiosk.basket(&[stage.good()]).await?);
    let json = |body: String| {
        move |r: reqwest::RequestBuilder| {
            r.header("Idempotency-Key", "k").header("content-type", "application/json").body(body)
        }
    };
    let broken = kiosk.send(Method::POST, &path, json("{\"phone\":".into())).await?;
    problem(&broken, 400, "kiosk.malformed_json", None);
    let padded = format!("{}{}", contact("tok_ok", "now"), " ".repeat(64 * 1024));
    let large = kiosk.send(Method::POST, &path, json(padded)).await?;
    problem(&large, 413, "kiosk.body_too_large", None);
    let plain = kiosk.send(Method::POST, &path, |r| r.header("Idempotency-Key", "k").body("hello")).await?;
    problem(&plain, 415, "kiosk.unsupported_media_type", None);
    let keyless = kiosk.send(Method::POST, &path, |r| r.json(&contact("tok_ok", "now"))).await?;
    problem(&keyless, 400, "kiosk.idempotency_key_required", Some("Idempotency-Key"));
    problem(&kiosk.get("/v1/nothing").await?, 404, "kiosk.no_such_route", None);
    let method = kiosk.send(Method::DELETE, "/v1/stores", |r| r).await?;
    problem(&method, 405, "kiosk.method_not_allowed", None);
    Ok(())
}

async fn fields(stage: &Stage) -> Result<()> {
    let kiosk = &stage.kiosk;
    let basket = kiosk.basket(&[stage.good()]).await?;
    let path = format!("/v1/baskets/{basket}/checkout");
    for (field, bad) in [("phone", "call me"), ("payment_token", ""), ("pay", "later"), ("customer_ref", " ")] {
        let mut body = contact("tok_ok", "now");
        body[field] = json!(bad);
        problem(&kiosk.ask(Method::POST, &path, &body).await?, 422, "kiosk.invalid", Some(field));
    }
    problem(&kiosk.put(&basket, stage.good(), 0).await?, 422, "kiosk.invalid", Some("quantity"));
    problem(&kiosk.put(&basket, "7", 1).await?, 422, "kiosk.invalid", Some("product_id"));
    problem(&kiosk.get("/v1/orders/7").await?, 422, "kiosk.invalid", Some("order_id"));
    let cancel = kiosk.ask(Method::POST, &format!("/v1/orders/{basket}/cancel"), &json!({"reason": ""})).await?;
    problem(&cancel, 422, "kiosk.invalid", Some("reason"));
    // Whatever was wrong with it, the basket is open as before.
    assert_eq!(kiosk.get(&format!("/v1/baskets/{basket}")).await?.ok()?["status"], "open");
    Ok(())
}

async fn used_keys(stage: &Stage) -> Result<()> {
    let kiosk = &stage.kiosk;
    let basket = kiosk.basket(&[stage.good()]).await?;
    let path = format!("/v1/baskets/{basket}/checkout");
    let first = kiosk.ask_under("once", Method::POST, &path, &contact("tok_ok", "now")).await?;
    let again = kiosk.ask_under("once", Method::POST, &path, &contact("tok_ok", "now")).await?;
    assert_eq!((first.status, &first.body), (again.status, &again.body), "a repeat gets the first answer");
    first.ok()?;
    let other = kiosk.ask_under("once", Method::POST, &path, &contact("tok_other", "now")).await?;
    problem(&other, 422, "platform.idempotency_key_reused", Some("Idempotency-Key"));
    kiosk.until(&basket, "completed").await.map(|_| ())
}
