//! What a reply says that has nothing else to say: that it is done.

use serde::{Deserialize, Serialize};

/// Always true on the wire. A record without any field takes no byte, and there are clients (Python's `confluent-kafka` is one)
/// that take such a value for none and refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Done(bool);

impl Default for Done {
    fn default() -> Self {
        Self(true)
    }
}
