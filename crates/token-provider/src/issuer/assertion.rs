//! Client assertions (RFC 7523 §2.2): a JWT by which the holder of a private key shows that a request comes from the app.
//!
//! Pure: credential, audience, id and time go in, a JWT comes out.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use url::{Position, Url};

use crate::credential::PrivateKey;
use crate::error::{TokenError, TokenErrorKind};

/// What the request calls an assertion of this kind.
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// In seconds, as in HERE's Java SDK.
const LIFETIME: u64 = 300;

/// Makes an assertion (RFC 7515 §3.1). `id` is used once only; `timestamp` is in seconds since the Unix epoch, by the issuer's clock.
///
/// # Errors
///
/// [`TokenErrorKind::NotLoaded`] when the key cannot sign.
pub(super) fn assertion(
    client_id: &str,
    token_endpoint_url: &Url,
    id: &str,
    timestamp: u64,
    key: &PrivateKey,
) -> Result<String, TokenError> {
    let mut header = BTreeMap::from([("alg", key.algorithm().as_str()), ("typ", "JWT")]);
    header.extend(key.key_id().map(|kid| ("kid", kid)));
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        // Without the query: an endpoint of one's own may want a key there.
        "aud": &token_endpoint_url[..Position::AfterPath],
        "iat": timestamp,
        "exp": timestamp + LIFETIME,
        "jti": id,
    });
    let encode = |part: Value| BASE64URL.encode(part.to_string());
    let signed = format!("{}.{}", encode(json!(header)), encode(claims));
    let signature = key.sign(signed.as_bytes()).map_err(|_unspecified| {
        let message = "the private key cannot sign; make a new one, and register it with the app";
        TokenError::new(TokenErrorKind::NotLoaded, message)
    })?;
    Ok(format!("{signed}.{}", BASE64URL.encode(signature)))
}
