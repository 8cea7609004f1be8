//! Every metric of this crate, in one place. Labels: `context`, and what stands in the comment.

/// Inputs folded (records, calls, timers).
pub const INPUTS: &str = "mallbots_inputs_total";
pub const INPUTS_FAILED: &str = "mallbots_inputs_failed_total";
/// Records dropped because the inbox knew them.
pub const INBOX_DUPLICATES: &str = "mallbots_inbox_duplicates_total";
pub const PARKED: &str = "mallbots_parked_total";
/// Streams that wait now because of a parked record.
pub const PARKED_KEYS: &str = "mallbots_parked_keys";
/// Age of the oldest parked record, seconds.
pub const PARKED_OLDEST_SECONDS: &str = "mallbots_parked_oldest_seconds";
pub const BATCH_INPUTS: &str = "mallbots_batch_inputs";
pub const BATCH_SECONDS: &str = "mallbots_batch_seconds";
/// Label `what`; it is `overtaken` where another process had changed what the batch was about to save or relied on.
pub const BATCH_RETRIES: &str = "mallbots_batch_retries_total";
pub const COMMITS_UNKNOWN: &str = "mallbots_commits_unknown_total";
pub const OUTBOX_ROWS: &str = "mallbots_outbox_rows";
/// Calls that were refused because the outbox, or what waits for others, is over its limit.
pub const NEW_WORK_REFUSED: &str = "mallbots_new_work_refused_total";
/// Rows that wait for what the rest of the platform does with them, up to one above the limit.
pub const WAITING_ROWS: &str = "mallbots_waiting_rows";
/// Age of the oldest unsent row, seconds.
pub const OUTBOX_OLDEST_SECONDS: &str = "mallbots_outbox_oldest_seconds";
pub const RELAY_SENT: &str = "mallbots_relay_sent_total";
pub const RELAY_ERRORS: &str = "mallbots_relay_errors_total";
/// From commit to acknowledgement, seconds.
pub const RELAY_DWELL_SECONDS: &str = "mallbots_relay_dwell_seconds";
/// Shards that a relay took for its own when another had taken them over.
pub const LEASES_LOST: &str = "mallbots_relay_leases_lost_total";
pub const LEASES_HELD: &str = "mallbots_relay_leases";
/// Commands that came before their predecessor: the order of a stream was broken on its way. Must stay 0.
pub const ORDER_VIOLATIONS: &str = "mallbots_order_violations_total";
/// Seconds between the making of the oldest record of the last batch and its processing.
pub const CONSUMER_LAG_SECONDS: &str = "mallbots_consumer_lag_seconds";
pub const TIMERS_FIRED: &str = "mallbots_timers_fired_total";

/// Counters that are looked for before anything was counted.
pub const FROM_THE_START: &[&str] =
    &[INPUTS, INPUTS_FAILED, NEW_WORK_REFUSED, INBOX_DUPLICATES, PARKED, ORDER_VIOLATIONS, RELAY_SENT, RELAY_ERRORS];
