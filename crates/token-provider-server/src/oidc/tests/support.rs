//! What the tests share: keys, tokens signed with them, and an identity provider that answers as it is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use token_provider::TestClock;

use crate::config::{KeySource, OidcConfig, PolicyConfig};
use crate::oidc::keys::KeySet;
use crate::oidc::provider::FetchError;
use crate::oidc::refresher::{KeyRefresher, REFRESH_EVERY};
use crate::oidc::{self, IdentityProvider};
use crate::problem::Problem;

pub(super) const ISSUER: &str = "https://login.example.com";
pub(super) const AUDIENCE: &str = "token-provider";
pub(super) const SUBJECT: &str = "dashboard";

/// A key pair of the identity provider, or of somebody who would like to be it.
#[derive(Debug)]
pub(crate) enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("can be made"))
    }

    pub(crate) fn p256() -> Self {
        Self::ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")
    }

    pub(super) fn p384() -> Self {
        Self::ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")
    }

    pub(super) fn p521() -> Self {
        Self::ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521")
    }

    pub(super) fn ed25519() -> Self {
        Self::Ed(Ed25519KeyPair::generate().expect("can be made"))
    }

    fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &'static str) -> Self {
        Self::Ec(EcdsaKeyPair::generate(algorithm).expect("can be made"), curve)
    }

    /// The public half, as the provider publishes it.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(key) => {
                let RsaPublicKeyComponents { n, e } =
                    RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
            Self::Ec(key, curve) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Self::Ed(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key()) }),
        };
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A token with this header and these claims, whatever they say.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.sign(header["alg"].as_str().unwrap_or_default(), signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    /// Signs in the way that the header says, as far as the key can.
    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature).expect("can sign");
                signature
            }
            Self::Ec(key, _) => key.sign(&random, message).expect("can sign").as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn header(alg: &str, kid: &str) -> Value {
    json!({ "alg": alg, "kid": kid, "typ": "at+jwt" })
}

/// Claims of a token that is good at the start of a test and for an hour.
pub(super) fn claims() -> Value {
    let now = TestClock::START.as_secs();
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "exp": now + 3600 })
}

/// The claims with some of them changed; `null` takes one away.
pub(crate) fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("is an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("is an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// An issuer that is asked where its keys are.
pub(super) fn discovered(issuer: &str) -> KeySource {
    let url = format!("{issuer}/.well-known/openid-configuration").parse().expect("is a URL");
    let (url, issuer) = (Some(url), issuer.to_owned());
    KeySource { issuer, file: None, url, is_discovery: true, token_file: None, ca: None }
}

pub(super) fn config() -> OidcConfig {
    OidcConfig {
        name: ISSUER.to_owned(),
        keys: discovered(ISSUER),
        leeway: Duration::from_secs(60),
        audience: vec![AUDIENCE.to_owned()],
        require: BTreeMap::new(),
        policy: PolicyConfig::default(),
    }
}

pub(super) fn config_requiring(require: &[(&str, &[&str])]) -> OidcConfig {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let require = require.iter().map(|(claim, wanted)| ((*claim).to_owned(), values(wanted)));
    OidcConfig { require: require.collect(), ..config() }
}

/// What a scripted provider does when it is asked.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Keys(Vec<Value>),
    Away,
    /// Takes so long to answer with keys.
    Slow(Duration, Vec<Value>),
    Panic,
}

/// An identity provider without a network.
#[derive(Clone, Debug)]
pub(super) struct Script {
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Script {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer: Arc::new(Mutex::new(answer)), asked: Arc::default() }
    }

    pub(super) fn set(&self, answer: Answer) {
        *self.answer.lock().expect("is not poisoned") = answer;
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) async fn fetch(self) -> Result<KeySet, FetchError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.lock().expect("is not poisoned").clone();
        let keys = match answer {
            Answer::Keys(keys) => keys,
            Answer::Away => {
                return Err(FetchError::new("the request for the key set returned status 503"));
            }
            Answer::Slow(span, keys) => {
                tokio::time::sleep(span).await;
                keys
            }
            Answer::Panic => panic!("as the test wants it"),
        };
        let json = json!({ "keys": keys }).to_string();
        Ok(KeySet::parse(json.as_bytes()).expect("is a key set"))
    }
}

/// The judge of tokens, with a scripted provider behind it.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) provider: IdentityProvider,
    pub(super) script: Script,
    pub(super) clock: TestClock,
}

impl Bench {
    pub(super) fn new(keys: Vec<Value>) -> Self {
        Self::with(&config(), Answer::Keys(keys))
    }

    pub(super) fn with(config: &OidcConfig, answer: Answer) -> Self {
        Self::asking(config, answer, REFRESH_EVERY)
    }

    pub(super) fn asking(config: &OidcConfig, answer: Answer, every: Duration) -> Self {
        let (script, clock) = (Script::new(answer), TestClock::new());
        let fetch = {
            let script = script.clone();
            move || script.clone().fetch().boxed()
        };
        let keys = Arc::new(KeyRefresher::spawn(Box::new(fetch), every, Arc::new(clock.clone())));
        let provider = IdentityProvider { config: config.clone(), keys, clock: Arc::new(clock.clone()) };
        Self { provider, script, clock }
    }

    /// Returns the subject.
    pub(super) async fn judge(&self, token: &str) -> Result<Arc<str>, Problem> {
        let providers = std::iter::once((&self.provider, ()));
        let ((), subject, _claims) = oidc::authenticate(providers, token.as_bytes()).await?;
        Ok(subject)
    }

    /// What the token's bearer is told.
    pub(super) async fn refusal(&self, token: &str) -> String {
        match self.judge(token).await {
            Ok(subject) => panic!("let in as {subject}: {token}"),
            Err(problem) => description(&problem),
        }
    }
}

/// Status and description of a refusal, such as `401 the token has expired`.
pub(crate) fn description(problem: &Problem) -> String {
    let status = problem.status.as_u16();
    let body = body(problem);
    format!("{status} {}", body["error_description"].as_str().expect("is text"))
}

fn body(problem: &Problem) -> Value {
    use http_body_util::BodyExt as _;

    let response = crate::http::answer::problem(problem, "-");
    let body =
        futures_util::FutureExt::now_or_never(response.into_body().collect()).expect("is there at once");
    serde_json::from_slice(&body.expect("does not fail").to_bytes()).expect("is JSON")
}
