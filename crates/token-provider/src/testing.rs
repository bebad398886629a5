//! For tests of programs that use this library (cargo feature `test-util`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, Moment, SystemClock};
use crate::error::TokenError;
use crate::issuer::{Issue, Issued};
use crate::provider::TokenProvider;
use crate::token::{AccessToken, TokenKey};

/// A clock for tests: it follows Tokio's time, which tests pause, and can be set and suspended.
#[derive(Clone, Debug)]
pub struct TestClock {
    start: Instant,
    shifts: Arc<Mutex<Shifts>>,
}

#[derive(Debug, Default)]
struct Shifts {
    /// What the wall clock was set forward (or, negative, back) by, in seconds.
    wall_seconds: i64,
    /// How long the machine was suspended in all. Tokio's timers do not see it, as on a real machine.
    suspended: Duration,
}

impl TestClock {
    /// Wall time at the start of every test: 2026-01-01T00:00:00Z.
    pub const START: Duration = Duration::from_secs(1_767_225_600);

    /// Makes a clock that reads [`TestClock::START`] now. Needs a Tokio runtime.
    pub fn new() -> Self {
        Self { start: Instant::now(), shifts: Arc::default() }
    }

    /// Sets the wall clock forward (or back, when negative). The boot clock is not touched.
    pub fn set_wall(&self, by_seconds: i64) {
        self.shifts().wall_seconds += by_seconds;
    }

    /// Suspends the machine: both clocks move on by `span`, Tokio's timers do not.
    pub fn suspend(&self, span: Duration) {
        self.shifts().suspended += span;
    }

    fn shifts(&self) -> MutexGuard<'_, Shifts> {
        self.shifts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        let shifts = self.shifts();
        let boot = self.start.elapsed() + shifts.suspended;
        let unset = Self::START + boot;
        let seconds = unset.as_secs().saturating_add_signed(shifts.wall_seconds);
        Moment { wall: Duration::new(seconds, unset.subsec_nanos()), boot }
    }
}

/// Issues the same text each time.
struct Fixed(String);

impl Issue for Fixed {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        Ok(Issued::new(self.0.clone(), key.lifetime()))
    }
}

impl TokenProvider {
    /// Makes a provider for tests, which hands out this text as a token of whatever kind is asked for.
    pub fn fixed(token: impl Into<String>) -> Self {
        Self::new(Fixed(token.into()))
    }
}

impl AccessToken {
    /// Makes a token for tests, which lives for `lifetime` from now on by the system's clocks.
    ///
    /// # Panics
    ///
    /// Where the text cannot be a token's: it is empty, or holds another character than RFC 6750 §2.1 allows.
    pub fn fixed(text: &str, lifetime: Duration) -> Self {
        Self::new(&text.into(), None, lifetime, SystemClock.now()).expect("is the text of a token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn test_clock_follows_tokio_and_can_be_set() {
        let clock = TestClock::new();
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), before.after(Duration::from_secs(5)));
        clock.set_wall(-3600);
        assert_eq!(clock.now().boot, Duration::from_secs(5));
        assert_eq!(clock.now().wall, TestClock::START.saturating_sub(Duration::from_secs(3595)));
        clock.suspend(Duration::from_secs(60));
        assert_eq!(clock.now().boot, Duration::from_secs(65));
    }
}
