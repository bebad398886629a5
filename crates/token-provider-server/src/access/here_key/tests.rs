//! Nonces and clocks, and what a reload keeps. That every SDK's signature is verified is tested from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use token_provider::{Clock as _, SystemClock, TestClock};

use super::header::WINDOW;
use super::*;
use crate::config::PolicyConfig;

fn signature(nonce: &str, timestamp: u64) -> Signature {
    Signature {
        key_id: "tp.a".to_owned(),
        nonce: nonce.to_owned(),
        timestamp,
        value: String::new(),
        parameters: BTreeMap::new(),
    }
}

fn status<T>(result: Result<T, Problem>) -> u16 {
    result.map_or_else(|problem| problem.status.as_u16(), |_| 200)
}

/// Uses a nonce, if it can be used.
fn use_up(nonces: &Arc<Nonces>, nonce: &str, timestamp: u64, now: Moment) -> u16 {
    status(nonces.reserve(&signature(nonce, timestamp), now).map(Nonce::note))
}

#[tokio::test(start_paused = true)]
async fn nonce_is_reserved_until_its_request_ends_and_noted_if_that_brought_a_token() {
    let (nonces, clock) = (Arc::<Nonces>::default(), TestClock::new());
    let now = clock.now();
    let timestamp = now.wall.as_secs();
    let reserve = |nonce| nonces.reserve(&signature(nonce, timestamp), now);
    let first = reserve("a").expect("is new");
    assert_eq!(status(reserve("a")), 503, "another request has it");
    assert_eq!(status(reserve("b")), 200, "is another");
    drop(first);
    reserve("a").expect("brought no token").note();
    assert_eq!(status(reserve("a")), 401, "has brought one");
    assert_eq!(use_up(&nonces, "a", timestamp + 1, now), 200, "at another time it is another");
}

/// As many others as make room needed.
fn fill(nonces: &Arc<Nonces>, timestamp: u64, now: Moment) -> u16 {
    let mut statuses =
        (0..8192).map(|number| use_up(nonces, &format!("{number} at {timestamp}"), timestamp, now));
    statuses.find(|status| *status != 200).expect("there is a bound")
}

