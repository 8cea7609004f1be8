//! The gRPC API of stores. Wire values are checked and turned into the domain's here, and nowhere deeper.

use crate::{
    Stores,
    domain::{Product, ProductChange, Store, StoreChange, StoreStatus, VOLUME_ML, unknown},
    handlers::{self, Found},
};
use prost::Message;
use schemas::{
    grpc::{
        common,
        stores::{self as pb, stores_server},
    },
    ids::{ProductId, StoreId},
    money::Money,
    text::Text,
};
use service_kit::grpc::{self, invalid};
use tonic::{Code, Request, Response, Status};
use transport::{Call, CallError, Idempotency, Shell, ports};
use uuid::Uuid;

/// Answers from the shell it holds.
pub struct Api<S: ports::Store> {
    pub shell: Shell<Stores, S>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<S: ports::Store> stores_server::Stores for Api<S> {
    async fn create_store(&self, request: Request<pb::CreateStoreRequest>) -> Answer<pb::Store> {
        let call = keyed(grpc::call(&request, "CreateStore"), &request.get_ref().idempotency_key, request.get_ref())?;
        let input = request.into_inner();
        let name = text("name", &input.name)?;
        let location = input.location.ok_or_else(|| invalid("location", "say where the store is"))?.into();
        let made = self.shell.call(call, move |_, unit| handlers::create_store(unit, &name, location));
        store_answer(made.await)
    }

    async fn request_participation(&self, request: Request<pb::StoreRequest>) -> Answer<pb::Store> {
        self.change_store(request, "RequestParticipation", StoreChange::Request).await
    }

    async fn approve_participation(&self, request: Request<pb::StoreRequest>) -> Answer<pb::Store> {
        self.change_store(request, "ApproveParticipation", StoreChange::Approve).await
    }

    async fn deny_participation(&self, request: Request<pb::StoreReasonRequest>) -> Answer<pb::Store> {
        self.change_with_reason(request, "DenyParticipation", StoreChange::Deny).await
    }

    async fn suspend_store(&self, request: Request<pb::StoreReasonRequest>) -> Answer<pb::Store> {
        self.change_with_reason(request, "SuspendStore", StoreChange::Suspend).await
    }

    async fn resume_store(&self, request: Request<pb::StoreRequest>) -> Answer<pb::Store> {
        self.change_store(request, "ResumeStore", StoreChange::Resume).await
    }

    async fn close_store(&self, request: Request<pb::StoreRequest>) -> Answer<pb::Store> {
        self.change_store(request, "CloseStore", StoreChange::Close).await
    }

    async fn get_store(&self, request: Request<pb::GetStoreRequest>) -> Answer<pb::Store> {
        let id = store_id(&request.get_ref().store_id)?;
        store_answer(self.find_store(id).await)
    }

    async fn list_stores(&self, request: Request<pb::ListStoresRequest>) -> Answer<pb::ListStoresResponse> {
        let input = request.into_inner();
        let query = ports::Query { status: store_status(&input.status)?, ..page(input.page)? };
        let found = self.shell.list::<Store>(&query).await.map_err(status)?;
        let next_page_token = next_token(&query, &found);
        Ok(Response::new(pb::ListStoresResponse { stores: found.into_iter().map(store).collect(), next_page_token }))
    }

    async fn add_product(&self, request: Request<pb::AddProductRequest>) -> Answer<pb::Product> {
        let call = keyed(grpc::call(&request, "AddProduct"), &request.get_ref().idempotency_key, request.get_ref())?;
        let input = request.into_inner();
        let (store, name) = (store_id(&input.store_id)?, text("name", &input.name)?);
        let (price, volume) = (price(input.price)?, volume(input.volume_ml)?);
        let made = self.shell.call(call, move |_, unit| handlers::add_product(unit, store, &name, price, volume));
        product_answer(made.await)
    }

    async fn change_price(&self, request: Request<pb::ChangePriceRequest>) -> Answer<pb::Product> {
        let call = keyed(grpc::call(&request, "ChangePrice"), &request.get_ref().idempotency_key, request.get_ref())?;
        let input = request.into_inner();
        self.fold_product(call, product_id(&input.product_id)?, ProductChange::Reprice(price(input.price)?)).await
    }

    async fn list_product(&self, request: Request<pb::ProductRequest>) -> Answer<pb::Product> {
        self.change_product(request, "ListProduct", ProductChange::List).await
    }

    async fn hide_product(&self, request: Request<pb::ProductRequest>) -> Answer<pb::Product> {
        self.change_product(request, "HideProduct", ProductChange::Hide).await
    }

    async fn remove_product(&self, request: Request<pb::ProductRequest>) -> Answer<pb::Product> {
        self.change_product(request, "RemoveProduct", ProductChange::Remove).await
    }

    async fn get_product(&self, request: Request<pb::GetProductRequest>) -> Answer<pb::Product> {
        let id = product_id(&request.get_ref().product_id)?;
        let found = self.shell.get::<Product>(id.into()).await.map_err(status)?;
        product_answer(found.map(|p| (id.into(), p)).ok_or_else(|| CallError::Refused(unknown("product", id))))
    }

    async fn list_products(&self, request: Request<pb::ListProductsRequest>) -> Answer<pb::ListProductsResponse> {
        let input = request.into_inner();
        let store = store_id(&input.store_id)?;
        self.find_store(store).await.map_err(status)?;
        let query = ports::Query { parent: Some(store.into()), ..page(input.page)? };
        let found = self.shell.list::<Product>(&query).await.map_err(status)?;
        let next_page_token = next_token(&query, &found);
        let products = found.into_iter().map(product).collect();
        Ok(Response::new(pb::ListProductsResponse { products, next_page_token }))
    }
}

impl<S: ports::Store> Api<S> {
    async fn find_store(&self, id: StoreId) -> Result<Found<Store>, CallError> {
        let found = self.shell.get::<Store>(id.into()).await?;
        found.map(|store| (id.into(), store)).ok_or_else(|| CallError::Refused(unknown("store", id)))
    }

