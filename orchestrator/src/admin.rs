//! The operators' API: sagas listed, shown and steered. Every verb carries a reason and a name, kept in the history.

use crate::{Orchestrator, handlers, instance::Instance};
use message::Refusal;
use saga::{HistoryEntry, Input, Verb};
use schemas::grpc::orchestrator::{self as wire, orchestrator_server};
use service_kit::grpc;
use tonic::{Request, Response, Status};
use transport::{
    Aggregate, Shell,
    journal::Chapter,
    ports::{JournalEntry, Query, Store},
};
use uuid::Uuid;

/// The gRPC service over a shell.
pub struct Api<S: Store> {
    pub shell: Shell<Orchestrator, S>,
}

/// Rows read at most to fill one page of a filtered list.
const MAX_SCAN: usize = 20_000;

#[tonic::async_trait]
impl<S: Store> orchestrator_server::Orchestrator for Api<S> {
    async fn list_sagas(
        &self,
        request: Request<wire::ListSagasRequest>,
    ) -> Result<Response<wire::ListSagasResponse>, Status> {
        let request = request.into_inner();
        let page = request.page.clone().unwrap_or_default();
        let limit = page.limit() as usize;
        let mut query = Query {
            status: (!request.state.is_empty()).then(|| request.state.clone()),
            parent: optional_id("order_id", &request.order_id)?,
            before: optional_id("page.page_token", &page.page_token)?,
            limit: 500,
        };
        let started_before = match request.older_than_ms {
            0 => i64::MAX,
            age => {
                let now = self.shell.store().now_ms().await.map_err(|e| Status::unavailable(e.to_string()))?;
                now.saturating_sub(age)
            }
        };
        let (mut sagas, mut scanned) = (Vec::new(), 0);
        let mut next_page_token = String::new();
        'pages: while scanned < MAX_SCAN {
            let found = self.shell.list::<Instance>(&query).await.map_err(grpc::status)?;
            let Some((last, _)) = found.last() else { break };
            query.before = Some(*last);
            scanned += found.len();
            for (id, instance) in found {
                let of_type = request.saga_type.is_empty() || instance.progress.saga_type == request.saga_type;
                if of_type && instance.started_ms <= started_before {
                    sagas.push(summary(id, &instance));
                    if sagas.len() == limit {
                        next_page_token = id.to_string();
                        break 'pages;
                    }
                }
            }
        }
        Ok(Response::new(wire::ListSagasResponse { sagas, next_page_token }))
    }

    async fn get_saga(&self, request: Request<wire::GetSagaRequest>) -> Result<Response<wire::SagaTimeline>, Status> {
        let id = required_id("saga_id", &request.into_inner().saga_id)?;
        let instance = self.find(id).await?;
        let journal = self.shell.store().journal(Instance::KIND, id).await;
        let journal = journal.map_err(|e| Status::unavailable(e.to_string()))?;
        let entries = journal.iter().flat_map(entries).collect();
        Ok(Response::new(wire::SagaTimeline { saga: Some(summary(id, &instance)), entries }))
    }

    async fn retry_saga(&self, request: Request<wire::OperatorRequest>) -> Result<Response<wire::Saga>, Status> {
        self.operate(request, "RetrySaga", Verb::Retry).await
    }

    async fn cancel_saga(&self, request: Request<wire::OperatorRequest>) -> Result<Response<wire::Saga>, Status> {
        self.operate(request, "CancelSaga", Verb::Cancel).await
    }

    async fn skip_step(&self, request: Request<wire::OperatorStepRequest>) -> Result<Response<wire::Saga>, Status> {
        let step = request.get_ref().step.clone();
        self.operate(request.map(without_step), "SkipStep", Verb::Skip { step }).await
    }

    async fn mark_done(&self, request: Request<wire::OperatorStepRequest>) -> Result<Response<wire::Saga>, Status> {
        let step = request.get_ref().step.clone();
        self.operate(request.map(without_step), "MarkDone", Verb::MarkDone { step }).await
    }

    async fn outline_saga(
        &self,
        request: Request<wire::OutlineSagaRequest>,
    ) -> Result<Response<wire::OutlineSagaResponse>, Status> {
        let saga_type = request.into_inner().saga_type;
        let known = self.shell.context().newest(&saga_type);
        let definition = known.ok_or_else(|| {
            let all: Vec<_> = self.shell.context().newest_of_each().map(|d| d.saga_type().to_owned()).collect();
            let sentence = format!("there is no saga type `{saga_type}`: there are {}", all.join(", "));
            grpc::refused(&Refusal::new("orchestrator.unknown_type", sentence))
        })?;
        Ok(Response::new(wire::OutlineSagaResponse { outline: definition.outline() }))
    }
}

