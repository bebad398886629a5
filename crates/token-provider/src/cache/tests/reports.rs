//! Tokens that services refuse: what callers get, and how many requests reports lead to.

use super::*;

const ACCEPTED: ReportOutcome = ReportOutcome::Accepted;
const LIMITED: ReportOutcome = ReportOutcome::Limited;
const UNKNOWN: ReportOutcome = ReportOutcome::Unknown;

impl Bench {
    /// Asks, and expects a token without any wait.
    async fn text(&self, key: &TokenKey) -> String {
        self.ask_at_once(key).await.expect("is held").expose_secret().to_owned()
    }

    /// Reports the token that is held.
    async fn report(&self, key: &TokenKey) -> ReportOutcome {
        let text = self.text(key).await;
        let outcome = self.cache.report(Fingerprint::of(text.as_bytes()));
        settle().await;
        outcome
    }

    /// Returns for how many kinds of token the last request failed.
    fn failing(&self) -> usize {
        self.cache.status().iter().filter(|slot| slot.failures > 0).count()
    }
}

/// Requests, in seconds since the start of the test.
fn requests(bench: &Bench, start: Instant) -> Vec<u64> {
    let log = bench.issuer.log.lock().expect("no test panics with it");
    log.iter().map(|at| (*at - start).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn reported_token_is_handed_out_until_its_successor_is_there_and_never_again() {
    let bench = Bench::new(|_| token_after(2.0, 3600));
    let first = bench.ask(&hour()).await.expect("is handed out").expose_secret().to_owned();
    assert_eq!(bench.cache.report(Fingerprint::of(first.as_bytes())), ACCEPTED);
    settle().await;
    assert_eq!(bench.issuer.count(), 2, "at once");
    assert_eq!(bench.cache.report(Fingerprint::of(first.as_bytes())), ACCEPTED, "its successor is under way");
    pass(seconds(1.9)).await;
    assert_eq!(bench.text(&hour()).await, first);
    pass(seconds(0.2)).await;
    let second = bench.text(&hour()).await;
    assert_ne!(second, first);
    assert_eq!(bench.cache.report(Fingerprint::of(first.as_bytes())), UNKNOWN, "is held no longer");
    pass(seconds(2000.0)).await;
    assert_eq!((bench.text(&hour()).await, bench.issuer.count()), (second, 2), "once is enough");
}

#[tokio::test(start_paused = true)]
async fn token_that_is_not_held_is_unknown() {
    let bench = Bench::new(|_| token(60));
    let text = bench.ask(&key(60)).await.expect("is handed out").expose_secret().to_owned();
    for other in ["", "planted", text.trim_start_matches('p'), &format!("{text}x"), &text.to_uppercase()] {
        assert_eq!(bench.cache.report(Fingerprint::of(other.as_bytes())), UNKNOWN, "{other}");
    }
    // A second before its end it is handed out to nobody.
    pass(seconds(59.0)).await;
    assert_eq!(bench.cache.report(Fingerprint::of(text.as_bytes())), UNKNOWN);
    pass(seconds(59.0)).await;
    assert_eq!(bench.issuer.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_request_for_a_successor_doubles_the_pause() {
    let start = Instant::now();
    let bench = Bench::new(|_| token(86_400));
    let day = key(86_400);
    bench.ask(&day).await.expect("is handed out");
    assert_eq!(bench.report(&day).await, ACCEPTED);
    for _ in 0..1500 {
        bench.report(&day).await;
        pass(seconds(1.0)).await;
    }
    assert_eq!(requests(&bench, start), [0, 0, 10, 30, 70, 150, 310, 610, 910, 1210]);
    // One that comes too soon is made good for once it may be.
    assert_eq!(bench.report(&day).await, LIMITED);
    pass(seconds(20.0)).await;
    assert_eq!(bench.issuer.count(), 11);
    // Ten minutes without one, and all is as at first.
    pass(seconds(579.0)).await;
    assert_eq!(bench.report(&day).await, ACCEPTED, "after five minutes, and the pause is as long as before");
    pass(seconds(301.0)).await;
    assert_eq!(bench.report(&day).await, ACCEPTED);
    pass(seconds(11.0)).await;
    assert_eq!(bench.report(&day).await, LIMITED);
    pass(seconds(601.0)).await;
    assert_eq!(bench.report(&day).await, ACCEPTED);
    pass(seconds(10.0)).await;
    assert_eq!(bench.report(&day).await, ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn all_kinds_together_lead_to_ten_requests_a_minute() {
    let bench = Bench::new(|_| token(86_400));
    let keys: Vec<TokenKey> = (0..25).map(|number| key(86_400 - number)).collect();
    for key in &keys {
        bench.ask(key).await.expect("is handed out");
    }
    let mut outcomes = Vec::new();
    for key in &keys {
        outcomes.push(bench.report(key).await);
    }
    assert_eq!(outcomes, [[ACCEPTED; 10].as_slice(), &[LIMITED; 15]].concat());
    for expected in [10, 20, 25, 25] {
        assert_eq!(bench.issuer.count() - keys.len(), expected);
        pass(seconds(59.8)).await;
        assert_eq!(bench.issuer.count() - keys.len(), expected);
        pass(seconds(0.2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn reports_lead_to_no_request_while_the_issuer_fails_and_leave_nobody_without_a_token() {
    let bench = Bench::new(|request| if (2..6).contains(&request) { failure(DOWN) } else { token(3600) });
    let first = bench.ask(&hour()).await.expect("is handed out").expose_secret().to_owned();
    assert_eq!(bench.report(&hour()).await, ACCEPTED);
    let mut outcomes = Vec::new();
    while bench.issuer.count() < 6 {
        let before = bench.issuer.count();
        outcomes.push(bench.report(&hour()).await);
        assert_eq!(bench.issuer.count(), before);
        pass(seconds(0.05)).await;
    }
    assert!(outcomes.iter().all(|outcome| *outcome == LIMITED), "{outcomes:?}");
    // 0.2, 0.4, 0.8 and 1.6 s, each up to half as long again: as without reports.
    let gaps = bench.issuer.gaps();
    for (gap, least) in gaps[1..].iter().zip([0.2, 0.4, 0.8, 1.6]) {
        assert!((least..=1.5 * least + 0.01).contains(gap), "{gaps:?}");
    }
    assert_ne!(bench.text(&hour()).await, first);
}

#[tokio::test(start_paused = true)]
async fn reports_against_a_refused_credential_lead_to_a_request_a_minute() {
    let bench = Bench::new(|request| if request == 1 { token(3600) } else { failure(REFUSED) });
    bench.ask(&hour()).await.expect("is handed out");
    for _ in 0..600 {
        bench.report(&hour()).await;
        pass(seconds(1.0)).await;
    }
    let count = bench.issuer.count();
    assert!((10..=11).contains(&count), "{count} requests");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_reports_a_second_lead_to_a_few_requests() {
    const CALLERS: usize = 100;
    for is_away in [false, true] {
        let bench = Arc::new(Bench::new(move |request| {
            if is_away && request > 5 { failure_after(0.2, DOWN) } else { token_after(0.2, 86_400) }
        }));
        let keys: Vec<TokenKey> = (0..5).map(|number| key(86_400 - number)).collect();
        for key in &keys {
            bench.ask(key).await.expect("is handed out");
        }
        if is_away {
            bench.report(&keys[0]).await;
            pass(seconds(0.3)).await;
        }
        let start = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (bench, key) = (Arc::clone(&bench), keys[caller % keys.len()].clone());
                tokio::spawn(async move {
                    while start.elapsed() < seconds(30.0) {
                        let text = bench.text(&key).await;
                        assert_ne!(bench.cache.report(Fingerprint::of(text.as_bytes())), UNKNOWN);
                        sleep(seconds(0.01)).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("finds a token each time");
        }
        let count = bench.issuer.count() - keys.len();
        if is_away {
            // The first backs off, and one more finds out. For each it is 0.2 s doubled, up to half as long again.
            assert_eq!(bench.failing(), 2);
            assert!(count <= 2 * 9, "{count} requests");
        } else {
            // At once and after 10 s.
            assert_eq!(count, 10);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refresh_that_is_under_way_is_the_successor() {
    let bench = Bench::new(|_| token_after(5.0, 3600));
    bench.ask(&hour()).await.expect("is handed out");
    bench.ask_at_once(&hour()).await.expect("is held");
    while bench.issuer.count() == 1 {
        pass(seconds(1.0)).await;
    }
    let first = bench.text(&hour()).await;
    assert_eq!(bench.report(&hour()).await, ACCEPTED);
    pass(seconds(6.0)).await;
    assert_ne!(bench.text(&hour()).await, first);
    assert_eq!(bench.issuer.count(), 2);
}

/// A token with so many seconds left, out of an issuer's cache.
fn cached(text: &str, left: u64) -> Step {
    Step::Answer(Duration::ZERO, Ok(Issued::new(text, Duration::from_secs(left)).marked_as_cached()))
}

#[tokio::test(start_paused = true)]
async fn token_that_comes_again_is_no_successor_and_is_asked_for_again_after_the_pause() {
    let start = Instant::now();
    // Once as one that is new by its own word.
    for is_cached in [true, false] {
        let bench = Bench::new(move |request| {
            let text = if request < 6 { "planted.old" } else { "planted.new" };
            match cached(text, 3600) {
                Step::Answer(_, Ok(issued)) if !is_cached => {
                    Step::Answer(Duration::ZERO, Ok(Issued { is_from_cache: false, ..issued }))
                }
                step => step,
            }
        });
        let start = start + start.elapsed();
        bench.ask(&hour()).await.expect("is handed out");
        assert_eq!(bench.report(&hour()).await, ACCEPTED);
        assert_eq!(bench.report(&hour()).await, LIMITED, "there is no other yet");
        pass(seconds(140.0)).await;
        assert_eq!(bench.text(&hour()).await, "planted.old");
        pass(seconds(20.0)).await;
        assert_eq!(bench.text(&hour()).await, "planted.new");
        assert_eq!(requests(&bench, start), [0, 0, 10, 30, 70, 150]);
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_servers_none_brings_a_reported_token_back() {
    // They take turns, and each has its own.
    let bench = Bench::new(|request| match request {
        1 => cached("planted.a", 3000),
        2 => cached("planted.b", 1000),
        3 | 4 => cached("planted.a", 2500),
        _ => cached("planted.c", 3600),
    });
    bench.ask(&hour()).await.expect("is handed out");
    assert_eq!(bench.report(&hour()).await, ACCEPTED);
    assert_eq!(bench.text(&hour()).await, "planted.b", "it lives shorter, but it was not refused");
    assert_eq!(bench.report(&hour()).await, LIMITED);
    pass(seconds(11.0)).await;
    assert_eq!(bench.issuer.count(), 3);
    assert_eq!(bench.text(&hour()).await, "planted.b");
    pass(seconds(60.0)).await;
    assert_eq!((bench.issuer.count(), bench.text(&hour()).await), (5, "planted.c".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn nothing_but_a_reported_token_is_better_than_none() {
    let bench = Bench::new(|_| cached("planted.old", 60));
    bench.ask(&key(60)).await.expect("is handed out");
    assert_eq!(bench.report(&key(60)).await, ACCEPTED);
    pass(seconds(55.0)).await;
    assert!(bench.ask(&key(60)).await.is_ok());
}

/// Issues tokens by number, and notes what it is told.
struct Upstream {
    log: Mutex<Vec<String>>,
    /// What becomes of a report.
    on_report: Option<Duration>,
    /// How long a token takes.
    takes: Duration,
}

impl Issue for Upstream {
    async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
        sleep(self.takes).await;
        let mut log = self.log.lock().expect("no test panics with it");
        let text = format!("planted.{}", log.len());
        log.push(format!("issued {text}"));
        Ok(Issued::new(text, HOUR))
    }

    async fn report(&self, token: &AccessToken) {
        self.log.lock().expect("no test panics with it").push(format!("refused {}", token.expose_secret()));
        match self.on_report {
            Some(takes) => sleep(takes).await,
            None if token.expose_secret() == "planted.0" => panic!("planted panic"),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn issuer_is_told_first_and_asked_then_whatever_it_makes_of_that() {
    for (on_report, waits) in [(Some(Duration::ZERO), [0, 0]), (Some(seconds(1.0)), [1, 1]), (None, [0, 3])] {
        let upstream = Arc::new(Upstream { log: Mutex::default(), on_report, takes: Duration::ZERO });
        let clock = TestClock::new();
        let cache =
            Cache::new(AnyIssuer::new(AnyIssuer::new(Arc::clone(&upstream))), Arc::new(clock), 8, Some(1));
        let mut token = cache.wait(&hour(), None).await.expect("is handed out");
        for wait in waits {
            assert_eq!(cache.report(token.fingerprint()), ACCEPTED);
            let since = Instant::now();
            let next = loop {
                let held = cache.held(&hour(), cache.now()).expect("is held");
                if held.fingerprint() != token.fingerprint() {
                    break held;
                }
                pass(seconds(0.001)).await;
            };
            assert_eq!(since.elapsed().as_secs(), wait, "{on_report:?}");
            token = next;
            pass(seconds(30.0)).await;
        }
        let log = upstream.log.lock().expect("no test panics with it");
        let expected = [
            "issued planted.0",
            "refused planted.0",
            "issued planted.2",
            "refused planted.2",
            "issued planted.4",
        ];
        assert_eq!(*log, expected, "{on_report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn issuer_is_told_of_what_is_reported_or_replaced_while_the_successor_is_under_way() {
    for is_reported in [true, false] {
        let on_report = Some(Duration::ZERO);
        let upstream = Arc::new(Upstream { log: Mutex::default(), on_report, takes: seconds(1.0) });
        let issuer = AnyIssuer::new(Arc::clone(&upstream));
        let cache = Cache::new(issuer, Arc::new(TestClock::new()), 8, Some(1));
        cache.wait(&hour(), None).await.expect("is handed out");
        let token = cache.held(&hour(), cache.now()).expect("is held");
        while !cache.status()[0].is_due {
            pass(seconds(0.5)).await;
        }
        if is_reported {
            assert_eq!(cache.report(token.fingerprint()), ACCEPTED);
        } else {
            cache.replace_all();
        }
        pass(seconds(4.0)).await;
        let log = upstream.log.lock().expect("no test panics with it");
        let expected = ["issued planted.0", "issued planted.1", "refused planted.0"];
        let replaced = ["refused planted.1", "issued planted.4"];
        assert_eq!(log[..3], expected);
        assert_eq!(log[3..], replaced[..if is_reported { 0 } else { 2 }]);
    }
}

#[tokio::test(start_paused = true)]
async fn report_that_the_issuer_does_not_take_is_in_the_log() {
    let (mut log, writer) = std::io::pipe().expect("can be made");
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(Mutex::new(writer));
    let listening = tracing::subscriber::set_default(subscriber.finish());
    let upstream = Upstream { log: Mutex::new(vec![String::new()]), on_report: None, takes: Duration::ZERO };
    let cache = Cache::new(AnyIssuer::new(upstream), Arc::new(TestClock::new()), 8, Some(1));
    let token = cache.wait(&hour(), None).await.expect("is handed out");
    assert_eq!(cache.report(token.fingerprint()), ACCEPTED);
    pass(seconds(4.0)).await;
    drop((listening, cache));
    settle().await;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut log, &mut text).expect("can be read");
    assert!(text.contains("the issuer did not take the report of a refused token within 3 s"), "{text}");
    assert!(!text.contains("planted"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn all_tokens_are_replaced_one_after_the_other_and_idle_ones_dropped_where_that_is_wanted() {
    for is_idle_dropped in [false, true] {
        let bench = Bench::new(|request| token_after(if request > 30 { 0.5 } else { 0.0 }, 3600));
        let keys: Vec<TokenKey> = (0..30).map(|number| key(3600 - number)).collect();
        let mut before = Vec::new();
        for key in &keys {
            before.push(bench.ask(key).await.expect("is handed out").fingerprint());
        }
        for key in &keys[..20] {
            bench.text(key).await;
        }
        pass(seconds(1.0)).await;
        for _ in 0..1000 {
            if is_idle_dropped {
                bench.cache.drop_unused();
            }
            bench.cache.replace_all();
        }
        let kept = if is_idle_dropped { 20 } else { 30 };
        assert_eq!((bench.slots(), bench.issuer.count()), (kept, 30), "nobody has waited");
        pass(seconds(20.0)).await;
        for (key, before) in keys[..kept].iter().zip(before) {
            assert_ne!(bench.ask_at_once(key).await.expect("is held").fingerprint(), before);
        }
        let log = bench.issuer.log.lock().expect("no test panics with it").clone();
        assert_eq!(log.len(), 30 + kept, "each was requested once");
        let gaps = log[30..].windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.min() >= Some(seconds(0.5)), "one after the other");
    }
}

#[tokio::test(start_paused = true)]
async fn replacement_that_is_asked_for_meanwhile_is_one_more_round() {
    let bench = Bench::new(|request| token_after(if request > 4 { 1.0 } else { 0.0 }, 3600));
    let keys = [3600, 3599, 3598, 3597].map(key);
    for key in &keys {
        bench.ask(key).await.expect("is handed out");
    }
    for _ in 0..20 {
        for key in &keys {
            bench.text(key).await;
        }
        bench.cache.replace_all();
        pass(seconds(0.1)).await;
    }
    for _ in 0..200 {
        for key in &keys {
            bench.text(key).await;
        }
        pass(seconds(0.1)).await;
    }
    // In the first round the third and the fourth were requested after the last call.
    assert_eq!(bench.issuer.count(), 4 + 4 + 2);
}

#[tokio::test(start_paused = true)]
async fn token_that_was_under_way_is_replaced_as_well() {
    let bench = Arc::new(Bench::new(|_| token_after(2.0, 3600)));
    let waiting = Arc::clone(&bench);
    let caller = tokio::spawn(async move { waiting.ask(&hour()).await });
    pass(seconds(1.0)).await;
    bench.cache.replace_all();
    let first = caller.await.expect("did not panic").expect("is handed out").expose_secret().to_owned();
    assert_eq!(bench.text(&hour()).await, first, "is held until its successor is there");
    pass(seconds(3.0)).await;
    assert_ne!(bench.text(&hour()).await, first);
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn replacement_leaves_nobody_without_a_token_while_the_issuer_fails() {
    let start = Instant::now();
    let bench = Bench::new(move |request| {
        let is_down = request > 3 && start.elapsed() < seconds(300.0);
        if is_down { failure(DOWN) } else { token(3600) }
    });
    let keys = [3600, 3599, 3598].map(key);
    for key in &keys {
        bench.ask(key).await.expect("is handed out");
        bench.text(key).await;
    }
    bench.cache.replace_all();
    pass(seconds(1.0)).await;
    bench.cache.replace_all();
    for second in 0..299 {
        for key in &keys {
            // Rarely: one in backoff is not dropped because nobody has asked in its last pause.
            if second % 50 == 0 {
                bench.text(key).await;
            }
        }
        pass(seconds(1.0)).await;
    }
    assert_eq!(bench.slots(), 3);
    pass(seconds(60.0)).await;
    let count = bench.issuer.count();
    for key in &keys {
        let token = bench.ask_at_once(key).await.expect("is held");
        assert!(token.expires_at().boot >= seconds(3890.0), "was replaced");
    }
    // The first is soon joined by the second, and after a minute by the third.
    assert!((20..=60).contains(&count), "{count} requests");
}

#[tokio::test(start_paused = true)]
async fn replacement_ends_with_the_cache() {
    let bench = Bench::new(|request| if request == 1 { token(3600) } else { Step::Hang });
    bench.ask(&hour()).await.expect("is handed out");
    bench.text(&hour()).await;
    bench.cache.replace_all();
    pass(seconds(1.0)).await;
    let issuer = Arc::clone(&bench.issuer);
    drop(bench);
    settle().await;
    assert_eq!(Arc::strong_count(&issuer), 1);
}

#[test]
fn reports_outside_a_runtime_are_noted() {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("can be made");
    let (bench, first) = runtime.block_on(async {
        let bench = Bench::new(|_| token(3600));
        bench.ask(&hour()).await.expect("is handed out");
        let first = bench.ask_at_once(&hour()).await.expect("is held");
        (bench, first)
    });
    bench.cache.replace_all();
    assert_eq!(bench.cache.report(first.fingerprint()), ACCEPTED);
    runtime.block_on(settle());
    assert_eq!(bench.issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_fails_reports_against_many_kinds_cause_one_request_a_minute() {
    for kind in [DOWN, REFUSED] {
        let bench =
            Bench::new(move |request| if request > 25 { failure_after(0.1, kind) } else { token(86_400) });
        let keys: Vec<TokenKey> = (0..25).map(|number| key(86_400 - number)).collect();
        for key in &keys {
            bench.ask(key).await.expect("is handed out");
        }
        assert_eq!(bench.report(&keys[0]).await, ACCEPTED);
        pass(seconds(50.0)).await;
        let before = bench.issuer.count();
        for key in &keys[1..] {
            assert_eq!(bench.report(key).await, LIMITED);
        }
        assert_eq!(bench.issuer.count(), before);
        // The first one goes on by itself. At the end of its pause one more finds out, and others a minute later each.
        pass(seconds(30.0)).await;
        assert_eq!(bench.failing(), 2, "{kind:?}");
        pass(seconds(120.0)).await;
        assert_eq!(bench.failing(), 4, "{kind:?}");
        for key in &keys {
            bench.text(key).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replacement_leaves_an_issuer_alone_that_fails() {
    let start = Instant::now();
    let bench = Bench::new(move |request| match request {
        1..=20 => token(3600),
        _ if start.elapsed() < seconds(100.0) => failure_after(0.3, DOWN),
        _ => token_after(0.3, 3600),
    });
    let keys: Vec<TokenKey> = (0..20).map(|number| key(3600 - number)).collect();
    for key in &keys {
        bench.ask(key).await.expect("is handed out");
    }
    bench.cache.replace_all();
    // The first goes on by itself, and others find out a minute apart.
    pass(seconds(10.0)).await;
    assert_eq!(bench.failing(), 2);
    pass(seconds(80.0)).await;
    assert_eq!(bench.failing(), 3);
    pass(seconds(100.0)).await;
    for key in &keys {
        let token = bench.ask_at_once(key).await.expect("is held");
        assert!(token.expires_at().boot >= seconds(3680.0), "was replaced");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_credential_ends_what_others_wait_for() {
    let bench = Bench::new(|request| if request == 3 { failure(REFUSED) } else { token_after(0.1, 3600) });
    let (first, second) = (hour(), key(3000));
    bench.ask(&first).await.expect("is handed out");
    let before = bench.ask(&second).await.expect("is handed out").fingerprint();
    assert_eq!(bench.report(&first).await, ACCEPTED);
    assert_eq!(bench.report(&second).await, LIMITED, "the credential is refused");
    bench.cache.credential_changed();
    pass(seconds(0.2)).await;
    assert_eq!(bench.issuer.count(), 5);
    assert_ne!(bench.ask_at_once(&second).await.expect("is held").fingerprint(), before);
}

/// Issues the first token of each of five kinds, and then others for all kinds but two.
struct FailsForTwo {
    kinds: [TokenKey; 2],
    error: TokenErrorKind,
    issued: AtomicU64,
}

impl Issue for FailsForTwo {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        sleep(seconds(0.1)).await;
        if self.kinds.contains(key) && number >= 5 {
            return Err(TokenError::new(self.error, "planted failure"));
        }
        Ok(Issued::new(format!("planted.{number}"), HOUR))
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_that_always_fail_keep_no_other_from_being_replaced() {
    for error in [DOWN, REFUSED] {
        let keys = [3600, 3599, 3598, 3597, 3596].map(key);
        let kinds = [keys[1].clone(), keys[3].clone()];
        let issuer = FailsForTwo { kinds, error, issued: AtomicU64::new(0) };
        let cache = Cache::new(AnyIssuer::new(issuer), Arc::new(TestClock::new()), 8, Some(1));
        let mut before = Vec::new();
        for key in &keys {
            before.push(cache.wait(key, None).await.expect("is handed out").fingerprint());
        }
        cache.replace_all();
        pass(seconds(140.0)).await;
        let is_replaced = [true, false, true, false, true];
        for (key, (before, is_replaced)) in keys.iter().zip(before.into_iter().zip(is_replaced)) {
            let token = cache.held(key, cache.now()).expect("is held");
            assert_eq!(token.fingerprint() != before, is_replaced, "{key:?}");
        }
        // The same for reports, also where the pauses of the two are never over at once.
        for _ in 0..10 {
            pass(seconds(47.0)).await;
            let token = cache.held(&keys[0], cache.now()).expect("is held");
            assert_ne!(cache.report(token.fingerprint()), UNKNOWN);
            pass(seconds(300.0)).await;
            let next = cache.held(&keys[0], cache.now()).expect("is held");
            assert_ne!(next.fingerprint(), token.fingerprint());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_and_refreshes_of_many_threads_do_not_wait_for_each_other() {
    let issuer = Upstream { log: Mutex::default(), on_report: Some(Duration::ZERO), takes: Duration::ZERO };
    let provider = crate::provider::TokenProvider::new(issuer);
    let first = provider.token().await.expect("is handed out");
    let reporters: Vec<_> = (0..4)
        .map(|_| {
            let provider = provider.clone();
            tokio::task::spawn_blocking(move || {
                for _ in 0..20_000 {
                    let held = provider.held(&hour()).expect("a report leaves nobody without a token");
                    provider.report(&held);
                }
            })
        })
        .collect();
    for reporter in reporters {
        reporter.await.expect("comes to an end");
    }
    let next = provider.token().await.expect("is held");
    assert_ne!(next.fingerprint(), first.fingerprint());
}
