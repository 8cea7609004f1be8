//! Names of the gateway's metrics.

/// Requests answered, by route and status.
pub const REQUESTS: &str = "mallbots_kiosk_requests_total";
/// Seconds from a request's head to its answer's, by route.
pub const REQUEST_SECONDS: &str = "mallbots_kiosk_request_seconds";
/// Live views open now.
pub const STREAMS: &str = "mallbots_kiosk_live_views";
/// Live views that were ended because the client read too slowly.
pub const SLOW_CLIENTS: &str = "mallbots_kiosk_live_slow_total";
/// Records of the followed topics that could not be read; the live view goes on without them.
pub const UNREADABLE: &str = "mallbots_kiosk_live_unreadable_total";
