//! Keeps our copy of the catalogue, from the compacted topic of stores.

use crate::{
    Orders,
    domain::{CatalogueProduct, CatalogueStore, Offer, StoreCard},
};
use message::Envelope;
use schemas::stores as wire;
use transport::{Fold, Unit};
use uuid::Uuid;

pub fn product(_: &Orders, unit: &mut Unit, _: &Envelope, record: &wire::CatalogueProduct) -> Fold<()> {
    let id = record.product_id.as_uuid();
    let copy = unit.get::<CatalogueProduct>(id)?;
    let offer = Offer {
        store_id: record.store_id,
        name: record.name.clone(),
        price: record.price,
        volume_ml: record.volume_ml,
        listed: record.listed,
    };
    if let Some(newer) = CatalogueProduct::update(copy.as_ref(), record.version, offer) {
        unit.put(id, newer);
    }
    Ok(())
}

pub fn product_removed(_: &Orders, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let copy = unit.get::<CatalogueProduct>(id)?;
    unit.put(id, CatalogueProduct::removed(copy.as_ref()));
    Ok(())
}

pub fn store(_: &Orders, unit: &mut Unit, _: &Envelope, record: &wire::CatalogueStore) -> Fold<()> {
    let id = record.store_id.as_uuid();
    let copy = unit.get::<CatalogueStore>(id)?;
    let card = StoreCard { name: record.name.clone(), participating: record.participating };
    if let Some(newer) = CatalogueStore::update(copy.as_ref(), record.version, card) {
        unit.put(id, newer);
    }
    Ok(())
}

pub fn store_closed(_: &Orders, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let copy = unit.get::<CatalogueStore>(id)?;
    unit.put(id, CatalogueStore::closed(copy.as_ref()));
    Ok(())
}
