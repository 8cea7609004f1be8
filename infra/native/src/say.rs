//! The one way this crate speaks to a person: short lines on standard error, so that standard output stays for `export` lines.

use std::time::Instant;

/// Prints one line to standard error.
pub(crate) fn say(line: impl AsRef<str>) {
    eprintln!("servers: {}", line.as_ref());
}

/// Seconds since `start` with one decimal, for "up in 2.4 s".
pub(crate) fn seconds(start: Instant) -> String {
    format!("{:.1} s", start.elapsed().as_secs_f64())
}
