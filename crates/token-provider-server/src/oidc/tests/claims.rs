//! What a token says: every claim that counts, right and wrong.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use token_provider::TestClock;

use super::support::{Answer, Bench, Key, claims, claims_with, config, config_requiring, header};
use crate::oidc::claims::{judge, missing};
use crate::oidc::token::Members;
use crate::reason::Rejection;

const NOW: u64 = TestClock::START.as_secs();

fn members(claims: Value) -> Members {
    serde_json::from_value(claims).expect("is an object")
}

#[tokio::test(start_paused = true)]
async fn leeway_ends_to_the_second() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let leeway = config().leeway.as_secs();
    for (changes, expected) in [
        (json!({ "exp": NOW - leeway + 1 }), None),
        (json!({ "exp": NOW - leeway }), Some(Rejection::Expired)),
        (json!({ "nbf": NOW + leeway }), None),
        (json!({ "nbf": NOW + leeway + 1 }), Some(Rejection::NotYetValid)),
        (json!({ "iat": NOW + leeway }), None),
        (json!({ "iat": NOW + leeway + 1 }), Some(Rejection::IssuedInFuture)),
    ] {
        let token = key.token(&header("ES256", "a"), &claims_with(&changes));
        match expected {
            None => assert!(bench.judge(&token).await.is_ok(), "{changes}"),
            Some(fault) => {
                assert_eq!(bench.refusal(&token).await, format!("401 {}", fault.as_str()), "{changes}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn genuine_token_without_a_required_claim_is_refused_by_name() {
    let key = Key::p256();
    let config =
        config_requiring(&[("groups", &["maps", "admin"]), ("scope", &["tiles"]), ("scp", &["tiles"])]);
    let bench = Bench::with(&config, Answer::Keys(vec![key.jwk("a")]));
    for (changes, missing) in [
        (json!({ "groups": "maps", "scope": "tiles", "scp": "tiles" }), None),
        (json!({ "groups": ["x", "admin"], "scope": "a tiles b", "scp": ["a", "tiles"] }), None),
        (json!({ "scope": "tiles", "scp": "tiles" }), Some("groups")),
        (json!({ "groups": [], "scope": "tiles", "scp": "tiles" }), Some("groups")),
        // Only scopes are words in one string: the name of a group may have a space in it.
        (json!({ "groups": "x maps", "scope": "tiles", "scp": "tiles" }), Some("groups")),
        (json!({ "groups": "Maps", "scope": "tiles", "scp": "tiles" }), Some("groups")),
        (json!({ "groups": { "maps": true }, "scope": "tiles", "scp": "tiles" }), Some("groups")),
        (json!({ "groups": [["maps"]], "scope": "tiles", "scp": "tiles" }), Some("groups")),
        (json!({ "groups": "maps", "scope": "tiles2", "scp": "tiles" }), Some("scope")),
        (json!({ "groups": "maps", "scope": "tiles", "scp": "a,tiles" }), Some("scp")),
        (json!({ "groups": "maps", "scope": "tiles" }), Some("scp")),
    ] {
        let token = key.token(&header("ES256", "a"), &claims_with(&changes));
        let expected = missing.map(|claim| {
            format!(
                "403 claims: the token's `{claim}` has none of the values required by access.oidc.require"
            )
        });
        match &expected {
            None => assert!(bench.judge(&token).await.is_ok(), "{changes}"),
            Some(text) => assert_eq!(bench.refusal(&token).await, *text, "{changes}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_bearers_of_genuine_tokens_learn_the_required_claim() {
    let (key, stranger) = (Key::p256(), Key::p256());
    let bench = Bench::with(&config_requiring(&[("groups", &["maps"])]), Answer::Keys(vec![key.jwk("a")]));
    let forged = stranger.token(&header("ES256", "a"), &claims());
    assert_eq!(bench.refusal(&forged).await, "401 the token's signature is wrong");
}

#[tokio::test(start_paused = true)]
async fn accepted_token_expires_all_the_same() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let token = key.token(&header("ES256", "a"), &claims_with(&json!({ "exp": NOW + 100 })));
    assert!(bench.judge(&token).await.is_ok());
    tokio::time::advance(Duration::from_secs(159)).await;
    assert!(bench.judge(&token).await.is_ok());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(bench.refusal(&token).await, "401 the token has expired");
    bench.clock.set_wall(-120);
    assert!(bench.judge(&token).await.is_ok());
    bench.clock.set_wall(3600);
    assert_eq!(bench.refusal(&token).await, "401 the token has expired");
}

proptest! {
    #[test]
    fn token_is_good_between_its_times_and_the_leeway_round_them(
        exp in 0_u64..1000, nbf in proptest::option::of(0_u64..1000), iat in proptest::option::of(0_u64..1000), now in 0_u64..1000,
    ) {
        let mut claims = claims_with(&json!({ "exp": exp, "iat": iat }));
        if let Some(nbf) = nbf {
            claims["nbf"] = nbf.into();
        }
        let verdict = judge(&members(claims), &config(), Duration::from_secs(now)).is_ok();
        let leeway = config().leeway.as_secs();
        let is_good = now < exp + leeway
            && nbf.is_none_or(|nbf| nbf <= now + leeway)
            && iat.is_none_or(|iat| iat <= now + leeway);
        prop_assert_eq!(verdict, is_good);
    }

    #[test]
    fn subject_that_is_taken_is_one_line_of_ascii(subject in ".*") {
        let claims = members(claims_with(&json!({ "sub": subject })));
        if let Ok(accepted) = judge(&claims, &config(), TestClock::START) {
            prop_assert_eq!(accepted, subject.as_str());
            prop_assert!(subject.len() <= 255 && subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
        }
    }

    #[test]
    fn malformed_claims_do_not_panic(name in "iss|aud|exp|nbf|iat|sub|cnf|groups", value in any_json()) {
        let config = config_requiring(&[("groups", &["maps"])]);
        let claims = members(claims_with(&json!({ name: value })));
        let _ = judge(&claims, &config, TestClock::START);
        let _ = missing(&claims, &config.require);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".*", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}
