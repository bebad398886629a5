//! The machine's clock: the only place that reads it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The latest instant that an HTTP date can name, 9999-12-31T23:59:59Z; `httpdate` panics beyond it.
const LAST_HTTP_DATE: u64 = 253_402_300_799;

/// Returns whole seconds since the epoch; an instant before it counts as the epoch.
#[expect(clippy::disallowed_methods, reason = "this is the one room that may read the wall clock")]
pub(crate) fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed()
}

/// Writes epoch seconds as an HTTP date (RFC 9110 §5.6.7).
pub(crate) fn http_date(unix_seconds: i64) -> String {
    let seconds = u64::try_from(unix_seconds).unwrap_or(0).min(LAST_HTTP_DATE);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_date_survives_any_clock() {
        assert_eq!(http_date(1_718_713_535), "Tue, 18 Jun 2024 12:25:35 GMT");
        assert_eq!(http_date(i64::MIN), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
