//! Counters for the way of a handout: each thread adds to a lane of its own, so that no cache line goes from core to
//! core with every request.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// With more threads than this, some share a lane, and still count right.
pub(super) const LANES: usize = 16;

/// Upper bounds of the buckets, in milliseconds: within a region HERE answers in tens of milliseconds; an attempt ends
/// after ten seconds.
const BUCKETS: [u64; 9] = [25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

thread_local! {
    static LANE: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % LANES
    };
}

/// Returns this thread's lane.
pub(super) fn lane() -> usize {
    LANE.with(|lane| *lane)
}

/// Two lines wide: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane(AtomicU64);

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter([Lane; LANES]);

impl Counter {
    /// Adds one.
    pub fn add(&self) {
        if let Some(lane) = self.0.get(lane()) {
            lane.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the sum over all threads.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|lane| lane.0.load(Ordering::Relaxed)).sum()
    }
}

/// How long things took. Not for the way of a handout: all threads share it.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last one is for what took longer than the greatest bound.
    counts: [AtomicU64; BUCKETS.len() + 1],
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Counts one that took this long.
    pub fn observe(&self, span: Duration) {
        let bucket = BUCKETS.iter().position(|bound| span <= Duration::from_millis(*bound));
        if let Some(count) = self.counts.get(bucket.unwrap_or(BUCKETS.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Returns the buckets, each with those before it: the upper bound in seconds (the last has none), and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BUCKETS.into_iter().map(|millis| Some(Duration::from_millis(millis))).chain([None]);
        let mut sum = 0;
        bounds.zip(&self.counts).map(move |(bound, count)| {
            sum += count.load(Ordering::Relaxed);
            (bound, sum)
        })
    }

    /// Returns the sum of all times.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_is_counted() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * LANES {
                scope.spawn(|| (0..1000).for_each(|_| counter.add()));
            }
        });
        assert_eq!(counter.sum(), 2000 * u64::try_from(LANES).expect("is small"));
    }

    #[test]
    fn buckets_hold_what_is_not_above_their_bound() {
        let histogram = Histogram::default();
        for millis in [0, 25, 26, 10_000, 10_001, 60_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets[0], (Some(Duration::from_millis(25)), 2));
        assert_eq!(buckets[1], (Some(Duration::from_millis(50)), 3));
        assert_eq!(buckets[8], (Some(Duration::from_secs(10)), 4));
        assert_eq!(buckets[9], (None, 6));
        assert_eq!(histogram.sum(), Duration::from_millis(80_052));
    }
}
