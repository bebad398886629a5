//! Rates, outages and rules for pages are those of other callers.

use std::sync::Arc;
use std::time::Duration;

use token_provider::{Issue, Issued, TokenError, TokenErrorKind, TokenKey, TokenProvider};
use tokio::sync::Notify;

use super::{Bench, OTHER_SECRET, assert_refused, token};
use crate::support::sdk::{ALL, Sdk, SdkRequest};
use crate::support::server::Setup;
use crate::support::wire::{Connection, request};

#[tokio::test]
async fn key_has_its_rate_and_a_refused_request_uses_up_no_nonce() {
    let bench = Bench::start("", "rate = \"2/h\"").await;
    for _ in 0..2 {
        token(&bench.send(&bench.request(Sdk::Cpp)).await, Sdk::Cpp);
    }
    let request = bench.request(Sdk::Cpp);
    for _ in 0..2 {
        let reply = bench.send(&request).await;
        assert_refused(&reply, 429, Some(429_002));
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
    let line = bench.audit_lines().pop().expect("is there");
    assert_eq!((&line["rule"], &line["caller"]), (&"rate".into(), &"tp.maps".into()), "{line}");
}

#[tokio::test]
async fn wrong_signatures_are_charged_to_their_address() {
    let bench = Bench::start("[access]\nanonymous_rate = \"3/h\"", "").await;
    let mut statuses = Vec::new();
    for number in 0..6 {
        let mut request = bench.request(if number % 2 == 0 { Sdk::Java } else { Sdk::Cpp });
        OTHER_SECRET.clone_into(&mut request.secret);
        // Whatever else is wrong.
        let request = if number < 2 { request.with("client_assertion", "x") } else { request };
        statuses.push(bench.send(&request).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    // Whoever has the secret is not shut out by those who guess at the same address.
    token(&bench.send(&bench.request(Sdk::Cpp)).await, Sdk::Cpp);
}

/// An issuer that fails in this way.
#[derive(Debug)]
struct Failing(TokenErrorKind);

impl Issue for Failing {
    async fn issue(&self, _: &TokenKey) -> Result<Issued, TokenError> {
        Err(TokenError::new(self.0, "what to do"))
    }
}

/// An issuer that does not answer.
#[derive(Debug)]
struct Hanging;

impl Issue for Hanging {
    async fn issue(&self, _: &TokenKey) -> Result<Issued, TokenError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn outage_keeps_its_status_has_no_number_and_uses_up_no_nonce() {
    let failing = |kind| TokenProvider::new(Failing(kind));
    let hanging = TokenProvider::builder(Hanging).max_wait(Duration::from_millis(50)).build();
    for (provider, status) in [
        (failing(TokenErrorKind::Rejected { status: 401, code: Some(401_300) }), 502),
        (failing(TokenErrorKind::Unreachable), 503),
        (hanging, 504),
    ] {
        let bench = Bench::start_with(Setup::default().provider(provider), "", "").await;
        for sdk in ALL {
            let request = bench.request(sdk);
            for _ in 0..2 {
                let reply = bench.send(&request).await;
                assert_refused(&reply, status, None);
                assert_eq!(reply.header("retry-after").is_some(), status != 504, "{reply:?}");
            }
        }
        let line = bench.audit_lines().pop().expect("is there");
        assert_eq!((&line["outcome"], &line["method"]), (&"failed".into(), &"here_key".into()), "{line}");
    }
}

#[tokio::test]
async fn foreign_pages_get_nothing_and_allowed_ones_can_read_why() {
    let bench = Bench::start("cors.origins = ['https://maps.example.com']", "").await;
    let foreign = bench.send(&bench.request(Sdk::TypeScript).header("Origin", "https://evil.example")).await;
    assert_eq!(foreign.error(), "access_denied");
    assert_refused(&foreign, 403, None);
    let own = |request: SdkRequest| request.header("Origin", "https://maps.example.com");
    let mut wrong = own(bench.request(Sdk::TypeScript));
    OTHER_SECRET.clone_into(&mut wrong.secret);
    let refused = bench.send(&wrong).await;
    assert_refused(&refused, 401, Some(401_300));
    let good = bench.send(&own(bench.request(Sdk::TypeScript))).await;
    token(&good, Sdk::TypeScript);
    for reply in [refused, good] {
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some("https://maps.example.com"),
            "{reply:?}"
        );
    }
    let preflight = [
        ("Origin", "https://maps.example.com"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    ];
    for target in ["/oauth2/token?sentWith=x", "/timestamp"] {
        let reply = request(bench.server.address, "OPTIONS", target, &preflight).await;
        assert!(reply.header("access-control-allow-origin").is_some(), "{reply:?}");
    }
    let evil =
        request(bench.server.address, "GET", "/timestamp", &[("Origin", "https://evil.example")]).await;
    assert_eq!(evil.status, 403);
    let rebound =
        bench.send(&SdkRequest { host: Some("evil.example".to_owned()), ..bench.request(Sdk::Cpp) }).await;
    assert_eq!(rebound.error(), "access_denied");
    assert_refused(&rebound, 403, None);
    let signed = bench.request(Sdk::Cpp).authorization();
    let got = request(bench.server.address, "GET", "/oauth2/token", &[("Authorization", &signed)]).await;
    assert_refused(&got, 405, None);
}

/// 32 bodies are waited for from one address, of those whom the head does not name.
#[tokio::test]
async fn slow_bodies_hold_up_nobody_who_is_judged_by_the_head() {
    let bench = Bench::start("", "").await;
    let mut waiting = Vec::new();
    for _ in 0..32 {
        let mut connection = Connection::open(bench.server.address).await;
        let head = format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 10\r\nAuthorization: {}\r\n\r\ng",
            bench.server.address,
            bench.request(Sdk::Java).authorization()
        );
        connection.send(&head).await;
        waiting.push(connection);
    }
    let refused = loop {
        let reply = bench.send(&bench.request(Sdk::Java)).await;
        if reply.status != 200 {
            break reply;
        }
    };
    assert_refused(&refused, 503, None);
    for sdk in [Sdk::Cpp, Sdk::TypeScript, Sdk::Rfc] {
        token(&bench.send(&bench.request(sdk)).await, sdk);
    }
    let malformed = bench.request(Sdk::Java).send_with(bench.server.address, "OAuth x").await;
    assert_refused(&malformed, 401, Some(401_202));
    let stale = SdkRequest { timestamp: 0, ..bench.request(Sdk::Java) };
    assert_refused(&bench.send(&stale).await, 401, Some(401_204));
    let unknown = SdkRequest::new(Sdk::Java, bench.server.address, "someone-elses", OTHER_SECRET);
    assert_refused(&bench.send(&unknown).await, 401, Some(401_600));
    drop(waiting);
}

/// An issuer that answers when it is told to.
#[derive(Debug, Default)]
struct Slow {
    asked: Notify,
    answer: Notify,
}

impl Issue for Slow {
    async fn issue(&self, _: &TokenKey) -> Result<Issued, TokenError> {
        self.asked.notify_one();
        self.answer.notified().await;
        Ok(Issued::new("planted-token", Duration::from_secs(3600)))
    }
}

/// As HERE's Java SDK does: it gives up, and sends the same request again.
#[tokio::test]
async fn client_that_gives_up_may_send_the_same_request_again() {
    let issuer = Arc::new(Slow::default());
    let provider = TokenProvider::new(Arc::clone(&issuer));
    let bench = Bench::start_with(Setup::default().provider(provider), "", "").await;
    let request = bench.request(Sdk::Java);
    let (first, second) = tokio::join!(bench.send(&request), async {
        issuer.asked.notified().await;
        let second = bench.send(&request).await;
        issuer.answer.notify_one();
        second
    });
    assert_refused(&second, 503, None);
    assert_eq!(second.header("retry-after"), Some("1"));
    token(&first, Sdk::Java);
    assert_refused(&bench.send(&request).await, 401, Some(401_207));
}
