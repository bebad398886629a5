//! Rates, outages and rules for pages are those of other callers.

use super::{Bench, OTHER_SECRET, assert_refused, token};
use crate::support::sdk::Sdk;

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
        statuses.push(bench.send(&request).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    // Whoever has the secret is not shut out by those who guess at the same address.
    token(&bench.send(&bench.request(Sdk::Cpp)).await, Sdk::Cpp);
}
