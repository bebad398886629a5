//! Requests with a client assertion (`private_key_jwt`): their form, that none is like another, and a clock that HERE does not
//! agree with. Whether the signature is right is left to the sandbox and to `PyJWT` (`interop/python`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use token_provider::secrecy::ExposeSecret as _;
use token_provider::{
    Clock, Credential, HereIssuer, Issue as _, Moment, PrivateKey, Scope, SigningAlgorithm, TestClock,
    TokenErrorKind, TokenKey, TokenProvider,
};

use crate::leaks;
use crate::wire::{Endpoint, Reply, Request, TOKEN, answer, hour, token};

/// 2026-01-01T00:00:00Z, for good.
const OURS: u64 = 1_767_225_600;
const THEIR_DATE: &str = "Date: Thu, 01 Jan 2026 00:30:00 GMT\r\n";
const THEIRS: u64 = OURS + 1800;

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Moment {
        Moment { wall: Duration::from_secs(OURS), boot: Duration::ZERO }
    }
}

fn key() -> PrivateKey {
    let pem = PrivateKey::generate_pem(SigningAlgorithm::Es256).expect("randomness is there");
    PrivateKey::from_pem(pem.expose_secret()).expect("is a key")
}

fn credential(key: PrivateKey, url: &str) -> Credential {
    let credential = Credential::with_private_key("an-app", key);
    credential.and_then(|credential| credential.with_token_endpoint_url(url)).expect("is on loopback")
}

fn issuer(endpoint: &Endpoint) -> HereIssuer {
    endpoint.issuer_with(|config| {
        config.credential = credential(key().with_key_id("2026-11").expect("is a name"), &endpoint.url);
        config.clock = Arc::new(Stopped);
    })
}

fn field(request: &Request, name: &str) -> Option<String> {
    let mut fields = url::form_urlencoded::parse(request.body.as_bytes());
    fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
}

/// A part of the assertion: 0 is its header, 1 are its claims.
fn part(request: &Request, number: usize) -> Value {
    let assertion = field(request, "client_assertion").expect("has one");
    assert_eq!(assertion.split('.').count(), 3);
    let part = assertion.split('.').nth(number).expect("is there");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("is base64url")).expect("is JSON")
}

fn issued_at(request: &Request) -> u64 {
    part(request, 1).get("iat").and_then(Value::as_u64).expect("is there")
}

