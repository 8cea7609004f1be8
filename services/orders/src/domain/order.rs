//! An order. It moves only by the saga's commands, never by following another context's events, so that nothing
//! overtakes anything. Undo commands are tolerant: what is undone already, or never happened, is fine.
//!
//! `pending → approved → shopping → ready → completed`, `pending → rejected | cancelled`, from pending, approved,
//! shopping or ready `→ cancelling → cancelled`, and `completed → returning → completed | refunded`.

use super::{Priced, wrong_state};
use message::Refusal;
use schemas::{
    ids::{ProductId, ReturnId},
    lines::{LineCount, OrderLine},
    money::{Money, MoneyError},
    quantity::Quantity,
    text::Text,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    Pending,
    Approved,
    Shopping,
    Ready,
    Completed,
    Rejected,
    Cancelling,
    Cancelled,
    Returning,
    Refunded,
}

impl OrderStatus {
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Approved,
        Self::Shopping,
        Self::Ready,
        Self::Completed,
        Self::Rejected,
        Self::Cancelling,
        Self::Cancelled,
        Self::Returning,
        Self::Refunded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Shopping => "shopping",
            Self::Ready => "ready",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Returning => "returning",
            Self::Refunded => "refunded",
        }
    }
}

/// A return that was asked for and has not ended yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    pub id: ReturnId,
    pub reason: Text,
    /// Who accepted the goods.
    pub by: Text,
}

/// What checkout fixes besides lines and prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placing {
    pub pay_on_arrival: bool,
    pub at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub status: OrderStatus,
    /// As ordered, with the prices of the checkout.
    pub lines: Vec<OrderLine>,
    /// From `ready` on, of what was collected.
    pub total: Money,
    pub volume_ml: i32,
    pub pay_on_arrival: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bay: Option<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<LineCount>,
    /// Why it was rejected or cancelled.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Somebody asked to cancel: the saga has been told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_asked: bool,
    #[serde(default, rename = "return", skip_serializing_if = "Option::is_none")]
    pub returning: Option<Return>,
    pub placed_at_ms: i64,
    pub updated_at_ms: i64,
    /// Rises by one with each change of state.
    pub version: i64,
}

impl Order {
    pub fn place(priced: Priced, placing: Placing) -> Self {
        Self {
            status: OrderStatus::Pending,
            lines: priced.lines,
            total: priced.total,
            volume_ml: priced.volume_ml,
            pay_on_arrival: placing.pay_on_arrival,
            bay: None,
            missing: Vec::new(),
            code: String::new(),
            reason: String::new(),
            cancel_asked: false,
            returning: None,
            placed_at_ms: placing.at_ms,
            updated_at_ms: placing.at_ms,
            version: 1,
        }
    }

    pub fn approve(&self, now_ms: i64) -> Result<Self, Refusal> {
        self.step(OrderStatus::Pending, OrderStatus::Approved, now_ms)
    }

    pub fn mark_shopping(&self, now_ms: i64) -> Result<Self, Refusal> {
        self.step(OrderStatus::Approved, OrderStatus::Shopping, now_ms)
    }

    /// Prices the order anew by what was collected. Refused with `orders.nothing_collected`, or `orders.not_ordered` when
    /// more was collected than was asked for.
    pub fn mark_ready(&self, collected: &[LineCount], bay: i32, now_ms: i64) -> Result<Self, Refusal> {
        let mut order = self.step(OrderStatus::Shopping, OrderStatus::Ready, now_ms)?;
        (order.total, order.missing) = self.reprice(collected)?;
        order.bay = Some(bay);
        Ok(order)
    }

    pub fn complete(&self, now_ms: i64) -> Result<Self, Refusal> {
        self.step(OrderStatus::Ready, OrderStatus::Completed, now_ms)
    }

    /// The undo of the approval; `None`: nothing is left to do.
    pub fn begin_cancel(&self, reason: &str, now_ms: i64) -> Result<Option<Self>, Refusal> {
        use OrderStatus as S;
        match self.status {
            S::Pending | S::Approved | S::Shopping | S::Ready => {
                let order = Self { reason: reason.to_owned(), ..self.moved(S::Cancelling, now_ms) };
                Ok(Some(order))
            }
            S::Cancelling | S::Cancelled | S::Rejected => Ok(None),
            from @ (S::Completed | S::Returning | S::Refunded) => {
                Err(wrong_state("order", from.as_str(), "cancelling"))
            }
        }
    }

    /// The undo of the order itself; `None`: it has ended so already. A pending order that is not `cancelled` is rejected.
    pub fn close(&self, code: &str, reason: &str, cancelled: bool, now_ms: i64) -> Result<Option<Self>, Refusal> {
        use OrderStatus as S;
        let to = match self.status {
            S::Pending if cancelled => S::Cancelled,
            S::Pending => S::Rejected,
            S::Cancelling => S::Cancelled,
            S::Cancelled | S::Rejected => return Ok(None),
            from @ (S::Approved | S::Shopping | S::Ready | S::Completed | S::Returning | S::Refunded) => {
                let to = if cancelled { "cancelled" } else { "rejected" };
                return Err(wrong_state("order", from.as_str(), to));
            }
        };
        let (code, reason) = (code.to_owned(), reason.to_owned());
        Ok(Some(Self { code, reason, ..self.moved(to, now_ms) }))
    }

