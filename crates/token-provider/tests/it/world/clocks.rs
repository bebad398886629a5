//! What the clocks say, and what time it is in truth.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use token_provider::TestClock;
use tokio::time::Instant;

/// A point in time, seen in four ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Time as timers see it: it stands still while the machine sleeps.
    pub(crate) timer: Duration,
    /// The boot clock's reading: timer time, and time asleep.
    pub(crate) boot: Duration,
    /// The wall clock's reading, in milliseconds; it can be anything.
    pub(crate) wall: i64,
    /// The time by which tokens really expire.
    pub(crate) truth: Duration,
    /// How often a clock has jumped so far.
    pub(crate) jumps: u64,
}

/// The world's clocks, kept beside those that the provider reads.
pub(crate) struct Clocks {
    start: Instant,
    provider: TestClock,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    suspended: Duration,
    frozen: Duration,
    /// What the wall clock is ahead of the truth, in seconds.
    wall_ahead: i64,
    jumps: u64,
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Clocks {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), provider: TestClock::new(), state: Mutex::default() }
    }

    /// The clock to give to the provider.
    pub(crate) fn test_clock(&self) -> TestClock {
        self.provider.clone()
    }

    pub(crate) fn now(&self) -> Now {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = self.start.elapsed();
        let boot = timer + state.suspended;
        let truth = boot + state.frozen;
        let wall = millis(truth) + state.wall_ahead * 1000;
        Now { timer, boot, wall, truth, jumps: state.jumps }
    }

    /// Waits until timers say so.
    pub(crate) async fn until(&self, timer: Duration) {
        tokio::time::sleep_until(self.start + timer).await;
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.jumps += 1;
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set_wall_by(&self, seconds: i64) {
        self.provider.set_wall(seconds);
        self.change(|state| state.wall_ahead += seconds);
    }

    pub(crate) fn set_wall_right(&self) {
        let ahead = self.state.lock().unwrap_or_else(PoisonError::into_inner).wall_ahead;
        self.set_wall_by(-ahead);
    }

    /// The machine sleeps: timers stand still, the boot clock does not.
    pub(crate) fn suspend(&self, seconds: u64) {
        self.provider.suspend(Duration::from_secs(seconds));
        self.change(|state| state.suspended += Duration::from_secs(seconds));
    }

    /// The virtual machine is stopped from outside, and its wall clock set right when it goes on: the one case in which
    /// the boot clock is wrong and the wall clock right.
    pub(crate) fn freeze(&self, seconds: u64) {
        self.provider.set_wall(seconds.cast_signed());
        self.change(|state| state.frozen += Duration::from_secs(seconds));
    }
}
