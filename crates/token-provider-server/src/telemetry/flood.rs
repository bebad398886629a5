//! Keeps a flood of equal events from becoming a flood of log lines.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So many lines in each window: enough to see a pattern in.
const LINES: u64 = 20;
/// In seconds.
const WINDOW: u64 = 10;

/// Counts the lines of one kind. Threads that meet in it may let a line too many through, and lose none of the count.
#[derive(Debug, Default)]
pub(super) struct Flood {
    window: AtomicU64,
    logged: AtomicU64,
    skipped: AtomicU64,
}

impl Flood {
    /// Returns how many lines were skipped since the last one, if a line may be written at this time.
    pub(super) fn admit(&self, now: Duration) -> Option<u64> {
        let window = now.as_secs() / WINDOW;
        if self.window.swap(window, Ordering::Relaxed) != window {
            self.logged.store(0, Ordering::Relaxed);
        }
        if self.logged.fetch_add(1, Ordering::Relaxed) < LINES {
            return Some(self.skipped.swap(0, Ordering::Relaxed));
        }
        self.skipped.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_of_a_window_says_how_many_were_left_out() {
        let flood = Flood::default();
        let logged = (0..100).filter(|_| flood.admit(Duration::from_secs(1000)).is_some()).count();
        assert_eq!(logged, 20);
        assert_eq!(flood.admit(Duration::from_secs(1009)), None);
        assert_eq!(flood.admit(Duration::from_secs(1010)), Some(81));
        assert_eq!(flood.admit(Duration::from_secs(1010)), Some(0));
    }
}
