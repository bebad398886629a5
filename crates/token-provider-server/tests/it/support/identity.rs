//! A company's identity provider, in this process: keys to sign with, and the two documents that servers ask it for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use token_provider::{Clock as _, SystemClock};
use tokio::net::TcpListener;

use super::wire::Connection;

/// The audience of the server under test.
pub(crate) const AUDIENCE: &str = "token-provider";
/// The one key's name.
pub(crate) const KEY_ID: &str = "key-of-the-company";

/// An identity provider with one RSA key. It ends with the test's runtime.
#[derive(Debug)]
pub(crate) struct IdentityProvider {
    pub(crate) issuer: String,
    key: RsaKeyPair,
    key_set: String,
    asked: Arc<AtomicUsize>,
}

impl IdentityProvider {
    pub(crate) async fn start() -> Self {
        Self::publishing(&[]).await
    }

    /// One that publishes other keys beside its own.
    pub(crate) async fn publishing(others: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let issuer = format!("http://{}", listener.local_addr().expect("is bound"));
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("can be made");
        let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
        let jwk = json!({ "kty": "RSA", "use": "sig", "kid": KEY_ID, "n": encode(n), "e": encode(e) });
        let keys = [&[jwk], others].concat();
        let discovery = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string();
        let keys = json!({ "keys": keys }).to_string();
        let key_set = keys.clone();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = Connection::new(stream);
                let is_keys = connection.head().await.starts_with("GET /keys ");
                count.fetch_add(usize::from(is_keys), Ordering::Relaxed);
                let body = if is_keys { &keys } else { &discovery };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                connection.send(answer).await;
            }
        });
        Self { issuer, key, key_set, asked }
    }

    /// The configuration of a server that takes its tokens, and nothing else.
    pub(crate) fn config(&self) -> String {
        format!("[access.oidc]\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\n", self.issuer)
    }

    /// Its keys, as it publishes them.
    pub(crate) fn key_set(&self) -> String {
        self.key_set.clone()
    }

    /// How often it was asked for its keys.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Claims of a token that is good for an hour, some of them changed.
    pub(crate) fn claims(&self, changes: &Value) -> Value {
        let now = SystemClock.now().wall.as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": AUDIENCE, "sub": "dashboard", "iat": now, "exp": now + 3600
        });
        for (name, value) in changes.as_object().expect("is an object") {
            claims[name] = value.clone();
        }
        claims
    }

    /// A token that it has signed, whatever header and claims say.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("can sign");
        format!("{signed}.{}", encode(signature))
    }

    /// A good token.
    pub(crate) fn token(&self) -> String {
        self.sign(&header("RS256", KEY_ID), &self.claims(&json!({})))
    }
}

/// A public key in the form that libraries read from a file.
pub(crate) fn public_key_pem(key: &PublicKey) -> String {
    let base64 = STANDARD.encode(public_key_der(key));
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("is ASCII")).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

pub(crate) fn public_key_der(key: &PublicKey) -> Vec<u8> {
    let der: PublicKeyX509Der<'_> = key.as_der().expect("has a form");
    der.as_ref().to_vec()
}

/// The header of an access token.
pub(crate) fn header(algorithm: &str, key_id: &str) -> Value {
    json!({ "alg": algorithm, "kid": key_id, "typ": "at+jwt" })
}

/// Header and claims, as they are signed.
pub(crate) fn signed_part(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
