//! The provider's keys over time: asked for once however many wait, ahead of their end, and not at the bidding of
//! strangers.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::support::{Answer, Bench, Key, claims, claims_with, config, header};
use crate::oidc::refresher::{COOL_DOWN, FILE_EVERY, REFRESH_EVERY, USABLE_FOR};
use crate::reason::Rule;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const UNKNOWN_KEY: &str = "401 the token's key is unknown";
const NO_KEYS: &str = "503 the identity provider's keys cannot be fetched, so its tokens cannot be verified";

fn token(key: &Key, kid: &str) -> String {
    key.token(&header("ES256", kid), &claims())
}

/// One that holds for the days that a test takes.
fn lasting(key: &Key, kid: &str) -> String {
    let claims =
        claims_with(&serde_json::json!({ "exp": claims()["iat"].as_u64().expect("is a number") + 864_000 }));
    key.token(&header("ES256", kid), &claims)
}

fn keys(keys: &[(&Key, &str)]) -> Answer {
    Answer::Keys(jwks(keys))
}

fn jwks(keys: &[(&Key, &str)]) -> Vec<Value> {
    keys.iter().map(|(key, kid)| key.jwk(kid)).collect()
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_server_that_has_just_started_wait_for_one_request() {
    let key = Key::p256();
    let slow = Answer::Slow(Duration::from_secs(3), jwks(&[(&key, "a")]));
    let bench = Bench::with(&config(), slow);
    let tokens: Vec<String> = (0..50).map(|_| token(&key, "a")).collect();
    let started = tokio::time::Instant::now();
    let verdicts = join_all(tokens.iter().map(|token| bench.judge(token))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    assert_eq!(bench.script.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_ahead_of_their_end_behind_the_callers() {
    let key = Key::p256();
    let bench = Bench::with(&config(), keys(&[(&key, "a")]));
    let token = lasting(&key, "a");
    assert!(bench.judge(&token).await.is_ok());
    tokio::time::sleep(REFRESH_EVERY.mul_f64(0.89)).await;
    assert_eq!(bench.script.asked(), 1);
    // The next answer takes long, and nobody waits for it.
    bench.script.set(Answer::Slow(Duration::from_secs(8), jwks(&[(&key, "a")])));
    tokio::time::sleep(REFRESH_EVERY.mul_f64(0.22)).await;
    assert_eq!(bench.script.asked(), 2);
    let before = tokio::time::Instant::now();
    assert!(bench.judge(&lasting(&key, "a")).await.is_ok());
    assert_eq!(before.elapsed(), Duration::ZERO);
    // And so on, with nobody asking.
    tokio::time::sleep(REFRESH_EVERY * 10).await;
    assert!((11..=13).contains(&bench.script.asked()), "{} requests", bench.script.asked());
}

#[tokio::test(start_paused = true)]
async fn provider_that_is_away_at_the_start_is_asked_less_and_less_and_found_when_it_is_back() {
    let key = Key::p256();
    let bench = Bench::with(&config(), Answer::Away);
    let token = token(&key, "a");
    assert_eq!(bench.refusal(&token).await, NO_KEYS);
    let problem = bench.judge(&token).await.expect_err("there are no keys");
    assert_eq!((problem.status.as_u16(), problem.code()), (503, "temporarily_unavailable"));
    assert!(problem.retry_after.is_some_and(|after| after <= Duration::from_secs(1)));

    // Callers come all the time; they are told at once, and change nothing.
    for _ in 0..600 {
        let before = tokio::time::Instant::now();
        assert_eq!(bench.refusal(&token).await, NO_KEYS);
        assert_eq!(before.elapsed(), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((12..=32).contains(&bench.script.asked()), "{} requests in 10 minutes", bench.script.asked());

    bench.script.set(keys(&[(&key, "a")]));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(bench.judge(&token).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn provider_is_up_while_the_last_request_brought_keys() {
    let key = Key::p256();
    let bench = Bench::with(&config(), Answer::Away);
    let is_up = || bench.provider.status().1.is_none();
    assert!(!is_up(), "it has not answered yet");
    assert!(bench.judge(&lasting(&key, "a")).await.is_err());
    for (answer, expected) in [
        (keys(&[(&key, "a")]), true),
        (Answer::Away, false),
        (keys(&[(&key, "a")]), true),
        (keys(&[]), false),
    ] {
        bench.script.set(answer);
        tokio::time::sleep(REFRESH_EVERY.mul_f64(1.1)).await;
        assert_eq!(is_up(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn stale_keys_are_used_for_a_day_while_the_provider_is_away() {
    let key = Key::p256();
    let bench = Bench::with(&config(), keys(&[(&key, "a")]));
    let known = lasting(&key, "a");
    assert!(bench.judge(&known).await.is_ok());
    bench.script.set(Answer::Away);
    tokio::time::sleep(USABLE_FOR.saturating_sub(Duration::from_secs(5))).await;
    assert!(bench.judge(&known).await.is_ok(), "a token that was accepted before");
    assert!(bench.judge(&lasting(&key, "a")).await.is_ok(), "a new one");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.refusal(&known).await, NO_KEYS);
    assert_eq!(bench.refusal(&lasting(&key, "a")).await, NO_KEYS);
    bench.script.set(keys(&[(&key, "a")]));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(bench.judge(&known).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn flood_of_unknown_keys_has_the_provider_asked_once_in_a_cool_down() {
    let (key, stranger) = (Key::p256(), Key::p256());
    let bench = Bench::with(&config(), keys(&[(&key, "a")]));
    assert!(bench.judge(&token(&key, "a")).await.is_ok());
    assert_eq!(bench.script.asked(), 1);
    for round in 0..5 {
        let flood: Vec<String> =
            (0..200).map(|number| token(&stranger, &format!("{round}-{number}"))).collect();
        let at_once = join_all(flood.iter().map(|token| bench.refusal(token))).await;
        assert!(at_once.iter().all(|refusal| refusal == UNKNOWN_KEY));
        for token in &flood {
            assert_eq!(bench.refusal(token).await, UNKNOWN_KEY);
            assert!(bench.judge(&lasting(&key, "a")).await.is_ok(), "others are served meanwhile");
        }
        assert_eq!(bench.script.asked(), 2 + round);
        tokio::time::sleep(COOL_DOWN).await;
    }
}

#[tokio::test(start_paused = true)]
async fn token_refused_on_its_claims_causes_no_key_request() {
    let (key, stranger) = (Key::p256(), Key::p256());
    let bench = Bench::with(&config(), keys(&[(&key, "a")]));
    assert!(bench.judge(&token(&key, "a")).await.is_ok());
    for changes in [
        serde_json::json!({ "exp": 1 }),
        serde_json::json!({ "aud": "x" }),
        serde_json::json!({ "iss": "x" }),
    ] {
        let token = stranger.token(&header("ES256", "unknown"), &claims_with(&changes));
        assert!(bench.refusal(&token).await.starts_with("401 the token "), "{changes}");
    }
    // A known key and a wrong signature are no reason either.
    assert_eq!(bench.refusal(&token(&stranger, "a")).await, "401 the token's signature is wrong");
    assert_eq!(bench.script.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn new_key_is_asked_for_when_a_token_names_it() {
    let (old, new) = (Key::p256(), Key::p256());
    let bench = Bench::with(&config(), keys(&[(&old, "old")]));
    let before = token(&old, "old");
    assert!(bench.judge(&before).await.is_ok());

    // Both are published: what the old one signed goes on being good.
    bench.script.set(keys(&[(&new, "new"), (&old, "old")]));
    assert!(bench.judge(&token(&new, "new")).await.is_ok());
    assert!(bench.judge(&before).await.is_ok());
    assert!(bench.judge(&token(&old, "old")).await.is_ok());
    assert_eq!(bench.script.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn token_signed_with_a_newer_key_gets_503_with_retry_after() {
    const YET: Duration = Duration::from_secs(5);
    const NOT_YET: &str =
        "503 the token's key is not known yet; the identity provider's keys will be requested again shortly";
    let (old, new, stranger) = (Key::p256(), Key::p256(), Key::p256());
    let bench = Bench::with(&config(), keys(&[(&old, "old")]));
    let at = |key: &Key, kid: &str, after: u64| {
        let start = claims()["iat"].as_u64().expect("is a number");
        key.token(&header("ES256", kid), &claims_with(&serde_json::json!({ "iat": start + after })))
    };
    assert!(bench.judge(&at(&old, "old", 0)).await.is_ok());
    tokio::time::sleep(Duration::from_secs(100)).await;
    // Uses up the one look.
    assert_eq!(bench.refusal(&at(&stranger, "x", 100)).await, UNKNOWN_KEY);
    tokio::time::sleep(YET).await;
    bench.script.set(keys(&[(&new, "new")]));

    let genuine = at(&new, "new", 105);
    assert_eq!(bench.refusal(&genuine).await, NOT_YET);
    let problem = bench.judge(&genuine).await.expect_err("is not known yet");
    let left = COOL_DOWN.saturating_sub(YET);
    assert_eq!(problem.retry_after, Some(left));
    assert_eq!((problem.code(), problem.rule), ("temporarily_unavailable", Some(Rule::Authenticate)));
    // Holders of a token from before the last request for keys have to sign in again.
    assert_eq!(bench.refusal(&at(&stranger, "y", 99)).await, UNKNOWN_KEY);
    assert_eq!(bench.script.asked(), 2);

    tokio::time::sleep(left).await;
    assert!(bench.judge(&genuine).await.is_ok());
    assert_eq!(bench.script.asked(), 3);
    // Its key has been withdrawn: not told to come again for ever.
    assert_eq!(bench.refusal(&at(&old, "old", 101)).await, UNKNOWN_KEY);
}

#[tokio::test(start_paused = true)]
async fn accepted_token_is_refused_when_its_key_is_withdrawn() {
    let (old, new) = (Key::p256(), Key::p256());
    let bench = Bench::with(&config(), keys(&[(&old, "a")]));
    let before = lasting(&old, "a");
    assert!(bench.judge(&before).await.is_ok());
    bench.script.set(keys(&[(&new, "b")]));
    assert!(bench.judge(&before).await.is_ok(), "nobody has told us yet");
    tokio::time::sleep(REFRESH_EVERY.mul_f64(1.1)).await;
    assert_eq!(bench.refusal(&before).await, UNKNOWN_KEY);

    // The same name for another key does not bring it back.
    bench.script.set(keys(&[(&new, "a")]));
    tokio::time::sleep(REFRESH_EVERY.mul_f64(1.1)).await;
    assert_eq!(bench.refusal(&before).await, "401 the token's signature is wrong");
    assert!(bench.judge(&lasting(&new, "a")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn provider_without_keys_is_believed() {
    let key = Key::p256();
    let bench = Bench::with(&config(), keys(&[(&key, "a")]));
    let known = lasting(&key, "a");
    assert!(bench.judge(&known).await.is_ok());
    bench.script.set(keys(&[]));
    tokio::time::sleep(REFRESH_EVERY.mul_f64(1.1)).await;
    assert_eq!(bench.refusal(&known).await, UNKNOWN_KEY);
}

#[tokio::test(start_paused = true)]
async fn only_key_of_a_provider_without_key_ids_may_change() {
    let (old, new) = (Key::p256(), Key::p256());
    let nameless = |key: &Key| {
        let mut jwk = key.jwk("");
        jwk.as_object_mut().expect("is an object").remove("kid");
        Answer::Keys(vec![jwk])
    };
    let sign = |key: &Key| key.token(&serde_json::json!({ "alg": "ES256" }), &claims());
    let bench = Bench::with(&config(), nameless(&old));
    assert!(bench.judge(&sign(&old)).await.is_ok());
    bench.script.set(nameless(&new));
    assert!(bench.judge(&sign(&new)).await.is_ok());
    assert_eq!(bench.refusal(&sign(&old)).await, UNKNOWN_KEY);
    assert_eq!(bench.script.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn caller_waits_no_longer_than_for_a_token() {
    let key = Key::p256();
    let slow = Answer::Slow(Duration::from_secs(29), jwks(&[(&key, "a")]));
    let bench = Bench::with(&config(), slow);
    let before = tokio::time::Instant::now();
    assert_eq!(bench.refusal(&token(&key, "a")).await, NO_KEYS);
    assert_eq!(before.elapsed(), Duration::from_secs(10));
    // The request goes on.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(bench.judge(&token(&key, "a")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn request_that_panics_has_failed_like_any_other() {
    let key = Key::p256();
    let bench = Bench::with(&config(), Answer::Panic);
    assert_eq!(bench.refusal(&token(&key, "a")).await, NO_KEYS);
    bench.script.set(keys(&[(&key, "a")]));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(bench.judge(&token(&key, "a")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn request_without_an_end_has_failed_like_any_other() {
    let key = Key::p256();
    let bench = Bench::with(&config(), Answer::Slow(DAY, jwks(&[(&key, "a")])));
    assert_eq!(bench.refusal(&token(&key, "a")).await, NO_KEYS);
    bench.script.set(keys(&[(&key, "a")]));
    // A caller waits for ten seconds, the request may take thirty, and the pause after a first failure is one.
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(bench.judge(&token(&key, "a")).await.is_ok());
    assert_eq!(bench.script.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_are_asked_for_at_once_after_the_machine_slept_for_days() {
    let key = Key::p256();
    let bench = Bench::with(&config(), keys(&[(&key, "a")]));
    let known = lasting(&key, "a");
    assert!(bench.judge(&known).await.is_ok());
    bench.clock.suspend(2 * DAY);
    assert!(bench.judge(&known).await.is_ok());
    assert_eq!(bench.script.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_any_more_when_the_refresher_is_dropped() {
    let key = Key::p256();
    let bench = Bench::with(&config(), keys(&[(&key, "a")]));
    assert!(bench.judge(&token(&key, "a")).await.is_ok());
    let script = bench.script.clone();
    drop(bench);
    tokio::time::sleep(REFRESH_EVERY * 10).await;
    assert_eq!(script.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_in_a_file_are_looked_at_all_the_time_also_after_failures() {
    let (old, new) = (Key::p256(), Key::p256());
    let bench = Bench::asking(&config(), keys(&[(&old, "a")]), FILE_EVERY);
    assert!(bench.judge(&token(&old, "a")).await.is_ok());
    bench.script.set(Answer::Away);
    tokio::time::sleep(REFRESH_EVERY).await;
    assert!(bench.script.asked() > 250, "{} looks", bench.script.asked());
    assert!(bench.judge(&lasting(&old, "a")).await.is_ok(), "what was read last stays in use");
    assert_eq!(bench.provider.status().1.as_deref(), Some("the request for the key set returned status 503"));
    bench.script.set(keys(&[(&new, "a")]));
    tokio::time::sleep(FILE_EVERY.mul_f64(1.2)).await;
    assert!(bench.judge(&lasting(&new, "a")).await.is_ok());
    assert_eq!(bench.refusal(&lasting(&old, "a")).await, "401 the token's signature is wrong");
    assert_eq!(bench.provider.status().1, None);
}
