//! The table of contents: every command payments obeys, and how a change of the domain becomes rows, events, answers and a
//! question to the provider.

use crate::{
    Payments,
    domain::{Cause, Change, Fact, Heard, Invoice, NewPayment, Payment, Reply, Voided, refusals},
};
use message::{EffectKey, Refusal, SagaRef};
use schemas::{ids::OrderId, payments as wire};
use transport::{Aggregate, Answer, Conversation, Fold, Router, Unit};
use uuid::Uuid;

pub fn routes() -> Router<Payments> {
    Router::new()
        .slow_command(authorize_payment, |_, unit, again| ask_again(unit, again.order_id))
        .slow_command(void_payment, |_, unit, again| ask_again(unit, again.order_id))
        .slow_command(capture_payment, |_, unit, again| ask_again(unit, again.order_id))
        .command(issue_invoice)
        .slow_command(refund_payment, |_, unit, again| ask_again(unit, again.order_id))
        .wake::<Payment>(wake)
}

impl Aggregate for Payment {
    const KIND: &'static str = "payment";

    fn status(&self) -> &'static str {
        self.state.name()
    }

    fn wake_at_ms(&self) -> Option<i64> {
        Payment::wake_at_ms(self)
    }
}

impl Aggregate for Invoice {
    const KIND: &'static str = "invoice";

    fn status(&self) -> &'static str {
        self.status.name()
    }
}

fn authorize_payment(
    payments: &Payments,
    unit: &mut Unit,
    command: &wire::AuthorizePayment,
    saga: &SagaRef,
) -> Fold<Answer<wire::PaymentHeld>> {
    if let Some(payment) = unit.get::<Payment>(command.order_id.into())? {
        return Err(payment.authorize_again().into());
    }
    let new = NewPayment {
        order_id: command.order_id,
        amount: command.amount,
        token: command.token.clone(),
        customer_ref: command.customer_ref.clone(),
    };
    let change = Payment::authorize(&payments.config.policy, new, cause(unit, saga))?;
    apply(unit, change)?;
    Ok(Answer::Later)
}

fn void_payment(
    _: &Payments,
    unit: &mut Unit,
    command: &wire::VoidPayment,
    saga: &SagaRef,
) -> Fold<Answer<wire::PaymentReleased>> {
    let released = Answer::Now(wire::PaymentReleased::default());
    let Some(payment) = unit.get::<Payment>(command.order_id.into())? else { return Ok(released) };
    match payment.void(cause(unit, saga))? {
        Voided::Already => Ok(released),
        Voided::Later(change) => {
            apply(unit, *change)?;
            Ok(Answer::Later)
        }
    }
}

fn capture_payment(
    _: &Payments,
    unit: &mut Unit,
    command: &wire::CapturePayment,
    saga: &SagaRef,
) -> Fold<Answer<wire::PaymentCollected>> {
    let payment = existing(unit, command.order_id)?;
    let change = payment.capture(command.amount, cause(unit, saga))?;
    apply(unit, change)?;
    Ok(Answer::Later)
}

fn issue_invoice(
    _: &Payments,
    unit: &mut Unit,
    command: &wire::IssueInvoice,
    _: &SagaRef,
) -> Fold<Answer<wire::InvoiceReady>> {
    let id = Invoice::id_of(command.order_id).into();
    let (invoice, payment) = (unit.get::<Invoice>(id), existing(unit, command.order_id));
    if let Some(invoice) = invoice? {
        let invoice_id = invoice.issued_before(command.total)?;
        return Ok(Answer::Now(wire::InvoiceReady { invoice_id }));
    }
    let invoice = Invoice::issue(&payment?, command.lines.clone(), command.total, unit.now_ms())?;
    let (invoice_id, order_id, total) = (invoice.invoice_id, invoice.order_id, invoice.total);
    unit.put(id, invoice);
    unit.emit::<Invoice, _>(id, wire::InvoiceIssued { invoice_id, order_id, total })?;
    Ok(Answer::Now(wire::InvoiceReady { invoice_id }))
}

fn refund_payment(
    _: &Payments,
    unit: &mut Unit,
    command: &wire::RefundPayment,
    saga: &SagaRef,
) -> Fold<Answer<wire::RefundDone>> {
    let payment = existing(unit, command.order_id)?;
    let change = payment.refund(command.amount, cause(unit, saga))?;
    apply(unit, change)?;
    Ok(Answer::Later)
}

/// A command was repeated whose answer is awaited.
fn ask_again(unit: &mut Unit, order: OrderId) -> Fold<()> {
    match unit.get::<Payment>(order.into())?.and_then(|payment| payment.asked_again(unit.now_ms())) {
        Some(change) => apply(unit, change),
        None => Ok(()),
    }
}

