//! The provider over a real socket, and what its own settings do.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use token_provider::{
    AccessToken, AnyIssuer, Clock, Credential, Issue, Issued, TestClock, TokenError, TokenErrorKind,
    TokenKey, TokenProvider,
};
use tokio::sync::mpsc;

use crate::leaks;
use crate::wire::{Endpoint, Reply, TOKEN, answer, hour, token};

/// Issues a token after so long.
#[derive(Debug)]
struct After(Duration);

impl Issue for After {
    async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
        tokio::time::sleep(self.0).await;
        Ok(Issued::new("token", Duration::from_secs(3600)))
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Hangs, and gives up at the limit of one attempt.
#[derive(Debug)]
struct Hanging;

impl Issue for Hanging {
    async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
        tokio::time::sleep(seconds(10)).await;
        Err(TokenError::new(TokenErrorKind::TimedOut, "no answer"))
    }
}

#[tokio::test(start_paused = true)]
async fn caller_is_told_that_its_wait_is_over_where_the_attempt_is_too() {
    let provider = TokenProvider::builder(Hanging).clock(TestClock::new()).build();
    let first = provider.token().await.expect_err("has waited as long as it may");
    assert_eq!(first.kind(), TokenErrorKind::WaitedTooLong);
    let next = provider.token().await.expect_err("the provider pauses");
    assert_eq!((next.kind(), next.retry_after().is_some()), (TokenErrorKind::TimedOut, true));
}

#[tokio::test(start_paused = true)]
async fn failure_of_the_pause_is_told_however_short_the_wait_may_be() {
    let provider = TokenProvider::builder(Hanging).clock(TestClock::new()).max_wait(Duration::ZERO).build();
    assert_eq!(provider.token().await.expect_err("waits for nothing").kind(), TokenErrorKind::WaitedTooLong);
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    assert_eq!(provider.token().await.expect_err("the provider pauses").kind(), TokenErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn answer_of_a_custom_issuer_is_checked_as_heres_is() {
    struct Custom(&'static str);
    impl Issue for Custom {
        async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
            Ok(Issued::new(self.0, Duration::MAX))
        }
    }
    for text in ["", "two words", "line\nbreak", "quoted\"", "ü", "=="] {
        let error = TokenProvider::new(Custom(text)).token().await.expect_err(text);
        assert_eq!(error.kind(), TokenErrorKind::InvalidAnswer { status: None });
        assert_eq!(error.to_string(), "the issuer's token is not well-formed (RFC 6750 §2.1)");
    }
    let token = TokenProvider::new(Custom("good")).token().await.expect("is well-formed");
    assert_eq!(token.lifetime(), seconds(30 * 86_400), "no issuer grants more than a month");
    assert_eq!(token.header_value().as_bytes(), b"Bearer good");
}

#[tokio::test(start_paused = true)]
async fn clock_is_the_one_that_the_provider_was_given() {
    let clock = TestClock::new();
    clock.set_wall(86_400);
    let provider = TokenProvider::builder(Hanging).clock(clock.clone()).build();
    assert_eq!(provider.now(), clock.now());
}

#[tokio::test]
async fn debug_of_a_provider_shows_nothing_of_its_issuer() {
    #[derive(Debug)]
    struct Derived(&'static str);
    impl Issue for Derived {
        async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
            Ok(Issued::new(self.0, key.lifetime()))
        }
    }
    let secret = "planted";
    assert!(format!("{:?}", Derived(secret)).contains(secret));
    let builder = TokenProvider::builder(Derived(secret));
    let shown = format!("{builder:?} {:?}", AnyIssuer::new(Derived(secret)));
    assert!(!shown.contains(secret), "{shown}");
    let provider = builder.build();
    provider.token().await.expect("is handed out");
    assert!(!format!("{provider:?} {provider:#?}").contains(secret), "{provider:?}");
}

#[tokio::test]
async fn provider_for_tests_hands_out_what_it_was_given() {
    let provider = TokenProvider::fixed("a-token");
    let token = provider.token().await.expect("is handed out");
    assert_eq!(token.expose_secret(), "a-token");
    assert_eq!(AccessToken::fixed("a-token", seconds(60)).fingerprint(), token.fingerprint());
}

#[tokio::test]
async fn rotation_takes_one_call() {
    let endpoint = only_for("good").await;
    let credential = |id| credential(id, &endpoint);
    let provider = TokenProvider::new(endpoint.issuer());
    provider.token().await.expect_err("is refused");
    provider.rotate(credential("bad")).await.expect_err("is refused, too");
    assert!(matches!(
        provider.token().await.expect_err("is refused").kind(),
        TokenErrorKind::Rejected { .. }
    ));
    provider.rotate(credential("good")).await.expect("is accepted");
    provider.token().await.expect("is handed out, and nobody waits for the pause");

    let other = TokenProvider::fixed("a-token").rotate(credential("good")).await.expect_err("has none");
    assert_eq!(other.kind(), TokenErrorKind::InvalidRequest);
}

#[test]
fn what_programs_pass_between_threads_may_be() {
    fn assert_shared<T: Send + Sync + 'static>() {}
    assert_shared::<TokenProvider>();
    assert_shared::<AccessToken>();
    assert_shared::<TokenError>();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_callers_on_four_threads_cause_one_request() {
    leaks::listen();
    let endpoint = Endpoint::start(|_, _| Reply::Keep(token(3599))).await;
    let provider = TokenProvider::new(endpoint.issuer());
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { provider.token().await })
        })
        .collect();
    for caller in callers {
        let token = caller.await.expect("did not panic").expect("is handed out");
        assert_eq!(token.expose_secret(), TOKEN);
        assert_eq!(token.expose_secret_bytes(), TOKEN.as_bytes());
        assert_eq!(token.lifetime(), seconds(3599));
    }
    assert_eq!(endpoint.signed_requests().len(), 1);
    leaks::assert_nothing_logged();
}

