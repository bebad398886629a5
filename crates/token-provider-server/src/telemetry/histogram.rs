//! A histogram.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in milliseconds: within a region HERE answers in tens of milliseconds; an attempt ends
/// after ten seconds.
const BUCKETS: [u64; 9] = [25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// How long things took.
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
