//! Simulated lives by the hundred: no promise is broken in any, and each can be repeated. Where the library is made to break
//! one (`ci/check mutants`), the first lives notice.

use std::ops::Range;

use crate::lives::live_all;
use crate::world::{self, Report};

fn run_all(seeds: Range<u64>) -> Vec<Report> {
    live_all(seeds, world::run, |report| (report.seed, &report.violations))
}

#[test]
fn no_promise_is_broken_in_thirty_lives() {
    run_all(0..30);
}

#[test]
fn no_promise_is_broken_in_three_hundred_more() {
    let reports = run_all(30..330);
    // Something happened in them, too.
    let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
    let hours = sum(|report| report.simulated.as_secs() / 3600);
    let (handouts, faults) = (sum(|report| report.counts.handouts), sum(|report| report.counts.faults));
    let (requests, calls) = (sum(|report| report.counts.requests), sum(|report| report.counts.calls));
    assert!(hours > 1000 && handouts > 50_000 && faults > 5000, "{hours} {handouts} {faults}");
    assert!(calls > handouts && requests < calls, "{calls} {handouts} {requests}");
    let reports = sum(|report| report.counts.reports);
    let replacements = sum(|report| report.counts.replacements);
    assert!(reports > 10_000 && (500..reports / 5).contains(&replacements), "{reports} {replacements}");
}

#[test]
fn seed_reproduces_a_life_exactly() {
    for seed in 0..20 {
        let (one, two) = (world::run(seed), world::run(seed));
        assert_eq!((one.trace, one.simulated), (two.trace, two.simulated), "seed {seed}");
    }
    assert_ne!(world::run(1).trace, world::run(2).trace);
}
