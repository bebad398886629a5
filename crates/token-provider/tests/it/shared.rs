//! Simulated fleets by the hundred: servers that share a store keep their promises, whatever becomes of the store. Where a rule of
//! the library or of the store is broken (`ci/check mutants`), the first lives notice.

use std::ops::Range;

use crate::fleet::{self, Report};
use crate::lives::live_all;

fn run_all(seeds: Range<u64>, max_servers: usize) -> Vec<Report> {
    live_all(seeds, |seed| fleet::run(seed, max_servers), |report| (report.seed, &report.violations))
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
