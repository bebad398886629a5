//! Requests when all goes well: how many, when, and who waits for them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_cause_one_request() {
    let bench = Arc::new(Bench::new(|_| token_after(2.0, 3600)));
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.ask(&hour()).await })
        })
        .collect();
    let mut fingerprints = Vec::new();
    for caller in callers {
        let token = caller.await.expect("did not panic").expect("is handed out");
        fingerprints.push(token.fingerprint().to_string());
    }
    fingerprints.dedup();
    assert_eq!((fingerprints.len(), bench.issuer.count()), (1, 1));
    assert_eq!(bench.clock.now().boot, seconds(2.0));
}

#[tokio::test(start_paused = true)]
async fn kinds_of_token_are_requested_side_by_side() {
    let bench = Bench::new(|_| token_after(2.0, 3600));
    let scoped = hour().with_scope(crate::token::Scope::new("openid").ok());
    let keys = [hour(), key(60), scoped];
    let (one, two, three) = tokio::join!(bench.ask(&keys[0]), bench.ask(&keys[1]), bench.ask(&keys[2]));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!((bench.issuer.count(), bench.slots()), (3, 3));
    assert_eq!(bench.clock.now().boot, seconds(2.0));
}

#[tokio::test(start_paused = true)]
async fn scope_that_the_issuer_does_not_name_is_the_one_asked_for() {
    let bench = Bench::new(|_| token(3600));
    let scope = crate::token::Scope::new("openid").ok();
    let scoped = bench.ask(&hour().with_scope(scope.clone())).await.expect("is there");
    assert_eq!(scoped.scope(), scope.as_ref());
    assert_eq!(bench.ask(&hour()).await.expect("is there").scope(), None);
}

