//! Client assertions, signed here as RFC 7515 §3.1 says: what is accepted, and how each mistake is answered.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use here_sandbox::APP_ID;
use serde_json::{Map, Value, json};

use crate::support::{Answer, FORM, JSON, PLAIN_JSON, Running, encode};

const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

enum Key {
    Rsa(rsa::KeyPair),
    P256(EcdsaKeyPair),
}

impl Key {
    fn rsa() -> Self {
        Self::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
        }
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let n = BASE64URL.encode(public.modulus().big_endian_without_leading_zero());
                let e = BASE64URL.encode(public.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "n": n, "e": e, "kid": id, "use": "sig"})
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": id, "alg": "ES256"})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
        }
    }

    /// An assertion in which a test may have changed any member.
    fn assertion(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = BASE64URL.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// An account with one registered key.
struct Bench {
    running: Running,
    key: Key,
}

impl Bench {
    async fn start(key: Key) -> Self {
        let running = Running::start().await;
        running.sandbox.register_jwks(&key.jwk("one").to_string()).unwrap();
        Self { running, key }
    }

    fn url(&self) -> String {
        format!("http://{}/oauth2/token", self.running.address)
    }

    fn header(&self) -> Value {
        json!({"alg": self.key.algorithm(), "kid": "one", "typ": "JWT"})
    }

    fn claims(&self, id: &str) -> Value {
        let now = self.running.now();
        json!({"iss": APP_ID, "sub": APP_ID, "aud": self.url(), "iat": now, "exp": now + 300, "jti": id})
    }

    fn good(&self, id: &str) -> String {
        self.key.assertion(&self.header(), &self.claims(id))
    }

    async fn ask(&self, assertion: &str) -> Answer {
        let body = format!(
            "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}&expires_in=600",
            encode(KIND)
        );
        self.running.send("POST", "/oauth2/token", &[("Content-Type", FORM)], &body).await
    }

    /// Asks with some members of the claims replaced; a `null` leaves one out.
    async fn ask_with(&self, changed: Value) -> (u16, u64) {
        let claims = merged(self.claims(&changed.to_string()), changed);
        self.ask(&self.key.assertion(&self.header(), &claims)).await.refusal()
    }
}

fn merged(value: Value, changed: Value) -> Value {
    let (Value::Object(mut members), Value::Object(changed)) = (value, changed) else { panic!("objects") };
    members.extend(changed);
    Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

#[tokio::test]
async fn assertion_gets_a_token_in_both_spellings_with_both_algorithms() {
    for key in [Key::rsa(), Key::p256()] {
        let bench = Bench::start(key).await;
        let answer = bench.ask(&bench.good("a")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json();
        assert_eq!((&token["expires_in"], &token["token_type"]), (&json!(599), &json!("bearer")));
        assert!(bench.running.sandbox.verify_token(token["access_token"].as_str().unwrap()).is_ok());

        let body = json!({
            "grantType": "client_credentials", "clientAssertionType": KIND, "clientAssertion": bench.good("b"),
        });
        let headers = [("Content-Type", JSON)];
        let answer = bench.running.send("POST", "/oauth2/token", &headers, &body.to_string()).await;
        assert_eq!((answer.status, &answer.json()["expiresIn"]), (200, &json!(86_399)));
        assert_eq!(bench.running.sandbox.stats().last_assertion_key_id.as_deref(), Some("one"));

        // RFC 7519 §4.1.3; and the key is found without its name.
        let claims = merged(bench.claims("c"), json!({"aud": ["https://other.example", bench.url()]}));
        let header = json!({"alg": bench.key.algorithm()});
        assert_eq!(bench.ask(&bench.key.assertion(&header, &claims)).await.status, 200);
    }
}

#[tokio::test]
async fn every_claim_is_checked() {
    let bench = Bench::start(Key::p256()).await;
    let now = bench.running.now();
    for (changed, expected) in [
        (json!({"aud": "https://account.api.here.com/oauth2/token"}), (401, 401_932)),
        (json!({"aud": format!("{}/", bench.url())}), (401, 401_932)),
        (json!({"aud": []}), (401, 401_932)),
        (json!({"exp": now}), (401, 401_933)),
        (json!({"iat": now - 400, "exp": now - 100}), (401, 401_933)),
        (json!({"iat": now + 301, "exp": now + 601}), (401, 401_933)),
        (json!({"exp": now + 86_400}), (401, 401_933)),
        (json!({"iat": i64::MIN, "exp": i64::MAX}), (401, 401_933)),
        (json!({"iss": "another", "sub": "another"}), (401, 404_660)),
        (json!({"sub": "another"}), (401, 404_660)),
        (json!({"iss": "another"}), (401, 404_660)),
        (json!({"jti": ""}), (400, 0)),
        (json!({"jti": "j".repeat(257)}), (400, 0)),
        (json!({"jti": null}), (400, 0)),
        (json!({"exp": null}), (400, 0)),
        (json!({"iat": null}), (400, 0)),
        (json!({"aud": null}), (400, 0)),
        (json!({"exp": "soon"}), (400, 0)),
    ] {
        assert_eq!(bench.ask_with(changed.clone()).await, expected, "{changed}");
    }
    assert_eq!(bench.ask(&bench.good("good")).await.status, 200, "none of them did any harm");
}

#[tokio::test]
async fn signature_is_checked_with_the_registered_key_and_its_own_algorithm() {
    let bench = Bench::start(Key::rsa()).await;
    let stranger = Key::rsa();
    let refused = |assertion: String| {
        let bench = &bench;
        async move { bench.ask(&assertion).await.refusal() }
    };
    let (header, claims) = (bench.header(), bench.claims("a"));
    assert_eq!(refused(stranger.assertion(&header, &claims)).await, (401, 401_952));
    let unknown = json!({"alg": "RS256", "kid": "two"});
    assert_eq!(refused(bench.key.assertion(&unknown, &claims)).await, (401, 401_953));
    for (algorithm, expected) in [
        ("HS256", (401, 401_952)),
        ("ES256", (401, 401_952)),
        ("PS256", (401, 401_952)),
        ("none", (400, 0)),
        ("rs256", (400, 0)),
        ("", (400, 0)),
    ] {
        let header = json!({"alg": algorithm, "kid": "one"});
        assert_eq!(refused(bench.key.assertion(&header, &claims)).await, expected, "{algorithm}");
    }
    let good = bench.good("a");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for assertion in [format!("{signed}."), format!("{signed}.{}", signature.split_at(4).1)] {
        assert_eq!(refused(assertion).await, (401, 401_952));
    }
    let (header, _) = signed.split_once('.').unwrap();
    let forged = BASE64URL.encode(bench.claims("forged").to_string());
    assert_eq!(refused(format!("{header}.{forged}.{signature}")).await, (401, 401_952));
    for malformed in ["x", "a.b", "a.b.c.d", "!.!.!"] {
        assert_eq!(refused(malformed.to_owned()).await, (400, 0), "{malformed}");
    }
    assert_eq!(bench.ask(&good).await.status, 200);
    assert!(bench.running.sandbox.remove_jwk("one") && !bench.running.sandbox.remove_jwk("one"));
    assert_eq!(refused(bench.good("b")).await, (401, 401_953));
}

#[tokio::test]
async fn assertion_works_once_for_as_long_as_it_could_be_accepted() {
    let bench = Bench::start(Key::p256()).await;
    let now = bench.running.now();
    let longest = merged(bench.claims("a"), json!({"iat": now + 300, "exp": now + 900}));
    let assertion = bench.key.assertion(&bench.header(), &longest);
    assert_eq!(bench.ask(&assertion).await.status, 200);
    for seconds in [0, 500, 399] {
        bench.running.advance(seconds);
        assert_eq!(bench.ask(&assertion).await.refusal(), (401, 401_934));
    }
    bench.running.advance(1);
    assert_eq!(bench.ask(&assertion).await.refusal(), (401, 401_933));
}

#[tokio::test]
async fn one_way_in_and_the_right_fields() {
    let bench = Bench::start(Key::p256()).await;
    let running = &bench.running;
    let body = json!({
        "grantType": "client_credentials", "clientAssertionType": KIND, "clientAssertion": bench.good("a"),
    });
    let signed = running.post_token(&running.signer().header(&[]), JSON, &body.to_string()).await;
    assert_eq!(signed.refusal(), (400, 0), "a signature and an assertion");
    let headers = [("Content-Type", JSON)];
    for changed in [
        json!({"clientAssertionType": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}),
        json!({"clientAssertionType": null}),
        json!({"clientAssertion": null}),
        json!({"clientAssertion": 1}),
    ] {
        let changed = merged(body.clone(), changed);
        let answer = running.send("POST", "/oauth2/token", &headers, &changed.to_string()).await;
        assert_eq!(answer.refusal(), (401, 401_200), "{changed}");
    }
    let neither = running.send("POST", "/oauth2/token", &headers, PLAIN_JSON).await;
    assert_eq!(neither.refusal(), (401, 401_200));
}

#[tokio::test]
async fn keys_are_registered_one_by_one_or_as_a_set() {
    let running = Running::start().await;
    let sandbox = &running.sandbox;
    let (rsa, p256) = (Key::rsa().jwk("rsa"), Key::p256().jwk("p256"));
    let set = json!({"keys": [rsa, p256]});
    assert!(sandbox.register_jwks(&set.to_string()).is_ok());
    assert!(sandbox.remove_jwk("rsa") && sandbox.remove_jwk("p256"));
    for jwk in ["{", "[]", r#"{"keys": {}}"#] {
        assert!(sandbox.register_jwks(jwk).is_err(), "{jwk}");
    }
}
