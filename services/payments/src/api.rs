//! The gRPC API of payments. Wire values are checked and turned into the domain's here, and nowhere deeper.

use crate::{
    Payments,
    domain::{EntryStatus, Invoice, Payment, State},
    handlers,
};
use schemas::{
    grpc::{
        common,
        payments::{self as pb, payments_server},
    },
    ids::OrderId,
    money::Money,
    text::Text,
};
use service_kit::grpc::{self, invalid};
use std::collections::VecDeque;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, metadata::MetadataValue};
use transport::{Shell, ports};
use uuid::Uuid;

/// Payments that one read of the ledger takes from the store.
const LEDGER_PAGE: usize = 500;

const STATUSES: &[&str] = &[
    "authorizing",
    "authorized",
    "declined",
    "capturing",
    "captured",
    "voiding",
    "voided",
    "refunding",
    "refunded",
    "expired",
];

/// Answers from the shell it holds.
pub struct Api<S: ports::Store> {
    pub shell: Shell<Payments, S>,
}

type Answer<T> = Result<Response<T>, Status>;
type Entries = std::pin::Pin<Box<dyn Stream<Item = Result<pb::LedgerEntry, Status>> + Send>>;

#[tonic::async_trait]
impl<S: ports::Store> payments_server::Payments for Api<S> {
    type ListLedgerStream = Entries;

    async fn get_payment(&self, request: Request<pb::GetPaymentRequest>) -> Answer<pb::Payment> {
        let id = order_id(&request.get_ref().order_id)?;
        let found = self.shell.get::<Payment>(id.into()).await.map_err(grpc::status)?;
        found.map(|p| Response::new(payment(p))).ok_or_else(|| unknown("payment", id))
    }

    async fn take_payment(&self, request: Request<pb::TakePaymentRequest>) -> Answer<pb::Payment> {
        let id = order_id(&request.get_ref().order_id)?;
        let call = grpc::call(&request, "TakePayment").order(id);
        let by = Text::parse(&request.get_ref().by).map_err(|e| invalid("by", e.to_string()))?;
        let taken = self.shell.call(call, move |_, unit| handlers::take_payment(unit, id, by.as_str())).await;
        Ok(Response::new(payment(taken.map_err(grpc::status)?)))
    }

    async fn get_invoice(&self, request: Request<pb::GetInvoiceRequest>) -> Answer<pb::Invoice> {
        let id = order_id(&request.get_ref().order_id)?;
        let found = self.shell.get::<Invoice>(Invoice::id_of(id).into()).await.map_err(grpc::status)?;
        found.map(|i| Response::new(invoice(i))).ok_or_else(|| unknown("invoice", id))
    }

    async fn list_payments(&self, request: Request<pb::ListPaymentsRequest>) -> Answer<pb::ListPaymentsResponse> {
        let query = query(request.get_ref())?;
        let found = self.shell.list::<Payment>(&query).await.map_err(grpc::status)?;
        let last = found.last().filter(|_| found.len() >= query.limit);
        let next_page_token = last.map(|(id, _)| id.to_string()).unwrap_or_default();
        let payments = found.into_iter().map(|(_, p)| payment(p)).collect();
        Ok(Response::new(pb::ListPaymentsResponse { payments, next_page_token }))
    }

    async fn list_ledger(&self, request: Request<pb::ListLedgerRequest>) -> Answer<Entries> {
        let text = &request.get_ref().order_id;
        if text.is_empty() {
            return Ok(Response::new(Box::pin(whole_ledger(self.shell.clone()))));
        }
        let found = self.shell.get::<Payment>(order_id(text)?.into()).await.map_err(grpc::status)?;
        let entries: Vec<_> = found.iter().flat_map(entries).map(Ok).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(entries))))
    }
}

