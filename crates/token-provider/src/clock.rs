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
    /// Time since some fixed start, such as the machine's; never set back, and running on while the machine is suspended.
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
    ///
    /// # Panics
    ///
    /// Where that is too late for one, by some billions of years.
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH + self.wall
    }
}

/// A source of the current time.
///
/// A seam for tests: programs use [`SystemClock`].
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the present moment. Its boot clock is never before that of an earlier call.
    fn now(&self) -> Moment;
}

/// The machine's own clocks. The second is `CLOCK_BOOTTIME` on Linux, `CLOCK_MONOTONIC` on macOS and other Unix systems (where an
/// [`Instant`](std::time::Instant) may stand still while the machine sleeps), and an `Instant` on Windows: each runs on meanwhile.
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

#[cfg(unix)]
fn boot() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(all(target_os = "linux", not(portable)))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(all(target_os = "linux", not(portable))))]
    const CLOCK: ClockId = ClockId::Monotonic;

    Duration::try_from(clock_gettime(CLOCK)).expect("the boot clock counts up from zero")
}

#[cfg(not(unix))]
#[expect(clippy::disallowed_methods, reason = "this is the room that may read the clocks")]
fn boot() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
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
}
