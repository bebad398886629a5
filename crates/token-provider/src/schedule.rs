//! When to refresh, when to try again, and what a caller gets meanwhile.
//!
//! Pure functions of spans and of `chance`, a number from 0 up to 1 that the caller draws.

use std::time::Duration;

use crate::error::Error;
use crate::token::EXPIRY_MARGIN;

/// A token is due for its successor at this share of its lifetime …
const DUE_SHARE: f64 = 0.70;
/// … give or take this share of that, so that many instances started together drift apart. The latest point, 73.5 %,
/// leaves time for the request itself before a quarter of the lifetime is left.
const DUE_JITTER: f64 = 0.05;
/// The share of the usable time that takes the place of [`DUE_SHARE`] for tokens of less than a minute.
const SHORT_DUE_SHARE: f64 = 0.85;
/// However short a token lives, two successful requests for it are at least this far apart.
pub(crate) const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// Exponential backoff after transient failures: the first step, the last, and by how much of itself a step may be
/// lengthened at random. In all that is 0.2 s to 30 s.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(20);
const RETRY_JITTER: f64 = 0.5;
/// A refused credential is tried again this often: somebody may have mended it at HERE's side.
const REFUSED_RETRY: Duration = Duration::from_secs(60);
/// By how much of itself a pause that many are told at once may be lengthened at random: 429 with `Retry-After`, or a
/// refused credential that several instances share.
const ASKED_JITTER: f64 = 0.1;
/// An issuer that asks for a longer pause than this is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// What a held token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Handed out.
    Fresh,
    /// Handed out, while its successor is fetched.
    Due,
    /// Not handed out any more.
    Expired,
}

/// Judges a token that has `left` to live, and was due when it had `left_when_due`.
pub(crate) fn state(left: Duration, left_when_due: Duration) -> State {
    if left <= EXPIRY_MARGIN {
        State::Expired
    } else if left <= left_when_due {
        State::Due
    } else {
        State::Fresh
    }
}

/// Returns how long after the request for a token was sent its successor should be asked for.
///
/// At 70 % of the lifetime, ± 5 % of that. A token that lives less than a minute comes so close to the margin by then
/// that the refresh would be late; there it is 85 % of the time in which it can be handed out.
pub(crate) fn refresh_after(lifetime: Duration, chance: f64) -> Duration {
    let jitter = 1.0 + DUE_JITTER * (2.0 * chance - 1.0);
    let usable = lifetime.saturating_sub(EXPIRY_MARGIN);
    lifetime
        .mul_f64(DUE_SHARE * jitter)
        .min(usable.mul_f64(SHORT_DUE_SHARE * jitter))
        .max(SHORTEST_REFRESH)
}

