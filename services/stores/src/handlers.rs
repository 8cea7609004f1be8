//! What happens to stores and products, and which events and catalogue records tell of it. Stores obey people only, so
//! there are no routes from topics: every function here is called by [`crate::api`] within a fold.

use crate::domain::{self, Product, ProductChange, ProductStatus, Store, StoreChange};
use schemas::{
    ids::{ProductId, StoreId},
    money::Money,
    stores as wire,
    text::Text,
};
use transport::{Aggregate, Fold, Unit};
use uuid::Uuid;

impl Aggregate for Store {
    const KIND: &'static str = "store";

    fn status(&self) -> &'static str {
        self.status.as_str()
    }
}

impl Aggregate for Product {
    const KIND: &'static str = "product";

    fn status(&self) -> &'static str {
        self.status.as_str()
    }

    fn parent(&self) -> Option<Uuid> {
        Some(self.store_id.into())
    }
}

/// An aggregate with its id: what the API answers with.
pub type Found<A> = (Uuid, A);

pub fn create_store(unit: &mut Unit, name: &Text, location: wire::Location) -> Fold<Found<Store>> {
    let id = unit.new_id();
    let store = Store::create(name.clone(), location);
    unit.put(id, store.clone());
    let event = wire::StoreCreated { store_id: id.into(), name: name.to_string(), location };
    unit.emit::<Store, _>(id, event)?;
    tell_catalogue_of_store(unit, id, &store)?;
    Ok((id, store))
}

/// Changes a store; closing it removes its products too.
pub fn change_store(unit: &mut Unit, id: StoreId, change: &StoreChange) -> Fold<Found<Store>> {
    let before = find_store(unit, id)?;
    let mut store = before.change(change)?;
    if *change == StoreChange::Close {
        remove_all(unit, &before.products)?;
        store.products.clear();
    }
    let id = Uuid::from(id);
    unit.put(id, store.clone());
    emit_store_change(unit, id, change)?;
    tell_catalogue_of_store(unit, id, &store)?;
    Ok((id, store))
}

pub fn add_product(
    unit: &mut Unit,
    store_id: StoreId,
    name: &Text,
    price: Money,
    volume_ml: i32,
) -> Fold<Found<Product>> {
    let id = unit.new_id();
    let store = find_store(unit, store_id)?.offer(id.into())?;
    let product = Product::add(store_id, name.clone(), price, volume_ml);
    unit.put(store_id.into(), store);
    unit.put(id, product.clone());
    let version = product.version;
    let (product_id, name) = (id.into(), name.to_string());
    let event = wire::ProductAdded { product_id, store_id, name, price, volume_ml, version };
    unit.emit::<Product, _>(id, event)?;
    tell_catalogue_of_product(unit, id, &product)?;
    Ok((id, product))
}

pub fn change_product(unit: &mut Unit, id: ProductId, change: ProductChange) -> Fold<Found<Product>> {
    let id = Uuid::from(id);
    let before = unit.get::<Product>(id)?.ok_or_else(|| domain::unknown("product", id))?;
    let product = apply(unit, id, &before, change)?;
    if product.status == ProductStatus::Removed {
        let store = find_store(unit, product.store_id)?.withdraw(id.into());
        unit.put(product.store_id.into(), store);
    }
    tell_catalogue_of_product(unit, id, &product)?;
    Ok((id, product))
}

/// Takes the products of a store that closes out of the catalogue, by the way that each could have gone by itself.
fn remove_all(unit: &mut Unit, products: &[ProductId]) -> Fold<()> {
    // Asked for together, so that they are loaded in one statement.
    let all: Vec<_> = products.iter().map(|id| (Uuid::from(*id), unit.get::<Product>((*id).into()))).collect();
    for (id, product) in all {
        let Some(mut product) = product? else { continue };
        if product.status == ProductStatus::Listed {
            product = apply(unit, id, &product, ProductChange::Hide)?;
        }
        product = apply(unit, id, &product, ProductChange::Remove)?;
        tell_catalogue_of_product(unit, id, &product)?;
    }
    Ok(())
}

/// Carries a change of one product out and publishes its event.
fn apply(unit: &mut Unit, id: Uuid, before: &Product, change: ProductChange) -> Fold<Product> {
    let product = before.change(change)?;
    unit.put(id, product.clone());
    let (product_id, store_id, version) = (id.into(), product.store_id, product.version);
    match change {
        ProductChange::List => unit.emit::<Product, _>(id, wire::ProductListed { product_id, store_id, version })?,
        ProductChange::Hide => unit.emit::<Product, _>(id, wire::ProductHidden { product_id, store_id, version })?,
        ProductChange::Remove => unit.emit::<Product, _>(id, wire::ProductRemoved { product_id, store_id, version })?,
        ProductChange::Reprice(price) => {
            unit.emit::<Product, _>(id, wire::ProductPriceChanged { product_id, store_id, price, version })?;
        }
    }
    Ok(product)
}

fn find_store(unit: &mut Unit, id: StoreId) -> Fold<Store> {
    Ok(unit.get::<Store>(id.into())?.ok_or_else(|| domain::unknown("store", id))?)
}

fn emit_store_change(unit: &mut Unit, id: Uuid, change: &StoreChange) -> Fold<()> {
    let store_id = StoreId::from(id);
    match change {
        StoreChange::Request => unit.emit::<Store, _>(id, wire::ParticipationRequested { store_id }),
        StoreChange::Approve => unit.emit::<Store, _>(id, wire::ParticipationApproved { store_id }),
        StoreChange::Resume => unit.emit::<Store, _>(id, wire::StoreResumed { store_id }),
        StoreChange::Close => unit.emit::<Store, _>(id, wire::StoreClosed { store_id }),
        StoreChange::Deny(reason) => {
            unit.emit::<Store, _>(id, wire::ParticipationDenied { store_id, reason: reason.to_string() })
        }
        StoreChange::Suspend(reason) => {
            unit.emit::<Store, _>(id, wire::StoreSuspended { store_id, reason: reason.to_string() })
        }
    }
}

/// The store's latest state for everybody's copy; a deletion once it is closed.
fn tell_catalogue_of_store(unit: &mut Unit, id: Uuid, store: &Store) -> Fold<()> {
    if store.status == domain::StoreStatus::Closed {
        return unit.tombstone::<Store, wire::CatalogueStore>(id);
    }
    let record = wire::CatalogueStore {
        store_id: id.into(),
        name: store.name.to_string(),
        location: store.location,
        participating: store.participates(),
        version: store.version,
    };
    unit.emit::<Store, _>(id, record)
}

/// The product's latest state for everybody's copy; a deletion once it is removed.
fn tell_catalogue_of_product(unit: &mut Unit, id: Uuid, product: &Product) -> Fold<()> {
    if product.status == ProductStatus::Removed {
        return unit.tombstone::<Product, wire::CatalogueProduct>(id);
    }
    let record = wire::CatalogueProduct {
        product_id: id.into(),
        store_id: product.store_id,
        name: product.name.to_string(),
        price: product.price,
        volume_ml: product.volume_ml,
        listed: product.status == ProductStatus::Listed,
        version: product.version,
    };
    unit.emit::<Product, _>(id, record)
}
