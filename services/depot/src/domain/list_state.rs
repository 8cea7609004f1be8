//! The states of a shopping list, their names for the store and for people, and what a change of state takes.

use message::EffectKey;
use schemas::ids::BotId;
use serde::{Deserialize, Serialize};

/// Statuses that claims choose from.
pub const WAITING_BAY: &str = "waiting_bay";
pub const WAITING_BOT: &str = "waiting_bot";
pub const WAITING_RETURN: &str = "waiting_return";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum ListState {
    /// `plan` is answered when a bay is found, or refused at `until_ms`; `look_ms` is when to look again.
    WaitingBay {
        plan: EffectKey,
        until_ms: i64,
        look_ms: i64,
    },
    Planned,
    WaitingBot,
    Assigned {
        bot: BotId,
    },
    Collecting {
        bot: BotId,
    },
    Delivered,
    Checked,
    Cancelled,
    WaitingReturn,
    Returning {
        bot: BotId,
    },
    Returned,
}

impl ListState {
    /// The state as domain and API name it.
    pub fn phase(&self) -> &'static str {
        match self {
            Self::WaitingBay { .. } | Self::Planned | Self::WaitingBot => "planned",
            Self::Assigned { .. } => "assigned",
            Self::Collecting { .. } => "collecting",
            Self::Delivered => "delivered",
            Self::Checked => "checked",
            Self::Cancelled => "cancelled",
            Self::WaitingReturn | Self::Returning { .. } => "returning",
            Self::Returned => "returned",
        }
    }

    /// The statuses under which lists of a phase are stored; empty for a phase that does not exist.
    pub fn statuses(phase: &str) -> &'static [&'static str] {
        match phase {
            "planned" => &[WAITING_BAY, "planned", WAITING_BOT],
            "assigned" => &["assigned"],
            "collecting" => &["collecting"],
            "delivered" => &["delivered"],
            "checked" => &["checked"],
            "cancelled" => &["cancelled"],
            "returning" => &[WAITING_RETURN, "returning"],
            "returned" => &["returned"],
            _ => &[],
        }
    }
}

/// What a return job had when it was called off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalledOff {
    pub bot: Option<BotId>,
    /// Commands that waited for the goods to be back.
    pub due: Vec<EffectKey>,
}

/// What cancelling a list takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelling {
    /// It is over already, and nothing is left to do.
    Over,
    /// Nothing was picked: it is cancelled at once.
    Dropped,
    /// A robot has some items: it is to bring them back.
    TurnedRound,
    /// Items are in the bay: a robot is to fetch them.
    Fetch,
    /// Delivered, but with nothing in it: it is returned at once.
    Empty,
    /// Items are on their way back: the answer comes when they are there.
    UnderWay,
}
