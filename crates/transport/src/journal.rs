//! The immutable history of aggregates, as it is written in rows of the table `journal`: one row a change, its column
//! `entries` a JSON array of [`Chapter`]s.

use serde::{Deserialize, Serialize};

/// What one message, timer or call made of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chapter<E> {
    /// 32 hexadecimal digits; absent where nothing was traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Id of the message that caused it; absent for timers and calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<String>,
    pub entries: Vec<E>,
}
