//! What a thread handed out last is handed out again only while it is what a look at the slot would find.

use super::*;

/// Asks twice, so that the second answer is what the thread remembers.
async fn ask_twice(bench: &Bench, key: &TokenKey) -> AccessToken {
    bench.ask(key).await.expect("is handed out");
    bench.cache.held(key, bench.cache.now()).expect("is found");
    let kept = Last::fresh(bench.cache.0.number, key, bench.cache.now()).expect("is remembered");
    let token = bench.ask_at_once(key).await.expect("is handed out");
    assert_eq!(kept.fingerprint(), token.fingerprint());
    token
}

fn is_remembered(bench: &Bench, key: &TokenKey) -> bool {
    Last::fresh(bench.cache.0.number, key, bench.cache.now()).is_some()
}

#[tokio::test(start_paused = true)]
async fn tokens_of_two_caches_and_of_two_kinds_are_told_apart() {
    let (one, other) = (Bench::new(|_| token(3600)), Bench::new(|_| token(3600)));
    let scoped = hour().with_scope(crate::token::Scope::new("openid").ok());
    let mut fingerprints = Vec::new();
    // From one to the next it is the cache that differs, or the lifetime, or the scope.
    for (bench, key) in [(&one, hour()), (&other, hour()), (&other, key(60)), (&one, key(60)), (&one, scoped)]
    {
        pass(seconds(1.0)).await;
        fingerprints.push(ask_twice(bench, &key).await.fingerprint().to_string());
    }
    let count = fingerprints.len();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), count);
}

#[tokio::test(start_paused = true)]
async fn successor_takes_its_place_at_once() {
    let bench = Bench::new(|request| token_after(if request == 1 { 0.0 } else { 8.0 }, 3600));
    let first = ask_twice(&bench, &hour()).await;
    while bench.issuer.count() == 1 {
        pass(seconds(1.0)).await;
        bench.ask_at_once(&hour()).await.expect("is held");
    }
    assert!(!is_remembered(&bench, &hour()), "is due: that has to be seen to");
    pass(seconds(8.0)).await;
    assert!(!is_remembered(&bench, &hour()));
    assert_ne!(ask_twice(&bench, &hour()).await.fingerprint(), first.fingerprint());
}

#[tokio::test(start_paused = true)]
async fn clock_set_forward_is_noticed() {
    let bench = Bench::new(|_| token(3600));
    ask_twice(&bench, &hour()).await;
    bench.clock.set_wall(3595);
    assert!(!is_remembered(&bench, &hour()));
}

#[tokio::test(start_paused = true)]
async fn who_gets_it_has_asked_for_the_next_one_too() {
    let bench = Bench::new(|_| token(3600));
    ask_twice(&bench, &hour()).await;
    // Nobody looks at the slot any more.
    bench.cache.0.find(&hour()).expect("is there").asked.store(false, Ordering::Relaxed);
    assert!(is_remembered(&bench, &hour()));
    pass(HOUR).await;
    assert_eq!((bench.issuer.count(), bench.slots()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn token_that_was_let_go_is_forgotten() {
    let bench = Bench::new(|_| token(86_400));
    ask_twice(&bench, &hour()).await;
    bench.cache.0.closed.raise();
    settle().await;
    assert!(!is_remembered(&bench, &hour()));
}

#[tokio::test(start_paused = true)]
async fn threads_remember_for_themselves() {
    let bench = Bench::new(|_| token(3600));
    let first = ask_twice(&bench, &hour()).await;
    let ((cache, number), now) = ((Arc::clone(&bench.cache), bench.cache.0.number), bench.cache.now());
    let elsewhere = std::thread::spawn(move || {
        assert!(Last::fresh(number, &hour(), now).is_none(), "was not handed out here");
        cache.held(&hour(), now).expect("is held");
        Last::fresh(number, &hour(), now).expect("is remembered").fingerprint()
    });
    assert_eq!(elsewhere.join().expect("has ended well"), first.fingerprint());
}

#[tokio::test(start_paused = true)]
async fn only_a_few_are_remembered() {
    let bench = Bench::new(|_| token(3600));
    for lifetime in 60..70 {
        ask_twice(&bench, &key(lifetime)).await;
    }
    let remembered = (60..70).filter(|lifetime| is_remembered(&bench, &key(*lifetime)));
    assert_eq!(remembered.collect::<Vec<_>>(), [66, 67, 68, 69]);
}
