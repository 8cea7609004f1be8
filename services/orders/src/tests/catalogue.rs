//! Our copy of the catalogue, as records of the compacted topic make it.

use super::*;
use crate::domain::{CatalogueProduct as Copy, CatalogueStore as StoreCopy};
use transport::memory::MemoryStore;

async fn copy(desk: &Desk) -> Copy {
    desk.get::<Copy>(bread().into()).await.unwrap()
}

#[tokio::test]
async fn the_newer_version_wins_whatever_the_order_of_records() {
    let desk = desk().await;
    tell_product(&desk, product(bread(), "Bread", 300, 3)).await;
    tell_product(&desk, product(bread(), "Bread", 275, 2)).await;
    let copy = copy(&desk).await;
    assert_eq!((copy.version, copy.offer.unwrap().price), (3, eur(300)));
}

#[tokio::test]
async fn a_deletion_keeps_id_and_version_and_nothing_brings_the_product_back() {
    let desk = desk().await;
    desk.tombstone::<schemas::stores::CatalogueProduct>("product", bread().into()).await;
    tell_product(&desk, product(bread(), "Bread", 250, 9)).await;
    assert_eq!(copy(&desk).await, Copy { version: 1, offer: None });
    desk.tombstone::<schemas::stores::CatalogueStore>("store", store().into()).await;
    assert_eq!(desk.get::<StoreCopy>(store().into()).await.unwrap(), StoreCopy { version: 1, card: None });
}

#[tokio::test]
async fn a_deletion_of_what_we_never_knew_parks_nothing() {
    let desk = memory_shell(Orders::default());
    desk.tombstone::<schemas::stores::CatalogueProduct>("product", bread().into()).await;
    assert_eq!(MemoryStore::parked(&desk.store), vec![]);
    assert_eq!(copy(&desk).await.offer, None);
}
