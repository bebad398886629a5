//! Several identity providers: whose token is it, and what one's failure does to the others.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::support::{
    Answer, Bench, ISSUER, Key, claims, claims_with, config, config_requiring, description, header,
};
use crate::config::OidcConfig;
use crate::oidc;
use crate::problem::Problem;

const OTHER: &str = "https://cluster.example.net";
const NO_KEYS: &str = "503 the identity provider's keys cannot be fetched, so its tokens cannot be verified";
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns which of the providers accepts a token.
async fn judge(providers: &[&Bench], token: &str) -> Result<usize, Problem> {
    let numbered = providers.iter().enumerate().map(|(number, bench)| (&bench.provider, number));
    oidc::authenticate(numbered, token.as_bytes()).await.map(|(number, ..)| number)
}

async fn refusal(providers: &[&Bench], token: &str) -> String {
    description(&judge(providers, token).await.expect_err("must be refused"))
}

fn bench(config: &OidcConfig, key: &Key, kid: &str) -> Bench {
    Bench::with(config, Answer::Keys(vec![key.jwk(kid)]))
}

fn other() -> OidcConfig {
    let mut other = config();
    other.keys.issuer = OTHER.to_owned();
    other
}

fn token(key: &Key, kid: &str) -> String {
    key.token(&header("ES256", kid), &claims())
}

/// Time for what has been spawned to have keys.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn providers_of_one_issuer_are_tried_in_their_order_each_with_its_own_keys() {
    let (a, b, stranger) = (Key::p256(), Key::p256(), Key::p256());
    for (kid_of_a, kid_of_b) in [("a", "b"), ("same", "same")] {
        let (first, second) = (bench(&config(), &a, kid_of_a), bench(&config(), &b, kid_of_b));
        let third = bench(&config(), &b, kid_of_b);
        let providers = [&first, &second, &third];
        assert_eq!(judge(&providers, &token(&a, kid_of_a)).await.ok(), Some(0));
        assert_eq!(judge(&providers, &token(&b, kid_of_b)).await.ok(), Some(1));
        assert!(refusal(&providers, &token(&stranger, kid_of_a)).await.starts_with("401 the token's "));
    }
}

#[tokio::test(start_paused = true)]
async fn issuer_that_is_read_before_the_signature_chooses_keys_and_nothing_else() {
    let (a, b) = (Key::p256(), Key::p256());
    // By the same name, so that only the issuer tells them apart.
    let (first, second) = (bench(&config(), &a, "k"), bench(&other(), &b, "k"));
    let providers = [&first, &second];
    let says =
        |key: &Key, issuer: &str| key.token(&header("ES256", "k"), &claims_with(&json!({ "iss": issuer })));
    assert_eq!(judge(&providers, &says(&a, ISSUER)).await.ok(), Some(0));
    assert_eq!(judge(&providers, &says(&b, OTHER)).await.ok(), Some(1));
    for crossed in [says(&b, ISSUER), says(&a, OTHER)] {
        assert_eq!(refusal(&providers, &crossed).await, "401 the token's signature is wrong");
    }
    let nobodys = says(&a, "https://login.example.com/");
    assert_eq!(refusal(&providers, &nobodys).await, "401 the token is from another issuer");
    assert_eq!(
        (first.script.asked(), second.script.asked()),
        (1, 1),
        "nobody was asked for the sake of these"
    );
}

