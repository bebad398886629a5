//! Tables and properties of the schedule.

use proptest::prelude::*;

use super::*;
use crate::error::TokenErrorKind;

const TRANSIENT: TokenErrorKind = TokenErrorKind::Unreachable;
const REFUSED: TokenErrorKind = TokenErrorKind::Rejected { status: 401, code: Some(401_300) };

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn refresh_points() {
    // lifetime, chance, refresh point
    let table = [
        (3600.0, 0.5, 2520.0),
        (3600.0, 0.0, 2394.0),
        (3600.0, 1.0, 2646.0),
        (60.0, 0.5, 42.0),
        (20.0, 0.5, 8.5),
        (11.0, 0.5, 1.0),
        (1.0, 0.5, 1.0),
        (0.0, 0.5, 1.0),
    ];
    for (lifetime, chance, point) in table {
        assert_eq!(refresh_after(seconds(lifetime), chance), seconds(point), "{lifetime} {chance}");
    }
}

#[test]
fn pauses_before_asking_a_cache_again() {
    // left, chance, pause
    let table =
        [(1080.0, 0.0, 43.2), (1080.0, 1.0, 32.4), (79.5, 0.0, 3.18), (20.0, 0.0, 1.0), (0.0, 0.0, 1.0)];
    for (left, chance, pause) in table {
        assert_eq!(ask_again_after(seconds(left), chance), seconds(pause), "{left} {chance}");
    }
}

#[test]
fn states_change_at_their_points() {
    let due = seconds(1080.0);
    assert_eq!(freshness(seconds(3600.0), due), Freshness::Fresh);
    assert_eq!(freshness(seconds(1080.0), due), Freshness::Due);
    assert_eq!(freshness(seconds(10.001), due), Freshness::Due);
    assert_eq!(freshness(seconds(10.0), due), Freshness::Expired);
    assert_eq!(freshness(Duration::ZERO, due), Freshness::Expired);
}

#[test]
fn backoff_doubles_to_its_bound() {
    let error = TokenError::new(TRANSIENT, "x");
    let waits: Vec<f64> = (1..=9).map(|failures| retry_after(&error, failures, 0.0).as_secs_f64()).collect();
    assert_eq!(waits, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20.0, 20.0]);
    assert_eq!(retry_after(&error, u32::MAX, 1.0), seconds(30.0));
}

#[test]
fn retry_after_is_honoured_up_to_five_minutes() {
    let throttled = |span| {
        TokenError::new(TokenErrorKind::Throttled, "x").with_retry_after(Some(Duration::from_secs(span)))
    };
    assert_eq!(retry_after(&throttled(0), 1, 0.0), seconds(0.2));
    assert_eq!(retry_after(&throttled(7), 1, 0.0), seconds(7.0));
    assert_eq!(retry_after(&throttled(7), 9, 0.0), seconds(20.0));
    assert_eq!(retry_after(&throttled(86_400), 1, 0.0), seconds(300.0));
}

#[test]
fn refused_credential_is_tried_once_a_minute() {
    let error = TokenError::new(REFUSED, "x");
    for failures in [1, 2, 100] {
        assert_eq!(retry_after(&error, failures, 0.0), seconds(60.0));
    }
}

/// How many of a thousand points fall into the busiest span of this length.
fn busiest(points: &[Duration], span: Duration) -> usize {
    let within = |from: Duration| {
        points.iter().filter(|&&point| point >= from && point < from.saturating_add(span)).count()
    };
    points.iter().map(|&from| within(from)).max().unwrap_or(0)
}

#[test]
fn a_thousand_instances_spread() {
    let chances = || (0..1000).map(|index| f64::from(index) / 1000.0);
    // 252 s of spread for 1,000 refreshes: about four a second.
    let refreshes: Vec<Duration> = chances().map(|chance| refresh_after(seconds(3600.0), chance)).collect();
    assert!(busiest(&refreshes, seconds(1.0)) <= 5);
    // 10 s of spread after a long outage: a hundred a second, where all at once would be a thousand.
    let down = TokenError::new(TRANSIENT, "x");
    let retries: Vec<Duration> = chances().map(|chance| retry_after(&down, 20, chance)).collect();
    assert!(busiest(&retries, seconds(1.0)) <= 101);
    // And after a pause that all of them were told.
    let throttled = TokenError::new(TokenErrorKind::Throttled, "x").with_retry_after(Some(seconds(120.0)));
    let told: Vec<Duration> = chances().map(|chance| retry_after(&throttled, 1, chance)).collect();
    assert!(busiest(&told, seconds(1.0)) <= 85);
}