impl<S: Store> Api<S> {
    async fn find(&self, id: Uuid) -> Result<Instance, Status> {
        let found = self.shell.get::<Instance>(id).await.map_err(grpc::status)?;
        found.ok_or_else(|| grpc::refused(&unknown(id)))
    }

    async fn operate(
        &self,
        request: Request<wire::OperatorRequest>,
        name: &'static str,
        verb: Verb,
    ) -> Result<Response<wire::Saga>, Status> {
        let call = grpc::call(&request, name);
        let request = request.into_inner();
        let id = required_id("saga_id", &request.saga_id)?;
        let reason = sentence("reason", "why you do this", &request.reason)?;
        let by = sentence("by", "your name", &request.by)?;
        let input = Input::Operator { verb, reason, by };
        let fold = move |context: &Orchestrator, unit: &mut transport::Unit| match handlers::feed(
            context,
            unit,
            id,
            vec![input.clone()],
        )? {
            handlers::Fed::Known => Ok(()),
            handlers::Fed::Unknown => Err(unknown(id).into()),
        };
        self.shell.call(call, fold).await.map_err(grpc::status)?;
        Ok(Response::new(summary(id, &self.find(id).await?)))
    }
}

fn unknown(id: Uuid) -> Refusal {
    Refusal::new(
        "orchestrator.unknown_saga",
        format!("there is no saga {id}: `mallctl sagas list` shows those there are"),
    )
}

fn without_step(request: wire::OperatorStepRequest) -> wire::OperatorRequest {
    let wire::OperatorStepRequest { saga_id, reason, by, idempotency_key, .. } = request;
    wire::OperatorRequest { saga_id, reason, by, idempotency_key }
}

fn required_id(field: &str, text: &str) -> Result<Uuid, Status> {
    text.parse().map_err(|_| grpc::invalid(field, format!("{field} must be a UUID")))
}

fn optional_id(field: &str, text: &str) -> Result<Option<Uuid>, Status> {
    if text.is_empty() { Ok(None) } else { required_id(field, text).map(Some) }
}

fn sentence(field: &str, what: &str, text: &str) -> Result<String, Status> {
    let text = text.trim();
    let fits = (1..=200).contains(&text.chars().count());
    fits.then(|| text.to_owned())
        .ok_or_else(|| grpc::invalid(field, format!("{field} must say {what} in 1 to 200 characters")))
}

fn summary(id: Uuid, instance: &Instance) -> wire::Saga {
    let progress = &instance.progress;
    let step = progress.stuck_steps().into_iter().map(|(step, _)| step).next();
    let step = step.or_else(|| progress.wakes().into_iter().map(|w| w.step).next());
    let trace_id = instance.trace_context().map(|t| format!("{:032x}", t.trace_id));
    wire::Saga {
        saga_id: id.to_string(),
        saga_type: progress.saga_type.clone(),
        definition_version: progress.version,
        business_key: progress.business_key.clone(),
        state: progress.phase().as_str().to_owned(),
        step: step.unwrap_or_default(),
        code: progress.cause.as_ref().map(|c| c.code.clone()).unwrap_or_default(),
        reason: progress.cause.as_ref().map(|c| c.reason.clone()).unwrap_or_default(),
        trace_id: trace_id.unwrap_or_default(),
        started_at_ms: instance.started_ms,
        updated_at_ms: instance.updated_ms,
        version: 0,
    }
}

fn entries(row: &JournalEntry) -> Vec<wire::TimelineEntry> {
    let chapters: Vec<Chapter<HistoryEntry>> = serde_json::from_str(&row.entries).unwrap_or_default();
    let entries = chapters.into_iter().flat_map(|chapter| {
        let trace_id = chapter.trace_id.unwrap_or_default();
        chapter.entries.into_iter().map(move |entry| timeline_entry(row.at_ms, &trace_id, entry))
    });
    entries.collect()
}

fn timeline_entry(at_ms: i64, trace_id: &str, entry: HistoryEntry) -> wire::TimelineEntry {
    wire::TimelineEntry {
        at_ms,
        kind: entry.kind.as_str().to_owned(),
        step: entry.step.unwrap_or_default(),
        direction: entry.direction.map(|d| d.to_string()).unwrap_or_default(),
        round: entry.round.unwrap_or_default(),
        attempt: entry.attempt.unwrap_or_default(),
        message: entry.message.map(|m| message::short_name(&m).to_owned()).unwrap_or_default(),
        detail: if entry.detail.is_null() { String::new() } else { entry.detail.to_string() },
        who: entry.who.unwrap_or_default(),
        reason: entry.reason.unwrap_or_default(),
        trace_id: trace_id.to_owned(),
    }
}
