//! The identity provider among the other ways to show who one is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use serde_json::json;
use token_provider::{Clock as _, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::access::api_key;
use crate::access::{Caller, ClientCertificate, ConnectionInfo, Rules};
use crate::config::{Config, Environment, Overrides};
use crate::oidc::tests::support::{Key, claims_with, description, header};
use crate::problem::Problem;
use crate::reason::Method;

/// An identity provider on its own port; it counts how often it is asked for its keys.
async fn issuer(key: &Key) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let origin = format!("http://{}", listener.local_addr().expect("is bound"));
    let discovery = json!({ "issuer": origin, "jwks_uri": format!("{origin}/keys") }).to_string();
    let keys = json!({ "keys": [key.jwk("a")] }).to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                request.push(byte);
            }
            let is_keys = request.starts_with(b"GET /keys ");
            count.fetch_add(usize::from(is_keys), Ordering::Relaxed);
            let body = if is_keys { &keys } else { &discovery };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (origin, asked)
}

fn config(text: &str) -> Config {
    Config::parse(Some((Path::new("test.toml"), text)), &Environment::default(), &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn oidc(issuer: &str) -> String {
    format!("[access.oidc]\nissuer = \"{issuer}\"\naudience = [\"token-provider\"]\n")
}

fn token(key: &Key, issuer: &str) -> String {
    token_of(key, issuer, "dashboard", 600)
}

fn token_of(key: &Key, issuer: &str, subject: &str, lifetime: u64) -> String {
    let now = SystemClock.now().wall.as_secs();
    let claims = json!({ "iss": issuer, "sub": subject, "iat": now, "exp": now + lifetime });
    key.token(&header("ES256", "a"), &claims_with(&claims))
}

async fn ask<'r>(
    rules: &'r Rules,
    bearer: Option<&str>,
    connection: &ConnectionInfo,
) -> Result<Caller<'r>, Problem> {
    let mut headers = HeaderMap::new();
    if let Some(bearer) = bearer {
        let value = HeaderValue::try_from(format!("Bearer {bearer}")).expect("is a header's value");
        headers.insert(AUTHORIZATION, value);
    }
    rules.authenticate(&headers, connection).await
}

#[tokio::test]
async fn any_configured_way_lets_a_caller_in() {
    let key = Key::p256();
    let (issuer, _) = issuer(&key).await;
    let (api_key, hash) = api_key::generate(api_key::PREFIX).expect("there is randomness");
    let text = format!(
        "{}max_ttl = \"15m\"\n[[access.api_keys]]\nid = \"batch\"\nsha256 = \"{hash}\"\n\
         [access.mtls]\nallow = [\"dashboard.example.com\"]\n[tls]\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n",
        oidc(&issuer)
    );
    let rules = Rules::start(&config(&text), None);
    let certificate = "dashboard.example.com".to_owned();
    let (bare, mtls) = (
        ConnectionInfo::default(),
        ConnectionInfo {
            client: ClientCertificate::Verified([certificate].into()),
            ..ConnectionInfo::default()
        },
    );
    let (good, forged) = (token(&key, &issuer), token(&Key::p256(), &issuer));
    for (what, bearer, connection, expected) in [
        ("token", Some(good.as_str()), &bare, Ok((Method::Oidc, "dashboard"))),
        ("API key", Some(api_key.as_str()), &bare, Ok((Method::ApiKey, "batch"))),
        ("certificate", None, &mtls, Ok((Method::Mtls, "dashboard.example.com"))),
        ("token and certificate", Some(&good), &mtls, Ok((Method::Oidc, "dashboard"))),
        // One good way is enough.
        ("forged token and certificate", Some(&forged), &mtls, Ok((Method::Mtls, "dashboard.example.com"))),
        ("forged token", Some(&forged), &bare, Err("401 the token's signature is wrong")),
        ("what is no token", Some("abc"), &bare, Err("401 the token is not a well-formed JWT")),
        (
            "wrong API key",
            Some("tp_x"),
            &bare,
            Err("401 the API key or token is unknown, or no longer valid"),
        ),
    ] {
        let verdict = ask(&rules, bearer, connection).await;
        match expected {
            Ok(expected) => {
                let caller = verdict.unwrap_or_else(|problem| panic!("{what}: {problem:?}"));
                assert_eq!((caller.method, caller.name.as_deref().unwrap_or_default()), expected, "{what}");
            }
            Err(expected) => assert_eq!(description(&verdict.expect_err(what)), expected, "{what}"),
        }
    }
    let nothing = ask(&rules, None, &bare).await.expect_err("nobody is let in for nothing");
    assert_eq!(
        crate::http::answer::problem(&nothing, "-").headers()["www-authenticate"],
        r#"Bearer realm="token-provider""#
    );
}