    async fn change_store(
        &self,
        request: Request<pb::StoreRequest>,
        name: &'static str,
        change: StoreChange,
    ) -> Answer<pb::Store> {
        let input = request.get_ref();
        let call = keyed(grpc::call(&request, name), &input.idempotency_key, input)?;
        self.fold_store(call, store_id(&input.store_id)?, change).await
    }

    async fn change_with_reason(
        &self,
        request: Request<pb::StoreReasonRequest>,
        name: &'static str,
        change: fn(Text) -> StoreChange,
    ) -> Answer<pb::Store> {
        let input = request.get_ref();
        let call = keyed(grpc::call(&request, name), &input.idempotency_key, input)?;
        self.fold_store(call, store_id(&input.store_id)?, change(text("reason", &input.reason)?)).await
    }

    async fn fold_store(&self, call: Call, id: StoreId, change: StoreChange) -> Answer<pb::Store> {
        store_answer(self.shell.call(call, move |_, unit| handlers::change_store(unit, id, &change)).await)
    }

    async fn change_product(
        &self,
        request: Request<pb::ProductRequest>,
        name: &'static str,
        change: ProductChange,
    ) -> Answer<pb::Product> {
        let input = request.get_ref();
        let call = keyed(grpc::call(&request, name), &input.idempotency_key, input)?;
        self.fold_product(call, product_id(&input.product_id)?, change).await
    }

