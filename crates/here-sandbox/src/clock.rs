//! The sandbox's clock: the only place that reads the wall clock, and the seam through which tests move time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The latest instant that an HTTP date can name, 9999-12-31T23:59:59Z; `httpdate` panics beyond it.
const LAST_HTTP_DATE: u64 = 253_402_300_799;

/// Tells the sandbox what time it is.
///
/// The timestamp window, token lifetimes, `GET /timestamp` and the `Date` header all follow it.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use here_sandbox::{Clock, SandboxConfig};
///
/// let mut config = SandboxConfig::generate();
/// config.clock = Clock::from_fn(|| UNIX_EPOCH + Duration::from_secs(1_700_000_000));
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Asks `now` each time, so that a test decides what time it is.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Whole seconds since the epoch; an instant before it counts as the epoch.
    pub(crate) fn unix_seconds(&self) -> i64 {
        let since_epoch = (self.0)().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
    }
}

impl Default for Clock {
    /// Follows the machine's wall clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one room that may read the wall clock")]
    fn default() -> Self {
        Self::from_fn(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
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

    #[test]
    fn clock_before_the_epoch_reads_as_the_epoch() {
        let clock = Clock::from_fn(|| UNIX_EPOCH - Duration::from_secs(5));
        assert_eq!(clock.unix_seconds(), 0);
    }
}