#[tokio::test]
async fn bad_token_is_refused_where_callers_without_one_are_let_in() {
    let key = Key::p256();
    let (issuer, _) = issuer(&key).await;
    let rules = Rules::start(&config(&format!("[access]\nanonymous = true\n{}", oidc(&issuer))), None);
    let connection = ConnectionInfo::default();
    assert_eq!(
        ask(&rules, None, &connection).await.map(|caller| caller.method).ok(),
        Some(Method::Anonymous)
    );
    let named = ask(&rules, Some(&token(&key, &issuer)), &connection).await;
    assert_eq!(named.map(|caller| caller.method).ok(), Some(Method::Oidc));
    let refused = ask(&rules, Some(&token(&Key::p256(), &issuer)), &connection).await.expect_err("is forged");
    assert_eq!(description(&refused), "401 the token's signature is wrong");
    // Without an identity provider the header is for somebody else, such as a proxy in front.
    let rules = Rules::start(&config("[access]\nanonymous = true\n"), None);
    assert!(ask(&rules, Some("abc"), &connection).await.is_ok());
}

#[tokio::test]
async fn each_subject_has_the_rate_for_itself_and_for_all_of_its_tokens() {
    let key = Key::p256();
    let (issuer, _) = issuer(&key).await;
    let rules = Rules::start(&config(&format!("{}rate = \"2/h\"\n", oidc(&issuer))), None);
    for (subject, lifetime, expected) in [
        ("alice", 600, None),
        ("alice", 601, None),
        ("alice", 602, Some(429)),
        ("bob", 600, None),
        ("alice", 600, Some(429)),
        ("bob", 600, None),
        ("bob", 600, Some(429)),
    ] {
        let token = token_of(&key, &issuer, subject, lifetime);
        let refused = ask(&rules, Some(&token), &ConnectionInfo::default()).await.err();
        let status = refused.map(|problem| problem.status.as_u16());
        assert_eq!(status, expected, "{subject} {lifetime}");
    }
}

#[tokio::test]
async fn keys_survive_a_change_of_the_configuration_and_the_rules_do_not() {
    let key = Key::p256();
    let (issuer, asked) = issuer(&key).await;
    let token = token(&key, &issuer);
    let connection = ConnectionInfo::default();
    let first = Rules::start(&config(&oidc(&issuer)), None);
    assert!(ask(&first, Some(&token), &connection).await.is_ok());

    let stricter = format!("{}require = {{ groups = [\"maps\"] }}\n", oidc(&issuer));
    let second = Rules::start(&config(&stricter), Some(&first));
    drop(first);
    let refused = ask(&second, Some(&token), &connection).await.expect_err("has no groups");
    assert!(description(&refused).starts_with("403 claims: the token's `groups`"));
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the keys were kept");

    // Another provider has other keys.
    let (other, other_asked) = self::issuer(&key).await;
    let third = Rules::start(&config(&oidc(&other)), Some(&second));
    let refused = ask(&third, Some(&token), &connection).await.expect_err("is of another issuer");
    assert_eq!(description(&refused), "401 the token is from another issuer");
    assert!(ask(&third, Some(&self::token(&key, &other)), &connection).await.is_ok());
    assert_eq!((asked.load(Ordering::Relaxed), other_asked.load(Ordering::Relaxed)), (1, 1));
}

