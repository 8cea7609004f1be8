//! The OpenAPI document and the page that shows it.

use crate::kiosk::{Kiosk, get};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// Every operation of the API: what the document must list, no more and no less.
const OPERATIONS: &[&str] = &[
    "get /v1/stores",
    "get /v1/stores/{store_id}/products",
    "post /v1/baskets",
    "get /v1/baskets/{basket_id}",
    "put /v1/baskets/{basket_id}/items/{product_id}",
    "delete /v1/baskets/{basket_id}/items/{product_id}",
    "post /v1/baskets/{basket_id}/cancel",
    "post /v1/baskets/{basket_id}/checkout",
    "get /v1/orders/{order_id}",
    "post /v1/orders/{order_id}/cancel",
    "post /v1/orders/{order_id}/pay",
    "get /v1/orders/{order_id}/events",
];

fn document() -> Value {
    serde_json::to_value(kiosk_gateway::document()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let path = path.clone();
        let of = item.as_object().unwrap().clone();
        of.into_iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    };
    paths.iter().flat_map(methods).collect()
}

#[test]
fn the_document_is_the_one_that_is_checked_in() {
    // Cargo runs tests in their package's folder. Where it was compiled may be another clone, gone since.
    let path = Path::new("openapi.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(path, format!("{}\n", serde_json::to_string_pretty(&document()).unwrap())).unwrap();
    }
    // Compared as values: the order of fields is not part of the contract.
    let then: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let same = document() == then;
    assert!(same, "the API changed: look at it, then run the test with UPDATE_SNAPSHOTS=1 and commit openapi.json");
}

#[test]
fn every_operation_is_listed_and_explained() {
    let (document, wanted) = (document(), OPERATIONS.iter().map(|o| (*o).to_owned()).collect::<BTreeSet<_>>());
    let listed: BTreeSet<_> = operations(&document).into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed, wanted);
    assert_eq!(document["openapi"], "3.1.0");
    for (name, operation) in operations(&document) {
        assert!(operation["summary"].as_str().is_some_and(|s| s.len() > 10), "{name} has no summary");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} has no success");
        let problem = &responses["503"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(problem, "#/components/schemas/Problem", "{name}");
    }
}

#[test]
fn every_path_parameter_is_described() {
    for (name, operation) in operations(&document()) {
        let described = operation["parameters"].as_array().cloned().unwrap_or_default();
        let described: BTreeSet<_> =
            described.iter().filter(|p| p["in"] == "path").map(|p| p["name"].to_string()).collect();
        let named: BTreeSet<_> =
            name.split('{').skip(1).map(|part| format!("\"{}\"", part.split('}').next().unwrap())).collect();
        assert_eq!(described, named, "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
                Value::String(to) if name == "$ref" => out.push(to.clone()),
                other => references(other, out),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, out)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    references(&document, &mut found);
    assert!(found.len() > 20);
    for to in found {
        assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is_generated() {
    let answer = Kiosk::alone().send(get("/openapi.json")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, document()));
}

#[tokio::test]
async fn the_page_shows_our_document_and_loads_nothing_from_elsewhere() {
    let kiosk = Kiosk::alone();
    let page = kiosk.send(get("/docs/")).await;
    assert_eq!(page.status, 200);
    let parts: Vec<_> = ["src=\"", "href=\""].iter().flat_map(|a| page.text.split(a).skip(1)).collect();
    assert!(parts.len() >= 4, "{}", page.text);
    for part in parts {
        let address = part.split('"').next().unwrap();
        assert!(!address.contains("//"), "{address} is elsewhere");
        let loaded = kiosk.send(get(format!("/docs/{}", address.trim_start_matches("./")))).await;
        assert_eq!(loaded.status, 200, "{address}");
    }
    let setup = kiosk.send(get("/docs/swagger-initializer.js")).await.text;
    assert!(setup.contains("/openapi.json") && setup.contains("\"none\""), "{setup}");
}

#[tokio::test]
async fn docs_without_its_slash_leads_to_the_page() {
    let answer = Kiosk::alone().send(get("/docs")).await;
    assert!(answer.status.is_redirection(), "{answer:?}");
    assert_eq!(answer.header("location"), Some("/docs/"));
}