/// Every payment's entries, a page of payments at a time.
fn whole_ledger<S: ports::Store>(
    shell: Shell<Payments, S>,
) -> impl Stream<Item = Result<pb::LedgerEntry, Status>> + Send {
    let (send, receive) = tokio::sync::mpsc::channel(LEDGER_PAGE);
    tokio::spawn(async move {
        let mut query = ports::Query { limit: LEDGER_PAGE, ..ports::Query::default() };
        loop {
            let page = match shell.list::<Payment>(&query).await.map_err(grpc::status) {
                Ok(page) => page,
                Err(status) => return drop(send.send(Err(status)).await),
            };
            query.before = page.last().map(|(id, _)| *id);
            let mut rest: VecDeque<_> = page.iter().flat_map(|(_, p)| entries(p)).collect();
            while let Some(entry) = rest.pop_front() {
                if send.send(Ok(entry)).await.is_err() {
                    return;
                }
            }
            if page.len() < LEDGER_PAGE {
                return;
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receive)
}

fn query(request: &pb::ListPaymentsRequest) -> Result<ports::Query, Status> {
    let page = request.page.clone().unwrap_or_default();
    let token = Some(page.page_token.as_str()).filter(|t| !t.is_empty());
    let before = token.map(Uuid::try_parse).transpose();
    let before = before.map_err(|_| invalid("page.page_token", "give the token of the page before, unchanged"))?;
    let status = Some(request.status.clone()).filter(|s| !s.is_empty());
    if status.as_ref().is_some_and(|s| !STATUSES.contains(&s.as_str())) {
        return Err(invalid("status", format!("give one of {}", STATUSES.join(", "))));
    }
    Ok(ports::Query { status, before, limit: page.limit() as usize, ..ports::Query::default() })
}

fn order_id(text: &str) -> Result<OrderId, Status> {
    OrderId::parse(text).map_err(|e| invalid("order_id", e.to_string()))
}

fn unknown(what: &str, id: OrderId) -> Status {
    let mut status = grpc::not_found(what, id);
    if let Ok(code) = MetadataValue::try_from(format!("payments.unknown_{what}")) {
        status.metadata_mut().insert(grpc::CODE, code);
    }
    status
}

fn payment(payment: Payment) -> pb::Payment {
    let refused = payment.refused.as_ref();
    pb::Payment {
        payment_id: payment.order_id.to_string(),
        order_id: payment.order_id.to_string(),
        status: payment.state.name().to_owned(),
        amount: Some(payment.amount.into()),
        captured: payment.captured.map(common::Money::from),
        refunded: payment.refunded.map(common::Money::from),
        code: refused.map(|r| r.code.clone()).unwrap_or_default(),
        reason: refused.map(|r| r.message.clone()).unwrap_or_default(),
        provider_ref: payment.provider_ref.unwrap_or_default(),
        taken: payment.taken.is_some(),
        updated_at_ms: payment.updated_at_ms,
        version: payment.version,
    }
}

fn invoice(invoice: Invoice) -> pb::Invoice {
    pb::Invoice {
        invoice_id: invoice.invoice_id.to_string(),
        order_id: invoice.order_id.to_string(),
        status: invoice.status.name().to_owned(),
        lines: invoice.lines.into_iter().map(common::OrderLine::from).collect(),
        total: Some(invoice.total.into()),
        issued_at_ms: invoice.issued_at_ms,
    }
}

/// What took effect at the provider, as far as we know, the oldest first.
pub fn entries(payment: &Payment) -> Vec<pb::LedgerEntry> {
    let entry = |operation: &str, effect_key: &str, amount: Money, at_ms| pb::LedgerEntry {
        order_id: payment.order_id.to_string(),
        operation: operation.to_owned(),
        effect_key: effect_key.to_owned(),
        amount: Some(amount.into()),
        provider_ref: payment.provider_ref.clone().unwrap_or_default(),
        at_ms,
    };
    let done = payment.ledger.iter().filter(|e| e.status == EntryStatus::Done);
    let done = done.map(|e| entry(e.operation.as_str(), &e.idempotency_key, e.amount, e.at_ms));
    // Nobody asked for it, so it is no entry of our own: an expired payment has not changed since.
    let expired = (payment.state == State::Expired).then(|| entry("expire", "", payment.amount, payment.updated_at_ms));
    done.chain(expired).collect()
}
