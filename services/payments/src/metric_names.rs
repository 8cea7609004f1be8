//! Every metric of this crate, in one place. Labels: `operation`, and what stands in the comment.

/// Questions to the provider; `outcome` is done, refused, expired, not_carried_out or unknown.
pub const ACQUIRER_CALLS: &str = "mallbots_acquirer_calls_total";
/// How long one question took.
pub const ACQUIRER_SECONDS: &str = "mallbots_acquirer_call_seconds";
