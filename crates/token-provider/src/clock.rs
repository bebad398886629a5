//! The one place that reads the clocks.
//!
//! Two clocks are read together. The *wall* clock is what the issuer's signature check and a token's `exp` are about,
//! but people and NTP set it. The *boot* clock only runs forward and goes on while the machine is suspended
//! (`CLOCK_BOOTTIME`). A token counts as expired as soon as either says so.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since the Unix epoch, as the machine believes it to be.
    pub wall: Duration,
    /// Time since some fixed start; never set back, and running on while the machine is suspended.
    pub boot: Duration,
}

impl Moment {
    /// Returns the moment `span` later, on both clocks.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self { wall: self.wall.saturating_add(span), boot: self.boot.saturating_add(span) }
    }

    /// Returns how long it is from `now` until `self`: the shorter of what the two clocks say, zero when either
    /// has reached it.
    #[must_use]
    pub fn remaining(self, now: Self) -> Duration {
        self.wall.saturating_sub(now.wall).min(self.boot.saturating_sub(now.boot))
    }

    /// Returns the wall-clock reading as a [`SystemTime`].
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH + self.wall
    }
}

/// Something that knows what time it is.
///
/// A seam for tests: programs use [`SystemClock`].
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the present moment.
    fn now(&self) -> Moment;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A wall clock set before the epoch reads as the epoch: every token is then fresh on that clock, and the other one decides.
    #[expect(clippy::disallowed_methods, reason = "this is the room that may read the clocks")]
    fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { wall, boot: boot() }
    }
}

#[cfg(target_os = "linux")]
fn boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).expect("the boot clock counts up from zero")
}

/// Whether `Instant` counts time asleep differs by system; the wall clock covers a suspend where it does not.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the room that may read the clocks")]
fn boot() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// A clock for tests: it follows Tokio's time, which tests pause, and can be set and suspended.
#[cfg(any(test, feature = "test-util"))]
#[derive(Clone, Debug)]
pub struct TestClock {
    start: tokio::time::Instant,
    shifts: std::sync::Arc<std::sync::Mutex<Shifts>>,
}

#[cfg(any(test, feature = "test-util"))]
#[derive(Debug, Default)]
struct Shifts {
    /// What the wall clock was set forward (or, negative, back) by, in milliseconds.
    wall_millis: i64,
    /// How long the machine was suspended in all. Tokio's timers do not see it, as on a real machine.
    suspended: Duration,
}

#[cfg(any(test, feature = "test-util"))]
impl TestClock {
    /// Wall time at the start of every test: 2026-01-01T00:00:00Z.
    pub const START: Duration = Duration::from_secs(1_767_225_600);

    /// Makes a clock that reads [`TestClock::START`] now. Needs a Tokio runtime.
    pub fn new() -> Self {
        Self { start: tokio::time::Instant::now(), shifts: std::sync::Arc::default() }
    }

    /// Sets the wall clock forward (or back, when negative). The boot clock is not touched.
    pub fn set_wall(&self, by_seconds: i64) {
        let mut shifts = self.shifts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shifts.wall_millis += by_seconds * 1000;
    }

    /// Suspends the machine: both clocks move on by `span`, Tokio's timers do not.
    pub fn suspend(&self, span: Duration) {
        let mut shifts = self.shifts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shifts.suspended += span;
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Clock for TestClock {
    fn now(&self) -> Moment {
        let shifts = self.shifts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let boot = self.start.elapsed() + shifts.suspended;
        let set_by = Duration::from_millis(shifts.wall_millis.unsigned_abs());
        let unset = Self::START + boot;
        let wall = if shifts.wall_millis < 0 { unset.saturating_sub(set_by) } else { unset + set_by };
        Moment { wall, boot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_agrees_with_the_standard_library() {
        #[expect(clippy::disallowed_methods, reason = "the counterpart that the clock is compared with")]
        let system = SystemTime::now();
        let ours = SystemClock.now().system_time();
        let apart = system.duration_since(ours).unwrap_or_else(|early| early.duration());
        assert!(apart < Duration::from_secs(1), "{apart:?}");
    }

    #[test]
    fn system_clock_goes_on() {
        let (first, mut looks) = (SystemClock.now(), 0_u64);
        let next = loop {
            looks += 1;
            let now = SystemClock.now();
            if now != first {
                break now;
            }
            assert!(looks < 1_000_000_000, "both clocks stand still");
        };
        assert!(next.boot > first.boot, "{first:?}, then {next:?}");
        let elsewhere = std::thread::spawn(|| SystemClock.now()).join().expect("has ended well");
        assert!(elsewhere.boot >= next.boot);
    }

    #[test]
    fn left_is_what_the_stricter_clock_says() {
        let now = Moment { wall: Duration::from_secs(100), boot: Duration::from_secs(10) };
        let end = now.after(Duration::from_secs(60));
        assert_eq!(end.remaining(now), Duration::from_secs(60));
        let wall_forward = Moment { wall: Duration::from_secs(3700), ..now };
        assert_eq!(end.remaining(wall_forward), Duration::ZERO);
        let wall_back = Moment { wall: Duration::ZERO, boot: Duration::from_secs(69) };
        assert_eq!(end.remaining(wall_back), Duration::from_secs(1));
    }

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
