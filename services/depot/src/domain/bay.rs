//! Bays: numbered places of a given volume where an order's items wait. `free → reserved → occupied → free`.

use super::refusals;
use message::Refusal;
use schemas::ids::OrderId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use transport::Aggregate;
use uuid::Uuid;

/// Most different volumes that bays may have: claims are made by volume, so there are few.
pub const MAX_SIZES: usize = 64;

/// The status claims choose from.
pub const FREE: &str = "free";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bay {
    pub number: i32,
    pub volume_ml: i32,
    #[serde(flatten)]
    pub state: BayState,
}

/// Whose items the bay is for is part of its state, so that it cannot be for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum BayState {
    Free,
    Reserved { order: OrderId },
    Occupied { order: OrderId },
}

impl Aggregate for Bay {
    const KIND: &'static str = "bay";

    fn status(&self) -> &'static str {
        match self.state {
            BayState::Free => FREE,
            BayState::Reserved { .. } => "reserved",
            BayState::Occupied { .. } => "occupied",
        }
    }

    /// The volume of a free bay, 0 for others: an index on the rank holds what can be had, and nothing else.
    fn rank(&self) -> i64 {
        if self.state == BayState::Free { i64::from(self.volume_ml) } else { 0 }
    }
}

impl Bay {
    pub fn new(number: i32, volume_ml: i32) -> Self {
        Self { number, volume_ml, state: BayState::Free }
    }

    /// The row's id: derived, so that a number cannot be given twice.
    pub fn id(number: i32) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("mallbots/bay/{number}").as_bytes())
    }

    /// Whose items it is for.
    pub fn order(&self) -> Option<OrderId> {
        match self.state {
            BayState::Free => None,
            BayState::Reserved { order } | BayState::Occupied { order } => Some(order),
        }
    }

    pub fn reserve(self, order: OrderId) -> Result<Self, Refusal> {
        match self.state {
            BayState::Free => Ok(Self { state: BayState::Reserved { order }, ..self }),
            BayState::Reserved { .. } | BayState::Occupied { .. } => Err(self.refuse("reserved")),
        }
    }

    pub fn occupy(self, by: OrderId) -> Result<Self, Refusal> {
        match self.state {
            BayState::Reserved { order } if order == by => Ok(Self { state: BayState::Occupied { order }, ..self }),
            BayState::Free | BayState::Reserved { .. } | BayState::Occupied { .. } => Err(self.refuse("occupied")),
        }
    }

    /// Only the order that has it may give it back.
    pub fn free(self, by: OrderId) -> Result<Self, Refusal> {
        match self.state {
            BayState::Reserved { order } | BayState::Occupied { order } if order == by => {
                Ok(Self { state: BayState::Free, ..self })
            }
            BayState::Free | BayState::Reserved { .. } | BayState::Occupied { .. } => Err(self.refuse(FREE)),
        }
    }

    /// Another volume, for a free bay only.
    pub fn resize(self, volume_ml: i32) -> Result<Self, Refusal> {
        match self.state {
            BayState::Free => Ok(Self { volume_ml, ..self }),
            BayState::Reserved { .. } | BayState::Occupied { .. } => {
                Err(refusals::bay_in_use(self.number, self.status()))
            }
        }
    }

    fn refuse(&self, to: &str) -> Refusal {
        refusals::wrong_state(format_args!("bay {}", self.number), self.status(), to)
    }
}

/// How many bays there are of each volume: one row, so that "larger than any bay" is known without asking all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaySummary {
    /// Bays by volume in millilitres.
    pub sizes: BTreeMap<i32, u32>,
}

impl Aggregate for BaySummary {
    const KIND: &'static str = "bay_summary";

    fn status(&self) -> &'static str {
        "counted"
    }
}

impl BaySummary {
    /// The one row's id.
    pub fn id() -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, b"mallbots/bay-summary")
    }

    /// The smallest volume a bay has that is enough; `None` when the order is larger than any bay. Claims ask for these few
    /// volumes only, so that all orders of a batch share a claim.
    pub fn fitting(&self, volume_ml: i32) -> Option<i32> {
        self.sizes.range(volume_ml..).next().map(|(size, _)| *size)
    }

    /// After a bay of `old` volume (`None`: a new bay) has `new` volume.
    pub fn counted(mut self, old: Option<i32>, new: i32) -> Result<Self, Refusal> {
        if let Some(count) = old.and_then(|old| self.sizes.get_mut(&old)) {
            *count -= 1;
        }
        self.sizes.retain(|_, count| *count > 0);
        *self.sizes.entry(new).or_default() += 1;
        if self.sizes.len() > MAX_SIZES { Err(refusals::too_many_sizes(MAX_SIZES)) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(n: u128) -> OrderId {
        OrderId::from(Uuid::from_u128(n))
    }

    fn bay(state: BayState) -> Bay {
        Bay { state, ..Bay::new(7, 1000) }
    }

    #[test]
    fn every_state_meets_every_event_as_the_state_machine_says() {
        let (free, reserved, occupied) =
            (BayState::Free, BayState::Reserved { order: order(1) }, BayState::Occupied { order: order(1) });
        let ok = |result: Result<Bay, Refusal>| result.ok().map(|bay| bay.state);
        for (state, reserve, occupy, give_back, resize) in [
            (free, Some(reserved), None, None, Some(free)),
            (reserved, None, Some(occupied), Some(free), None),
            (occupied, None, None, Some(free), None),
        ] {
            assert_eq!(ok(bay(state).reserve(order(1))), reserve);
            assert_eq!(ok(bay(state).occupy(order(1))), occupy);
            assert_eq!(ok(bay(state).free(order(1))), give_back);
            assert_eq!(ok(bay(state).resize(5)), resize);
        }
    }

    #[test]
    fn i9_only_the_order_that_has_a_bay_moves_it() {
        for state in [BayState::Reserved { order: order(1) }, BayState::Occupied { order: order(1) }] {
            assert!(bay(state).occupy(order(2)).is_err());
            assert!(bay(state).free(order(2)).is_err());
        }
    }

    #[test]
    fn a_refusal_names_both_states() {
        let refusal = bay(BayState::Free).occupy(order(1)).unwrap_err();
        assert_eq!(refusal.code, "depot.wrong_state");
        assert!(refusal.message.contains("free") && refusal.message.contains("occupied"), "{refusal}");
    }

    #[test]
    fn the_summary_knows_the_smallest_fitting_volume_and_what_is_too_large() {
        let summary = BaySummary::default().counted(None, 100).unwrap().counted(None, 300).unwrap();
        assert_eq!(summary.fitting(0), Some(100));
        assert_eq!(summary.fitting(100), Some(100));
        assert_eq!(summary.fitting(101), Some(300));
        assert_eq!(summary.fitting(301), None);
        assert_eq!(BaySummary::default().fitting(0), None);
        let resized = summary.counted(Some(300), 200).unwrap();
        assert_eq!(resized.fitting(201), None);
    }

    #[test]
    fn the_number_of_volumes_is_bounded() {
        let full = (1..=MAX_SIZES as i32).try_fold(BaySummary::default(), |s, size| s.counted(None, size)).unwrap();
        assert_eq!(full.clone().counted(None, 5_000).unwrap_err().code, "depot.too_many_sizes");
        assert!(full.counted(None, 5).is_ok());
    }

    #[test]
    fn a_bay_survives_being_stored() {
        for state in [BayState::Free, BayState::Reserved { order: order(3) }] {
            let json = serde_json::to_string(&bay(state)).unwrap();
            assert_eq!(serde_json::from_str::<Bay>(&json).unwrap(), bay(state));
        }
    }
}
