//! Two clocks: set, set back, and a machine that slept.

use super::*;

#[tokio::test(start_paused = true)]
async fn lifetime_counts_from_the_moment_of_sending() {
    let bench = Bench::new(|_| token_after(9.0, 60));
    let sent_at = bench.clock.now();
    let token = bench.ask(&key(60)).await.expect("is handed out");
    assert_eq!(token.expires_at(), sent_at.after(seconds(60.0)));
    assert_eq!(token.remaining(bench.clock.now()), seconds(51.0));
}

#[tokio::test(start_paused = true)]
async fn wall_clock_set_forward_expires_a_token_once() {
    let bench = Bench::new(|_| token_after(0.5, 3600));
    bench.ask(&hour()).await.expect("is handed out");
    pass(seconds(100.0)).await;
    bench.clock.set_wall(7200);
    assert!(bench.cache.held(&hour(), bench.cache.now()).is_none());
    let asked_at = Instant::now();
    let token = bench.ask(&hour()).await.expect("is handed out");
    assert_eq!(asked_at.elapsed(), seconds(0.5), "the refresher was woken at once");
    assert!(token.remaining(bench.clock.now()) > seconds(3500.0));
    pass(seconds(100.0)).await;
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn wall_clock_set_back_prolongs_nothing() {
    let bench = Bench::new(|request| if request == 1 { token(3600) } else { failure(DOWN) });
    let first = bench.ask(&hour()).await.expect("is handed out");
    bench.clock.set_wall(-86_400);
    for _ in 0..3589 {
        bench.ask_at_once(&hour()).await.expect("is held");
        pass(seconds(1.0)).await;
    }
    // Refreshed in time, too, not a day later.
    assert!(bench.issuer.count() > 30, "{}", bench.issuer.count());
    assert_eq!(first.remaining(bench.clock.now()), seconds(11.0));
    pass(seconds(1.0)).await;
    bench.ask_at_once(&hour()).await.expect_err("is expired");
}

#[tokio::test(start_paused = true)]
async fn setting_the_wall_clock_neither_ends_a_pause_nor_prolongs_it() {
    for by in [-86_400, 86_400] {
        let bench = Bench::new(|_| failure(REFUSED));
        bench.ask(&hour()).await.expect_err("is refused");
        bench.clock.set_wall(by);
        pass(seconds(59.0)).await;
        let told = bench.ask_at_once(&hour()).await.expect_err("is refused").retry_after();
        assert!(told.is_some_and(|left| (seconds(1.0)..=seconds(7.0)).contains(&left)), "{by}: {told:?}");
        assert_eq!(bench.cache.status()[0].retry_in, told, "{by}");
        assert_eq!(bench.issuer.count(), 1);
        pass(seconds(8.0)).await;
        assert_eq!(bench.issuer.count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn machine_suspended_for_longer_than_a_lifetime_hands_out_no_expired_token() {
    let bench = Bench::new(|_| token_after(0.5, 3600));
    let first = bench.ask(&hour()).await.expect("is handed out");
    bench.clock.suspend(HOUR * 8);
    let asked_at = Instant::now();
    let token = bench.ask(&hour()).await.expect("is handed out");
    assert_eq!(asked_at.elapsed(), seconds(0.5), "the refresher was woken at once");
    assert_ne!(token.fingerprint(), first.fingerprint());
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn first_caller_after_a_suspend_gets_the_due_token_and_has_it_refreshed() {
    let bench = Bench::new(|_| token_after(0.5, 3600));
    let first = bench.ask(&hour()).await.expect("is handed out");
    bench.ask_at_once(&hour()).await.expect("is held");
    bench.clock.suspend(seconds(3000.0));
    for _ in 0..100 {
        let due = bench.ask_at_once(&hour()).await.expect("is held");
        assert_eq!(due.fingerprint(), first.fingerprint());
    }
    settle().await;
    assert_eq!(bench.issuer.count(), 2, "in flight with no time passed");
    pass(seconds(0.5)).await;
    assert_ne!(bench.ask_at_once(&hour()).await.expect("is held").fingerprint(), first.fingerprint());
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn caller_who_comes_in_a_pause_does_not_keep_a_later_one_from_waking_the_refresher() {
    let bench = Bench::new(|request| if request == 2 { failure(REFUSED) } else { token(3600) });
    bench.ask(&hour()).await.expect("is handed out");
    bench.ask_at_once(&hour()).await.expect("is held");
    while bench.issuer.count() == 1 {
        pass(seconds(10.0)).await;
    }
    bench.ask_at_once(&hour()).await.expect("is held");
    bench.clock.suspend(seconds(70.0));
    bench.ask_at_once(&hour()).await.expect("is held");
    settle().await;
    assert_eq!(bench.issuer.count(), 3, "in flight with no time passed");
}

#[tokio::test(start_paused = true)]
async fn after_a_suspend_a_pause_that_is_over_holds_nobody_up() {
    let bench = Bench::new(|request| if request == 1 { failure(REFUSED) } else { token(3600) });
    bench.ask(&hour()).await.expect_err("is refused");
    bench.clock.suspend(HOUR);
    bench.ask_at_once(&hour()).await.expect("is handed out");
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn wall_clock_set_forward_during_the_request_is_a_failure_and_is_repeated() {
    let bench = Bench::new(|_| token_after(2.0, 3600));
    bench.cache.want(&hour()).expect("there is room");
    advance(seconds(1.0)).await;
    bench.clock.set_wall(86_400);
    let error = bench.ask(&hour()).await.expect_err("is expired on arrival, for all the clocks say");
    assert_eq!(error.kind(), TokenErrorKind::ExpiresTooSoon);
    pass(seconds(2.5)).await;
    bench.ask_at_once(&hour()).await.expect("is held");
    assert_eq!(bench.issuer.count(), 2);
}
