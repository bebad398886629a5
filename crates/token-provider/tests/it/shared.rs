//! Simulated fleets by the hundred: servers that share a store keep their promises, whatever becomes of the store. Where a rule of
//! the library or of the store is broken (`ci/check mutants`), the first lives notice.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fleet::{self, Report};

/// Lives these seeds on two threads, and returns what they came to. No promise is broken.
fn run_all(seeds: Range<u64>, max_servers: usize) -> Vec<Report> {
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
                    let report = fleet::run(seed, max_servers);
                    reports.lock().expect("no life panics").push(report);
                }
            });
        }
    });
    let reports = reports.into_inner().expect("no life panics");
    let broken: Vec<_> = reports.iter().filter(|report| !report.violations.is_empty()).collect();
    let told =
        broken.iter().map(|report| format!("seed {}: {}\n", report.seed, report.violations.join("\n")));
    assert!(broken.is_empty(), "{}", told.collect::<String>());
    reports
}

#[test]
fn no_promise_is_broken_in_fifty_fleets() {
    run_all(0..50, 8);
}

#[test]
fn no_promise_is_broken_in_a_hundred_and_fifty_more() {
    let reports = run_all(50..200, 8);
    // Something happened in them, too.
    let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
    let (handouts, shared) = (sum(|report| report.counts.handouts), sum(|report| report.counts.shared));
    let (tokens, faults) = (sum(|report| report.counts.tokens), sum(|report| report.counts.faults));
    let servers = sum(|report| report.counts.servers);
    assert!(servers > 500 && handouts > 15_000 && faults > 1000, "{servers} {handouts} {faults}");
    assert!(shared > handouts / 3 && tokens < handouts / 2, "{handouts} {shared} {tokens}");
}

#[test]
fn no_promise_is_broken_in_ten_large_fleets() {
    run_all(1000..1010, 50);
}

#[test]
fn seed_reproduces_a_fleet_exactly() {
    for seed in 0..10 {
        let (one, two) = (fleet::run(seed, 8), fleet::run(seed, 8));
        assert_eq!((one.trace, one.simulated), (two.trace, two.simulated), "seed {seed}");
    }
    assert_ne!(fleet::run(1, 8).trace, fleet::run(2, 8).trace);
}