#[test]
fn requests_of_a_failing_day_are_few() {
    // The most that chance allows: 8,640 pauses would be 10 s each.
    let down = TokenError::new(TRANSIENT, "x");
    let mut at = Duration::ZERO;
    let requests = (1..10_000).find(|&failures| {
        at += retry_after(&down, failures, 0.0);
        at >= seconds(86_400.0)
    });
    assert_eq!(requests, Some(4326));
}

proptest! {
    #[test]
    fn refresh_is_never_hot_and_never_needlessly_late(lifetime in 0_u64..=2_592_000, chance in 0.0..1.0) {
        let lifetime = Duration::from_secs(lifetime);
        let point = refresh_after(lifetime, chance);
        prop_assert!(point >= SHORTEST_REFRESH);
        if lifetime >= EXPIRY_MARGIN + Duration::from_secs(2) {
            prop_assert!(point < lifetime.saturating_sub(EXPIRY_MARGIN));
            let left = lifetime.saturating_sub(point);
            prop_assert!(freshness(left, left) == Freshness::Due);
        }
        if lifetime >= Duration::from_secs(60) {
            prop_assert!(lifetime.saturating_sub(point) >= lifetime.mul_f64(0.264));
            prop_assert!(point >= lifetime.mul_f64(0.664));
        }
    }

    #[test]
    fn retry_is_within_bounds(
        failures in 1_u32..10_000,
        chance in 0.0..1.0,
        asked in proptest::option::of(0_u64..1_000_000),
        transient: bool,
    ) {
        let error = TokenError::new(if transient { TRANSIENT } else { REFUSED }, "x")
            .with_retry_after(asked.map(Duration::from_secs));
        let wait = retry_after(&error, failures, chance);
        prop_assert!(wait >= FIRST_RETRY);
        prop_assert!(wait <= LONGEST_RETRY_AFTER.mul_f64(1.1));
        if asked.is_none() && transient {
            prop_assert!(wait <= seconds(30.0));
            prop_assert!(wait <= retry_after(&error, failures + 1, 0.0).mul_f64(1.0 + RETRY_JITTER));
        }
        prop_assert!(wait >= Duration::from_secs(asked.unwrap_or(0).min(300)));
    }

    #[test]
    fn refresh_is_later_for_a_longer_life(
        short in 0_u64..=2_592_000,
        more in 0_u64..=86_400,
        chance in 0.0..1.0,
    ) {
        let point = |lifetime| refresh_after(Duration::from_secs(lifetime), chance);
        prop_assert!(point(short) <= point(short + more));
    }

    #[test]
    fn states_come_in_their_order(left in 0_u64..=4000, less in 0_u64..=4000, due in 0_u64..=4000) {
        let rank = |left| match freshness(Duration::from_secs(left), Duration::from_secs(due)) {
            Freshness::Fresh => 0,
            Freshness::Due => 1,
            Freshness::Expired => 2,
        };
        prop_assert!(rank(left) <= rank(left.saturating_sub(less)));
    }

    /// However an issuer answers, requests stay below one a second in the long run.
    #[test]
    fn no_answers_make_a_hot_loop(
        answers in proptest::collection::vec(
            prop_oneof![
                (0_u64..=20).prop_map(Some),
                Just(None),
            ],
            50..200,
        ),
        chance in 0.0..1.0,
    ) {
        let down = TokenError::new(TRANSIENT, "x");
        let (mut at, mut failures) = (Duration::ZERO, 0);
        for expires_in in &answers {
            let lifetime = expires_in.map(Duration::from_secs).filter(|&lifetime| lifetime > EXPIRY_MARGIN);
            // What expires on arrival is a failure like none at all.
            at += if let Some(lifetime) = lifetime {
                failures = 0;
                refresh_after(lifetime, chance)
            } else {
                failures += 1;
                retry_after(&down, failures, chance)
            };
        }
        // At worst failure and shortest token take turns, at 0.2 and 1 s.
        let worst = Duration::from_millis(600) * u32::try_from(answers.len()).unwrap_or(0);
        prop_assert!(at >= worst.saturating_sub(seconds(1.0)), "{} requests in {at:?}", answers.len());
    }

    #[test]
    fn extreme_spans_do_not_overflow(lifetime: u64, asked: u64, failures: u32, chance in 0.0..1.0) {
        let lifetime = Duration::from_secs(lifetime);
        prop_assert!(refresh_after(lifetime, chance) >= SHORTEST_REFRESH);
        prop_assert!(refresh_after(Duration::MAX, chance) >= SHORTEST_REFRESH);
        let error = TokenError::new(TokenErrorKind::Throttled, "x").with_retry_after(Some(Duration::from_secs(asked)));
        prop_assert!(retry_after(&error, failures, chance) <= LONGEST_RETRY_AFTER.mul_f64(1.1));
    }
}
