//! When to refresh, when to try again, and what a caller gets meanwhile.
//!
//! Pure functions of spans and of `chance`, a number from 0 up to 1 that the caller draws.

use std::time::Duration;

use crate::error::TokenError;
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
/// Where the issuer still hands out a token that is due, the request is repeated after this share of what the token has left:
/// one percent of the lifetime, a little less than what lies between the latest due point and a quarter.
const ASK_AGAIN_SHARE: f64 = 0.04;
/// … or less by up to this share of that.
const ASK_AGAIN_JITTER: f64 = 0.25;

/// Exponential backoff after transient failures: the first step, the last, and by how much of itself a step may be
/// lengthened at random. In all that is 0.2 s to 30 s.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(20);
const RETRY_JITTER: f64 = 0.5;
/// A refused credential is tried again this often: somebody may have fixed it at HERE's side.
const REFUSED_RETRY: Duration = Duration::from_secs(60);
/// By how much of itself a pause that many are told at once may be lengthened at random: 429 with `Retry-After`, or a
/// refused credential that several instances share.
const ASKED_JITTER: f64 = 0.1;
/// An issuer that asks for a longer pause than this is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// What a held token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Handed out.
    Fresh,
    /// Handed out, while its successor is fetched.
    Due,
    /// Not handed out any more.
    Expired,
}

/// Judges a token by the time that it has left, and the time that it had left when it was due.
pub(crate) fn freshness(remaining: Duration, remaining_when_due: Duration) -> Freshness {
    if remaining <= EXPIRY_MARGIN {
        Freshness::Expired
    } else if remaining <= remaining_when_due {
        Freshness::Due
    } else {
        Freshness::Fresh
    }
}

/// Returns how long after the request for a token was sent its successor should be requested.
///
/// At 70 % of the lifetime, ± 5 % of that. A token that lives less than a minute comes so close to the margin by then
/// that the refresh would be late; there it is 85 % of the time in which it can be handed out.
pub(crate) fn refresh_after(lifetime: Duration, chance: f64) -> Duration {
    let jitter = 1.0 + DUE_JITTER * (2.0 * chance - 1.0);
    let usable = lifetime.saturating_sub(EXPIRY_MARGIN);
    lifetime.mul_f64(DUE_SHARE * jitter).min(usable.mul_f64(SHORT_DUE_SHARE * jitter)).max(SHORTEST_REFRESH)
}

/// Returns how long after the request for a token that came out of the issuer's cache, and has `left` to live, the next
/// request may be sent at the earliest.
pub(crate) fn ask_again_after(left: Duration, chance: f64) -> Duration {
    left.mul_f64(ASK_AGAIN_SHARE * (1.0 - ASK_AGAIN_JITTER * chance)).max(SHORTEST_REFRESH)
}

/// Returns how long to wait after the given failure, the `failures`th in a row (from 1).
///
/// Transient failures: exponential backoff with jitter, and never sooner than the issuer asked for. Others: slowly,
/// since only a person can fix them.
pub(crate) fn retry_after(error: &TokenError, failures: u32, chance: f64) -> Duration {
    let (step, jitter) = if error.is_transient() {
        let doublings = failures.saturating_sub(1).min(16);
        (FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY), RETRY_JITTER)
    } else {
        (REFUSED_RETRY, ASKED_JITTER)
    };
    let asked = error.retry_after().unwrap_or_default().min(LONGEST_RETRY_AFTER);
    step.mul_f64(1.0 + jitter * chance).max(asked.mul_f64(1.0 + ASKED_JITTER * chance))
}

#[cfg(test)]
mod tests;
