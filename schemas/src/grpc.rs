//! The gRPC API of every context, generated from `proto/`, and the crossing between its values and ours. How refusals cross
//! is one thing for all services: `service_kit::grpc`.

use crate::{
    ids::{IdError, ProductId},
    lines, money,
    quantity::{Quantity, QuantityError},
    stores as wire,
};
use tonic::{
    client::GrpcService,
    codegen::{Body, Bytes, StdError},
};

#[allow(clippy::all, clippy::pedantic)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/mallbots.rs"));
}

pub use generated::mallbots::{
    common::v1 as common, depot::v1 as depot, notifications::v1 as notifications, orchestrator::v1 as orchestrator,
    orders::v1 as orders, payments::v1 as payments, robots::v1 as robots, search::v1 as search, stores::v1 as stores,
};

/// What a service can be reached by: a network channel, or its server in the same process.
pub trait Connection:
    GrpcService<
        tonic::body::Body,
        ResponseBody: Body<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Connection for T
where
    T: GrpcService<tonic::body::Body> + Clone + Send + Sync + 'static,
    T::ResponseBody: Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as Body>::Error: Into<StdError> + Send,
    T::Future: Send,
{
}

/// All files of `proto/` as an encoded `FileDescriptorSet`: what the reflection service shows.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Most entries a page may hold; a larger `page_size` is cut to it.
pub const MAX_PAGE_SIZE: u32 = 500;

/// Entries of a page when the request does not say.
pub const DEFAULT_PAGE_SIZE: u32 = 50;

impl common::Page {
    /// Entries to return: 1..=[`MAX_PAGE_SIZE`].
    pub fn limit(&self) -> u32 {
        if self.page_size == 0 { DEFAULT_PAGE_SIZE } else { self.page_size.min(MAX_PAGE_SIZE) }
    }
}

impl From<money::Money> for common::Money {
    fn from(money: money::Money) -> Self {
        Self { amount: money.amount, currency: money.currency.to_string() }
    }
}

impl TryFrom<common::Money> for money::Money {
    type Error = money::MoneyError;
    fn try_from(money: common::Money) -> Result<Self, Self::Error> {
        Ok(Self::new(money.amount, money::Currency::parse(&money.currency)?))
    }
}

impl From<wire::Location> for common::Location {
    fn from(at: wire::Location) -> Self {
        Self { level: at.level, x: at.x, y: at.y }
    }
}

impl From<common::Location> for wire::Location {
    fn from(at: common::Location) -> Self {
        Self { level: at.level, x: at.x, y: at.y }
    }
}

impl From<lines::LineCount> for common::LineCount {
    fn from(line: lines::LineCount) -> Self {
        Self { product_id: line.product_id.to_string(), quantity: line.quantity.into() }
    }
}

/// Why a [`common::LineCount`] is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error(transparent)]
    Product(#[from] IdError),
    #[error(transparent)]
    Quantity(#[from] QuantityError),
}

impl TryFrom<common::LineCount> for lines::LineCount {
    type Error = LineError;
    fn try_from(line: common::LineCount) -> Result<Self, LineError> {
        Ok(Self { product_id: ProductId::parse(&line.product_id)?, quantity: Quantity::try_from(line.quantity)? })
    }
}

impl From<lines::OrderLine> for common::OrderLine {
    fn from(line: lines::OrderLine) -> Self {
        Self {
            product_id: line.product_id.to_string(),
            store_id: line.store_id.to_string(),
            name: line.name,
            quantity: line.quantity.into(),
            price: Some(line.price.into()),
            volume_ml: line.volume_ml,
        }
    }
}
