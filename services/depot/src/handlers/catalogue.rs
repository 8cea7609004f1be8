//! The copy of store names and places, from the compacted catalogue: the newer version wins, a deletion closes.

use crate::{Depot, domain::StorePlace};
use message::Envelope;
use schemas::stores::CatalogueStore;
use transport::{Fold, Unit};
use uuid::Uuid;

pub fn store_changed(_: &Depot, unit: &mut Unit, _: &Envelope, record: &CatalogueStore) -> Fold<()> {
    let id = record.store_id.as_uuid();
    let known = unit.get::<StorePlace>(id)?;
    if let Some(place) = StorePlace::updated(known.as_ref(), record) {
        unit.put(id, place);
    }
    Ok(())
}

pub fn store_gone(_: &Depot, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let known = unit.get::<StorePlace>(id)?;
    unit.put(id, StorePlace::gone(known));
    Ok(())
}
