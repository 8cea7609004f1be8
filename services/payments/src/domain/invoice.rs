//! The invoice: issued when the money is in, for what was collected, so it is paid from the start; credited by a refund.

use super::{Payment, State, refusals};
use message::Refusal;
use schemas::{
    ids::{InvoiceId, OrderId},
    lines::OrderLine,
    money::Money,
};
use serde::{Deserialize, Serialize};

/// `paid → credited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    Paid,
    Credited,
}

impl InvoiceStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Credited => "credited",
        }
    }
}

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invoice {
    pub invoice_id: InvoiceId,
    pub order_id: OrderId,
    pub status: InvoiceStatus,
    pub lines: Vec<OrderLine>,
    pub total: Money,
    pub issued_at_ms: i64,
}

impl Invoice {
    /// One invoice an order, so it has the order's id.
    pub fn id_of(order_id: OrderId) -> InvoiceId {
        InvoiceId::from(order_id.as_uuid())
    }

    /// Bills a captured payment: the total must be what was taken and what the lines come to.
    pub fn issue(payment: &Payment, lines: Vec<OrderLine>, total: Money, now_ms: i64) -> Result<Self, Refusal> {
        let captured = match (&payment.state, payment.captured) {
            (State::Captured, Some(captured)) => captured,
            (state, _) => return Err(refusals::wrong_state("payment", state.name(), "invoiced")),
        };
        let prices = lines.iter().map(|line| line.price.checked_mul(line.quantity));
        let sum = prices.collect::<Result<Vec<_>, _>>().and_then(|all| Money::sum(total.currency, all));
        let sum = sum.map_err(|_| refusals::bad_amount(total))?;
        for expected in [captured, sum] {
            if total != expected {
                return Err(refusals::invoice_differs(total, expected));
            }
        }
        let (invoice_id, order_id) = (Self::id_of(payment.order_id), payment.order_id);
        Ok(Self { invoice_id, order_id, status: InvoiceStatus::Paid, lines, total, issued_at_ms: now_ms })
    }

    /// The same invoice asked for again; another one for the same order is refused.
    pub fn issued_before(&self, total: Money) -> Result<InvoiceId, Refusal> {
        match self.status {
            InvoiceStatus::Paid if self.total == total => Ok(self.invoice_id),
            InvoiceStatus::Paid => Err(refusals::invoice_differs(total, self.total)),
            InvoiceStatus::Credited => Err(refusals::wrong_state("invoice", "credited", "paid")),
        }
    }

    /// The money was given back. `None`: it was credited before.
    pub fn credit(self) -> Option<Self> {
        (self.status == InvoiceStatus::Paid).then_some(Self { status: InvoiceStatus::Credited, ..self })
    }
}
