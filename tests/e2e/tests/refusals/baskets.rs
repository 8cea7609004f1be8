//! Baskets: what cannot be put into one, and when one cannot be checked out.

use super::{Stage, nobody, problem};
use anyhow::Result;
use reqwest::Method;
use schemas::grpc::stores::{ProductRequest, StoreReasonRequest, StoreRequest};
use serde_json::json;

pub async fn are_refused(stage: &Stage) -> Result<()> {
    tokio::try_join!(unknown(stage), contents(stage), states(stage), shelves(stage)).map(|_| ())
}

async fn unknown(stage: &Stage) -> Result<()> {
    let kiosk = &stage.kiosk;
    let basket = kiosk.basket(&[]).await?;
    problem(&kiosk.put(&basket, &nobody(), 1).await?, 404, "orders.unknown_product", None);
    problem(&kiosk.put(&nobody(), stage.good(), 1).await?, 404, "orders.unknown_basket", None);
    problem(&kiosk.get(&format!("/v1/baskets/{}", nobody())).await?, 404, "orders.unknown_basket", None);
    problem(&kiosk.checkout(&nobody(), "tok_ok", "now").await?, 404, "orders.unknown_basket", None);
    Ok(())
}

async fn contents(stage: &Stage) -> Result<()> {
    let kiosk = &stage.kiosk;
    let empty = kiosk.basket(&[]).await?;
    problem(&kiosk.checkout(&empty, "tok_ok", "now").await?, 409, "orders.basket_empty", None);
    let full = kiosk.basket(&[stage.good()]).await?;
    problem(&kiosk.put(&full, stage.good(), 999).await?, 409, "orders.quantity_limit", None);
    let store = stage.store("Abroad").await?;
    let dollars = stage.product(&store, "Souvenir", (500, "USD"), 100).await?;
    problem(&kiosk.put(&full, &dollars, 1).await?, 409, "orders.mixed_currencies", None);
    let house = stage.product(&store, "House", (500, "USD"), i32::MAX).await?;
    let two = kiosk.basket(&[&house, &house]).await?;
    problem(&kiosk.checkout(&two, "tok_ok", "now").await?, 409, "orders.too_large", None);
    Ok(())
}

/// Only an open basket changes, and the refusal says what it is instead.
async fn states(stage: &Stage) -> Result<()> {
    let kiosk = &stage.kiosk;
    let dropped = kiosk.basket(&[stage.good()]).await?;
    let path = format!("/v1/baskets/{dropped}/cancel");
    kiosk.ask(Method::POST, &path, &json!({})).await?.ok()?;
    let ordered = kiosk.order(stage.good(), "tok_ok", "now").await?;
    for (basket, state) in [(&dropped, "cancelled"), (&ordered, "checked_out")] {
        let cancel = kiosk.ask(Method::POST, &format!("/v1/baskets/{basket}/cancel"), &json!({})).await?;
        let remove = format!("/v1/baskets/{basket}/items/{}", stage.good());
        let answers = [
            kiosk.put(basket, stage.good(), 1).await?,
            kiosk.send(Method::DELETE, &remove, |r| r).await?,
            kiosk.checkout(basket, "tok_ok", "now").await?,
            cancel,
        ];
        for answer in answers {
            problem(&answer, 409, "orders.wrong_state", None);
            assert!(answer.text("detail").contains(state), "{answer:?} does not name {state}");
        }
    }
    kiosk.until(&ordered, "completed").await.map(|_| ())
}

/// A product is hidden, then removed; a store pauses, then closes: baskets that hold them cannot be checked out.
async fn shelves(stage: &Stage) -> Result<()> {
    let (kiosk, mut stores) = (&stage.kiosk, stage.stores.clone());
    let store_id = stage.store("Here today").await?;
    let product_id = stage.product(&store_id, "Hat", (1_500, "EUR"), 900).await?;
    let basket = kiosk.basket(&[&product_id]).await?;
    let probe = kiosk.basket(&[]).await?;
    let store = || StoreRequest { store_id: store_id.clone(), idempotency_key: String::new() };
    let product = || ProductRequest { product_id: product_id.clone(), idempotency_key: String::new() };
    let reason = || StoreReasonRequest {
        store_id: store_id.clone(),
        reason: "renovation".into(),
        idempotency_key: String::new(),
    };
    stores.suspend_store(reason()).await?;
    is_told(stage, &probe, &basket, &product_id, "orders.store_not_participating").await?;
    stores.resume_store(store()).await?;
    stores.hide_product(product()).await?;
    is_told(stage, &probe, &basket, &product_id, "orders.product_unavailable").await?;
    stores.remove_product(product()).await?;
    is_told(stage, &probe, &basket, &product_id, "orders.product_removed").await?;
    let cap = stage.product(&store_id, "Cap", (900, "EUR"), 900).await?;
    let basket = kiosk.basket(&[&cap]).await?;
    stores.suspend_store(reason()).await?;
    stores.close_store(store()).await?;
    is_told(stage, &probe, &basket, &cap, "orders.product_removed").await
}

/// Putting the product and checking a basket out that has it are both refused, once `orders` has heard of it.
async fn is_told(stage: &Stage, probe: &str, basket: &str, product: &str, code: &str) -> Result<()> {
    let put = stage.put_until(probe, product, |answer| answer.text("code") == code).await?;
    problem(&put, 409, code, None);
    problem(&stage.kiosk.checkout(basket, "tok_ok", "now").await?, 409, code, None);
    Ok(())
}
