//! The one way this crate speaks to a person: short lines on standard error, so that standard output stays for `export` lines.

use std::time::{Duration, Instant};

/// A sign of life this often while something takes long.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Prints one line to standard error.
pub(crate) fn say(line: impl AsRef<str>) {
    eprintln!("servers: {}", line.as_ref());
}

/// Seconds since `start` with one decimal, for "up in 2.4 s".
pub(crate) fn seconds(start: Instant) -> String {
    format!("{:.1} s", start.elapsed().as_secs_f64())
}

/// Waits for `work`, and says `line` with the time that has passed again and again.
pub(crate) async fn with_signs_of_life<T>(line: &str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(SIGN_OF_LIFE, &mut work).await {
            Ok(done) => return done,
            Err(_) => say(format!("{line} ({})", seconds(started))),
        }
    }
}