fn wake(_: &Payments, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let Some(payment) = unit.get::<Payment>(id)? else { return Ok(()) };
    match payment.wake(unit.now_ms()) {
        Some(change) => apply(unit, change),
        None => Ok(()),
    }
}

/// What was learnt of the question that the command `effect` asked; answers whether the payment waited for it.
pub(crate) fn acquirer_answer(unit: &mut Unit, order: OrderId, effect: &EffectKey, heard: &Heard) -> Fold<bool> {
    // All rows at once: the answer will need the conversation.
    let (payment, talk) = (unit.get::<Payment>(order.into()), unit.get::<Conversation>(effect.saga_id));
    let (Some(payment), _) = (payment?, talk?) else { return Ok(false) };
    let Some(change) = payment.heard(effect, heard.clone(), unit.now_ms()) else { return Ok(false) };
    apply(unit, change)?;
    Ok(true)
}

/// The customer, or staff for them, confirms the payment; answers the payment as it is then.
pub(crate) fn take_payment(unit: &mut Unit, order: OrderId, by: &str) -> Fold<Payment> {
    let payment = unit.get::<Payment>(order.into())?.ok_or_else(|| refusals::not_authorized("not asked for yet"))?;
    let Some(change) = payment.clone().take(by.to_owned(), unit.now_ms())? else { return Ok(payment) };
    let taken = change.payment.clone();
    apply(unit, change)?;
    Ok(taken)
}

fn existing(unit: &mut Unit, order: OrderId) -> Fold<Payment> {
    Ok(unit.get::<Payment>(order.into())?.ok_or_else(refusals::unknown_payment)?)
}

fn cause(unit: &Unit, saga: &SagaRef) -> Cause {
    let trace = unit.meta().trace.map(|t| t.to_string());
    Cause { effect: saga.effect.clone(), trace, now_ms: unit.now_ms() }
}

fn apply(unit: &mut Unit, change: Change) -> Fold<()> {
    let order = change.payment.order_id;
    unit.put(order.into(), change.payment);
    for fact in change.facts {
        emit(unit, order, fact)?;
    }
    for (effect, answer) in change.answers {
        reply(unit, &effect, answer)?;
    }
    if let Some(ask) = change.ask {
        unit.ask_outside(ask);
    }
    Ok(())
}

fn emit(unit: &mut Unit, order_id: OrderId, fact: Fact) -> Fold<()> {
    let (id, payment_id) = (order_id.into(), order_id.into());
    match fact {
        Fact::Authorized(amount) => {
            unit.emit::<Payment, _>(id, wire::PaymentAuthorized { payment_id, order_id, amount })
        }
        Fact::Declined { code, reason } => {
            unit.emit::<Payment, _>(id, wire::PaymentDeclined { payment_id, order_id, code, reason })
        }
        Fact::Taken { by } => unit.emit::<Payment, _>(id, wire::PaymentTaken { payment_id, order_id, by }),
        Fact::Captured(amount) => unit.emit::<Payment, _>(id, wire::PaymentCaptured { payment_id, order_id, amount }),
        Fact::Voided => unit.emit::<Payment, _>(id, wire::PaymentVoided { payment_id, order_id }),
        Fact::Refunded(amount) => {
            unit.emit::<Payment, _>(id, wire::PaymentRefunded { payment_id, order_id, amount })?;
            credit_invoice(unit, order_id)
        }
        Fact::Expired => unit.emit::<Payment, _>(id, wire::PaymentExpired { payment_id, order_id }),
    }
}

fn credit_invoice(unit: &mut Unit, order_id: OrderId) -> Fold<()> {
    let id = Invoice::id_of(order_id).into();
    let Some(invoice) = unit.get::<Invoice>(id)?.and_then(Invoice::credit) else { return Ok(()) };
    let (invoice_id, total) = (invoice.invoice_id, invoice.total);
    unit.put(id, invoice);
    unit.emit::<Invoice, _>(id, wire::InvoiceCredited { invoice_id, order_id, total })
}

fn reply(unit: &mut Unit, effect: &EffectKey, answer: Result<Reply, Refusal>) -> Fold<()> {
    match answer {
        Ok(Reply::Held { provider_ref, amount }) => unit.answer(effect, Ok(wire::PaymentHeld { provider_ref, amount })),
        Ok(Reply::Released) => unit.answer(effect, Ok(wire::PaymentReleased::default())),
        Ok(Reply::Collected(amount)) => unit.answer(effect, Ok(wire::PaymentCollected { amount })),
        Ok(Reply::Refunded(amount)) => unit.answer(effect, Ok(wire::RefundDone { amount })),
        Err(refusal) => unit.answer::<wire::PaymentReleased>(effect, Err(refusal)),
    }
}
