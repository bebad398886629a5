//! Tokens that the company's identity provider has not signed, or not for this server, or not for now.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::forger::{Forger, Keys, Row};
use super::{Target, assert_refusal};
use crate::support::identity::{IdentityProvider, header};
use crate::support::wire::Reply;

async fn ask(target: &Target, token: &str) -> Reply {
    target.get(&[("Authorization", &format!("Bearer {token}"))]).await
}

/// The tokens of `testdata/forged-tokens.toml`.
#[derive(Debug, Deserialize)]
struct Table {
    reasons: BTreeMap<String, String>,
    tokens: BTreeMap<String, Vec<Row>>,
}

#[tokio::test]
async fn tricks_with_tokens_are_refused_each_with_its_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/forged-tokens.toml");
    let table: Table = toml::from_str(&fs::read_to_string(path).expect("is there")).expect("is a table");
    let keys = Keys::new();
    let provider = IdentityProvider::publishing(&keys.published()).await;
    let elsewhere = IdentityProvider::start().await;
    let forger = Forger::new(keys, &provider.issuer, &elsewhere.issuer);
    let target = Target::start(&provider.config()).await;

    let rows = table.tokens.iter().flat_map(|(group, rows)| rows.iter().map(move |row| (group, row)));
    let (good, bad): (Vec<_>, Vec<_>) =
        rows.partition(|(_, row)| row.refused.is_none() && row.status.is_none());
    let (mut refused, mut wrong) = (Vec::new(), Vec::new());
    for (group, row) in bad {
        let token = forger.token(row);
        let reply = ask(&target, &token).await;
        let what = format!("{group}: {}", row.is);
        let Some(reason) = row.refused.as_ref().map(|reason| table.reasons[reason].as_str()) else {
            wrong.extend((Some(reply.status) != row.status).then_some((what, reply)));
            continue;
        };
        let challenge = reply.header("www-authenticate").unwrap_or_default();
        let is_told = challenge.contains(r#"error="invalid_token""#) && challenge.contains(reason);
        if reply.status == 401 && reply.description() == reason && is_told {
            refused.push((what, token, reason));
        } else {
            wrong.push((what, reply));
        }
    }
    assert!(wrong.is_empty(), "{} answers are not as they should be: {wrong:#?}", wrong.len());
    assert_eq!(elsewhere.asked(), 0, "nobody asks where a token says");
    target.assert_nothing_happened();
    let mut subjects = Vec::new();
    for (group, row) in &good {
        let token = forger.token(row);
        let reply = ask(&target, &token).await;
        assert_eq!(reply.status, 200, "{group}: {}: {reply:?}", row.is);
        let claims =
            URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("has claims")).expect("is base64url");
        subjects.push(serde_json::from_slice::<Value>(&claims).expect("is JSON")["sub"].clone());
    }

    let lines = target.lines();
    let refusals: Vec<_> = lines.iter().filter(|line| line["status"] == 401).collect();
    assert_eq!(refusals.len(), refused.len());
    for ((what, token, reason), line) in refused.iter().zip(refusals) {
        assert_refusal(line, 401, "authenticate", "127.0.0.1");
        assert_eq!(line["reason"], *reason, "{what}");
        let claims = token.split('.').nth(1).filter(|claims| claims.len() > 8);
        assert!(claims.is_none_or(|claims| !line.to_string().contains(claims)), "{what}: {line}");
    }
    let handed_out: Vec<_> = lines.iter().filter(|line| line["status"] == 200).collect();
    assert!(handed_out.iter().all(|line| line["method"] == "oidc"), "{handed_out:?}");
    assert!(handed_out.iter().map(|line| &line["caller"]).eq(&subjects), "{handed_out:?}");
}

#[tokio::test]
async fn flood_of_unknown_keys_is_refused_and_the_provider_asked_once() {
    const FLOOD: usize = 100;
    let provider = IdentityProvider::start().await;
    let target = Target::start(&provider.config()).await;
    let good = provider.token();
    assert_eq!(ask(&target, &good).await.status, 200);
    let asked = provider.asked();
    let claims = provider.claims(&json!({}));
    for number in 0..FLOOD {
        let reply =
            ask(&target, &provider.sign(&header("RS256", &format!("unknown-{number}")), &claims)).await;
        assert_eq!(
            (reply.status, reply.description().as_str()),
            (401, "the token's key is unknown"),
            "{number}"
        );
    }
    assert_eq!(provider.asked(), asked + 1, "once in its cool-down");
    assert_eq!(ask(&target, &good).await.status, 200, "others are served");

    let lines = target.lines();
    assert_eq!(lines.len(), FLOOD + 2);
    for line in &lines[1..=FLOOD] {
        assert_refusal(line, 401, "authenticate", "127.0.0.1");
        assert_eq!(line["reason"], "the token's key is unknown");
    }
}
