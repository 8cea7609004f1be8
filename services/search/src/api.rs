//! The gRPC API of search. It reads pages of the read model, newest order first, and filters here: no index has to be
//! kept up with every event, at the price of reading up to [`MAX_SCANNED`] orders for one answer. A search that needs
//! more answers with what it has and a token to go on from.

use crate::{
    Search,
    view::{Filter, Names, OrderView, Status as OrderStatus, StoreName},
};
use schemas::{
    grpc::search::{self as pb, search_server},
    ids::StoreId,
    text::Text,
};
use service_kit::grpc::{self, invalid};
use tonic::{Request, Response, Status};
use transport::{CallError, Shell, ports};
use uuid::Uuid;

/// Rows read at a time.
const PAGE: usize = 500;
/// Most orders that one search reads.
pub const MAX_SCANNED: usize = 20 * PAGE;
/// Most stores whose names are shown.
const MAX_STORES: usize = 10 * PAGE;

/// Answers from the shell it holds.
pub struct Api<S: ports::Store> {
    pub shell: Shell<Search, S>,
}

#[tonic::async_trait]
impl<S: ports::Store> search_server::Search for Api<S> {
    async fn search_orders(
        &self,
        request: Request<pb::SearchOrdersRequest>,
    ) -> Result<Response<pb::SearchOrdersResponse>, Status> {
        let wanted = Wanted::parse(request.into_inner())?;
        let names = self.names().await.map_err(grpc::status)?;
        let found = self.find(&wanted, &names).await.map_err(grpc::status)?;
        let orders = found.orders.into_iter().map(|(id, view)| order(id, view, &names)).collect();
        let next_page_token = found.next.map(|id| id.to_string()).unwrap_or_default();
        Ok(Response::new(pb::SearchOrdersResponse { orders, next_page_token }))
    }
}

/// A request, checked.
struct Wanted {
    filter: Filter,
    before: Option<Uuid>,
    limit: usize,
}

struct Found {
    orders: Vec<(Uuid, OrderView)>,
    /// Where to go on; `None` when everything was read.
    next: Option<Uuid>,
}

impl<S: ports::Store> Api<S> {
    async fn find(&self, wanted: &Wanted, names: &Names) -> Result<Found, CallError> {
        let status = wanted.filter.status.map(|s| s.as_str().to_owned());
        let mut found = Found { orders: Vec::new(), next: wanted.before };
        for _ in 0..MAX_SCANNED / PAGE {
            let query =
                ports::Query { status: status.clone(), before: found.next, limit: PAGE, ..ports::Query::default() };
            let page = self.shell.list::<OrderView>(&query).await?;
            let last = page.len() < PAGE;
            for (id, view) in page {
                found.next = Some(id);
                if wanted.filter.matches(id, &view, names) {
                    found.orders.push((id, view));
                }
                if found.orders.len() >= wanted.limit {
                    return Ok(found);
                }
            }
            if last {
                return Ok(Found { next: None, ..found });
            }
        }
        Ok(found)
    }

    async fn names(&self) -> Result<Names, CallError> {
        let mut names = Names::new();
        let mut before = None;
        while names.len() < MAX_STORES {
            let query = ports::Query { before, limit: PAGE, ..ports::Query::default() };
            let page = self.shell.list::<StoreName>(&query).await?;
            before = page.last().map(|(id, _)| *id);
            let last = page.len() < PAGE;
            names.extend(page.into_iter().map(|(id, store)| (id, store.name)));
            if last {
                break;
            }
        }
        Ok(names)
    }
}

impl Wanted {
    fn parse(input: pb::SearchOrdersRequest) -> Result<Self, Status> {
        let page = input.page.unwrap_or_default();
        let before = given(&page.page_token).map(|token| token.parse::<Uuid>()).transpose();
        let before = before.map_err(|_| invalid("page.page_token", "give the token of the page before, unchanged"))?;
        let store = given(&input.store_id).map(|id| StoreId::parse(&id)).transpose();
        let text = given(input.text.trim()).map(|text| Text::parse(&text)).transpose();
        let text = text.map_err(|e| invalid("text", e.to_string()))?;
        let filter = Filter {
            words: text.map(|t| Filter::words(t.as_str())).unwrap_or_default(),
            status: status(&input.status)?,
            store: store.map_err(|e| invalid("store_id", e.to_string()))?,
            from_ms: (input.from_ms != 0).then_some(input.from_ms),
            to_ms: (input.to_ms != 0).then_some(input.to_ms),
        };
        Ok(Self { filter, before, limit: page.limit() as usize })
    }
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn status(name: &str) -> Result<Option<OrderStatus>, Status> {
    let known = OrderStatus::ALL.into_iter().find(|s| s.as_str() == name);
    if name.is_empty() || known.is_some() {
        return Ok(known);
    }
    let names = OrderStatus::ALL.map(OrderStatus::as_str).join(", ");
    Err(invalid("status", format!("give one of {names}, or nothing for all")))
}

fn order(id: Uuid, view: OrderView, names: &Names) -> pb::FoundOrder {
    pb::FoundOrder {
        order_id: id.to_string(),
        status: view.status.as_str().to_owned(),
        store_names: view.store_names(names).map(str::to_owned).collect(),
        lines: view.lines.into_iter().map(Into::into).collect(),
        total: view.total.map(Into::into),
        saga_state: view.saga,
        placed_at_ms: view.placed_at_ms,
        updated_at_ms: view.updated_at_ms,
    }
}
