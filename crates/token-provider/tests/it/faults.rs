//! Answers that go wrong on the wire, and what is made of them.

use std::time::Duration;

use serde_json::{Value, json};
use token_provider::{Issue as _, Issued, TokenError, TokenErrorKind};

use crate::leaks;
use crate::wire::{BODY, Endpoint, Reply, Request, TOKEN, answer, hour, token};

/// Asks once an endpoint that always answers the same way.
async fn once(
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> (Result<Issued, TokenError>, Vec<Request>) {
    leaks::listen();
    let endpoint = Endpoint::start(move |_, _| reply()).await;
    let answer = endpoint.issuer().issue(&hour()).await;
    if let Err(error) = &answer {
        leaks::assert_hidden(&leaks::rendered(error));
    }
    leaks::assert_nothing_logged();
    (answer, endpoint.signed_requests())
}

/// Asks once, and expects one request and no token.
async fn failure(reply: impl Fn() -> Reply + Send + Sync + 'static) -> TokenError {
    let (answer, requests) = once(reply).await;
    assert_eq!(requests.len(), 1, "one call is one attempt");
    answer.expect_err("no token came")
}

/// The same, where the answer never ends. From the request's coming in on, time passes as soon as nothing else happens.
async fn failure_in_time(reply: impl Fn() -> Reply + Send + Sync + 'static) -> TokenError {
    let error = failure(move || {
        tokio::time::pause();
        reply()
    })
    .await;
    tokio::time::resume();
    error
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).expect("is JSON")
}

fn text(error: &TokenError) -> String {
    error.to_string()
}

