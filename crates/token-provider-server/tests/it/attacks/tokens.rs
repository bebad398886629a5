//! Tokens that the company's identity provider has not signed, or not for this server, or not for now.

use serde_json::{Value, json};
use token_provider::{Clock as _, SystemClock};

use super::{Target, assert_refusal};
use crate::support::identity::{IdentityProvider, KEY_ID, header, signed_part, with_shared_secret};
use crate::support::wire::Reply;

const ALGORITHM: &str = "the token's signature algorithm is not accepted";
const SIGNATURE: &str = "the token's signature is wrong";
const EXPIRED: &str = "the token has expired";
const AUDIENCE: &str = "the token is for another audience";

async fn ask(target: &Target, token: &str) -> Reply {
    target.get(&[("Authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn tricks_with_tokens_are_refused_each_with_its_reason() {
    let provider = IdentityProvider::start().await;
    let stranger = IdentityProvider::start().await;
    let target = Target::start(&provider.config()).await;
    let now = SystemClock.now().wall.as_secs();
    let good = provider.claims(&json!({}));
    let with = |changes: Value| provider.sign(&header("RS256", KEY_ID), &provider.claims(&changes));
    let unsigned = |algorithm: &str| format!("{}.", signed_part(&header(algorithm, KEY_ID), &good));
    let with_hmac = |secret: &[u8]| with_shared_secret(&header("HS256", KEY_ID), &good, secret);
    let pem = provider.public_key_pem();
    let admin = signed_part(&header("RS256", KEY_ID), &provider.claims(&json!({ "sub": "admin" })));
    let signature = provider.token().rsplit('.').next().expect("has three parts").to_owned();
    let own_key = json!({ "alg": "RS256", "kid": KEY_ID, "jku": format!("{}/keys", stranger.issuer) });

    let tricks = [
        ("alg none", unsigned("none"), ALGORITHM),
        ("alg None", unsigned("None"), ALGORITHM),
        ("no signature", unsigned("RS256"), SIGNATURE),
        ("the public key as a shared secret", with_hmac(pem.as_bytes()), ALGORITHM),
        ("the same without its last line end", with_hmac(pem.trim_end().as_bytes()), ALGORITHM),
        (
            "the same under the name of a good algorithm",
            with_shared_secret(&header("RS256", KEY_ID), &good, pem.as_bytes()),
            SIGNATURE,
        ),
        ("expired", with(json!({ "exp": now - 120 })), EXPIRED),
        ("expired in 1970", with(json!({ "exp": 0 })), EXPIRED),
        ("of tomorrow", with(json!({ "nbf": now + 86_400 })), "the token is not valid yet"),
        ("for another service", with(json!({ "aud": "files" })), AUDIENCE),
        ("for many, but not us", with(json!({ "aud": ["files", "token-provider.evil"] })), AUDIENCE),
        ("for nobody", with(json!({ "aud": null })), AUDIENCE),
        ("of another issuer", with(json!({ "iss": stranger.issuer })), "the token is from another issuer"),
        ("signed by a stranger", stranger.sign(&header("RS256", KEY_ID), &good), SIGNATURE),
        ("with a key of its own", stranger.sign(&own_key, &good), SIGNATURE),
        ("claims of another", format!("{admin}.{signature}"), SIGNATURE),
        (
            "of another kind",
            provider.sign(&json!({ "alg": "RS256", "kid": KEY_ID, "typ": "logout+jwt" }), &good),
            "the token is of a type that is not for access",
        ),
    ];
    for (what, token, reason) in &tricks {
        let reply = ask(&target, token).await;
        assert_eq!((reply.status, reply.description().as_str()), (401, *reason), "{what}: {reply:?}");
        let challenge = reply.header("www-authenticate").expect("is there");
        assert!(challenge.contains(r#"error="invalid_token""#) && challenge.contains(reason), "{challenge}");
    }
    assert_eq!(stranger.asked(), 0, "nobody asks where a token says");
    target.assert_nothing_happened();
    assert_eq!(ask(&target, &provider.token()).await.status, 200, "a good one");

    let lines = target.lines();
    assert_eq!(lines.len(), tricks.len() + 1);
    for ((what, token, reason), line) in tricks.iter().zip(&lines) {
        assert_refusal(line, 401, "authenticate", "127.0.0.1");
        assert_eq!(line["reason"], *reason, "{what}");
        assert!(!line.to_string().contains(token.split('.').nth(1).expect("has claims")), "{what}: {line}");
    }
    let last = &lines[tricks.len()];
    assert_eq!((&last["method"], &last["caller"]), (&"oidc".into(), &"dashboard".into()), "{last}");
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
