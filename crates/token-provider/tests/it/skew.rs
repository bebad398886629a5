//! A clock that HERE does not agree with: the offset is learned, kept, and tried exactly once.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use token_provider::{Clock, Credential, HereIssuer, Issue as _, Moment, TokenErrorKind};

use crate::leaks;
use crate::wire::{BODY, Endpoint, Reply, Request, answer, hour, timestamp_refused, token};

/// 2026-01-01T00:00:00Z, for good.
const OURS: u64 = 1_767_225_600;
/// Half an hour later.
const THEIRS: u64 = OURS + 1800;
const THEIR_DATE: &str = "Date: Thu, 01 Jan 2026 00:30:00 GMT\r\n";

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Moment {
        Moment { wall: Duration::from_secs(OURS), boot: Duration::ZERO }
    }
}

fn issuer(endpoint: &Endpoint) -> HereIssuer {
    endpoint.issuer_with(|config| config.clock = Arc::new(Stopped))
}

fn timestamps(endpoint: &Endpoint) -> Vec<u64> {
    let requests = endpoint.signed_requests();
    requests.iter().filter(|request| request.head.starts_with("POST")).map(Request::timestamp).collect()
}

/// Accepts timestamps that are right to within five minutes, like HERE.
async fn strict(date: &'static str) -> Endpoint {
    Endpoint::start(move |_, request| {
        Reply::Keep(if request.head.starts_with("GET /timestamp ") {
            answer("200 OK", "", &format!(r#"{{"timestamp":{THEIRS}}}"#))
        } else if request.timestamp().abs_diff(THEIRS) > 300 {
            timestamp_refused(date)
        } else {
            token(3599)
        })
    })
    .await
}

#[tokio::test]
async fn offset_is_taken_from_the_date_and_kept() {
    leaks::listen();
    let endpoint = strict(THEIR_DATE).await;
    let issuer = issuer(&endpoint);
    assert_eq!(issuer.clock_offset(), 0);
    issuer.issue(&hour()).await.expect("the second attempt succeeds");
    assert_eq!(issuer.clock_offset(), 1800);
    issuer.issue(&hour()).await.expect("the offset was kept");
    assert_eq!(timestamps(&endpoint), [OURS, THEIRS, THEIRS]);
    assert_eq!(endpoint.requests().len(), 3, "the time itself was not asked for");
    leaks::assert_nothing_logged();
}

#[tokio::test]
async fn clock_is_compared_in_every_answer_and_signed_with_only_after_a_refusal() {
    for (date, expected) in [
        (THEIR_DATE, 1800),
        ("Date: Wed, 31 Dec 2025 23:59:15 GMT\r\n", -45),
        ("Date: Thu, 01 Jan 2026 00:00:02 GMT\r\n", 0),
        ("", 0),
    ] {
        let body = r#"{"accessToken":"planted.token","tokenType":"bearer","expiresIn":3599}"#;
        let endpoint = Endpoint::start(move |_, _| Reply::Keep(answer("200 OK", date, body))).await;
        let issuer = issuer(&endpoint);
        for _ in 0..2 {
            issuer.issue(&hour()).await.expect("is accepted");
            assert_eq!(issuer.clock_offset(), expected, "{date}");
        }
        assert_eq!(timestamps(&endpoint), [OURS, OURS], "{date}");
    }
}

#[tokio::test]
async fn without_a_date_the_time_is_asked_for() {
    let endpoint = strict("").await;
    let issuer = issuer(&endpoint);
    issuer.issue(&hour()).await.expect("the second attempt succeeds");
    assert_eq!(issuer.clock_offset(), 1800);
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[1].head.starts_with("GET /timestamp HTTP/1.1\r\n"), "{}", requests[1].head);
    assert_eq!(requests[1].header("authorization"), "", "the time is no secret");
    assert_eq!(timestamps(&endpoint), [OURS, THEIRS]);
}

#[tokio::test]
async fn offset_of_a_new_credential_counts_once_it_is_in_use() {
    let good = Endpoint::start(|_, request| {
        Reply::Keep(if request.timestamp() == OURS { token(3599) } else { timestamp_refused("") })
    })
    .await;
    let issuer = issuer(&good);
    let credential = |endpoint: &Endpoint| {
        let credential = Credential::new("another-id", SecretString::from("another"));
        credential.and_then(|new| new.with_token_endpoint_url(&endpoint.url)).expect("is on loopback")
    };
    // Wrong about the time, and refuses in the end.
    let bad = Endpoint::start(|number, _| {
        Reply::Keep(match number {
            1 => timestamp_refused(THEIR_DATE),
            _ => answer("401 Unauthorized", "", r#"{"errorCode":401300}"#),
        })
    })
    .await;
    let error = issuer.rotate(credential(&bad), &hour()).await.expect_err("is refused");
    assert_eq!(error.kind(), TokenErrorKind::Rejected { status: 401, code: Some(401_300) });
    assert_eq!(timestamps(&bad), [OURS, THEIRS], "it was tried with the other clock's time");
    assert_eq!(issuer.clock_offset(), 0);
    issuer.issue(&hour()).await.expect("a bad credential changes nothing");

    let other = strict(THEIR_DATE).await;
    issuer.rotate(credential(&other), &hour()).await.expect("is accepted");
    assert_eq!(issuer.clock_offset(), 1800);
}

#[tokio::test]
async fn second_refusal_ends_the_attempt() {
    let endpoint = Endpoint::start(|_, _| Reply::Keep(timestamp_refused(THEIR_DATE))).await;
    let error = issuer(&endpoint).issue(&hour()).await.expect_err("is refused twice");
    assert_eq!(error.kind(), TokenErrorKind::ClockSkew);
    assert_eq!(
        error.to_string(),
        "HERE refused the timestamp (401204): set this machine's clock, preferably with NTP"
    );
    assert!(!error.is_transient(), "only a person can set the clock");
    leaks::assert_hidden(&leaks::rendered(&error));
    assert_eq!(timestamps(&endpoint), [OURS, THEIRS]);
}

#[tokio::test]
async fn other_failure_of_the_second_attempt_is_what_is_told() {
    let endpoint = Endpoint::start(|number, _| {
        Reply::Keep(match number {
            1 => timestamp_refused(THEIR_DATE),
            _ => answer("429 Too Many Requests", "Retry-After: 9\r\n", BODY),
        })
    })
    .await;
    let error = issuer(&endpoint).issue(&hour()).await.expect_err("is throttled");
    assert_eq!(
        (error.kind(), error.retry_after()),
        (TokenErrorKind::Throttled, Some(Duration::from_secs(9)))
    );
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn time_that_cannot_be_fetched_changes_nothing() {
    for reply in [
        answer("404 Not Found", "", "{}"),
        answer("500 Oops", "", r#"{"timestamp":1}"#),
        answer("200 OK", "", "<html>"),
        answer("200 OK", "", r#"{"timestamp":-1}"#),
        answer("200 OK", "Date: yesterday\r\n", "{}"),
    ] {
        let endpoint = Endpoint::start(move |number, _| {
            Reply::Keep(if number == 1 { timestamp_refused("Date: yesterday\r\n") } else { reply.clone() })
        })
        .await;
        let issuer = issuer(&endpoint);
        let error = issuer.issue(&hour()).await.expect_err("is refused");
        assert_eq!(error.kind(), TokenErrorKind::ClockSkew);
        assert_eq!((issuer.clock_offset(), endpoint.requests().len()), (0, 2));
    }
}

#[tokio::test]
async fn private_endpoint_without_a_date_is_not_asked_for_the_time() {
    let endpoint = Endpoint::start(|_, _| Reply::Keep(timestamp_refused(""))).await;
    let issuer = endpoint.issuer_with(|config| {
        let url = endpoint.url.replace("/oauth2/token", "/other");
        config.credential = config.credential.clone().with_token_endpoint_url(&url).expect("is on loopback");
    });
    let error = issuer.issue(&hour()).await.expect_err("is refused");
    assert_eq!(error.kind(), TokenErrorKind::ClockSkew);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn offset_is_learned_again_when_our_clock_is_set_right() {
    // The first answers come from an endpoint half an hour ahead, the later ones agree with our clock.
    let endpoint = Endpoint::start(|number, request| {
        let (theirs, date) = if number <= 2 {
            (THEIRS, THEIR_DATE)
        } else {
            (OURS, "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n")
        };
        Reply::Keep(if request.timestamp() == theirs { token(3599) } else { timestamp_refused(date) })
    })
    .await;
    let issuer = issuer(&endpoint);
    issuer.issue(&hour()).await.expect("the second attempt succeeds");
    issuer.issue(&hour()).await.expect("the second attempt succeeds");
    assert_eq!(issuer.clock_offset(), 0);
    assert_eq!(timestamps(&endpoint), [OURS, THEIRS, THEIRS, OURS]);
}

#[tokio::test]
async fn rotation_corrects_the_clock_like_any_request() {
    let endpoint = strict(THEIR_DATE).await;
    let issuer = issuer(&endpoint);
    let new = Credential::new("new-id", SecretString::from("new"))
        .and_then(|new| new.with_token_endpoint_url(&endpoint.url));
    issuer.rotate(new.expect("is well-formed"), &hour()).await.expect("the second attempt succeeds");
    assert_eq!(timestamps(&endpoint), [OURS, THEIRS]);
    assert_eq!((issuer.clock_offset(), issuer.credential().access_key_id()), (1800, Some("new-id")));
    let requests = endpoint.requests();
    assert!(requests.iter().all(|request| request.oauth("oauth_consumer_key").as_deref() == Some("new-id")));
}