#[tokio::test]
async fn request_has_the_form_that_here_documents() {
    let (answer, requests) = once(|| Reply::Close(token(3599))).await;
    assert!(answer.is_ok());
    let [request] = requests.as_slice() else { panic!("one call is one attempt") };
    assert!(request.head.starts_with("POST /oauth2/token HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(json(&request.body), json!({"grantType": "client_credentials", "expiresIn": 3600}));
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("token-provider/"));
    assert!(!request.header("x-correlation-id").is_empty());
    assert!(request.header("authorization").starts_with("OAuth oauth_consumer_key=\"key-id\", "));
}

#[tokio::test]
async fn scope_of_the_request_beats_that_of_the_credential() {
    let endpoint = Endpoint::start(|_, _| Reply::Keep(token(3599))).await;
    let scope = |text| token_provider::Scope::new(text).ok();
    let issuer =
        endpoint.issuer_with(|config| config.credential = config.credential.clone().with_scope(scope("one")));
    issuer.issue(&hour()).await.expect("a token came");
    issuer.issue(&hour().with_scope(scope("two"))).await.expect("a token came");
    let bodies: Vec<Value> = endpoint.signed_requests().iter().map(|request| json(&request.body)).collect();
    let expected = |scope| json!({"grantType": "client_credentials", "expiresIn": 3600, "scope": scope});
    assert_eq!(bodies, ["one", "two"].map(expected));
}

#[tokio::test]
async fn both_spellings_are_read() {
    let snake =
        format!(r#"{{"access_token":"{TOKEN}","token_type":"bearer","expires_in":3599,"scope":"openid"}}"#);
    let (issued, _) = once(move || Reply::Close(answer("200 OK", "", &snake))).await;
    let shown = format!("{:?}", issued.expect("a token came"));
    assert!(shown.contains("3599s") && shown.contains("openid"), "{shown}");
    leaks::assert_hidden(&shown);
    // In chunks, and without any length at all.
    let body = format!(r#"{{"accessToken":"{TOKEN}","expiresIn":3599}}"#);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert!(once(move || Reply::Close(chunked.clone())).await.0.is_ok());
    assert!(once(move || Reply::Close(format!("HTTP/1.1 200 OK\r\n\r\n{body}"))).await.0.is_ok());
}

#[tokio::test]
async fn connection_that_breaks_off_is_transient() {
    let whole = token(3599);
    let in_head = whole.find("Content-Length").expect("is there");
    let in_body = whole.len() - 10;
    for end in [0, 1, in_head, in_body] {
        let part: String = whole.chars().take(end).collect();
        let error = failure(move || Reply::Close(part.clone())).await;
        assert_eq!(error.kind(), TokenErrorKind::Unreachable, "after {end} bytes: {error:?}");
        assert_eq!(text(&error), "the connection to the token endpoint was interrupted");
        assert!(error.is_transient() && error.causes().is_some());
    }
}

#[tokio::test]
async fn answer_that_does_not_come_in_time_is_given_up() {
    let whole = token(3599);
    let in_head = whole.find("Content-Length").expect("is there");
    for end in [0, in_head, whole.len() - 10] {
        let part: String = whole.chars().take(end).collect();
        let error = failure_in_time(move || Reply::Stall(part.clone())).await;
        assert_eq!(error.kind(), TokenErrorKind::TimedOut, "after {end} bytes: {error:?}");
        assert_eq!(text(&error), "no answer from the token endpoint within 10 s");
    }
}

#[tokio::test]
async fn trickle_counts_against_the_whole_attempt() {
    // Each byte comes well before the limit, the last never.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_owned() + &" ".repeat(1000);
    let error = failure_in_time(move || Reply::Trickle(head.clone(), Duration::from_millis(50))).await;
    assert_eq!(error.kind(), TokenErrorKind::TimedOut, "{error:?}");
}

#[tokio::test]
async fn pages_of_a_proxy_are_no_tokens() {
    let page = format!("<!DOCTYPE html><html><title>{BODY}</title></html>");
    for (status, kind, is_transient) in [
        ("200 OK", TokenErrorKind::InvalidAnswer { status: Some(200) }, true),
        ("502 Bad Gateway", TokenErrorKind::Unavailable { status: 502 }, true),
        ("403 Forbidden", TokenErrorKind::InvalidAnswer { status: Some(403) }, false),
        ("407 Proxy Authentication Required", TokenErrorKind::InvalidAnswer { status: Some(407) }, true),
    ] {
        let reply = answer(status, "Content-Type: text/html\r\n", &page);
        let error = failure(move || Reply::Close(reply.clone())).await;
        assert_eq!((error.kind(), error.is_transient()), (kind, is_transient), "{error:?}");
    }
    let error = failure(|| Reply::Close(format!("{BODY}\r\n\r\n"))).await;
    assert_eq!(
        error.kind(),
        TokenErrorKind::Unreachable,
        "what speaks no HTTP is no token endpoint: {error:?}"
    );
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    for (fields, expected) in [
        ("Retry-After: 7\r\n", Some(7)),
        ("Retry-After:  120 \r\n", Some(120)),
        ("Retry-After: 0\r\n", Some(0)),
        ("Retry-After: 99999999999999999999999\r\n", Some(u64::MAX)),
        // By the answer's own clock, whatever ours says.
        ("Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:29:30 GMT\r\n", Some(90)),
        ("Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:00:00 GMT\r\n", Some(0)),
        ("Retry-After: Wed, 21 Oct 2015 07:29:30 GMT\r\n", Some(0)),
        ("Retry-After: soon\r\n", None),
        ("Retry-After: -5\r\n", None),
        ("Retry-After:\r\n", None),
        ("", None),
    ] {
        for (status, kind) in [
            ("429 Too Many Requests", TokenErrorKind::Throttled),
            ("503 Service Unavailable", TokenErrorKind::Unavailable { status: 503 }),
        ] {
            let reply = answer(status, fields, BODY);
            let error = failure(move || Reply::Close(reply.clone())).await;
            assert_eq!(error.kind(), kind);
            assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{fields:?}");
        }
    }
}

#[tokio::test]
async fn body_of_a_mebibyte_is_not_taken_in() {
    let padded = |size: usize| {
        let body = format!(r#"{{"accessToken":"{TOKEN}","expiresIn":3599,"x":"{}"}}"#, "x".repeat(size));
        answer("200 OK", "", &body)
    };
    let error = failure(move || Reply::Close(padded(1024 * 1024))).await;
    assert_eq!(error.kind(), TokenErrorKind::InvalidAnswer { status: Some(200) });
    assert!(text(&error).starts_with("the response is larger than 64 KiB"), "{error}");
    // Without an announced length, it is counted.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{{\"x\":\"{}", "x".repeat(1024 * 1024));
    let error = failure(move || Reply::Close(endless.clone())).await;
    assert_eq!(error.kind(), TokenErrorKind::InvalidAnswer { status: Some(200) });
    assert!(once(move || Reply::Close(padded(60 * 1024))).await.0.is_ok());
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let elsewhere = Endpoint::start(|_, _| Reply::Close(token(3599))).await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let reply = answer(status, &format!("Location: {}\r\n", elsewhere.url), "");
        let error = failure(move || Reply::Close(reply.clone())).await;
        assert!(
            matches!(error.kind(), TokenErrorKind::InvalidAnswer { status: Some(301..=308), .. }),
            "{error:?}"
        );
    }
    assert!(elsewhere.requests().is_empty(), "a signature is for one URL");
}

#[tokio::test]
async fn refusal_says_what_to_do() {
    let body = format!(r#"{{"errorId":"{BODY}","httpStatus":401,"errorCode":401300,"message":"{BODY}"}}"#);
    let reply = answer("401 Unauthorized", "", &body);
    let error = failure(move || Reply::Close(reply.clone())).await;
    assert_eq!(error.kind(), TokenErrorKind::Rejected { status: 401, code: Some(401_300) });
    assert_eq!(
        text(&error),
        "HERE refused the access key (401300): check here.access.key.id and here.access.key.secret in \
         the credential that the program was given; both must belong to the same key"
    );
}

#[tokio::test]
async fn correlation_id_is_the_answers_if_it_can_be_shown_and_else_the_requests() {
    let refused = async |head: String| {
        let body = r#"{"errorCode":401300}"#;
        let (answer, requests) = once(move || Reply::Close(answer("401 Unauthorized", &head, body))).await;
        (answer.expect_err("is refused"), requests[0].header("x-correlation-id").to_owned())
    };
    let (error, _) = refused("X-Correlation-ID: 6c1bce6d-d31f-4275\r\n".to_owned()).await;
    assert_eq!(error.correlation_id(), Some("6c1bce6d-d31f-4275"));
    assert!(!text(&error).contains("6c1bce6d"), "it is not for callers: {error}");
    let long = format!("X-Correlation-ID: {}\r\n", "x".repeat(129));
    for head in [
        "",
        "X-Correlation-ID: \r\n",
        "X-Correlation-ID: two words\r\n",
        "X-Correlation-ID: \u{e4}\r\n",
        &long,
    ] {
        let (error, sent) = refused(head.to_owned()).await;
        assert_eq!(error.correlation_id(), Some(sent.as_str()), "{head}");
    }
    // Nobody answered, or not HERE.
    for reply in ["", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"] {
        let (answer, requests) = once(move || Reply::Close(reply.to_owned())).await;
        let error = answer.expect_err("is no token");
        assert_eq!(error.correlation_id(), Some(requests[0].header("x-correlation-id")), "{error}");
        assert_eq!(error.error_id(), None);
    }
}

#[tokio::test]
async fn repeated_nonce_is_worth_repeating() {
    let body = r#"{"errorCode":401207,"message":"nonce already consumed"}"#;
    let endpoint = Endpoint::start(move |number, _| {
        Reply::Keep(if number == 1 { answer("401 Unauthorized", "", body) } else { token(3599) })
    })
    .await;
    let issuer = endpoint.issuer();
    let error = issuer.issue(&hour()).await.expect_err("is refused");
    assert!(error.is_transient(), "{error:?}");
    issuer.issue(&hour()).await.expect("a token came");
    assert_eq!(endpoint.signed_requests().len(), 2);
}

#[tokio::test]
async fn connection_that_the_endpoint_closed_meanwhile_costs_nothing() {
    // Answers as one that keeps the connection, and closes it all the same.
    let endpoint = Endpoint::start(|_, _| Reply::Close(token(3599))).await;
    let issuer = endpoint.issuer();
    for _ in 0..20 {
        issuer.issue(&hour()).await.expect("a token came");
    }
    assert_eq!(endpoint.signed_requests().len(), 20);
}

#[tokio::test]
async fn connection_is_kept_between_requests() {
    let endpoint = Endpoint::start(|_, request| {
        assert!(request.header("connection").is_empty() || request.header("connection") == "keep-alive");
        Reply::Keep(token(3599))
    })
    .await;
    let issuer = endpoint.issuer();
    for _ in 0..3 {
        issuer.issue(&hour()).await.expect("a token came");
    }
    assert_eq!(endpoint.signed_requests().len(), 3);
    assert_eq!(endpoint.connections(), 1);
}