#[tokio::test(start_paused = true)]
async fn provider_that_hangs_holds_up_no_token_of_another() {
    let (a, b, new) = (Key::p256(), Key::p256(), Key::p256());
    let hung = Answer::Slow(A_DAY, vec![a.jwk("a")]);
    let (same_issuer, another_issuer) = (Bench::with(&config(), hung.clone()), Bench::with(&other(), hung));
    let good = bench(&config(), &b, "b");
    let providers = [&same_issuer, &another_issuer, &good];
    settle().await;
    let before = Instant::now();
    assert_eq!(judge(&providers, &token(&b, "b")).await.ok(), Some(2));
    assert_eq!(before.elapsed(), Duration::ZERO);
    // Nor one without a required claim.
    let strict = bench(&config_requiring(&[("groups", &["maps"])]), &b, "b");
    settle().await;
    let before = Instant::now();
    assert!(refusal(&[&same_issuer, &strict], &token(&b, "b")).await.starts_with("403 "));
    assert_eq!(before.elapsed(), Duration::ZERO);
    // Not even one whose key has to be requested first.
    good.script.set(Answer::Slow(Duration::from_secs(2), vec![new.jwk("new")]));
    assert_eq!(judge(&providers, &token(&new, "new")).await.ok(), Some(2));
    assert_eq!(before.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn token_that_none_accepts_gets_503_while_one_of_its_issuer_is_away() {
    let (a, b, stranger) = (Key::p256(), Key::p256(), Key::p256());
    let requiring = config_requiring(&[("groups", &["maps"])]);
    let away = Bench::with(&config(), Answer::Away);
    let (lax, strict) = (bench(&config(), &b, "b"), bench(&requiring, &b, "b"));
    settle().await;
    for (what, providers) in [("first", [&away, &strict]), ("last", [&strict, &away])] {
        assert_eq!(refusal(&providers, &token(&stranger, "b")).await, NO_KEYS, "{what}");
        // Whose signature is good is no token of the one that is away: it need not be waited for.
        let before = Instant::now();
        let refused = refusal(&providers, &token(&b, "b")).await;
        assert!(refused.starts_with("403 claims: the token's `groups`"), "{what}: {refused}");
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
    assert_eq!(judge(&[&away, &strict, &lax], &token(&b, "b")).await.ok(), Some(2));
    // It is back, and says who it is not.
    away.script.set(Answer::Keys(vec![a.jwk("a")]));
    tokio::time::sleep(Duration::from_secs(61)).await;
    let refused = refusal(&[&strict, &away], &token(&b, "b")).await;
    assert!(refused.starts_with("403 claims: the token's `groups`"), "{refused}");
    assert_eq!(refusal(&[&lax, &away], &token(&stranger, "x")).await, "401 the token's key is unknown");
}

#[tokio::test(start_paused = true)]
async fn flood_of_unknown_keys_against_one_provider_leaves_the_others_alone() {
    let (a, b, stranger) = (Key::p256(), Key::p256(), Key::p256());
    let (flooded, other) = (bench(&config(), &a, "a"), bench(&other(), &b, "b"));
    let providers = [&flooded, &other];
    let good = b.token(&header("ES256", "b"), &claims_with(&json!({ "iss": OTHER })));
    assert_eq!(judge(&providers, &good).await.ok(), Some(1));
    settle().await;
    for number in 0..200 {
        refusal(&providers, &token(&stranger, &number.to_string())).await;
        let before = Instant::now();
        assert_eq!(judge(&providers, &good).await.ok(), Some(1));
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
    assert_eq!((flooded.script.asked(), other.script.asked()), (2, 1));
    // Its cool-down is its own: the other's new key is found at once.
    let new = Key::p256();
    other.script.set(Answer::Keys(vec![new.jwk("new")]));
    let good = new.token(&header("ES256", "new"), &claims_with(&json!({ "iss": OTHER })));
    assert_eq!(judge(&providers, &good).await.ok(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn reason_is_that_of_the_provider_with_which_a_token_came_furthest() {
    let key = Key::p256();
    let maps = OidcConfig { audience: vec!["maps".to_owned()], ..config() };
    let benches = [bench(&config(), &key, "a"), bench(&maps, &key, "a"), bench(&other(), &key, "a")];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let providers = order.map(|number| &benches[number]);
        for (changes, expected) in [
            (json!({ "iss": "x" }), "the token is from another issuer"),
            (json!({ "aud": "x" }), "the token is for another audience"),
            (json!({ "aud": "maps", "exp": 1 }), "the token has expired"),
            (json!({ "aud": "maps", "exp": "soon" }), "the token is not a well-formed JWT"),
            (json!({ "iss": OTHER, "aud": "maps" }), "the token is for another audience"),
            (json!({ "events": {} }), "the token's type is not accepted"),
        ] {
            let token = key.token(&header("ES256", "a"), &claims_with(&changes));
            assert_eq!(refusal(&providers, &token).await, format!("401 {expected}"), "{order:?} {changes}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn leeway_is_that_of_the_provider() {
    let key = Key::p256();
    let leeway = |seconds| OidcConfig { leeway: Duration::from_secs(seconds), ..config() };
    let expired = claims_with(&json!({ "exp": claims()["iat"].as_u64().expect("is a number") - 100 }));
    let expired = key.token(&header("ES256", "a"), &expired);
    let (strict, lax) = (bench(&leeway(0), &key, "a"), bench(&leeway(300), &key, "a"));
    assert_eq!(refusal(&[&strict], &expired).await, "401 the token has expired");
    assert_eq!(judge(&[&strict, &lax], &expired).await.ok(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_a_held_key_has_signed_cause_no_request_to_another_provider() {
    let (a, b, new) = (Key::p256(), Key::p256(), Key::p256());
    let (first, second) = (bench(&config(), &a, "a"), bench(&config(), &b, "b"));
    settle().await;
    for _ in 0..100 {
        assert_eq!(judge(&[&first, &second], &token(&b, "b")).await.ok(), Some(1));
    }
    assert_eq!((first.script.asked(), second.script.asked()), (1, 1));
    // So the first still finds its own new key at once.
    first.script.set(Answer::Keys(vec![new.jwk("new")]));
    assert_eq!(judge(&[&first, &second], &token(&new, "new")).await.ok(), Some(0));
}
