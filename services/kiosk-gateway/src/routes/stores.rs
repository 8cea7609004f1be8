//! What can be bought: stores that take orders, and their products.

use super::Problems;
use crate::{
    Gateway,
    extract::{PageQuery, Paging, id},
    guard::Caller,
    problem::Problem,
    views::{ProductPage, StorePage},
};
use axum::{
    Json,
    extract::{Path, State},
};
use schemas::{
    grpc::stores::{ListProductsRequest, ListStoresRequest},
    ids::StoreId,
};

/// Stores that take orders now.
#[utoipa::path(get, path = "/v1/stores", tag = "stores", params(PageQuery),
    responses((status = 200, description = "A page of stores.", body = StorePage), Problems))]
pub async fn list_stores(
    State(gateway): State<Gateway>,
    caller: Caller,
    Paging(page): Paging,
) -> Result<Json<StorePage>, Problem> {
    let request = ListStoresRequest { status: "participating".into(), page: Some(page) };
    let found = gateway.backends.stores().list_stores(caller.ask(request)).await?;
    Ok(Json(found.into_inner().into()))
}

/// Products of a store that can be ordered now.
#[utoipa::path(get, path = "/v1/stores/{store_id}/products", tag = "stores",
    params(("store_id" = uuid::Uuid, Path, description = "The store"), PageQuery),
    responses((status = 200, description = "A page of products.", body = ProductPage), Problems))]
pub async fn list_products(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(store_id): Path<String>,
    Paging(page): Paging,
) -> Result<Json<ProductPage>, Problem> {
    let store_id = id::<StoreId>("store_id", &store_id)?.to_string();
    let request = ListProductsRequest { store_id, page: Some(page) };
    let found = gateway.backends.stores().list_products(caller.ask(request)).await?;
    Ok(Json(found.into_inner().into()))
}