/// Returns how long to wait after the given failure, the `failures`th in a row (from 1).
///
/// Transient failures: exponential backoff with jitter, and never sooner than the issuer asked for. Others: slowly,
/// since only a person can mend them.
pub(crate) fn retry_after(error: &Error, failures: u32, chance: f64) -> Duration {
    let (step, jitter) = if error.is_transient() {
        let doublings = failures.saturating_sub(1).min(16);
        (
            FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY),
            RETRY_JITTER,
        )
    } else {
        (REFUSED_RETRY, ASKED_JITTER)
    };
    let asked = error.retry_after().unwrap_or_default().min(LONGEST_RETRY_AFTER);
    step.mul_f64(1.0 + jitter * chance)
        .max(asked.mul_f64(1.0 + ASKED_JITTER * chance))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    const TRANSIENT: ErrorKind = ErrorKind::Unreachable;
    const REFUSED: ErrorKind = ErrorKind::Rejected {
        status: 401,
        code: Some(401_300),
    };

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn refresh_points() {
        // lifetime, chance, refresh point
        let table = [
            (3600.0, 0.5, 2520.0),
            (3600.0, 0.0, 2394.0),
            (3600.0, 1.0, 2646.0),
            (60.0, 0.5, 42.0),
            (20.0, 0.5, 8.5),
            (11.0, 0.5, 1.0),
            (1.0, 0.5, 1.0),
            (0.0, 0.5, 1.0),
        ];
        for (lifetime, chance, point) in table {
            assert_eq!(
                refresh_after(seconds(lifetime), chance),
                seconds(point),
                "{lifetime} {chance}"
            );
        }
    }

    #[test]
    fn states_change_at_their_points() {
        let due = seconds(1080.0);
        assert_eq!(state(seconds(3600.0), due), State::Fresh);
        assert_eq!(state(seconds(1080.0), due), State::Due);
        assert_eq!(state(seconds(10.001), due), State::Due);
        assert_eq!(state(seconds(10.0), due), State::Expired);
        assert_eq!(state(Duration::ZERO, due), State::Expired);
    }

    #[test]
    fn backoff_doubles_to_its_bound() {
        let error = Error::new(TRANSIENT, "x");
        let waits: Vec<f64> = (1..=9)
            .map(|failures| retry_after(&error, failures, 0.0).as_secs_f64())
            .collect();
        assert_eq!(waits, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20.0, 20.0]);
        assert_eq!(retry_after(&error, u32::MAX, 1.0), seconds(30.0));
    }

    #[test]
    fn issuers_wish_is_honoured_up_to_five_minutes() {
        let throttled =
            |span| Error::new(ErrorKind::Throttled, "x").with_retry_after(Some(Duration::from_secs(span)));
        assert_eq!(retry_after(&throttled(0), 1, 0.0), seconds(0.2));
        assert_eq!(retry_after(&throttled(7), 1, 0.0), seconds(7.0));
        assert_eq!(retry_after(&throttled(7), 9, 0.0), seconds(20.0));
        assert_eq!(retry_after(&throttled(86_400), 1, 0.0), seconds(300.0));
    }

    #[test]
    fn refused_credential_is_tried_once_a_minute() {
        let error = Error::new(REFUSED, "x");
        for failures in [1, 2, 100] {
            assert_eq!(retry_after(&error, failures, 0.0), seconds(60.0));
        }
    }

    #[test]
    fn a_thousand_instances_spread() {
        let points: Vec<Duration> = (0..1000)
            .map(|index| refresh_after(seconds(3600.0), f64::from(index) / 1000.0))
            .collect();
        let busiest = points
            .iter()
            .map(|&from| {
                points
                    .iter()
                    .filter(|&&point| (from..from.saturating_add(seconds(1.0))).contains(&point))
                    .count()
            })
            .max();
        // 252 s of spread for 1,000 instances: about four a second.
        assert!(busiest <= Some(5), "{busiest:?} in one second");
    }

    proptest! {
        #[test]
        fn refresh_is_never_hot_and_never_needlessly_late(lifetime in 0_u64..=2_592_000, chance in 0.0..1.0) {
            let lifetime = Duration::from_secs(lifetime);
            let point = refresh_after(lifetime, chance);
            prop_assert!(point >= SHORTEST_REFRESH);
            if lifetime >= EXPIRY_MARGIN + Duration::from_secs(2) {
                prop_assert!(point < lifetime.saturating_sub(EXPIRY_MARGIN));
                let left = lifetime.saturating_sub(point);
                prop_assert!(state(left, left) == State::Due);
            }
            if lifetime >= Duration::from_secs(60) {
                prop_assert!(lifetime.saturating_sub(point) >= lifetime.mul_f64(0.264));
                prop_assert!(point >= lifetime.mul_f64(0.664));
            }
        }

        #[test]
        fn retry_is_within_bounds(
            failures in 1_u32..10_000,
            chance in 0.0..1.0,
            asked in proptest::option::of(0_u64..1_000_000),
            transient: bool,
        ) {
            let error = Error::new(if transient { TRANSIENT } else { REFUSED }, "x")
                .with_retry_after(asked.map(Duration::from_secs));
            let wait = retry_after(&error, failures, chance);
            prop_assert!(wait >= FIRST_RETRY);
            prop_assert!(wait <= LONGEST_RETRY_AFTER.mul_f64(1.1));
            if asked.is_none() && transient {
                prop_assert!(wait <= seconds(30.0));
                prop_assert!(wait <= retry_after(&error, failures + 1, 0.0).mul_f64(1.0 + RETRY_JITTER));
            }
            prop_assert!(wait >= Duration::from_secs(asked.unwrap_or(0).min(300)));
        }
    }
}
