//! The gRPC API of the depot. Wire values are checked and turned into the domain's here, and nowhere deeper.

mod convert;
mod read;
mod robots;

use crate::{Board, Depot, domain::ShoppingList, handlers::staff};
use convert::{bot_id, counts, order_id, page_start, text};
use message::TraceContext;
use schemas::{
    grpc::depot::{self as pb, depot_server},
    ids::OrderId,
};
use service_kit::grpc::{self, invalid};
use tonic::{Request, Response, Status};
use transport::{Call, Shell, ports::Store};

/// Answers from the shell it holds.
pub struct Api<S: Store> {
    pub shell: Shell<Depot, S>,
    pub board: Board,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<S: Store> depot_server::Depot for Api<S> {
    async fn add_bay(&self, request: Request<pb::AddBayRequest>) -> Answer<pb::Bay> {
        let call = grpc::call(&request, "AddBay");
        let pb::AddBayRequest { number, volume_ml } = request.into_inner();
        if number < 1 {
            return Err(invalid("number", "bays are numbered from 1"));
        }
        if volume_ml < 1 {
            return Err(invalid("volume_ml", "give the volume in millilitres, at least 1"));
        }
        let bay = self.shell.call(call, move |depot, unit| staff::add_bay(depot, unit, number, volume_ml)).await;
        Ok(Response::new(convert::bay(bay.map_err(grpc::status)?)))
    }

    async fn list_bays(&self, request: Request<pb::ListBaysRequest>) -> Answer<pb::ListBaysResponse> {
        let page = request.into_inner().page.unwrap_or_default();
        Ok(Response::new(read::bays(&self.shell, &page).await?))
    }

    async fn register_bot(&self, request: Request<pb::RegisterBotRequest>) -> Answer<pb::RegisterBotResponse> {
        let call = grpc::call(&request, "RegisterBot");
        let request = request.into_inner();
        let (id, name) = (bot_id("bot_id", &request.bot_id)?, text("name", &request.name)?);
        let epoch = robots::register(&self.shell, call, id, name, request.location).await?;
        Ok(Response::new(pb::RegisterBotResponse { epoch }))
    }

    async fn report(&self, request: Request<pb::ReportRequest>) -> Answer<pb::ReportResponse> {
        let instructions = robots::report(&self.shell, request.into_inner().reports).await?;
        Ok(Response::new(pb::ReportResponse { instructions }))
    }

    async fn await_assignments(
        &self,
        request: Request<pb::AwaitAssignmentsRequest>,
    ) -> Answer<pb::AwaitAssignmentsResponse> {
        let instructions = robots::wait(&self.shell, &self.board, request.into_inner()).await?;
        Ok(Response::new(pb::AwaitAssignmentsResponse { instructions }))
    }

    async fn get_list(&self, request: Request<pb::GetListRequest>) -> Answer<pb::ShoppingList> {
        let id = order_id(&request.get_ref().order_id)?;
        let row = read::rows::<ShoppingList, S>(&self.shell, &[id.into()]).await?.pop();
        row.map(|(list, version)| Response::new(convert::list(list, version))).ok_or_else(|| convert::no_list(id))
    }

    async fn list_lists(&self, request: Request<pb::ListListsRequest>) -> Answer<pb::ListListsResponse> {
        let request = request.into_inner();
        let page = request.page.unwrap_or_default();
        let (before, limit) = (page_start(&page)?, page.limit() as usize);
        Ok(Response::new(read::lists(&self.shell, &request.status, before, limit).await?))
    }

    async fn list_bots(&self, request: Request<pb::ListBotsRequest>) -> Answer<pb::ListBotsResponse> {
        let page = request.into_inner().page.unwrap_or_default();
        Ok(Response::new(read::bots(&self.shell, &page).await?))
    }

    async fn check_list(&self, request: Request<pb::CheckListRequest>) -> Answer<pb::ShoppingList> {
        let call = grpc::call(&request, "CheckList");
        let request = request.into_inner();
        let (id, by) = (order_id(&request.order_id)?, text("by", &request.by)?);
        let missing = counts(request.missing).map_err(|e| invalid("missing", e.to_string()))?;
        let call = self.of_order(call, id).await?;
        let checked = self.shell.call(call, move |depot, unit| staff::check_list(depot, unit, id, &missing, &by)).await;
        Ok(Response::new(convert::list(checked.map_err(grpc::status)?, 0)))
    }

    async fn hand_over(&self, request: Request<pb::HandOverRequest>) -> Answer<pb::HandOverResponse> {
        let call = grpc::call(&request, "HandOver");
        let request = request.into_inner();
        let (id, by) = (order_id(&request.order_id)?, text("by", &request.by)?);
        let call = self.of_order(call, id).await?;
        let handed = self.shell.call(call, move |depot, unit| staff::hand_over(depot, unit, id, &by)).await;
        handed.map_err(grpc::status)?;
        Ok(Response::new(pb::HandOverResponse {}))
    }
}

impl<S: Store> Api<S> {
    /// What staff do to a list belongs to the order's trace, whoever asks.
    async fn of_order(&self, call: Call, id: OrderId) -> Result<Call, Status> {
        let list = self.shell.get::<ShoppingList>(id.into()).await.map_err(grpc::status)?;
        Ok(in_trace(call.order(id), list.as_ref()))
    }
}

/// The call within the trace of the list's order, where it has one.
pub(crate) fn in_trace(call: Call, list: Option<&ShoppingList>) -> Call {
    let trace: Option<TraceContext> = list.and_then(|l| l.trace.as_deref()).and_then(|t| t.parse().ok());
    if trace.is_some() { call.trace(trace) } else { call }
}