    /// Notes the wish to cancel; `None` when that was noted before. Refused with `orders.already_terminal` once the order
    /// has come to an end.
    pub fn ask_cancel(&self) -> Result<Option<Self>, Refusal> {
        use OrderStatus as S;
        match self.status {
            S::Pending | S::Approved | S::Shopping | S::Ready if self.cancel_asked => Ok(None),
            S::Pending | S::Approved | S::Shopping | S::Ready => Ok(Some(Self { cancel_asked: true, ..self.clone() })),
            S::Cancelling => Ok(None),
            ended @ (S::Completed | S::Rejected | S::Cancelled | S::Returning | S::Refunded) => {
                let text = format!("the order is {}, so it cannot become cancelling any more", ended.as_str());
                Err(Refusal::new("orders.already_terminal", text))
            }
        }
    }

    /// Notes that staff accepted the goods back. Refused while another return is under way.
    pub fn ask_return(&self, asked: Return) -> Result<Self, Refusal> {
        if self.status != OrderStatus::Completed {
            return Err(wrong_state("order", self.status.as_str(), "returning"));
        }
        if self.returning.is_some() {
            return Err(Refusal::new("orders.return_under_way", "a return of this order is under way already"));
        }
        Ok(Self { returning: Some(asked), ..self.clone() })
    }

    pub fn begin_return(&self, id: ReturnId, now_ms: i64) -> Result<Self, Refusal> {
        self.own_return(id)?;
        self.step(OrderStatus::Completed, OrderStatus::Returning, now_ms)
    }

    /// The undo of a return, also of one that was asked for and never begun; `None`: there is no such return.
    pub fn abort_return(&self, id: ReturnId, now_ms: i64) -> Result<Option<Self>, Refusal> {
        use OrderStatus as S;
        if self.own_return(id).is_err() {
            return Ok(None);
        }
        match self.status {
            S::Completed | S::Returning => {
                let order = self.moved(S::Completed, now_ms);
                Ok(Some(Self { returning: None, ..order }))
            }
            from => Err(wrong_state("order", from.as_str(), "completed")),
        }
    }

    pub fn mark_refunded(&self, id: ReturnId, now_ms: i64) -> Result<Self, Refusal> {
        self.own_return(id)?;
        self.step(OrderStatus::Returning, OrderStatus::Refunded, now_ms)
    }

    fn own_return(&self, id: ReturnId) -> Result<(), Refusal> {
        let own = self.returning.as_ref().is_some_and(|r| r.id == id);
        let unknown = || Refusal::new("orders.unknown_return", format!("the order knows no return {id}"));
        own.then_some(()).ok_or_else(unknown)
    }

    fn step(&self, from: OrderStatus, to: OrderStatus, now_ms: i64) -> Result<Self, Refusal> {
        if self.status != from {
            return Err(wrong_state("order", self.status.as_str(), to.as_str()));
        }
        Ok(self.moved(to, now_ms))
    }

    fn moved(&self, status: OrderStatus, now_ms: i64) -> Self {
        Self { status, updated_at_ms: now_ms, version: self.version + 1, ..self.clone() }
    }

    fn reprice(&self, collected: &[LineCount]) -> Result<(Money, Vec<LineCount>), Refusal> {
        if let Some(stranger) = collected.iter().find(|c| self.lines.iter().all(|l| l.product_id != c.product_id)) {
            return Err(not_ordered(stranger.product_id));
        }
        let (mut total, mut missing) = (Money::zero(self.total.currency), Vec::new());
        for line in &self.lines {
            let got = collected.iter().filter(|c| c.product_id == line.product_id);
            let got: i64 = got.map(|c| i64::from(c.quantity)).sum();
            let short = i64::from(line.quantity) - got;
            if short < 0 {
                return Err(not_ordered(line.product_id));
            }
            if let Ok(quantity) = Quantity::try_from(got) {
                total = add(total, line, quantity).map_err(|e| Refusal::new("orders.too_large", e.to_string()))?;
            }
            if let Ok(quantity) = Quantity::try_from(short) {
                missing.push(LineCount { product_id: line.product_id, quantity });
            }
        }
        if collected.is_empty() {
            return Err(Refusal::new(
                "orders.nothing_collected",
                "nothing was collected, so there is nothing to hand over",
            ));
        }
        Ok((total, missing))
    }
}

fn add(total: Money, line: &OrderLine, quantity: Quantity) -> Result<Money, MoneyError> {
    total.checked_add(line.price.checked_mul(quantity)?)
}

fn not_ordered(id: ProductId) -> Refusal {
    Refusal::new("orders.not_ordered", format!("more pieces of product {id} were collected than were ordered"))
}

#[cfg(test)]
mod tests;
