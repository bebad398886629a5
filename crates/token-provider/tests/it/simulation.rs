//! Simulated lives by the hundred: no promise is broken in any, each can be repeated, and where the library is made
//! to break one, the judge notices.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use token_provider::Rule;

use crate::chain::RULES;
use crate::world::{self, Report};

/// Lives all seeds on two threads, and returns what they came to.
fn run_all(seeds: u64) -> Vec<Report> {
    let next = AtomicU64::new(0);
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let report = world::run(seed);
                    reports.lock().expect("no life panics").push(report);
                }
            });
        }
    });
    reports.into_inner().expect("no life panics")
}

#[test]
fn no_promise_is_broken_in_three_hundred_lives() {
    let reports = run_all(300);
    for report in &reports {
        assert!(report.violations.is_empty(), "seed {}: {}", report.seed, report.violations.join("\n"));
    }
    // Something happened in them, too.
    let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
    let hours = sum(|report| report.simulated.as_secs() / 3600);
    let (handouts, faults) = (sum(|report| report.counts.handouts), sum(|report| report.counts.faults));
    let (requests, calls) = (sum(|report| report.counts.requests), sum(|report| report.counts.calls));
    assert!(hours > 1000 && handouts > 50_000 && faults > 5000, "{hours} {handouts} {faults}");
    assert!(calls > handouts && requests < calls, "{calls} {handouts} {requests}");
}

#[test]
fn seed_reproduces_a_life_exactly() {
    for seed in 0..20 {
        let (one, two) = (world::run(seed), world::run(seed));
        assert_eq!((one.trace, one.simulated), (two.trace, two.simulated), "seed {seed}");
    }
    assert_ne!(world::run(1).trace, world::run(2).trace);
}

/// For each rule the promise that is seen to be broken when it is.
const NOTICED: [(Rule, &str); 26] = [
    (Rule::ExpiryMargin, "no token within 10 s of its expiry is handed out"),
    (Rule::WallClockCounts, "no token within 10 s of its expiry is handed out"),
    (Rule::BootClockCounts, "no token within 10 s of its expiry is handed out"),
    (Rule::LifetimeFromSending, "no token within 10 s of its expiry is handed out"),
    (Rule::ExpiredOnArrival, "the issuer is left alone until a token is due or a pause is over"),
    (Rule::RefreshInTime, "a quarter of the lifetime is left while the issuer answers"),
    (Rule::ShortestRefresh, "the issuer is left alone until a token is due or a pause is over"),
    (Rule::RefreshBehindCallers, "nobody waits while a usable token is held"),
    (Rule::DueIsNoticed, "a quarter of the lifetime is left while the issuer answers"),
    (Rule::ClocksAreLookedAt, "a quarter of the lifetime is left while the issuer answers"),
    (Rule::WaiterWakesKeeper, "a request is under way as soon as a caller waits for it"),
    (Rule::WaitIsBounded, "nobody waits for longer than ten seconds"),
    (Rule::SingleFlight, "one request at a time is in flight for a key"),
    (Rule::AttemptIsBounded, "when the trouble is over, tokens flow again"),
    (Rule::PanicIsCaught, "the issuer is left alone until a token is due or a pause is over"),
    (Rule::FailureIsTold, "a failure is told to all who wait"),
    (Rule::Backoff, "the issuer is left alone until a token is due or a pause is over"),
    (Rule::RetryAfter, "the issuer is left alone until a token is due or a pause is over"),
    (Rule::RetryAfterBound, "with a failure it is told when the next request will be"),
    (Rule::RefusedSlowly, "the issuer is left alone until a token is due or a pause is over"),
    (Rule::FailureMemory, "the issuer is left alone until a token is due or a pause is over"),
    (Rule::Patience, "no request is made for a token that nobody asks for"),
    (Rule::RotationEndsPause, "a failure is told while its pause lasts and no longer"),
    (Rule::RotationInFlight, "a failure is told while its pause lasts and no longer"),
    (Rule::IdleLetGo, "no request is made for a token that nobody asks for"),
    (Rule::SlotBound, "there is a bound on the tokens held"),
];

#[test]
fn every_broken_rule_is_noticed() {
    assert!(
        Rule::ALL
            .iter()
            .all(|rule| RULES.contains(rule) || NOTICED.iter().any(|(noticed, _)| noticed == rule)),
        "a rule has no promise"
    );
    for (rule, promise) in NOTICED {
        Rule::break_on_this_thread(Some(rule));
        let noticed = (0..200).find(|&seed| {
            let report = world::run(seed);
            report.violations.iter().any(|violation| violation.starts_with(promise))
        });
        Rule::break_on_this_thread(None);
        eprintln!("{rule:?} is noticed at seed {noticed:?}");
        assert!(noticed.is_some(), "{rule:?} was broken, and nobody noticed");
    }
}