#[tokio::test(start_paused = true)]
async fn caller_that_goes_away_does_not_cancel_the_request() {
    let bench = Bench::new(|_| token_after(5.0, 3600));
    let impatient = tokio::time::timeout(seconds(1.0), bench.ask(&hour())).await;
    assert!(impatient.is_err());
    pass(seconds(5.0)).await;
    bench.ask_at_once(&hour()).await.expect("the flight went on");
    assert_eq!(bench.issuer.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn due_token_is_handed_out_while_refreshing() {
    let bench = Bench::new(|request| if request == 1 { token(3600) } else { token_after(8.0, 3600) });
    let first = bench.ask(&hour()).await.expect("is handed out");
    bench.ask_at_once(&hour()).await.expect("is held");
    while bench.issuer.count() == 1 {
        pass(seconds(1.0)).await;
    }
    let age = bench.clock.now().boot.as_secs_f64();
    assert!((2394.0..=2647.0).contains(&age), "refreshed at {age} s");

    let during = bench.ask_at_once(&hour()).await.expect("is held");
    assert_eq!(during.fingerprint(), first.fingerprint());
    assert!(bench.cache.status()[0].is_due);
    pass(seconds(8.0)).await;
    let after = bench.ask_at_once(&hour()).await.expect("is held");
    assert_ne!(after.fingerprint(), first.fingerprint());
    assert!(!bench.cache.status()[0].is_due);
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn asked_token_is_refreshed_for_ever_at_seven_tenths() {
    let bench = Bench::new(|_| token_after(0.3, 600));
    let key = key(600);
    bench.ask(&key).await.expect("is handed out");
    for _ in 0..20_000 {
        let token = bench.ask_at_once(&key).await.expect("is held");
        assert!(token.remaining(bench.clock.now()) >= seconds(150.0));
        pass(seconds(7.0)).await;
    }
    // 140,000 s at 420 ± 21 s each.
    let count = bench.issuer.count();
    assert!((317..=351).contains(&count), "{count} requests");
}

#[tokio::test(start_paused = true)]
async fn idle_token_is_dropped_and_its_slot_with_it() {
    let bench = Bench::new(|_| token(3600));
    bench.ask(&hour()).await.expect("is handed out");
    pass(seconds(2390.0)).await;
    assert_eq!(bench.slots(), 1);
    pass(seconds(300.0)).await;
    assert_eq!((bench.slots(), bench.issuer.count()), (0, 1));
    // The next caller starts again.
    bench.ask(&hour()).await.expect("is handed out");
    assert_eq!((bench.slots(), bench.issuer.count()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn token_asked_for_once_since_its_refresh_is_kept() {
    let bench = Bench::new(|_| token(3600));
    bench.ask(&hour()).await.expect("is handed out");
    bench.ask_at_once(&hour()).await.expect("is held");
    pass(seconds(2700.0)).await;
    assert_eq!((bench.slots(), bench.issuer.count()), (1, 2));
    pass(seconds(2700.0)).await;
    assert_eq!((bench.slots(), bench.issuer.count()), (0, 2), "and dropped when nobody asked for the second");
}

#[tokio::test(start_paused = true)]
async fn token_that_comes_again_is_no_refresh() {
    let start = Instant::now();
    let bench = Bench::new(move |_| {
        // The other server's own refresh is late.
        let age = start.elapsed().as_secs();
        let (text, born) = if age < 3300 { ("planted.old", 0) } else { ("planted.new", 3300) };
        let issued = Issued::new(text, seconds(3600.0).saturating_sub(Duration::from_secs(age - born)));
        Step::Answer(Duration::ZERO, Ok(issued.marked_as_cached()))
    });
    let first = bench.ask(&hour()).await.expect("is handed out");
    bench.ask_at_once(&hour()).await.expect("is held");
    pass(seconds(3290.0)).await;
    assert!((25..40).contains(&bench.issuer.count()), "{} requests", bench.issuer.count());
    assert_eq!(bench.slots(), 1, "it is wanted still, though nobody has asked for a while");
    pass(seconds(60.0)).await;
    let next = bench.ask_at_once(&hour()).await.expect("is held");
    assert_ne!(next.fingerprint(), first.fingerprint());
}

#[tokio::test(start_paused = true)]
async fn slots_are_bounded_and_room_comes_back() {
    let bench = Bench::with_slots(2, |_| token(3600));
    bench.ask(&key(60)).await.expect("is handed out");
    bench.ask(&key(61)).await.expect("is handed out");
    let error = bench.ask_at_once(&key(62)).await.expect_err("is one too many");
    assert_eq!(error.kind(), TokenErrorKind::TooManyTokens);
    assert_eq!((bench.slots(), bench.issuer.count()), (2, 2));
    bench.ask_at_once(&key(60)).await.expect("those held are handed out as ever");
    pass(HOUR).await;
    bench.ask(&key(62)).await.expect("an idle one was dropped");
    assert_eq!(bench.slots(), 2);
}

#[tokio::test(start_paused = true)]
async fn token_that_nobody_asks_for_gives_way_to_one_of_another_kind() {
    let bench = Bench::with_slots(4, |_| token(3600));
    let ask = async |lifetime, owner| bench.cache.wait(&key(lifetime), owner).await;
    let is_full = |result: Result<AccessToken, TokenError>| {
        result.is_err_and(|error| error.kind() == TokenErrorKind::TooManyTokens)
    };
    for (lifetime, owner) in [(60, None), (61, None), (62, Some("a"))] {
        ask(lifetime, owner).await.expect("there is room");
        pass(seconds(1.0)).await;
    }
    let gone = [61, 62].map(|lifetime| bench.cache.0.find(&key(lifetime)).expect("is there"));
    bench.ask_at_once(&key(60)).await.expect("is held");
    pass(seconds(56.0)).await;
    assert!(is_full(ask(63, Some("a")).await), "an owner has one, which is not idle yet");
    pass(seconds(10.0)).await;
    ask(63, Some("a")).await.expect("its own is idle");
    ask(64, None).await.expect("there is room");
    assert!(
        is_full(ask(65, Some("b")).await),
        "owners have three together, and nothing of another's gives way"
    );
    ask(65, None).await.expect("another is idle");
    for (lifetime, is_held) in [(60, true), (61, false), (62, false), (63, true), (64, true), (65, true)] {
        let held = bench.cache.held(&key(lifetime), bench.cache.now());
        assert_eq!(held.is_some(), is_held, "{lifetime}");
    }
    settle().await;
    assert_eq!((bench.slots(), bench.issuer.count()), (4, 6));
    assert!(gone.iter().all(|slot| Arc::strong_count(slot) == 1), "their refreshers have ended");
}

#[tokio::test(start_paused = true)]
async fn wanted_token_is_fetched_with_nobody_waiting() {
    let bench = Bench::new(|_| token(3600));
    bench.cache.want(&hour()).expect("there is room");
    assert!(bench.cache.held(&hour(), bench.cache.now()).is_none());
    settle().await;
    bench.ask_at_once(&hour()).await.expect("is held");
    bench.cache.want(&hour()).expect("there is room");
    settle().await;
    assert_eq!(bench.issuer.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn refreshers_end_with_the_cache() {
    let bench = Bench::new(|request| if request == 1 { token(3600) } else { Step::Hang });
    bench.ask(&key(60)).await.expect("is handed out");
    bench.cache.want(&key(61)).expect("there is room");
    bench.cache.want(&key(62)).expect("there is room");
    settle().await;
    let issuer = Arc::clone(&bench.issuer);
    drop(bench);
    settle().await;
    assert_eq!(Arc::strong_count(&issuer), 1, "a task still holds the issuer");
    assert_eq!(issuer.count(), 3);
}

#[test]
fn token_outlives_the_runtime_of_its_refresher() {
    let runtime = || runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let first = runtime().expect("can be built");
    let bench = first.block_on(async {
        let bench = Bench::new(|_| token(3600));
        bench.ask(&hour()).await.expect("is handed out");
        bench
    });
    drop(first);
    assert_eq!(bench.slots(), 1);
    let second = runtime().expect("can be built");
    second.block_on(bench.ask_at_once(&hour())).expect("is held");
    assert_eq!(bench.issuer.count(), 1);
    // Nobody is left who would have noticed that it is due; the next caller does.
    bench.clock.suspend(seconds(3000.0));
    second.block_on(async {
        bench.ask_at_once(&hour()).await.expect("is held");
        settle().await;
    });
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn debug_and_status_show_no_token() {
    let bench = Bench::new(|_| token(3600));
    let token = bench.ask(&hour()).await.expect("is handed out");
    assert!(token.expose_secret().contains("planted"));
    let status = bench.cache.status();
    let shown = format!("{status:?} {status:#?}");
    assert!(!shown.contains("planted"), "{shown}");
    assert!(shown.contains(&token.fingerprint().to_string()), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn owner_has_a_share_of_the_slots_and_gets_it_back() {
    // Two for each owner; all together leave one.
    let bench = Bench::with_slots(8, |_| token(3600));
    let ask = async |seconds, owner| bench.cache.wait(&key(seconds), owner).await;
    for (seconds, owner, fits) in [
        (60, Some("a"), true),
        (61, Some("a"), true),
        (62, Some("a"), false),
        (62, Some("b"), true),
        // Made by others.
        (62, Some("a"), true),
        (60, Some("b"), true),
        (63, Some("b"), true),
        (64, Some("b"), false),
        (64, Some("c"), true),
        (65, Some("c"), true),
        (66, Some("d"), true),
        // Within its share, but the last one is for the default token.
        (67, Some("d"), false),
        (67, Some("e"), false),
        (3600, None, true),
        (67, None, false),
    ] {
        match ask(seconds, owner).await {
            Ok(_) => assert!(fits, "{seconds} {owner:?}"),
            Err(error) => {
                assert!(!fits, "{seconds} {owner:?}: {error}");
                assert_eq!(error.kind(), TokenErrorKind::TooManyTokens);
                assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
            }
        }
    }
    assert_eq!(bench.slots(), 8);
    pass(3 * HOUR).await;
    assert_eq!(bench.slots(), 0, "idle ones are dropped");
    for seconds in [62, 64] {
        ask(seconds, Some("a")).await.expect("has its share again");
    }
}

#[tokio::test(start_paused = true)]
async fn looking_whether_a_token_is_ready_is_not_asking_for_it() {
    let bench = Bench::new(|request| match request {
        1 => token(3600),
        2 => {
            Step::Answer(Duration::from_secs(1), Err(TokenError::new(TokenErrorKind::Unreachable, "planted")))
        }
        _ => Step::Hang,
    });
    bench.ask(&hour()).await.expect("is handed out");
    for _ in 0..60 {
        assert!(bench.cache.is_ready(&hour()));
        pass(Duration::from_secs(60)).await;
    }
    assert_eq!((bench.slots(), bench.issuer.count()), (0, 1), "nobody has asked");
    // What was dropped because nobody asked can be requested again.
    assert!(bench.cache.is_ready(&hour()));
    bench.cache.want(&hour()).expect("there is room");
    assert!(!bench.cache.is_ready(&hour()), "it is not there yet");
    pass(Duration::from_secs(1)).await;
    assert!(!bench.cache.is_ready(&hour()), "the request has failed");
}
