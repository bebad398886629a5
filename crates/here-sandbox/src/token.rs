//! Makes access tokens that look like HERE's, and tells its own from others.
//!
//! A token has three base64url parts. The header is readable, as HERE's is: issuer, app id, `iat`, `exp`.
//! The payload is again five parts in the shape of an encrypted JWT, which a client cannot read at HERE and
//! has no business reading here. Where HERE puts an RSA signature of 256 bytes there is a MAC, four times to be of that
//! length, so only the sandbox can verify it.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::random;

/// The app's id: `here.client.id` in the credential file, `aid` in a token.
pub const APP_ID: &str = "SandboxAppWithoutKey";

/// The protected header of HERE's inner token, `{"alg":"dir","enc":"A256CBC-HS512"}`; its key part is empty.
const INNER_HEADER: &str = r#"{"alg":"dir","enc":"A256CBC-HS512"}"#;

/// Text in the inner token is filled up to this much, which makes a token of 851 characters, as long as the
/// one that HERE published, and then to the next AES block.
const MIN_CONTENT: usize = 112;
const BLOCK: usize = 16;

/// What an access token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenClaims {
    /// The scope that was asked for, if any.
    pub scope: Option<String>,
    /// Epoch seconds.
    pub issued_at: i64,
    /// Epoch seconds; from then on the token is refused.
    pub expires_at: i64,
}

/// Why an access token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefusal {
    /// It is not made of three base64url parts, or was not made by this sandbox, or has been changed.
    #[error("the token was not issued by this sandbox")]
    Foreign,
    /// It was issued here, and its time is over.
    #[error("the token is expired")]
    Expired,
}

/// Issues and verifies tokens. Holds the key; has no clock.
pub(crate) struct Mint(hmac::Key);

impl Mint {
    /// Derives the key from an access key secret, so that tokens outlive a restart with the same secret.
    pub(crate) fn new(secret: &SecretString) -> Self {
        let extract = hmac::Key::new(hmac::HMAC_SHA512, secret.expose_secret().as_bytes());
        let derived = hmac::sign(&extract, b"here-sandbox access token signature 2");
        Self(hmac::Key::new(hmac::HMAC_SHA512, derived.as_ref()))
    }

    pub(crate) fn issue(&self, claims: &TokenClaims) -> String {
        // In the order of HERE's.
        let header = format!(
            r#"{{"alg":"RS512","cty":"JWT","iss":"HERE","aid":"{APP_ID}","iat":{},"exp":{},"kid":"j1"}}"#,
            claims.issued_at, claims.expires_at
        );
        let signed = format!("{}.{}", encode(header), encode(inner_token(claims.scope.as_deref())));
        let signature = encode(self.signature(&signed));
        format!("{signed}.{signature}")
    }

    pub(crate) fn verify_at(&self, now: i64, token: &str) -> Result<TokenClaims, TokenRefusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Foreign)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenRefusal::Foreign)?;
        constant_time::verify_slices_are_equal(&self.signature(signed), &signature)
            .map_err(|_| TokenRefusal::Foreign)?;
        let claims = read(signed).ok_or(TokenRefusal::Foreign)?;
        if claims.expires_at <= now { Err(TokenRefusal::Expired) } else { Ok(claims) }
    }

    /// As long as an RSA signature with a 2048-bit key.
    fn signature(&self, signed: &str) -> Vec<u8> {
        hmac::sign(&self.0, signed.as_bytes()).as_ref().repeat(4)
    }
}

/// Five parts: header, empty key, initialisation vector, content, tag. The content is not encrypted,
/// because nothing in it is worth it; vector and tag are random, which also makes two tokens of the same
/// second differ.
fn inner_token(scope: Option<&str>) -> String {
    let content = scope.map_or_else(|| json!({}), |scope| json!({ "scope": scope }));
    let mut content = content.to_string().into_bytes();
    let length = content.len().max(MIN_CONTENT).next_multiple_of(BLOCK);
    content.resize(length, b' ');
    let (vector, tag) = (random::base64url::<BLOCK>(), random::base64url::<32>());
    format!("{}..{vector}.{}.{tag}", encode(INNER_HEADER), encode(content))
}

/// Reads what [`Mint::issue`] wrote; the signature has been checked.
fn read(signed: &str) -> Option<TokenClaims> {
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let (header, payload) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    let inner = String::from_utf8(decode(payload)?).ok()?;
    let content: Value = serde_json::from_slice(&decode(inner.split('.').nth(3)?)?).ok()?;
    let scope = content.get("scope").and_then(Value::as_str).map(str::to_owned);
    let seconds = |name| header.get(name)?.as_i64();
    Some(TokenClaims { scope, issued_at: seconds("iat")?, expires_at: seconds("exp")? })
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_578_310_114;

    fn mint() -> Mint {
        Mint::new(&"secret".into())
    }

    fn claims(scope: Option<&str>) -> TokenClaims {
        TokenClaims { scope: scope.map(str::to_owned), issued_at: NOW, expires_at: NOW + 3600 }
    }

    #[test]
    fn token_is_shaped_like_the_one_here_published() {
        let token = mint().issue(&claims(None));
        let parts: Vec<&str> = token.split('.').collect();
        // The lengths of the published test token (heremaps/here-data-sdk-cpp, SignInResultImplTest.cpp).
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [152, 355, 342]);
        let header = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
        assert_eq!(
            header,
            r#"{"alg":"RS512","cty":"JWT","iss":"HERE","aid":"SandboxAppWithoutKey","iat":1578310114,"exp":1578313714,"kid":"j1"}"#
        );
        let inner = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(inner.split('.').map(str::len).collect::<Vec<_>>(), [47, 0, 22, 150, 43]);
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        assert_eq!(signature.len(), 256);
        assert_ne!(mint().issue(&claims(None)), token);
    }

    #[test]
    fn token_is_accepted_until_the_second_it_expires() {
        let token = mint().issue(&claims(Some("openid")));
        assert_eq!(mint().verify_at(NOW, &token), Ok(claims(Some("openid"))));
        assert_eq!(mint().verify_at(NOW + 3599, &token), Ok(claims(Some("openid"))));
        assert_eq!(mint().verify_at(NOW + 3600, &token), Err(TokenRefusal::Expired));
    }

    #[test]
    fn token_of_another_sandbox_is_foreign() {
        let token = Mint::new(&"other".into()).issue(&claims(None));
        assert_eq!(mint().verify_at(NOW, &token), Err(TokenRefusal::Foreign));
    }

    #[test]
    fn expired_token_that_was_changed_is_foreign() {
        let token = mint().issue(&claims(None)).replacen('e', "f", 1);
        assert_eq!(mint().verify_at(NOW + 3600, &token), Err(TokenRefusal::Foreign));
    }

    proptest! {
        #[test]
        fn any_changed_character_makes_it_foreign(index in 0..849usize, replacement in "[A-Za-z0-9_.-]") {
            let token = mint().issue(&claims(None));
            let mut changed = token.clone();
            changed.replace_range(index..=index, &replacement);
            prop_assume!(changed != token);
            prop_assert_eq!(mint().verify_at(NOW, &changed), Err(TokenRefusal::Foreign));
        }

        #[test]
        fn any_scope_comes_back(scope in any::<String>()) {
            let token = mint().issue(&claims(Some(&scope)));
            prop_assert_eq!(mint().verify_at(NOW, &token), Ok(claims(Some(&scope))));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            prop_assert_eq!(mint().verify_at(NOW, &text), Err(TokenRefusal::Foreign));
        }
    }
}