    async fn fold_product(&self, call: Call, id: ProductId, change: ProductChange) -> Answer<pb::Product> {
        product_answer(self.shell.call(call, move |_, unit| handlers::change_product(unit, id, change)).await)
    }
}

fn store_answer(result: Result<Found<Store>, CallError>) -> Answer<pb::Store> {
    result.map(|found| Response::new(store(found))).map_err(status)
}

fn product_answer(result: Result<Found<Product>, CallError>) -> Answer<pb::Product> {
    result.map(|found| Response::new(product(found))).map_err(status)
}

/// As [`grpc::status`], with NOT_FOUND for what does not exist.
fn status(error: CallError) -> Status {
    let status = grpc::status(error);
    let unknown = grpc::code(&status).is_some_and(|code| code.starts_with("stores.unknown_"));
    if unknown {
        return Status::with_metadata(Code::NotFound, status.message(), status.metadata().clone());
    }
    status
}

fn store((id, store): Found<Store>) -> pb::Store {
    pb::Store {
        store_id: id.to_string(),
        name: store.name.to_string(),
        location: Some(store.location.into()),
        status: store.status.as_str().to_owned(),
        reason: store.reason.map(String::from).unwrap_or_default(),
        version: store.version,
    }
}

fn product((id, product): Found<Product>) -> pb::Product {
    pb::Product {
        product_id: id.to_string(),
        store_id: product.store_id.to_string(),
        name: product.name.to_string(),
        price: Some(product.price.into()),
        volume_ml: product.volume_ml,
        status: product.status.as_str().to_owned(),
        version: product.version,
    }
}

fn store_id(id: &str) -> Result<StoreId, Status> {
    StoreId::parse(id).map_err(|e| invalid("store_id", e.to_string()))
}

fn product_id(id: &str) -> Result<ProductId, Status> {
    ProductId::parse(id).map_err(|e| invalid("product_id", e.to_string()))
}

fn text(field: &'static str, value: &str) -> Result<Text, Status> {
    Text::parse(value).map_err(|e| invalid(field, e.to_string()))
}

fn price(price: Option<common::Money>) -> Result<Money, Status> {
    let price = price.ok_or_else(|| invalid("price", "say what one piece costs"))?;
    let price = Money::try_from(price).map_err(|e| invalid("price", e.to_string()))?;
    if price.amount < 0 { Err(invalid("price", "a price is zero or more")) } else { Ok(price) }
}

fn volume(ml: i32) -> Result<i32, Status> {
    let fits = VOLUME_ML.contains(&ml);
    fits.then_some(ml).ok_or_else(|| invalid("volume_ml", "give the volume of one piece, at least 1 ml"))
}

fn store_status(status: &str) -> Result<Option<String>, Status> {
    let known = status.is_empty() || StoreStatus::ALL.iter().any(|s| s.as_str() == status);
    let names = StoreStatus::ALL.map(StoreStatus::as_str).join(", ");
    known.then(|| wanted(status)).ok_or_else(|| invalid("status", format!("give one of {names}, or nothing for all")))
}

fn wanted(filter: &str) -> Option<String> {
    (!filter.is_empty()).then(|| filter.to_owned())
}

/// Makes a repeat of the request harmless when its caller gave it a key.
fn keyed(call: Call, key: &str, request: &impl Message) -> Result<Call, Status> {
    match key.chars().count() {
        0 => Ok(call),
        1..=255 => Ok(call.idempotent(Idempotency::new("grpc", key, &request.encode_to_vec()))),
        n => Err(invalid("idempotency_key", format!("the key has {n} characters; use at most 255"))),
    }
}

fn page(page: Option<common::Page>) -> Result<ports::Query, Status> {
    let page = page.unwrap_or_default();
    let before = wanted(&page.page_token).map(|token| token.parse::<Uuid>()).transpose();
    let before = before.map_err(|_| invalid("page.page_token", "give the token of the page before, unchanged"))?;
    Ok(ports::Query { before, limit: page.limit() as usize, ..ports::Query::default() })
}

/// Where the next page begins; empty when this one was not full.
fn next_token<A>(query: &ports::Query, found: &[Found<A>]) -> String {
    let last = found.last().filter(|_| found.len() >= query.limit);
    last.map(|(id, _)| id.to_string()).unwrap_or_default()
}
