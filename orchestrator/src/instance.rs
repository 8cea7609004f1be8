//! A saga as it is stored: its progress, its timers and the trace it belongs to.

use message::TraceContext;
use saga::{Progress, Timer};
use serde::{Deserialize, Serialize};
use transport::Aggregate;
use uuid::Uuid;

/// The namespace of saga ids; a constant of the platform, drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1f_5d0e_52a7_4c1b_9f0e_3d1c_7a54_e2b1);

/// The id of the saga of this type and business key: there can be only one, so a repeated start finds it.
///
/// A hash (UUIDv5); where the key begins with a UUID that follows time, as ids of orders do, the hash has its timestamp in
/// front (UUIDv8, RFC 9562): what is new then lies together in every index of sagas, however many have ended.
pub fn saga_id(saga_type: &str, business_key: &str) -> Uuid {
    let hash = Uuid::new_v5(&NAMESPACE, format!("{saga_type}/{business_key}").as_bytes());
    let about = business_key.get(..UUID_CHARS).and_then(|id| Uuid::parse_str(id).ok());
    let Some(about) = about.filter(|id| matches!(id.get_version_num(), 7 | 8)) else { return hash };
    let mut bytes = hash.into_bytes();
    bytes[..TIMESTAMP_BYTES].copy_from_slice(&about.as_bytes()[..TIMESTAMP_BYTES]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

const UUID_CHARS: usize = 36;
/// The milliseconds that a UUIDv7 begins with.
const TIMESTAMP_BYTES: usize = 6;

/// One saga.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Instance {
    pub progress: Progress,
    pub timers: Vec<Due>,
    pub started_ms: i64,
    pub updated_ms: i64,
    /// `traceparent` of what started it: wake-ups and operators go on in the same trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The parent's effect that this child saga is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child_of: Option<message::EffectKey>,
}

/// A timer with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Due {
    pub timer: Timer,
    /// By the database's clock, milliseconds since the Unix epoch.
    pub due_ms: i64,
    /// How long it was set for.
    pub after_ms: i64,
}

impl Instance {
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.trace.as_deref().and_then(|t| t.parse().ok())
    }

    pub(crate) fn set_timer(&mut self, timer: Timer, after_ms: u64, now_ms: i64) {
        let after_ms = i64::try_from(after_ms).unwrap_or(i64::MAX / 4);
        self.timers.retain(|d| !same_leg(&d.timer, &timer));
        self.timers.push(Due { timer, due_ms: now_ms.saturating_add(after_ms), after_ms });
    }

    pub(crate) fn cancel_timer(&mut self, timer: &Timer) -> Option<Due> {
        let at = self.timers.iter().position(|d| d.timer == *timer)?;
        Some(self.timers.remove(at))
    }
}

fn same_leg(a: &Timer, b: &Timer) -> bool {
    a.step == b.step && a.direction == b.direction && a.round == b.round
}

impl Aggregate for Instance {
    const KIND: &'static str = "saga";

    fn status(&self) -> &'static str {
        self.progress.phase().as_str()
    }

    /// The order it is about, where its partition key is one.
    fn parent(&self) -> Option<Uuid> {
        self.progress.key.parse().ok()
    }

    fn rank(&self) -> i64 {
        self.started_ms
    }

    fn wake_at_ms(&self) -> Option<i64> {
        self.timers.iter().map(|d| d.due_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const LATE: &str = "01890a5d-ac97-7000-8000-000000000000";

    #[test]
    fn a_saga_has_one_id_whoever_asks_and_no_other_has_it() {
        let id = saga_id("order-fulfilment", EARLY);
        assert_eq!(id, saga_id("order-fulfilment", EARLY));
        assert_ne!(id, saga_id("return-and-refund", EARLY));
        assert_ne!(id, saga_id("order-fulfilment", "01890a5d-ac96-774b-bcce-b302099a8058"));
        assert_ne!(saga_id("a", "key"), saga_id("a", "yek"));
    }

    #[test]
    fn ids_of_sagas_and_of_their_children_follow_the_time_of_what_they_are_about() {
        let (early, late) = (saga_id("order-fulfilment", EARLY), saga_id("order-fulfilment", LATE));
        let child = saga_id("cancel", &format!("{early}/cancel/do/1"));
        assert!(early < late && child < late);
        assert_eq!(&early.as_bytes()[..TIMESTAMP_BYTES], &child.as_bytes()[..TIMESTAMP_BYTES]);
        assert_ne!(early, child);
    }
}
