//! The mall before the first customer: stores, products and bays, made through the services' APIs.

use anyhow::{Context as _, Result};
use schemas::grpc::{
    common::{Location, Money},
    depot::{AddBayRequest, depot_client::DepotClient},
    stores::{AddProductRequest, CreateStoreRequest, ProductRequest, StoreRequest, stores_client::StoresClient},
};
use tonic::transport::Channel;

/// What there is to buy.
#[derive(Debug, Clone, Default)]
pub struct Mall {
    /// Products that are always found.
    pub ordinary: Vec<Product>,
    /// Products that robots never find.
    pub missing: Vec<Product>,
    /// A product larger than any bay.
    pub huge: Vec<Product>,
}

#[derive(Debug, Clone)]
pub struct Product {
    pub id: String,
    pub price: i64,
}

/// Millilitres a bay holds; far below it an order fits, above it none does.
const BAY_ML: i32 = 200_000;
/// What robots recognise as never there.
const OUT_OF_STOCK: &str = "(out of stock)";

impl Mall {
    /// Opens `stores` stores with three ordinary products each, one product that is never found, one that fits no bay, and `bays` bays.
    pub async fn open(stores_url: String, depot_url: String, stores: usize, bays: usize) -> Result<Self> {
        let mut client = StoresClient::connect(stores_url).await.context("stores")?;
        let mut mall = Self::default();
        for number in 0..stores {
            let store = participating(&mut client, number).await?;
            for item in 0..3 {
                let price = 199 + 100 * (number * 3 + item) as i64;
                mall.ordinary.push(product(&mut client, &store, &format!("Item {number}-{item}"), price, 900).await?);
            }
            if number == 0 {
                let name = format!("Rare find {OUT_OF_STOCK}");
                mall.missing.push(product(&mut client, &store, &name, 777, 500).await?);
                mall.huge.push(product(&mut client, &store, "Wardrobe", 49_900, 2 * BAY_ML).await?);
            }
        }
        add_bays(depot_url, bays).await?;
        Ok(mall)
    }
}

async fn participating(client: &mut StoresClient<Channel>, number: usize) -> Result<String> {
    let location = Some(Location { level: (number % 3) as i32, x: 10 * number as i32, y: 5 });
    let request =
        CreateStoreRequest { name: format!("Store {number}"), location, idempotency_key: format!("store-{number}") };
    let store = client.create_store(request).await?.into_inner().store_id;
    let step = |key: &str| StoreRequest { store_id: store.clone(), idempotency_key: format!("{key}-{number}") };
    client.request_participation(step("request")).await?;
    client.approve_participation(step("approve")).await?;
    Ok(store)
}

async fn product(
    client: &mut StoresClient<Channel>,
    store_id: &str,
    name: &str,
    price: i64,
    volume_ml: i32,
) -> Result<Product> {
    let request = AddProductRequest {
        store_id: store_id.to_owned(),
        name: name.to_owned(),
        price: Some(Money { amount: price, currency: "EUR".into() }),
        volume_ml,
        idempotency_key: format!("add-{name}"),
    };
    let made = client.add_product(request).await?.into_inner();
    if made.status != "listed" {
        let request = ProductRequest { product_id: made.product_id.clone(), idempotency_key: format!("list-{name}") };
        client.list_product(request).await?;
    }
    Ok(Product { id: made.product_id, price })
}

async fn add_bays(depot_url: String, bays: usize) -> Result<()> {
    let client = DepotClient::connect(depot_url).await.context("depot")?;
    let add = |number: usize| {
        let mut client = client.clone();
        async move { client.add_bay(AddBayRequest { number: number as i32 + 1, volume_ml: BAY_ML }).await.map(|_| ()) }
    };
    for chunk in (0..bays).collect::<Vec<_>>().chunks(200) {
        futures::future::try_join_all(chunk.iter().map(|n| add(*n))).await?;
    }
    Ok(())
}
