//! Names of the gateway's metrics.

/// Robots connected now.
pub const LINES: &str = "mallbots_robot_lines";
/// Streams that ended, by the code they ended with (`cut` when the robot went).
pub const ENDED: &str = "mallbots_robot_lines_ended_total";
/// Reports that one request to the depot carried.
pub const REPORTS_AT_ONCE: &str = "mallbots_robot_reports_at_once";