#[tokio::test]
async fn provider_that_stays_keeps_its_keys_when_others_come_and_go() {
    let (a, b) = (Key::p256(), Key::p256());
    let ((first, asked_first), (second, asked_second)) = (issuer(&a).await, issuer(&b).await);
    let entry = |issuer: &str| oidc(issuer).replace("[access.oidc]", "[[access.oidc]]");
    let connection = ConnectionInfo::default();
    let (of_first, of_second) = (token(&a, &first), token(&b, &second));
    let one = Rules::start(&config(&entry(&first)), None);
    assert!(ask(&one, Some(&of_first), &connection).await.is_ok());
    assert!(ask(&one, Some(&of_second), &connection).await.is_err());

    let both = Rules::start(&config(&(entry(&second) + &entry(&first))), Some(&one));
    assert!(ask(&both, Some(&of_first), &connection).await.is_ok());
    assert!(ask(&both, Some(&of_second), &connection).await.is_ok());
    let names: Vec<_> = both.identity_providers().map(|(name, problem)| (name.to_owned(), problem)).collect();
    assert_eq!(names, [(second.clone(), None), (first.clone(), None)]);

    let other = Rules::start(&config(&entry(&second)), Some(&both));
    let refused = ask(&other, Some(&of_first), &connection).await.expect_err("its provider is gone");
    assert_eq!(description(&refused), "401 the token is from another issuer");
    assert!(ask(&other, Some(&of_second), &connection).await.is_ok());
    let asked = [asked_first, asked_second].map(|asked| asked.load(Ordering::Relaxed));
    assert_eq!(asked, [1, 1]);
}

#[tokio::test]
async fn entries_with_the_same_keys_share_them_and_their_order_counts() {
    let key = Key::p256();
    let (issuer, asked) = issuer(&key).await;
    let entry = |rest: &str| oidc(&issuer).replace("[access.oidc]", "[[access.oidc]]") + rest + "\n";
    let text = entry("require = { groups = [\"staff\"] }")
        + &entry("max_ttl = \"5m\"")
        + &entry("max_ttl = \"10m\"");
    let rules = Rules::start(&config(&text), None);
    // All of them have to wait for the keys.
    let caller = ask(&rules, Some(&token(&key, &issuer)), &ConnectionInfo::default()).await;
    let limit = caller.unwrap_or_else(|problem| panic!("{problem:?}")).policy.config.max_ttl;
    assert_eq!(limit.map(|limit| limit.as_secs()), Some(300));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let names: Vec<_> = rules.identity_providers().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, [issuer.clone(), format!("{issuer}#2"), format!("{issuer}#3")]);
    // Two clusters may each have an account of the same name: tokens are held for each by itself.
    let text = entry("").replace("token-provider", "another") + &entry("");
    let rules_of_two = Rules::start(&config(&text), None);
    let caller = ask(&rules_of_two, Some(&token(&key, &issuer)), &ConnectionInfo::default()).await;
    assert_eq!(caller.map(|caller| caller.owner()).ok().as_deref(), Some("oidc access.oidc[1] dashboard"));
}

#[tokio::test]
async fn entries_with_one_issuer_and_other_files_have_their_own_keys() {
    let folder = tempfile::tempdir().expect("can be made");
    let entry = |key: &Key, file: &str, profile: &str| {
        let keys = json!({ "keys": [key.jwk("a")] }).to_string();
        std::fs::write(folder.path().join(file), keys).expect("can be written");
        format!(
            "[[access.oidc]]\nissuer = \"cluster\"\naudience = \"token-provider\"\njwks_file = {:?}\n\
             profiles = [\"{profile}\"]\n",
            folder.path().join(file)
        )
    };
    let keys = [Key::p256(), Key::p256()];
    let text = entry(&keys[0], "1.json", "default") + &entry(&keys[1], "2.json", "maps");
    let rules = Rules::start(&config(&(text + "[profiles.maps]\n")), None);
    for (key, profile) in keys.iter().zip(["default", "maps"]) {
        let caller = ask(&rules, Some(&token(key, "cluster")), &ConnectionInfo::default()).await;
        let caller = caller.unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!(caller.policy.config.profiles, [profile]);
    }
    let refused = ask(&rules, Some(&token(&Key::p256(), "cluster")), &ConnectionInfo::default()).await;
    assert_eq!(description(&refused.expect_err("is of neither")), "401 the token's signature is wrong");
}
