//! Holds, captures, refunds and invoices on the wire. A payment has its order's id: one payment an order.

use crate::{
    done::Done,
    ids::{InvoiceId, OrderId, PaymentId, ReturnId},
    lines::OrderLine,
    money::Money,
    registry::messages,
    topics,
};
use serde::{Deserialize, Serialize};

messages! {
    pub(crate) const EVENTS;
    Event "payments" topics::PAYMENTS_EVENTS:
    PaymentAuthorized,
    PaymentDeclined,
    PaymentTaken,
    PaymentCaptured,
    PaymentVoided,
    PaymentRefunded,
    PaymentExpired,
    InvoiceIssued,
    InvoiceCredited,
}

messages! {
    pub(crate) const COMMANDS;
    Command "payments" topics::PAYMENTS_COMMANDS:
    AuthorizePayment => PaymentHeld,
    VoidPayment => PaymentReleased,
    CapturePayment => PaymentCollected,
    IssueInvoice => InvoiceReady,
    RefundPayment => RefundDone,
}

/// The provider holds the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAuthorized {
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    /// How much is held.
    pub amount: Money,
}

/// The provider said no; nothing is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    pub code: String,
    pub reason: String,
}

/// The customer confirmed the payment, at the kiosk or the depot; fulfilment waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentTaken {
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    pub by: String,
}

/// The money was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    /// How much was taken.
    pub amount: Money,
}

/// The hold was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentVoided {
    pub payment_id: PaymentId,
    pub order_id: OrderId,
}

/// The money was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    /// How much was given back.
    pub amount: Money,
}

/// The provider gave up the hold by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentExpired {
    pub payment_id: PaymentId,
    pub order_id: OrderId,
}

/// The customer was billed for what was collected; already paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceIssued {
    pub invoice_id: InvoiceId,
    pub order_id: OrderId,
    /// What was captured.
    pub total: Money,
}

/// The invoice was credited by a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceCredited {
    pub invoice_id: InvoiceId,
    pub order_id: OrderId,
    /// What was credited.
    pub total: Money,
}

/// Hold the order's total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizePayment {
    pub order_id: OrderId,
    /// How much to hold.
    pub amount: Money,
    /// The provider's token; no card data.
    pub token: String,
    /// The payment provider's name for the customer; no personal data.
    pub customer_ref: String,
}

/// The money is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentHeld {
    /// The provider's reference of the hold.
    pub provider_ref: String,
    /// How much is held.
    pub amount: Money,
}

/// Give up the hold: the undo of `AuthorizePayment`; ok when nothing is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidPayment {
    pub order_id: OrderId,
}

/// Nothing is held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PaymentReleased {
    pub done: Done,
}

/// Take the money that is held, or less. The pivot: there is no undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturePayment {
    pub order_id: OrderId,
    /// How much to take; at most what is held.
    pub amount: Money,
}

/// The money is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCollected {
    /// How much was taken.
    pub amount: Money,
}

/// Bill what was collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueInvoice {
    pub order_id: OrderId,
    /// What was collected.
    pub lines: Vec<OrderLine>,
    /// What was captured.
    pub total: Money,
}

/// The invoice exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceReady {
    pub invoice_id: InvoiceId,
}

/// Give captured money back, and credit the invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPayment {
    pub order_id: OrderId,
    pub return_id: ReturnId,
    /// How much to give back.
    pub amount: Money,
}

/// The money is given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundDone {
    /// How much was given back.
    pub amount: Money,
}