fn refused(code: u32, fields: &str) -> String {
    answer("401 Unauthorized", fields, &format!(r#"{{"errorCode":{code},"message":"refused"}}"#))
}

#[tokio::test]
async fn request_is_a_form_with_an_assertion_and_no_signature() {
    leaks::listen();
    let endpoint = Endpoint::start(|_, _| Reply::Keep(token(3599))).await;
    let issuer = issuer(&endpoint);
    let scope = Scope::new("hrn:here:authorization::myrealm:project/p1").expect("is well-formed");
    let key = TokenKey::new(Duration::from_secs(900)).expect("is in range").with_scope(Some(scope.clone()));
    issuer.issue(&hour()).await.expect("is accepted");
    issuer.issue(&key).await.expect("is accepted");
    let requests = endpoint.requests();
    for (request, expires_in, scope) in
        [(&requests[0], "3600", None), (&requests[1], "900", Some(scope.as_str()))]
    {
        assert!(request.head.starts_with("POST /oauth2/token HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("authorization"), "");
        assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
        assert!(!request.header("x-correlation-id").is_empty());
        assert_eq!(field(request, "grant_type").as_deref(), Some("client_credentials"));
        assert_eq!(field(request, "expires_in").as_deref(), Some(expires_in));
        assert_eq!(field(request, "scope").as_deref(), scope);
        assert_eq!(
            field(request, "client_assertion_type").as_deref(),
            Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        );
        assert_eq!(part(request, 0), json!({"alg": "ES256", "kid": "2026-11", "typ": "JWT"}));
        let claims = part(request, 1);
        let id = claims["jti"].as_str().expect("is there");
        assert!(id.len() >= 22, "128 bits of an alphabet of 62: {id}");
        let expected = json!({
            "iss": "an-app", "sub": "an-app", "aud": endpoint.url, "iat": OURS, "exp": OURS + 300, "jti": id,
        });
        assert_eq!(claims, expected);
    }
    leaks::assert_nothing_logged();
}

#[tokio::test]
async fn key_without_a_name_is_sent_without_one_and_the_audience_has_no_query() {
    let endpoint = Endpoint::start(|_, _| Reply::Keep(token(3599))).await;
    let issuer = endpoint.issuer_with(|config| {
        config.credential = credential(key(), &format!("{}?key=planted", endpoint.url));
    });
    issuer.issue(&hour()).await.expect("is accepted");
    let requests = endpoint.requests();
    assert_eq!(part(&requests[0], 0), json!({"alg": "ES256", "typ": "JWT"}));
    assert_eq!(part(&requests[0], 1)["aud"], endpoint.url);
}

#[tokio::test]
async fn answer_is_taken_in_both_spellings() {
    for body in [
        format!(r#"{{"accessToken":"{TOKEN}","tokenType":"bearer","expiresIn":3599}}"#),
        format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":3599}}"#),
    ] {
        let endpoint = Endpoint::start(move |_, _| Reply::Keep(answer("200 OK", "", &body))).await;
        let issued = issuer(&endpoint).issue(&hour()).await.expect("is a token");
        assert_eq!(issued.expires_in(), Duration::from_secs(3599));
    }
}

#[tokio::test]
async fn no_two_assertions_of_a_thousand_requests_and_their_retries_are_alike() {
    let endpoint = Endpoint::start(|number, _| {
        Reply::Keep(match number % 7 {
            1 => refused(401_204, THEIR_DATE),
            2 | 5 => answer("503 Service Unavailable", "", ""),
            3 => refused(401_933, THEIR_DATE),
            6 => refused(401_934, ""),
            _ => token(3599),
        })
    })
    .await;
    let issuer = issuer(&endpoint);
    while endpoint.requests().len() < 1000 {
        let _ = issuer.issue(&hour()).await;
    }
    let requests = endpoint.requests();
    let ids: HashSet<String> = requests.iter().map(|request| part(request, 1)["jti"].to_string()).collect();
    assert_eq!(ids.len(), requests.len());
}

/// Nobody asks again here, so each request but the first is one that the provider, or its issuer, repeats by itself.
#[tokio::test]
async fn every_retry_of_the_provider_has_an_assertion_of_its_own() {
    let endpoint = Endpoint::start(|number, _| {
        Reply::Keep(match number {
            1 | 5 => answer("503 Service Unavailable", "", ""),
            2 => refused(401_204, THEIR_DATE),
            3 | 4 => refused(401_933, THEIR_DATE),
            _ => token(3599),
        })
    })
    .await;
    let provider = TokenProvider::builder(issuer(&endpoint)).clock(TestClock::new()).build();
    provider.warm();
    // 503; 401204, and with HERE's time 401933; 401933, and with HERE's time 503.
    for (failures, requests) in [(1, 1), (2, 3), (3, 5)] {
        while provider.status()[0].failures < failures {
            tokio::task::yield_now().await;
        }
        assert_eq!(endpoint.requests().len(), requests);
        // The pause after a failure passes at once; while a request is on its way, time is as usual.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(90)).await;
        tokio::time::resume();
    }
    while provider.status()[0].token.is_none() {
        tokio::task::yield_now().await;
    }
    let requests = endpoint.requests();
    let ids: HashSet<String> = requests.iter().map(|request| part(request, 1)["jti"].to_string()).collect();
    assert_eq!((requests.len(), ids.len()), (6, 6));
}

#[tokio::test]
async fn offset_is_learned_from_an_assertion_that_has_expired_for_here() {
    for (code, date) in [(401_933, THEIR_DATE), (401_933, ""), (401_204, THEIR_DATE)] {
        let endpoint = Endpoint::start(move |_, request| {
            Reply::Keep(if request.head.starts_with("GET /timestamp ") {
                answer("200 OK", "", &format!(r#"{{"timestamp":{THEIRS}}}"#))
            } else if issued_at(request).abs_diff(THEIRS) > 300 {
                refused(code, date)
            } else {
                token(3599)
            })
        })
        .await;
        let issuer = issuer(&endpoint);
        issuer.issue(&hour()).await.expect("the second attempt succeeds");
        assert_eq!(issuer.clock_offset(), 1800);
        issuer.issue(&hour()).await.expect("the offset was kept");
        let requests = endpoint.requests();
        let posts = requests.iter().filter(|request| request.head.starts_with("POST"));
        assert_eq!(posts.map(issued_at).collect::<Vec<_>>(), [OURS, THEIRS, THEIRS], "{code} {date}");
    }
}

#[tokio::test]
async fn refusals_are_told_by_what_to_do() {
    for (code, expected) in [
        (401_933, TokenErrorKind::ClockSkew),
        (401_934, TokenErrorKind::Unavailable { status: 401 }),
        (401_932, TokenErrorKind::Rejected { status: 401, code: Some(401_932) }),
        (401_952, TokenErrorKind::Rejected { status: 401, code: Some(401_952) }),
        (401_953, TokenErrorKind::Rejected { status: 401, code: Some(401_953) }),
    ] {
        let endpoint = Endpoint::start(move |_, _| Reply::Keep(refused(code, THEIR_DATE))).await;
        let error = issuer(&endpoint).issue(&hour()).await.expect_err("is refused");
        assert_eq!(error.kind(), expected, "{error}");
        assert_eq!(error.is_transient(), code == 401_934);
        assert!(error.to_string().contains(&code.to_string()), "{error}");
        assert_eq!(endpoint.requests().len(), if code == 401_933 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn access_key_gives_way_to_a_private_key_that_is_accepted() {
    let endpoint = Endpoint::start(|_, _| Reply::Keep(token(3599))).await;
    let issuer = endpoint.issuer();
    issuer.issue(&hour()).await.expect("is accepted");
    let private = credential(key(), &endpoint.url);
    issuer.rotate(private.clone(), &hour()).await.expect("is accepted");
    assert!(issuer.credential().is_same(&private));
    let requests = endpoint.requests();
    assert!(requests[0].header("authorization").starts_with("OAuth "));
    assert!(
        requests[1].header("authorization").is_empty() && field(&requests[1], "client_assertion").is_some()
    );
}
