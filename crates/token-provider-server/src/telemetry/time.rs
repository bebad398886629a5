//! Times as text.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

/// Returns a time since the epoch: RFC 3339, in UTC, with milliseconds.
pub fn rfc_3339(time: Duration) -> impl Display {
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + time)
}
