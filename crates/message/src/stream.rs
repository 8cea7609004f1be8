//! A stream: the messages of one aggregate on one topic, numbered 1, 2, 3 … without gaps.

use serde::{Deserialize, Serialize};
use std::fmt;

/// (source context, aggregate type, aggregate id, topic). Order, duplicates and completeness are judged per stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stream {
    pub source: String,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub topic: String,
}

impl Stream {
    /// `ce_subject` of every message of the stream.
    pub fn subject(&self) -> String {
        format!("{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}@{}", self.source, self.aggregate_type, self.aggregate_id, self.topic)
    }
}
