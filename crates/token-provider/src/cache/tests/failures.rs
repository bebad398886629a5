//! Requests that fail: who is told, and how long the issuer is left alone.

use super::*;

#[tokio::test(start_paused = true)]
async fn failure_is_told_to_all_who_wait_at_once() {
    let script = |_| Step::Answer(seconds(3.0), Err(TokenError::new(DOWN, "planted failure")));
    let bench = Arc::new(Bench::new(script));
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.ask(&hour()).await })
        })
        .collect();
    for caller in callers {
        let error = caller.await.expect("did not panic").expect_err("no token came");
        assert_eq!((error.kind(), error.to_string().as_str()), (DOWN, "planted failure"));
        let retry_after = error.retry_after().expect("is known").as_secs_f64();
        assert!((0.2..=0.3).contains(&retry_after), "{retry_after}");
    }
    assert_eq!((bench.clock.now().boot, bench.issuer.count()), (seconds(3.0), 1));
}

#[tokio::test(start_paused = true)]
async fn while_backing_off_callers_are_answered_at_once_and_cause_no_request() {
    let bench = Bench::new(|_| failure(DOWN));
    while bench.issuer.count() < 9 {
        let _ = bench.ask(&hour()).await;
        pass(seconds(0.05)).await;
    }
    // The pause is at its longest now: 20 to 30 s.
    let count = bench.issuer.count();
    for _ in 0..190 {
        let error = bench.ask_at_once(&hour()).await.expect_err("no token came");
        assert_eq!(error.kind(), DOWN);
        assert!(error.retry_after().is_some_and(|left| left <= seconds(30.0)));
        pass(seconds(0.1)).await;
    }
    assert_eq!(bench.issuer.count(), count);
    let gaps = bench.issuer.gaps();
    for (index, gap) in gaps.iter().enumerate() {
        let step = f64::min(0.2 * f64::from(1_u32 << index), 20.0);
        assert!((step..=step * 1.5 + 0.06).contains(gap), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn held_token_is_handed_out_through_an_outage_and_not_a_second_longer() {
    let bench = Bench::new(|request| if request == 1 { token(3600) } else { failure(DOWN) });
    let first = bench.ask(&hour()).await.expect("is handed out");
    loop {
        let left = first.remaining(bench.clock.now());
        let answer = bench.ask_at_once(&hour()).await;
        if left > seconds(10.0) {
            assert_eq!(answer.expect("is held").fingerprint(), first.fingerprint());
        } else {
            assert_eq!(answer.expect_err("is expired").kind(), DOWN);
            break;
        }
        pass(seconds(0.5)).await;
    }
    let status = &bench.cache.status()[0];
    assert!(status.token.is_none() && status.failures > 30 && status.remaining.is_zero(), "{status:?}");
    // The last quarter of an hour at one request in 20 to 30 s.
    assert!((40..=70).contains(&bench.issuer.count()), "{}", bench.issuer.count());
}

#[tokio::test(start_paused = true)]
async fn tokens_flow_again_when_the_issuer_is_back() {
    let bench = Bench::new(|request| if request <= 9 { failure(DOWN) } else { token(3600) });
    let _ = bench.ask(&hour()).await;
    while bench.issuer.count() < 9 {
        pass(seconds(0.1)).await;
    }
    pass(seconds(30.0)).await;
    bench.ask_at_once(&hour()).await.expect("came with nobody asking");
    let status = &bench.cache.status()[0];
    assert_eq!((status.failures, status.last_error.is_none(), status.retry_in), (0, true, None));
}

#[tokio::test(start_paused = true)]
async fn failures_are_shown_while_the_next_request_hangs_and_until_one_succeeds() {
    let slow = || Step::Answer(seconds(10.0), Err(TokenError::new(DOWN, "planted failure")));
    let bench = Bench::new(move |request| match request {
        1 => token(3600),
        2..=20 => slow(),
        _ => token_after(10.0, 3600),
    });
    bench.ask(&hour()).await.expect("is handed out");
    while bench.issuer.count() < 2 {
        pass(seconds(1.0)).await;
        let _ = bench.ask(&hour()).await;
    }
    // From the end of the first failed request to the end of the one that succeeds.
    pass(seconds(11.0)).await;
    let mut most = 0;
    while most < 19 {
        let status = bench.cache.status().remove(0);
        assert!(status.failures >= most.max(1) && status.last_error.is_some(), "{status:?} after {most}");
        most = status.failures;
        pass(seconds(1.0)).await;
    }
    while bench.issuer.count() < 21 {
        pass(seconds(1.0)).await;
    }
    assert_eq!(bench.cache.status()[0].failures, 19);
    pass(seconds(10.0)).await;
    let status = bench.cache.status().remove(0);
    assert!(status.failures == 0 && status.last_error.is_none(), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_that_nobody_asks_for_end_and_the_slot_is_dropped() {
    let bench = Bench::new(|_| failure(DOWN));
    bench.ask(&hour()).await.expect_err("no token came");
    pass(seconds(170.0)).await;
    // One for the caller, and ten retries that nobody asked for.
    assert_eq!((bench.issuer.count(), bench.slots()), (11, 1));
    pass(seconds(250.0)).await;
    assert_eq!((bench.issuer.count(), bench.slots()), (11, 1), "remembered for the sake of the backoff");

    // A caller who comes back causes one request, and finds the pause as long as it was.
    bench.ask(&hour()).await.expect_err("no token came");
    assert_eq!(bench.issuer.count(), 12);
    pass(seconds(19.0)).await;
    assert_eq!(bench.issuer.count(), 12);
    assert_eq!(bench.cache.status()[0].failures, 12);
    pass(seconds(700.0)).await;
    assert_eq!(bench.slots(), 0);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    let throttled = || {
        TokenError::new(TokenErrorKind::Throttled, "planted failure").with_retry_after(Some(seconds(120.0)))
    };
    let bench = Bench::new(move |_| Step::Answer(Duration::ZERO, Err(throttled())));
    let error = bench.ask(&hour()).await.expect_err("no token came");
    let left = error.retry_after().expect("is known");
    assert!((seconds(120.0)..=seconds(132.0)).contains(&left), "{left:?}");
    pass(seconds(119.0)).await;
    bench.cache.credential_changed();
    settle().await;
    assert_eq!(bench.issuer.count(), 1, "another credential is no reason to ask sooner");
    pass(seconds(14.0)).await;
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn refused_credential_is_tried_again_after_a_minute_and_at_once_when_changed() {
    let bench = Bench::new(|request| if request < 3 { failure(REFUSED) } else { token(3600) });
    bench.ask(&hour()).await.expect_err("is refused");
    pass(seconds(59.0)).await;
    assert_eq!(bench.issuer.count(), 1);
    assert_eq!(bench.ask_at_once(&hour()).await.expect_err("is refused").kind(), REFUSED);
    pass(seconds(8.0)).await;
    assert_eq!(bench.issuer.count(), 2);
    bench.cache.credential_changed();
    settle().await;
    assert_eq!(bench.issuer.count(), 3);
    bench.ask_at_once(&hour()).await.expect("is held");
}

#[tokio::test(start_paused = true)]
async fn caller_at_the_moment_of_a_change_is_not_told_of_the_old_credentials_refusal() {
    let bench = Bench::new(|request| if request < 2 { failure(REFUSED) } else { token(3600) });
    bench.ask(&hour()).await.expect_err("is refused");
    bench.cache.credential_changed();
    // The refresher has had no time to wake.
    bench.ask(&hour()).await.expect("came with the new credential");
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn credential_that_changed_during_the_request_is_tried_at_once() {
    let bench = Bench::new(|request| match request {
        1 => Step::Answer(seconds(2.0), Err(TokenError::new(REFUSED, "planted failure"))),
        _ => token(3600),
    });
    bench.cache.want(&hour()).expect("there is room");
    pass(seconds(1.0)).await;
    bench.cache.credential_changed();
    pass(seconds(1.1)).await;
    assert_eq!(bench.issuer.count(), 2, "the refusal was about the old credential");
    bench.ask_at_once(&hour()).await.expect("is held");
    pass(seconds(100.0)).await;
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn token_that_arrives_expired_is_a_failure_and_causes_no_busy_loop() {
    for expires_in in [0, 1, 9, 10] {
        let bench = Bench::new(move |_| token(expires_in));
        for _ in 0..600 {
            let error = bench.ask(&hour()).await.expect_err("cannot be handed out");
            assert_eq!(error.kind(), TokenErrorKind::ExpiresTooSoon);
            pass(seconds(1.0)).await;
        }
        // Seven steps up to 20 s, then one in 20 to 30 s.
        assert!((24..=38).contains(&bench.issuer.count()), "{expires_in}: {}", bench.issuer.count());
    }
}

#[tokio::test(start_paused = true)]
async fn worse_token_does_not_take_a_good_ones_place() {
    let bench = Bench::new(|request| if request == 1 { token(3600) } else { token(5) });
    let first = bench.ask(&hour()).await.expect("is handed out");
    bench.ask_at_once(&hour()).await.expect("is held");
    pass(seconds(3000.0)).await;
    assert!(bench.issuer.count() > 2);
    assert_eq!(bench.ask_at_once(&hour()).await.expect("is held").fingerprint(), first.fingerprint());
}

#[tokio::test(start_paused = true)]
async fn shortest_tokens_are_a_second_apart() {
    for expires_in in [11, 12, 13] {
        let bench = Bench::new(move |_| token(expires_in));
        for _ in 0..500 {
            let _ = bench.ask(&hour()).await;
            pass(seconds(0.1)).await;
        }
        let shortest = bench.issuer.gaps().into_iter().fold(f64::INFINITY, f64::min);
        assert!(shortest >= 1.0, "{expires_in}: {shortest}");
        assert!(bench.issuer.count() >= 15, "{expires_in}: {}", bench.issuer.count());
    }
}

#[tokio::test(start_paused = true)]
async fn issuer_that_panics_has_failed_like_any_other() {
    let bench = Bench::new(|request| match request {
        1 => Step::Panic,
        2 => Step::PanicBeforeTheFuture,
        _ => token(3600),
    });
    for failures in 1..=2 {
        let error = bench.ask(&hour()).await.expect_err("no token came");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (TokenErrorKind::IssuerPanicked, "the issuer panicked")
        );
        assert_eq!((bench.issuer.count(), bench.slots()), (failures, 1));
        pass(error.retry_after().expect("is known").saturating_sub(seconds(0.001))).await;
        assert_eq!(bench.issuer.count(), failures);
        pass(seconds(0.002)).await;
    }
    bench.ask_at_once(&hour()).await.expect("is held");
}

#[tokio::test(start_paused = true)]
async fn issuer_that_never_answers_is_given_up() {
    let bench = Bench::new(|request| if request == 1 { Step::Hang } else { token(3600) });
    let error = bench.ask(&hour()).await.expect_err("no token came");
    assert_eq!(error.kind(), TokenErrorKind::TimedOut);
    assert_eq!(bench.clock.now().boot, seconds(60.0));
    pass(seconds(1.0)).await;
    bench.ask_at_once(&hour()).await.expect("is held");
}
