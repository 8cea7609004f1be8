//! Every metric of this crate, in one place. Labels: `type` of the saga, and what stands in the comment.

pub const STARTED: &str = "mallbots_sagas_started_total";
/// `phase`: completed or compensated.
pub const ENDED: &str = "mallbots_sagas_ended_total";
/// Times that a saga got stuck.
pub const STUCK: &str = "mallbots_sagas_stuck_total";
/// Sagas that are stuck now and wait for an operator, of all types.
pub const STUCK_NOW: &str = "mallbots_sagas_stuck";
/// Sagas that nothing would ever wake, of all types (I4). Must stay 0.
pub const ORPHANS: &str = "mallbots_sagas_orphaned";
/// From a saga's start to its end, seconds.
pub const SAGA_SECONDS: &str = "mallbots_saga_seconds";
/// `step`, `direction`: from the command, or from the wait's beginning, to the answer, seconds.
pub const STEP_SECONDS: &str = "mallbots_saga_step_seconds";
/// `code`, without `type`.
pub const ALARMS: &str = "mallbots_saga_alarms_total";
/// `what`, without `type`.
pub const IGNORED: &str = "mallbots_saga_ignored_total";