#[tokio::test]
async fn failed_request_is_repeated_behind_the_callers_and_signed_again() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let endpoint = Endpoint::start(move |number, _| {
        let _ = seen.send(number);
        match number {
            1 => Reply::Close("HTTP/1.1 200".to_owned()),
            2 => Reply::Keep(answer("503 Service Unavailable", "", "")),
            _ => Reply::Keep(token(3599)),
        }
    })
    .await;
    let provider = TokenProvider::new(endpoint.issuer());
    let error = provider.token().await.expect_err("the connection broke off");
    assert_eq!(error.kind(), TokenErrorKind::Unreachable);
    let retry_after = error.retry_after().expect("is known");
    assert!(retry_after <= Duration::from_millis(300), "{retry_after:?}");
    for expected in 1..=3 {
        assert_eq!(requests.recv().await, Some(expected));
    }
    let token = provider.token().await.expect("is handed out");
    assert_eq!(token.expose_secret(), TOKEN);
    let requests = endpoint.signed_requests();
    let signatures: Vec<_> = requests.iter().map(|request| request.oauth("oauth_signature")).collect();
    assert!(
        signatures[0] != signatures[1] && signatures[1] != signatures[2] && signatures[0] != signatures[2]
    );
}

#[tokio::test]
async fn throttled_provider_says_how_long_and_leaves_the_issuer_alone() {
    let endpoint =
        Endpoint::start(|_, _| Reply::Keep(answer("429 Too Many Requests", "Retry-After: 120\r\n", "{}")))
            .await;
    let provider = TokenProvider::new(endpoint.issuer());
    for _ in 0..1000 {
        let error = provider.token().await.expect_err("is throttled");
        assert_eq!(error.kind(), TokenErrorKind::Throttled);
        let left = error.retry_after().expect("is known");
        assert!((seconds(110)..=seconds(132)).contains(&left), "{left:?}");
    }
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn expired_token_is_not_handed_out() {
    for expires_in in [0, 1, 10] {
        let endpoint = Endpoint::start(move |_, _| Reply::Keep(token(expires_in))).await;
        let provider = TokenProvider::new(endpoint.issuer());
        let error = provider.token().await.expect_err("expires too soon");
        assert_eq!(error.kind(), TokenErrorKind::ExpiresTooSoon);
        assert_eq!(
            error.to_string(),
            "the issuer's token expires within 10 s of being issued, too soon to be handed out"
        );
        leaks::assert_hidden(&leaks::rendered(&error));
        assert_eq!(provider.status()[0].failures, 1);
    }
}

#[tokio::test]
async fn rotated_credential_is_tried_before_it_is_used_and_ends_the_pause() {
    let endpoint = only_for("good").await;
    let credential = |id| credential(id, &endpoint);
    let issuer = Arc::new(endpoint.issuer());
    let provider = TokenProvider::new(Arc::clone(&issuer));
    assert!(matches!(
        provider.token().await.expect_err("is refused").kind(),
        TokenErrorKind::Rejected { .. }
    ));

    let error = issuer.rotate(credential("bad"), &hour()).await.expect_err("is refused, too");
    assert_eq!(error.kind(), TokenErrorKind::Rejected { status: 401, code: Some(401_300) });
    assert_eq!(issuer.credential().access_key_id(), Some("key-id"));

    issuer.rotate(credential("good"), &hour()).await.expect("is accepted");
    assert_eq!(issuer.credential().access_key_id(), Some("good"));
    assert!(provider.token().await.is_err(), "the pause of a minute goes on until the provider is told");
    provider.credential_changed();
    // The refresher's turn comes first; then its request is under way, and this caller waits for it.
    tokio::task::yield_now().await;
    provider.token().await.expect("is handed out");
    let ids: Vec<_> =
        endpoint.signed_requests().iter().filter_map(|request| request.oauth("oauth_consumer_key")).collect();
    assert_eq!(ids, ["key-id", "bad", "good", "good"]);
}

#[tokio::test(start_paused = true)]
async fn caller_waits_ten_seconds_and_the_request_goes_on() {
    let provider = TokenProvider::builder(After(seconds(12))).clock(TestClock::new()).build();
    let asked_at = tokio::time::Instant::now();
    let error = provider.token().await.expect_err("takes too long");
    assert_eq!((error.kind(), asked_at.elapsed()), (TokenErrorKind::WaitedTooLong, seconds(10)));
    assert_eq!(error.to_string(), "the issuer has not responded within 10 s; the request continues");
    provider.token().await.expect("the request went on");
    assert_eq!(asked_at.elapsed(), seconds(12));

    let hasty = TokenProvider::builder(After(seconds(12))).max_wait(seconds(1)).build();
    assert_eq!(hasty.token().await.expect_err("takes too long").kind(), TokenErrorKind::WaitedTooLong);
    assert_eq!(asked_at.elapsed(), seconds(13));
}

#[tokio::test(start_paused = true)]
async fn warm_provider_has_a_token_before_the_first_caller() {
    let key = TokenKey::new(seconds(600)).expect("is in range");
    let provider =
        TokenProvider::builder(After(seconds(1))).clock(TestClock::new()).default_key(key.clone()).build();
    assert!(provider.status().is_empty());
    provider.warm();
    tokio::time::sleep(seconds(2)).await;
    let token = provider.held(&key).expect("is held");
    assert_eq!(provider.default_key(), &key);
    assert_eq!(token.remaining(provider.now()), seconds(3598));
    let [status] = provider.status().try_into().expect("there is one slot");
    assert_eq!(
        (status.key, status.remaining, status.is_due, status.failures),
        (key, seconds(3598), false, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn background_tasks_end_with_the_last_clone() {
    let issuer = Arc::new(After(seconds(1)));
    let provider = TokenProvider::builder(Arc::clone(&issuer)).max_tokens(1).build();
    let clone = provider.clone();
    provider.token().await.expect("is handed out");
    drop(provider);
    clone.token().await.expect("is still handed out");
    let other = TokenKey::new(seconds(60)).expect("is in range");
    assert_eq!(
        clone.token_for(&other).await.expect_err("is one too many").kind(),
        TokenErrorKind::TooManyTokens
    );
    drop(clone);
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&issuer), 1);
}

/// An endpoint that accepts one access key.
async fn only_for(id: &'static str) -> Endpoint {
    Endpoint::start(move |_, request| {
        Reply::Keep(match request.oauth("oauth_consumer_key") {
            Some(key) if key == id => token(3599),
            _ => answer("401 Unauthorized", "", r#"{"errorCode":401300}"#),
        })
    })
    .await
}

fn credential(id: &str, endpoint: &Endpoint) -> Credential {
    let new = Credential::new(id, SecretString::from("secret"));
    new.and_then(|new| new.with_token_endpoint_url(&endpoint.url)).expect("is well-formed")
}
