//! Lives many simulated lives.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lives these seeds on two threads, and returns what they came to. In none is a promise broken; `violations` tells the seed, and which
/// were.
pub(crate) fn live_all<R: Send>(
    seeds: Range<u64>,
    live: impl Fn(u64) -> R + Sync,
    violations: impl Fn(&R) -> (u64, &[String]),
) -> Vec<R> {
    let next = AtomicU64::new(seeds.start);
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let report = live(seed);
                    reports.lock().expect("no life panics").push(report);
                }
            });
        }
    });
    let reports = reports.into_inner().expect("no life panics");
    let broken: Vec<_> = reports.iter().map(violations).filter(|(_, broken)| !broken.is_empty()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    reports
}