#[tokio::test(start_paused = true)]
async fn nonce_is_remembered_for_as_long_as_its_timestamp_is_good() {
    for ahead in [-300_i64, 0, 300] {
        let (nonces, clock) = (Arc::<Nonces>::default(), TestClock::new());
        let timestamp = clock.now().wall.as_secs().checked_add_signed(ahead).expect("is a time");
        assert_eq!(use_up(&nonces, "a", timestamp, clock.now()), 200);
        let good_for = Duration::from_secs(300_u64.checked_add_signed(ahead).expect("is a time"));
        tokio::time::advance(good_for).await;
        assert_eq!(clock.now().wall.as_secs().abs_diff(timestamp), WINDOW, "is good for the last time");
        assert_eq!(fill(&nonces, clock.now().wall.as_secs(), clock.now()), 429, "{ahead}: no room for all");
        assert_eq!(use_up(&nonces, "a", timestamp, clock.now()), 401, "{ahead}");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            use_up(&nonces, "b", clock.now().wall.as_secs(), clock.now()),
            200,
            "{ahead}: it has gone"
        );
        assert_eq!(
            use_up(&nonces, "c", clock.now().wall.as_secs(), clock.now()),
            429,
            "{ahead}: nothing else"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn clock_that_jumps_makes_no_signature_good_again() {
    for jump in [3600, -3600] {
        let (nonces, clock) = (Arc::<Nonces>::default(), TestClock::new());
        let timestamp = clock.now().wall.as_secs();
        assert_eq!(use_up(&nonces, "a", timestamp, clock.now()), 200);
        clock.set_wall(jump);
        let there = clock.now().wall.as_secs();
        assert_eq!(use_up(&nonces, "b", there, clock.now()), 200);
        assert_eq!(fill(&nonces, there, clock.now()), 429);
        clock.set_wall(-jump);
        assert_eq!(use_up(&nonces, "a", timestamp, clock.now()), 401, "{jump}: there and back");
    }
}

/// What was signed by a clock that was an hour ahead stays good in an hour, and takes no more than its own room until then.
#[tokio::test(start_paused = true)]
async fn nonce_of_a_time_that_is_yet_to_come_is_remembered_and_holds_up_no_other() {
    let (nonces, clock) = (Arc::<Nonces>::default(), TestClock::new());
    clock.set_wall(3600);
    let there = clock.now().wall.as_secs();
    assert_eq!(use_up(&nonces, "a", there, clock.now()), 200);
    clock.set_wall(-3600);
    for _ in 0..5 {
        assert_eq!(fill(&nonces, clock.now().wall.as_secs(), clock.now()), 429);
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(
            use_up(&nonces, "b", clock.now().wall.as_secs(), clock.now()),
            200,
            "the others have gone"
        );
    }
    assert_eq!(use_up(&nonces, "a", there, clock.now()), 401);
}

#[tokio::test(start_paused = true)]
async fn window_has_a_bound_and_says_when_there_is_room() {
    let (nonces, clock) = (Arc::<Nonces>::default(), TestClock::new());
    let timestamp = clock.now().wall.as_secs();
    for number in 0..8192 {
        assert_eq!(use_up(&nonces, &number.to_string(), timestamp, clock.now()), 200);
    }
    let refused = nonces.reserve(&signature("one more", timestamp), clock.now()).err().expect("is too much");
    assert_eq!((refused.status.as_u16(), refused.number()), (429, Some(429_002)));
    let pause = refused.retry_after.expect("is known");
    assert_eq!(pause, Duration::from_secs(301));
    assert_eq!(use_up(&nonces, "0", timestamp, clock.now()), 401, "is still remembered");
    tokio::time::advance(pause).await;
    assert_eq!(use_up(&nonces, "one more", clock.now().wall.as_secs(), clock.now()), 200);
}

fn keys(ids: &[&str], previous: &[Way<Arc<HereKey>>]) -> Vec<Way<Arc<HereKey>>> {
    let policy = PolicyConfig::default();
    let config =
        |id: &&str| HereKeyConfig { id: (*id).to_owned(), secret_file: "x".into(), policy: policy.clone() };
    let configs: Vec<_> = ids.iter().map(config).collect();
    start(&configs, previous)
}

#[test]
fn nonces_and_secrets_survive_a_reload_that_keeps_the_key() {
    let now = SystemClock.now();
    let used = |keys: &[Way<Arc<HereKey>>], id: &str| {
        let key = &find(keys, id).expect("is there").config;
        let status = use_up(&key.nonces, "a", now.wall.as_secs(), now);
        (key.secret.load().is_some(), status)
    };
    let before = keys(&["tp.a", "tp.b"], &[]);
    for key in &before {
        assert!(key.config.set_secret("a secret".into()));
        assert!(!key.config.set_secret("a secret".into()), "it is the same");
        assert!(key.config.set_secret("another".into()));
        assert_eq!(used(&before, &key.config.id), (true, 200));
    }
    let after = keys(&["tp.c", "tp.b"], &before);
    assert_eq!(used(&after, "tp.b"), (true, 401));
    assert_eq!(used(&after, "tp.c"), (false, 200), "a new key has no secret yet");
    let back = keys(&["tp.a"], &after);
    assert_eq!(used(&back, "tp.a"), (false, 200), "it was gone");
}

#[test]
fn number_of_base_strings_is_bounded() {
    for (query, count) in
        [("", 1), ("?", 2), ("?a", 2), ("?a=1&sentWith=x", 3), ("?sentWith=x&sentWith=y&z", 2), ("?&&&&&", 2)]
    {
        let target = format!("/oauth2/token{query}");
        let request = SignedRequest { host: "localhost", target: &target, form: b"" };
        assert_eq!(request.readings().len(), count, "{query}");
    }
}

#[test]
fn what_takes_long_to_verify_is_refused() {
    let (keys, now) = (keys(&["tp.a"], &[]), SystemClock.now());
    keys[0].config.set_secret("a secret".into());
    let signature = signature("a", now.wall.as_secs());
    for (length, number) in [(1000, 401_300), (2048, 400_200)] {
        let form = vec![0xff; length];
        let request = SignedRequest { host: "localhost", target: "/oauth2/token", form: &form };
        let refused = authenticate(&keys, &signature, &request, now).expect_err("is refused");
        assert_eq!(refused.number(), Some(number), "{length}");
        assert_eq!(refused.subject.caller.as_deref(), Some("tp.a"));
    }
}

#[test]
fn key_whose_secret_could_not_be_read_opens_nothing() {
    let (keys, now) = (keys(&["tp.a"], &[]), SystemClock.now());
    let request = SignedRequest { host: "localhost", target: "/oauth2/token", form: b"" };
    let signature = signature("a", now.wall.as_secs());
    let refused = authenticate(&keys, &signature, &request, now).expect_err("is refused");
    assert_eq!((refused.status.as_u16(), refused.number()), (401, Some(401_300)));
}
