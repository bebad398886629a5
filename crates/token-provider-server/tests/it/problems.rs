//! What a caller is told when no token is available: each row of the contract's table of errors, with an account that
//! misbehaves behind the server.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use here_sandbox::{Fault, FaultBody, HangUp};
use http_body_util::Full;
use hyper::Request;
use token_provider::TokenProvider;
use token_provider_server::parts::Method;
use token_provider_server::parts::access::ConnectionInfo;
use token_provider_server::parts::http::Service as _;

use super::support::issuer::{BreakingClock, GatedIssuer, PanickingIssuer};
use super::support::log::{heard, listen_in};
use super::support::server::{ACCESS_KEY_SECRET, Server, Setup, parse};
use super::support::wire::{Reply, get, post_form, request};

/// A pause that the issuer asks for is lengthened by up to a tenth, and said in whole seconds.
fn retry_after(reply: &Reply) -> u64 {
    let text = reply.header("retry-after").unwrap_or_else(|| panic!("no Retry-After: {reply:?}"));
    text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

const PAGE: &str = "http://localhost:5173";
const FROM_PAGE: [(&str, &str); 1] = [("Origin", PAGE)];

/// Asks at one of the two endpoints from a page, which must be able to read the answer.
async fn ask_at(endpoint: &str, address: SocketAddr) -> Reply {
    let reply = match endpoint {
        "/getToken" => request(address, "GET", endpoint, &FROM_PAGE).await,
        _ => post_form(address, "", &FROM_PAGE).await,
    };
    assert_eq!(reply.header("access-control-allow-origin"), Some(PAGE), "{endpoint}: {reply:?}");
    let exposed = reply.header("access-control-expose-headers").unwrap_or_default();
    assert!(exposed.contains("Retry-After"), "{endpoint}: {reply:?}");
    reply
}

/// Asks at both endpoints, which must say the same. Returns what the first one says.
async fn ask(address: SocketAddr) -> Reply {
    let [first, second] = [ask_at("/getToken", address).await, ask_at("/oauth2/token", address).await];
    assert_same(&first, &second);
    first
}

fn assert_same(first: &Reply, second: &Reply) {
    let told =
        |reply: &Reply| (reply.status, (reply.status >= 400).then(|| (reply.error(), reply.description())));
    assert_eq!(told(first), told(second));
}

/// The same with a fault of the account, each endpoint with its own server: the first to ask is the one to be told.
async fn ask_with(fault: Fault) -> Reply {
    let asked = async |endpoint| {
        let server = Server::start().await;
        server.sandbox.faults().inject(fault.clone());
        ask_at(endpoint, server.address).await
    };
    let [first, second] = [asked("/getToken").await, asked("/oauth2/token").await];
    assert_same(&first, &second);
    first
}

#[tokio::test]
async fn refused_credential_is_502_with_heres_number_and_the_remedy() {
    let server = Setup::default().wrong_secret("not-the-secret").start().await;
    // The second one is told from memory: nobody can make the server ask with a refused credential.
    for _ in 0..2 {
        let reply = ask(server.address).await;
        assert_eq!((reply.status, reply.error().as_str()), (502, "issuer_rejected"), "{reply:?}");
        let description = reply.description();
        assert!(description.contains("401300"), "{description}");
        assert!(description.contains("here.access.key.secret"), "{description}");
        assert!((50..=66).contains(&retry_after(&reply)), "once a minute: {reply:?}");
    }
    assert_eq!(server.sandbox.stats().token_requests, 1);
}

#[tokio::test]
async fn each_number_of_heres_is_given() {
    for (status, code) in [(400, 400_200), (401, 401_302), (401, 401_310), (403, 403_000), (404, 404_000)] {
        let reply =
            ask_with(Fault { status: Some(status), error_code: Some(code), ..Fault::default() }).await;
        assert_eq!((reply.status, reply.error().as_str()), (502, "issuer_rejected"), "{code}: {reply:?}");
        assert!(reply.description().contains(&code.to_string()), "{code}: {reply:?}");
    }
}

#[tokio::test]
async fn nonsense_is_502() {
    for body in [FaultBody::Html, FaultBody::Garbage, FaultBody::Empty, FaultBody::Huge] {
        let reply = ask_with(Fault { body: Some(body), ..Fault::default() }).await;
        assert_eq!((reply.status, reply.error().as_str()), (502, "issuer_rejected"), "{body:?}: {reply:?}");
        let description = reply.description();
        assert!(description.contains("here.token.endpoint.url"), "{body:?}: {description}");
        assert!(!description.contains("sign in"), "the issuer's body is kept to itself: {description}");
    }
    let redirect = ask_with(Fault { status: Some(302), ..Fault::default() }).await;
    assert_eq!((redirect.status, redirect.error().as_str()), (502, "issuer_rejected"), "{redirect:?}");
}

#[tokio::test]
async fn clock_that_cannot_be_put_right_is_502() {
    // Refused as out of time, whatever time the request is signed with.
    let reply = ask_with(Fault { status: Some(401), error_code: Some(401_204), ..Fault::default() }).await;
    assert_eq!((reply.status, reply.error().as_str()), (502, "issuer_rejected"), "{reply:?}");
    assert!(reply.description().contains("401204") && reply.description().contains("clock"), "{reply:?}");
}

#[tokio::test]
async fn clock_that_can_be_put_right_is_no_problem() {
    for seconds in [-86_400, 86_400] {
        let reply = ask_with(Fault { clock_skew_s: Some(seconds), ..Fault::default() }).await;
        assert_eq!(reply.status, 200, "{seconds}: {reply:?}");
    }
}

#[tokio::test]
async fn failing_issuer_is_503_and_says_when_to_come_back() {
    let faults = [
        Fault { status: Some(500), ..Fault::default() },
        Fault { status: Some(503), ..Fault::default() },
        Fault { status: Some(408), ..Fault::default() },
        Fault { hang_up: Some(HangUp::BeforeHeader), ..Fault::default() },
        Fault { hang_up: Some(HangUp::MidHeader), ..Fault::default() },
        Fault { hang_up: Some(HangUp::MidBody), ..Fault::default() },
        // A page of a gateway that is failing is a failure like any other.
        Fault { status: Some(502), body: Some(FaultBody::Html), ..Fault::default() },
    ];
    for fault in faults {
        let reply = ask_with(fault.clone()).await;
        let found = (reply.status, reply.error());
        assert_eq!(found, (503, "temporarily_unavailable".to_owned()), "{fault:?}: {reply:?}");
        // 0.2 s to 0.3 s after the first failure; never "0", which would be an invitation.
        assert_eq!(retry_after(&reply), 1, "{fault:?}: {reply:?}");
    }
}

#[tokio::test]
async fn issuers_own_pause_is_passed_on() {
    for status in [429, 503] {
        let reply =
            ask_with(Fault { status: Some(status), retry_after: Some("40".to_owned()), ..Fault::default() })
                .await;
        assert_eq!((reply.status, reply.error().as_str()), (503, "temporarily_unavailable"), "{reply:?}");
        assert!((40..=44).contains(&retry_after(&reply)), "{status}: {reply:?}");
    }
}

#[tokio::test]
async fn nobody_waits_and_nobody_asks_during_the_pause() {
    let server = Server::start().await;
    server.sandbox.faults().inject(Fault {
        status: Some(429),
        retry_after: Some("100".to_owned()),
        ..Fault::default()
    });
    for _ in 0..20 {
        assert_eq!(ask(server.address).await.status, 503);
    }
    assert_eq!(server.sandbox.stats().token_requests, 1);
}

/// What one endpoint hands out, the other counts.
#[tokio::test]
async fn rate_is_one_for_both_endpoints_and_a_page_can_read_when_to_come_back() {
    let key = "tp_an-api-key-of-the-tests-0123456789-0123456789";
    let sha256 = "45031396deae5803240c63b24994287aa2715350dc5622d246f33ad3de2d5d50";
    let config = format!(
        "[access]\nanonymous = true\nanonymous_rate = '3/h'\n\
         [[access.api_keys]]\nid = 'a'\nsha256 = '{sha256}'\nrate = '3/h'\n"
    );
    let server = Setup::default().config(&config).start().await;
    let client = format!("&client_id=a&client_secret={key}");
    for (header, fields) in [(("X-API-Key", key), client.as_str()), (("Accept", "*/*"), "")] {
        let headers = [FROM_PAGE[0], header];
        for (round, statuses) in [[200, 200], [200, 429], [429, 429]].into_iter().enumerate() {
            let replies = [
                request(server.address, "GET", "/getToken", &headers).await,
                post_form(server.address, fields, &FROM_PAGE).await,
            ];
            for (reply, status) in replies.iter().zip(statuses) {
                assert_eq!(reply.status, status, "{header:?} in round {round}: {reply:?}");
                assert_eq!(reply.header("access-control-allow-origin"), Some(PAGE), "{reply:?}");
                if status == 429 {
                    assert_eq!(reply.error(), "slow_down", "{reply:?}");
                    assert!((1..=1200).contains(&retry_after(reply)), "every 20 minutes: {reply:?}");
                }
            }
        }
    }
    let limited: Vec<_> = server.app.telemetry.limited.lock().clone().into_iter().collect();
    assert_eq!(limited, [(Method::ApiKey, 3), (Method::Anonymous, 3)]);
}

#[tokio::test]
async fn unreachable_issuer_is_503() {
    let credential = token_provider::Credential::new("id", ACCESS_KEY_SECRET.to_owned().into())
        // Nothing listens at port 1; the refusal comes at once.
        .and_then(|credential| credential.with_token_endpoint_url("http://127.0.0.1:1/oauth2/token"))
        .expect("is well-formed");
    let issuer = token_provider::HereIssuer::new(token_provider::HereIssuerConfig::new(credential));
    let provider = TokenProvider::new(issuer.expect("can be set up"));
    let server = Setup::default().provider(provider).start().await;
    let reply = get(server.address, "/getToken").await;
    assert_eq!((reply.status, reply.error().as_str()), (503, "temporarily_unavailable"), "{reply:?}");
    assert_eq!(retry_after(&reply), 1);
}

#[tokio::test]
async fn token_that_expires_at_once_is_503_and_not_a_token() {
    for lifetime in [0, 1, 9, 10] {
        let reply = ask_with(Fault { lifetime_s: Some(lifetime), ..Fault::default() }).await;
        let found = (reply.status, reply.error());
        assert_eq!(found, (503, "temporarily_unavailable".to_owned()), "{lifetime}: {reply:?}");
        assert!(reply.header("retry-after").is_some() && reply.header("token-expires-in").is_none());
    }
    // A second is enough to be handed out in.
    let reply = ask_with(Fault { lifetime_s: Some(12), ..Fault::default() }).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn wait_that_ends_first_is_504_and_the_request_goes_on() {
    let issuer = std::sync::Arc::new(GatedIssuer::new("planted.token.text"));
    let provider =
        TokenProvider::builder(std::sync::Arc::clone(&issuer)).max_wait(Duration::from_millis(1)).build();
    let server = Setup::default().provider(provider).start().await;
    let reply = ask(server.address).await;
    assert_eq!((reply.status, reply.error().as_str()), (504, "issuer_timeout"), "{reply:?}");
    issuer.asked().await;
    issuer.answer();
    // The answer to the one request that was made is there for the next caller.
    let reply = loop {
        let reply = get(server.address, "/getToken").await;
        if reply.status != 504 {
            break reply;
        }
    };
    assert_eq!((reply.status, reply.text()), (200, "planted.token.text"));
}

#[tokio::test]
async fn issuer_that_panics_is_503_and_the_server_lives_on() {
    let server = Setup::default().provider(TokenProvider::new(PanickingIssuer)).start().await;
    let reply = get(server.address, "/getToken").await;
    assert_eq!((reply.status, reply.error().as_str()), (503, "temporarily_unavailable"), "{reply:?}");
    assert!(!reply.description().contains("planted"), "{reply:?}");
    assert_eq!(get(server.address, "/livez").await.status, 200);
}

#[tokio::test]
async fn handler_that_panics_is_500_and_the_connection_lives_on() {
    let provider = TokenProvider::builder(PanickingIssuer).clock(BreakingClock::after(0)).build();
    let server = Setup::default().provider(provider).start().await;
    for endpoint in ["/getToken", "/oauth2/token"] {
        listen_in();
        let reply = ask_at(endpoint, server.address).await;
        let log = heard();
        assert_eq!((reply.status, reply.error().as_str()), (500, "server_error"), "{reply:?}");
        assert!(!reply.description().contains("planted"), "{reply:?}");
        let id = reply.header("x-request-id").expect("is there");
        assert_eq!(reply.json()["request_id"], id);
        let line = log.lines().find(|line| line.contains("a handler panicked"));
        let line = line.expect("the log has the report");
        assert!(line.contains("ERROR") && line.contains(id), "{line}");
    }
    assert_eq!(get(server.address, "/livez").await.status, 200);
}

#[tokio::test]
async fn readiness_follows_the_default_token() {
    let server = Server::start().await;
    server.sandbox.faults().inject(Fault { status: Some(500), ..Fault::default() });
    // On a busy machine the probe may not have waited for the account's answer.
    let reply = loop {
        let reply = get(server.address, "/readyz").await;
        assert_eq!((reply.status, reply.error().as_str()), (503, "temporarily_unavailable"), "{reply:?}");
        if reply.description() != "the first token has not arrived yet" {
            break reply;
        }
    };
    assert!(reply.description().contains("500"), "says why: {reply:?}");
    server.sandbox.faults().clear();
    let again = loop {
        let reply = get(server.address, "/readyz").await;
        if reply.status == 200 {
            break reply;
        }
    };
    assert_eq!(again.text(), "ready\n");
    assert_eq!(get(server.address, "/livez").await.text(), "live\n");
}

#[tokio::test]
async fn readiness_is_about_the_lifetime_that_callers_get_after_a_reload() {
    let server = Server::start().await;
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    assert_eq!(server.sandbox.stats().token_requests, 1);
    server.sandbox.faults().inject(Fault { status: Some(500), ..Fault::default() });
    server.app.access.reload(&parse("lifetimes = ['5m']"));
    assert_eq!(get(server.address, "/readyz").await.status, 503, "the new one has not come");
    server.sandbox.faults().clear();
    while get(server.address, "/readyz").await.status != 200 {}
    let requests = server.sandbox.stats().token_requests;
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    assert_eq!(server.sandbox.stats().token_requests, requests, "is the token that was ready");
}

#[tokio::test]
async fn readiness_does_not_keep_a_probe_waiting() {
    let issuer = std::sync::Arc::new(GatedIssuer::new("planted.token.text"));
    let server = Setup::default().provider(TokenProvider::new(std::sync::Arc::clone(&issuer))).start().await;
    let asked = tokio::time::Instant::now();
    let reply = get(server.address, "/readyz").await;
    assert_eq!((reply.status, reply.error().as_str()), (503, "temporarily_unavailable"), "{reply:?}");
    // Kubernetes gives up after a second.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(reply.description(), "the first token has not arrived yet");
}

#[tokio::test]
async fn held_token_outlives_an_issuer_that_fails() {
    let server = Server::start().await;
    let first = get(server.address, "/getToken").await;
    server.sandbox.faults().inject(Fault { status: Some(500), ..Fault::default() });
    let second = get(server.address, "/getToken?ttl=3600").await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.text(), second.text());
    assert_eq!(server.sandbox.stats().token_requests, 1);
}

/// Each connection keeps the room for it, idle or not: a KiB is 10 MiB for 10,000 connections.
#[tokio::test]
async fn request_takes_little_room_in_its_connection() {
    let server = Server::start().await;
    let (request, ends) = (Request::new(Full::new(Bytes::new())), ConnectionInfo::default());
    let size = size_of_val(&server.app.answer(request, &ends));
    assert!(size < 4096, "{size} bytes");
}
