//! The shopping list: `planned → assigned → collecting → delivered → checked`, with its ways out.
//!
//! `planned` has three faces here (waiting for a bay, planned, waiting for a robot) and `returning` two (waiting for a robot,
//! under way), so that whoever has a bay or a robot to give finds who waits for it; [`ListState::phase`] is the domain's name.

pub use super::list_state::{CalledOff, Cancelling, ListState, WAITING_BAY, WAITING_BOT, WAITING_RETURN};

use super::{
    place::StorePlace,
    refusals,
    stops::{self, Stop},
};
use message::{EffectKey, Refusal};
use schemas::{
    ids::{BotId, OrderId, ReturnId, StoreId},
    lines::{LineCount, OrderLine},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use transport::Aggregate;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingList {
    pub order: OrderId,
    pub volume_ml: i32,
    /// Who has waited longest is served first.
    pub planned_ms: i64,
    pub changed_ms: i64,
    pub stops: Vec<Stop>,
    #[serde(flatten)]
    pub state: ListState,
    /// The bay it has or had last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bay: Option<i32>,
    /// Whether that bay is still kept for it.
    #[serde(default)]
    pub holds_bay: bool,
    /// The customer may take the items: the end of a list that went well.
    #[serde(default)]
    pub released: bool,
    /// Who counted the items; absent when the bay counts them itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<HandedOver>,
    /// Goods that the customer brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<CustomerReturn>,
    /// Commands that are answered when the items are back in their stores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers_due: Vec<EffectKey>,
    /// What robots had in them when they were lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LineCount>,
    /// W3C `traceparent` of the order: what robots and staff do to the list belongs to its trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    pub by: String,
    pub at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerReturn {
    pub return_id: ReturnId,
    pub stops: Vec<Stop>,
}

impl Aggregate for ShoppingList {
    const KIND: &'static str = "shopping_list";

    fn status(&self) -> &'static str {
        match self.state {
            ListState::WaitingBay { .. } => WAITING_BAY,
            ListState::WaitingBot => WAITING_BOT,
            ListState::WaitingReturn => WAITING_RETURN,
            ListState::Planned
            | ListState::Assigned { .. }
            | ListState::Collecting { .. }
            | ListState::Delivered
            | ListState::Checked
            | ListState::Cancelled
            | ListState::Returning { .. }
            | ListState::Returned => self.state.phase(),
        }
    }

    /// Its age for a list that waits, 0 for others: an index on the rank holds who waits, and nobody else.
    fn rank(&self) -> i64 {
        match self.state {
            ListState::WaitingBay { .. } | ListState::WaitingBot | ListState::WaitingReturn => self.planned_ms.max(1),
            _ => 0,
        }
    }

    fn wake_at_ms(&self) -> Option<i64> {
        match self.state {
            ListState::WaitingBay { until_ms, look_ms, .. } => Some(until_ms.min(look_ms)),
            _ => None,
        }
    }
}

impl ShoppingList {
    /// A new list without a bay yet. Refused: no lines, or more than 999 of one product.
    pub fn plan(
        order: OrderId,
        lines: &[OrderLine],
        volume_ml: i32,
        places: &HashMap<StoreId, StorePlace>,
        now_ms: i64,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            order,
            volume_ml,
            planned_ms: now_ms,
            changed_ms: now_ms,
            stops: stops::plan(lines, places)?,
            state: ListState::Planned,
            bay: None,
            holds_bay: false,
            released: false,
            checked_by: None,
            handed_over: None,
            returns: None,
            answers_due: Vec::new(),
            lost: Vec::new(),
            trace: None,
        })
    }

    pub fn id(&self) -> Uuid {
        self.order.as_uuid()
    }

    /// Whether the order may be planned anew: only when it never had a bay and waits for none.
    pub fn never_planned(&self) -> bool {
        self.state == ListState::Cancelled && self.bay.is_none()
    }

    /// Whether robots may have it, or had it.
    pub fn started(&self) -> bool {
        match self.state {
            ListState::WaitingBay { .. } | ListState::Planned | ListState::Cancelled => false,
            ListState::WaitingBot
            | ListState::Assigned { .. }
            | ListState::Collecting { .. }
            | ListState::Delivered
            | ListState::Checked
            | ListState::WaitingReturn
            | ListState::Returning { .. }
            | ListState::Returned => true,
        }
    }

    /// The robot that has it.
    pub fn bot(&self) -> Option<BotId> {
        match self.state {
            ListState::Assigned { bot } | ListState::Collecting { bot } | ListState::Returning { bot } => Some(bot),
            _ => None,
        }
    }

    /// The bay that is kept for it.
    pub fn held_bay(&self) -> Option<i32> {
        self.bay.filter(|_| self.holds_bay)
    }

    /// What is in the robot or the bay.
    pub fn collected(&self) -> Vec<LineCount> {
        stops::collected(&self.stops)
    }

    pub fn missing(&self) -> Vec<LineCount> {
        stops::missing(&self.stops)
    }

    /// Where a robot that has the list is to go, in order.
    pub fn to_visit(&self) -> Vec<Stop> {
        match (&self.state, &self.returns) {
            (ListState::WaitingReturn | ListState::Returning { .. }, Some(returns)) => returns.stops.clone(),
            (ListState::WaitingReturn | ListState::Returning { .. }, None) => {
                stops::way_back(&self.stops, &self.collected()).unwrap_or_default()
            }
            _ => self.stops.iter().filter(|s| !s.visited).cloned().collect(),
        }
    }

    /// No bay is free: wait for one.
    pub fn wait_for_bay(self, plan: EffectKey, until_ms: i64, look_ms: i64) -> Result<Self, Refusal> {
        match self.state {
            ListState::Planned if self.bay.is_none() => Ok(self.to(ListState::WaitingBay { plan, until_ms, look_ms })),
            _ => Err(self.refuse(WAITING_BAY)),
        }
    }

    /// Has a bay now. Answers the command that waits for it, if any.
    pub fn take_bay(self, number: i32) -> Result<(Self, Option<EffectKey>), Refusal> {
        let plan = match &self.state {
            ListState::WaitingBay { plan, .. } => Some(plan.clone()),
            ListState::Planned if self.bay.is_none() => None,
            _ => return Err(self.refuse("planned")),
        };
        Ok((Self { bay: Some(number), holds_bay: true, ..self.to(ListState::Planned) }, plan))
    }

    /// No bay became free in time. Answers the command that is to be refused.
    pub fn give_up_waiting(self) -> Result<(Self, EffectKey), Refusal> {
        match &self.state {
            ListState::WaitingBay { plan, .. } => {
                let plan = plan.clone();
                Ok((self.to(ListState::Cancelled), plan))
            }
            _ => Err(self.refuse("cancelled")),
        }
    }

    /// The list goes to the robots.
    pub fn start(self) -> Result<Self, Refusal> {
        match self.state {
            ListState::Planned => Ok(self.to(ListState::WaitingBot)),
            ListState::WaitingBot
            | ListState::Assigned { .. }
            | ListState::Collecting { .. }
            | ListState::Delivered
            | ListState::Checked => Err(refusals::already_collecting(self.state.phase())),
            ListState::WaitingBay { .. }
            | ListState::Cancelled
            | ListState::WaitingReturn
            | ListState::Returning { .. }
            | ListState::Returned => Err(self.refuse(WAITING_BOT)),
        }
    }

    /// A robot has it.
    pub fn assign(self, bot: BotId) -> Result<Self, Refusal> {
        match self.state {
            ListState::WaitingBot => Ok(self.to(ListState::Assigned { bot })),
            ListState::WaitingReturn => Ok(self.to(ListState::Returning { bot })),
            _ => Err(self.refuse("assigned")),
        }
    }

    /// The robot was at a store.
    pub fn visit(mut self, store: StoreId, picked: &[LineCount], missing: &[LineCount]) -> Result<Self, Refusal> {
        let (ListState::Assigned { bot } | ListState::Collecting { bot }) = self.state else {
            return Err(self.refuse("collecting"));
        };
        let stop = self.stops.iter_mut().find(|s| s.store == store);
        let stop = stop.ok_or_else(|| refusals::unknown_item(format_args!("of store {store}")))?;
        if stop.visited {
            return Err(refusals::wrong_state(format_args!("the stop at store {store}"), "visited", "visited"));
        }
        stop.visit(picked, missing)?;
        Ok(self.to(ListState::Collecting { bot }))
    }

    /// The robot put the items into the bay.
    pub fn deliver(self) -> Result<Self, Refusal> {
        match self.state {
            ListState::Assigned { .. } | ListState::Collecting { .. } => {
                match self.stops.iter().filter(|s| !s.visited).count() {
                    0 => Ok(self.to(ListState::Delivered)),
                    left => Err(refusals::stops_left(left)),
                }
            }
            _ => Err(self.refuse("delivered")),
        }
    }

    /// Staff counted: these pieces are not in the bay.
    pub fn check(mut self, missing: &[LineCount]) -> Result<Self, Refusal> {
        match self.state {
            ListState::Delivered => {
                stops::correct(&mut self.stops, missing)?;
                Ok(self.to(ListState::Checked))
            }
            _ => Err(self.refuse("checked")),
        }
    }

    /// The customer may take the items; harmless when repeated.
    pub fn release(self) -> Result<Self, Refusal> {
        match self.state {
            ListState::Checked => Ok(Self { released: true, ..self }),
            _ => Err(self.refuse("released")),
        }
    }

    /// Staff gave the items to the customer; who did it first stays on record. Refused before the release: nobody has paid.
    pub fn hand_over(self, by: String, at_ms: i64) -> Result<Self, Refusal> {
        match self.state {
            ListState::Checked if self.released => {
                let handed_over = self.handed_over.clone().or(Some(HandedOver { by, at_ms }));
                Ok(Self { handed_over, ..self })
            }
            _ => Err(self.refuse("handed over")),
        }
    }

    /// Takes the list back. Refused once the items were given out.
    pub fn cancel(self) -> Result<(Self, Cancelling), Refusal> {
        if self.released {
            return Err(refusals::already_released());
        }
        let empty = self.collected().is_empty();
        let (state, how) = match (&self.state, empty) {
            (ListState::WaitingBay { .. } | ListState::Planned | ListState::WaitingBot, _)
            | (ListState::Assigned { .. } | ListState::Collecting { .. }, true) => {
                (ListState::Cancelled, Cancelling::Dropped)
            }
            (ListState::Assigned { bot } | ListState::Collecting { bot }, false) => {
                (ListState::Returning { bot: *bot }, Cancelling::TurnedRound)
            }
            (ListState::Delivered | ListState::Checked, true) => (ListState::Returned, Cancelling::Empty),
            (ListState::Delivered | ListState::Checked, false) => (ListState::WaitingReturn, Cancelling::Fetch),
            (ListState::WaitingReturn | ListState::Returning { .. }, _) => (self.state.clone(), Cancelling::UnderWay),
            (ListState::Cancelled | ListState::Returned, _) => (self.state.clone(), Cancelling::Over),
        };
        Ok((self.to(state), how))
    }

    /// The items are back in their stores. Answers the commands that wait for it.
    pub fn come_back(mut self) -> Result<(Self, Vec<EffectKey>), Refusal> {
        match self.state {
            ListState::Returning { .. } => {
                let due = std::mem::take(&mut self.answers_due);
                Ok((self.to(ListState::Returned), due))
            }
            _ => Err(self.refuse("returned")),
        }
    }

    /// The customer brought goods back: a robot is to carry them to their stores.
    pub fn bring_back(self, return_id: ReturnId, lines: &[LineCount]) -> Result<Self, Refusal> {
        match self.state {
            ListState::Checked if self.released => {
                let stops = stops::way_back(&self.stops, lines)?;
                let returns = Some(CustomerReturn { return_id, stops });
                Ok(Self { returns, ..self.to(ListState::WaitingReturn) })
            }
            _ => Err(self.refuse("returning")),
        }
    }

    /// Drops the return job of that return, unless there is none or it is done.
    pub fn keep_goods(mut self, return_id: ReturnId) -> (Self, Option<CalledOff>) {
        let bot = match self.state {
            ListState::WaitingReturn => None,
            ListState::Returning { bot } => Some(bot),
            _ => return (self, None),
        };
        if self.returns.as_ref().is_none_or(|r| r.return_id != return_id) {
            return (self, None);
        }
        let due = std::mem::take(&mut self.answers_due);
        self.returns = None;
        (self.to(ListState::Checked), Some(CalledOff { bot, due }))
    }

    /// Its robot is lost: another one starts again (what the robot had is recorded, and gone with it), or fetches what was
    /// to be returned. Answers what the robot carried.
    pub fn lose_bot(mut self) -> Result<(Self, Vec<LineCount>), Refusal> {
        match self.state {
            ListState::Assigned { .. } | ListState::Collecting { .. } => {
                let carried = self.collected();
                self.lost.extend(&carried);
                self.stops.iter_mut().for_each(Stop::forget);
                Ok((self.to(ListState::WaitingBot), carried))
            }
            ListState::Returning { .. } => {
                let carried = self.returns.as_ref().map_or_else(|| self.collected(), |r| stops::collected(&r.stops));
                Ok((self.to(ListState::WaitingReturn), carried))
            }
            _ => Err(self.refuse(WAITING_BOT)),
        }
    }

    /// The bay is not kept for it any more; answers its number when it was.
    pub fn leave_bay(&mut self) -> Option<i32> {
        let held = self.held_bay();
        self.holds_bay = false;
        held
    }

    fn to(self, state: ListState) -> Self {
        Self { state, ..self }
    }

    fn refuse(&self, to: &str) -> Refusal {
        refusals::wrong_state(format_args!("the list of order {}", self.order), self.state.phase(), to)
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
