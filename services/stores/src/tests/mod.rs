//! The context on the production shell, with the ports in memory, through its gRPC door: events and the catalogue out.

mod products;
mod stores;

use crate::{Stores, api::Api};
use schemas::{
    grpc::{common, stores as pb, stores::stores_server::Stores as _},
    stores as wire,
};
use service_kit::grpc;
use testkit::{MemoryShell, memory_shell};
use tonic::{Code, Request, Status};
use transport::memory::MemoryStore;

type Desk = MemoryShell<Stores>;

fn api(desk: &Desk) -> Api<MemoryStore> {
    Api { shell: desk.shell.clone() }
}

fn desk() -> Desk {
    memory_shell(Stores)
}

fn euros(amount: i64) -> Option<common::Money> {
    Some(common::Money { amount, currency: "EUR".into() })
}

fn bakery(key: &str) -> pb::CreateStoreRequest {
    let location = Some(common::Location { level: 1, x: 2, y: 3 });
    pb::CreateStoreRequest { name: "  Bakery ".into(), location, idempotency_key: key.into() }
}

async fn create(desk: &Desk, request: pb::CreateStoreRequest) -> Result<pb::Store, Status> {
    let api = api(desk);
    desk.drive(api.create_store(Request::new(request))).await.map(tonic::Response::into_inner)
}

/// Carries out one change of the store's state by the name of its method.
async fn change(desk: &Desk, store: &str, deed: &str) -> Result<pb::Store, Status> {
    let api = api(desk);
    let plain = || Request::new(pb::StoreRequest { store_id: store.into(), idempotency_key: String::new() });
    let reason = "works".to_owned();
    let told = || {
        let (store_id, reason) = (store.into(), reason.clone());
        Request::new(pb::StoreReasonRequest { store_id, reason, idempotency_key: String::new() })
    };
    let result = match deed {
        "request" => desk.drive(api.request_participation(plain())).await,
        "approve" => desk.drive(api.approve_participation(plain())).await,
        "deny" => desk.drive(api.deny_participation(told())).await,
        "suspend" => desk.drive(api.suspend_store(told())).await,
        "resume" => desk.drive(api.resume_store(plain())).await,
        _ => desk.drive(api.close_store(plain())).await,
    };
    result.map(tonic::Response::into_inner)
}

async fn participating(desk: &Desk) -> String {
    let store = create(desk, bakery("")).await.unwrap().store_id;
    change(desk, &store, "request").await.unwrap();
    change(desk, &store, "approve").await.unwrap();
    store
}

fn bread(store: &str) -> pb::AddProductRequest {
    let (name, price, volume_ml) = ("Bread".into(), euros(250), 900);
    pb::AddProductRequest { store_id: store.into(), name, price, volume_ml, idempotency_key: String::new() }
}

async fn add(desk: &Desk, request: pb::AddProductRequest) -> Result<pb::Product, Status> {
    let api = api(desk);
    desk.drive(api.add_product(Request::new(request))).await.map(tonic::Response::into_inner)
}

/// Carries out one change of the product by the name of its method.
async fn change_product(desk: &Desk, product: &str, deed: &str) -> Result<pb::Product, Status> {
    let api = api(desk);
    let plain = || Request::new(pb::ProductRequest { product_id: product.into(), idempotency_key: String::new() });
    let result = match deed {
        "list" => desk.drive(api.list_product(plain())).await,
        "hide" => desk.drive(api.hide_product(plain())).await,
        _ => desk.drive(api.remove_product(plain())).await,
    };
    result.map(tonic::Response::into_inner)
}

/// The keys whose last record in the catalogue is a deletion.
fn deleted(desk: &Desk) -> Vec<String> {
    let mut last = std::collections::BTreeMap::new();
    for record in desk.log.records(schemas::topics::STORES_CATALOGUE) {
        last.insert(String::from_utf8(record.key.unwrap()).unwrap(), record.value.is_none());
    }
    last.into_iter().filter_map(|(key, gone)| gone.then_some(key)).collect()
}

fn field(status: &Status) -> &str {
    assert_eq!((status.code(), grpc::code(status)), (Code::InvalidArgument, Some("platform.invalid_argument")));
    status.metadata().get(grpc::FIELD).unwrap().to_str().unwrap()
}
