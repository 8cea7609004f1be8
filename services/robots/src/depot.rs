//! The depot as its staff see it.

use schemas::{
    grpc::{
        Connection,
        common::Page,
        depot::{self as pb, depot_client::DepotClient},
    },
    ids::OrderId,
};
use service_kit::grpc::ask;
use std::time::Duration;
use tonic::Status;

/// How long an unanswered call is waited for; then its outcome is unknown.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Cheap to clone; clones share one connection.
#[derive(Debug, Clone)]
pub struct Depot<T> {
    client: DepotClient<T>,
}

impl<T: Connection> Depot<T> {
    pub fn over(connection: T) -> Self {
        Self { client: DepotClient::new(connection) }
    }

    /// The inventory of a delivered list: everything the robot reported is there.
    pub async fn check(&self, order: OrderId, by: &str) -> Result<(), Status> {
        let request = pb::CheckListRequest { order_id: order.to_string(), missing: Vec::new(), by: by.to_owned() };
        let mut depot = self.client.clone();
        ask(request, ANSWER_WITHIN, async |request| depot.check_list(request).await).await.map(drop)
    }

    /// Lists that wait for their inventory, as many as one page has.
    pub async fn delivered(&self) -> Result<Vec<OrderId>, Status> {
        let page = Some(Page { page_size: 500, page_token: String::new() });
        let request = pb::ListListsRequest { status: "delivered".to_owned(), page };
        let mut depot = self.client.clone();
        let response = ask(request, ANSWER_WITHIN, async |request| depot.list_lists(request).await).await?;
        response.lists.iter().map(|list| OrderId::parse(&list.order_id).map_err(odd)).collect()
    }
}

fn odd(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("the depot's answer cannot be read: {error}"))
}
