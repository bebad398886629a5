//! OAuth 1.0a request signatures (RFC 5849 §3.4) with HMAC-SHA256: made as HERE's token endpoint wants them, and verified as
//! HERE's SDKs make them.
//!
//! Pure: request, credential, nonce and time go in, a header comes out. Each step is a separate function, so that a
//! test can say which one is wrong.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use zeroize::Zeroizing;

/// RFC 5849 §3.6: everything but RFC 3986's unreserved characters is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The only method that all three of HERE's SDKs can speak. (`HMAC-SHA1` is for old Java programs alone.)
const SIGNATURE_METHOD: &str = "HMAC-SHA256";

/// What makes one signature differ from the next.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) nonce: &'a str,
    /// Seconds since the Unix epoch, by the issuer's clock.
    pub(crate) timestamp: u64,
}

/// Returns the value of the `Authorization` header for a request.
///
/// `form` holds the fields of a form body; a JSON body takes no part in the signature (RFC 5849 §3.4.1.3.1).
pub(crate) fn authorization(
    method: &str,
    url: &Url,
    form: &[(&str, &str)],
    parameters: &Parameters<'_>,
    access_key_secret: &SecretString,
) -> String {
    let parameter_string = parameter_string(url, form, parameters);
    let base_string = base_string(method, &base_url(url), &encode(&parameter_string));
    header(parameters, &signature(&base_string, access_key_secret))
}

/// Returns whether a request was signed with this secret, by HMAC-SHA256 (RFC 5849 §3.4). The comparison takes the same time
/// wherever the signatures differ.
///
/// - `base_urls` are those that the client may have signed, each taken as it is: programs differ in whether they keep a default
///   port in it, and the query.
/// - `parameters` are the decoded ones that the client has signed, in any order: those of the query and of a form body, and all of
///   the `Authorization` header but `realm` and `oauth_signature`. Time and nonce are among them, and not judged here.
/// - `signature` is `oauth_signature`, decoded: base64.
///
/// The secret may have been percent-encoded for the HMAC key, as RFC 5849 says, or not, as in HERE's C++ and TypeScript
/// SDKs. (These two do not encode the parameters either, which are letters, digits, `-`, `.` and `_` there.)
///
/// # Examples
///
/// ```
/// // From the tests of HERE's Java SDK.
/// let parameters = [
///     ("oauth_consumer_key", "testKey"),
///     ("oauth_nonce", "ab1Xo3"),
///     ("oauth_signature_method", "HMAC-SHA256"),
///     ("oauth_timestamp", "123456789"),
///     ("oauth_version", "1.0"),
/// ];
/// let url = "https://www.sampleurl.com/some/path";
/// let signature = "FeKRSQawLAt3GwVBYCJqY2lawFkEHs2u78MfT7m1P+A=";
/// assert!(token_provider::verify("POST", &[url], &parameters, signature, &"testSecret".into()));
/// assert!(!token_provider::verify("POST", &[url], &parameters, signature, &"another".into()));
/// ```
pub fn verify(
    method: &str,
    base_urls: &[impl AsRef<str>],
    parameters: &[(&str, &str)],
    signature: &str,
    secret: &SecretString,
) -> bool {
    let Ok(signature) = BASE64.decode(signature) else { return false };
    // Once for all URLs: what is long is sent by strangers.
    let parameters = normalized(parameters.iter().copied());
    let parameters = encode(&parameters);
    let base_strings = base_urls.iter().map(|url| base_string(method, url.as_ref(), &parameters));
    let base_strings: Vec<_> = base_strings.collect();
    let is_signed_with = |secret: &str| {
        let key = hmac_key(secret);
        base_strings.iter().any(|text| hmac::verify(&key, text.as_bytes(), &signature).is_ok())
    };
    let secret = secret.expose_secret();
    let encoded = Zeroizing::new(encode(secret).into_owned());
    is_signed_with(&encoded) || *encoded != secret && is_signed_with(secret)
}

/// RFC 5849 §3.4.1: what is signed. The parameter string is encoded already.
fn base_string(method: &str, base_url: &str, parameters: &str) -> String {
    format!("{}&{}&{parameters}", encode(&method.to_ascii_uppercase()), encode(base_url))
}

/// RFC 5849 §3.4.1.2: scheme and host in lower case (which [`Url`] sees to, like leaving out the default port), and no
/// query.
fn base_url(url: &Url) -> String {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    base.into()
}

/// RFC 5849 §3.4.1.3.1: query, form and `oauth_*` parameters.
fn parameter_string(url: &Url, form: &[(&str, &str)], parameters: &Parameters<'_>) -> String {
    let timestamp = parameters.timestamp.to_string();
    let oauth = [
        ("oauth_consumer_key", parameters.access_key_id),
        ("oauth_nonce", parameters.nonce),
        ("oauth_signature_method", SIGNATURE_METHOD),
        ("oauth_timestamp", &timestamp),
        ("oauth_version", "1.0"),
    ];
    let query: Vec<_> = url.query_pairs().collect();
    let query = query.iter().map(|(name, value)| (&**name, &**value));
    normalized(query.chain(form.iter().chain(&oauth).copied()))
}

/// RFC 5849 §3.4.1.3.2: encoded, sorted by name and then value.
fn normalized<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = parameters.map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// RFC 5849 §3.4.2, with SHA-256.
fn signature(base_string: &str, access_key_secret: &SecretString) -> String {
    let encoded = Zeroizing::new(encode(access_key_secret.expose_secret()).into_owned());
    BASE64.encode(hmac::sign(&hmac_key(&encoded), base_string.as_bytes()))
}

/// The key ends in `&`: there is no token secret.
fn hmac_key(secret: &str) -> hmac::Key {
    // Room for the `&`, so that no copy of the secret is left behind by a reallocation.
    let mut text = Zeroizing::new(String::with_capacity(secret.len() + 1));
    text.push_str(secret);
    text.push('&');
    hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())
}

/// RFC 5849 §3.5.1, in the order and with the separators of HERE's Java SDK.
fn header(parameters: &Parameters<'_>, signature: &str) -> String {
    format!(
        "OAuth oauth_consumer_key=\"{}\", oauth_signature_method=\"{SIGNATURE_METHOD}\", oauth_signature=\"{}\", \
         oauth_timestamp=\"{}\", oauth_nonce=\"{}\", oauth_version=\"1.0\"",
        encode(parameters.access_key_id),
        encode(signature),
        parameters.timestamp,
        encode(parameters.nonce),
    )
}

fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, ENCODED).into()
}

/// Makes a nonce from the operating system's randomness: 128 bits in hexadecimal, as HERE's TypeScript SDK has it.
///
/// HERE's server has been seen to refuse nonces that need percent-encoding (heremaps/here-aaa-java-sdk issue 57). Those of
/// HERE's Java SDK have 36 bits, which collide at high rates.
///
/// # Errors
///
/// When the operating system has no randomness to give, which no supported one does after its start.
pub(crate) fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// Sample data only; the file names the source of each vector.
    const VECTORS: &str = include_str!("../testdata/signature-vectors.json");

    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        method: String,
        url: String,
        access_key_id: String,
        access_key_secret: String,
        nonce: String,
        timestamp: u64,
        form: Vec<(String, String)>,
        base_string: Option<String>,
        signature: Option<String>,
        must_not_equal: Option<String>,
        authorization: Option<String>,
    }

    #[test]
    fn vectors_are_reproduced_step_by_step() {
        let vectors: Vectors = serde_json::from_str(VECTORS).expect("the vector file is well-formed");
        assert_eq!(vectors.vectors.len(), 27);
        for vector in vectors.vectors {
            let name = &vector.name;
            let url = Url::parse(&vector.url).expect("the vector's URL is well-formed");
            let form: Vec<(&str, &str)> =
                vector.form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let parameters = Parameters {
                access_key_id: &vector.access_key_id,
                nonce: &vector.nonce,
                timestamp: vector.timestamp,
            };
            let parameter_string = parameter_string(&url, &form, &parameters);
            let base_string = base_string(&vector.method, &base_url(&url), &encode(&parameter_string));
            if let Some(expected) = &vector.base_string {
                assert_eq!(&base_string, expected, "{name}: base string");
            }
            let secret = SecretString::from(vector.access_key_secret.clone());
            let signature = signature(&base_string, &secret);
            if let Some(expected) = &vector.signature {
                assert_eq!(&signature, expected, "{name}: signature");
            }
            if let Some(unexpected) = &vector.must_not_equal {
                assert_ne!(&signature, unexpected, "{name}: signature");
            }
            if let Some(expected) = &vector.authorization {
                let header = authorization(&vector.method, &url, &form, &parameters, &secret);
                assert_eq!(&header, expected, "{name}: header");
            }
        }
    }

    #[test]
    fn vectors_are_verified_and_nothing_else_is() {
        let vectors: Vectors = serde_json::from_str(VECTORS).expect("the vector file is well-formed");
        let mut verified = 0;
        for vector in vectors.vectors {
            let Some(signature) = &vector.signature else { continue };
            let name = &vector.name;
            let url = Url::parse(&vector.url).expect("the vector's URL is well-formed");
            let timestamp = vector.timestamp.to_string();
            let query: Vec<_> = url.query_pairs().into_owned().collect();
            let oauth = [
                ("oauth_version", "1.0"),
                ("oauth_timestamp", &timestamp),
                ("oauth_signature_method", "HMAC-SHA256"),
                ("oauth_nonce", &vector.nonce),
                ("oauth_consumer_key", &vector.access_key_id),
            ];
            let others =
                query.iter().chain(&vector.form).map(|(name, value)| (name.as_str(), value.as_str()));
            let parameters: Vec<_> = oauth.into_iter().chain(others).collect();
            let (base, secret) = (base_url(&url), SecretString::from(vector.access_key_secret.clone()));
            let urls = ["https://other.example/oauth2/token", base.as_str()];
            assert!(verify(&vector.method, &urls, &parameters, signature, &secret), "{name}");
            assert!(!verify("GET1", &urls, &parameters, signature, &secret), "{name}: another method");
            assert!(
                !verify(&vector.method, &urls[..1], &parameters, signature, &secret),
                "{name}: another URL"
            );
            assert!(!verify(&vector.method, &urls, &parameters[1..], signature, &secret), "{name}: one less");
            assert!(
                !verify(&vector.method, &urls, &parameters, signature, &"x".into()),
                "{name}: another secret"
            );
            for wrong in [signature.trim_end_matches('='), "", "!", "AAAA", &signature.to_ascii_lowercase()] {
                assert!(!verify(&vector.method, &urls, &parameters, wrong, &secret), "{name}: {wrong:?}");
            }
            verified += 1;
        }
        assert_eq!(verified, 17);
    }

    /// Computed with Python's `hmac`, from the base strings that these SDKs make: `requestToken_common.ts` of
    /// heremaps/here-data-sdk-typescript, `AuthenticationClientUtils.cpp` of heremaps/here-data-sdk-cpp.
    #[test]
    fn secret_is_encoded_or_not() {
        let parameters = [
            ("oauth_consumer_key", "tp.maps"),
            ("oauth_nonce", "0123456789abcdef"),
            ("oauth_signature_method", "HMAC-SHA256"),
            ("oauth_timestamp", "1700000000"),
            ("oauth_version", "1.0"),
        ];
        let url = "http://localhost:3000/oauth2/token?a=b%20c";
        for (secret, signature) in [
            ("secret+with/reserved=characters", "f/hZ83W8YB6d1zbMH4q809hq2GCG1Wue2dD4hgKUEgM="),
            ("secret+with/reserved=characters", "Cg4OnKv6XVnbrZKd1hCaT0OAVf822vxpOlp2RQC2/pY="),
        ] {
            assert!(verify("POST", &[url], &parameters, signature, &secret.into()), "{signature}");
        }
    }

    #[test]
    fn nonce_is_alphanumeric_and_new_each_time() {
        let nonces: std::collections::HashSet<String> =
            (0..1000).map(|_| nonce().expect("randomness is there")).collect();
        assert_eq!(nonces.len(), 1000);
        for nonce in nonces {
            assert_eq!(nonce.len(), 32);
            assert!(nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{nonce}");
        }
    }

    proptest! {
        #[test]
        fn order_of_form_fields_does_not_matter(
            mut form in proptest::collection::vec(("[a-z]{1,3}", "\\PC{0,8}"), 0..6),
        ) {
            let url = Url::parse("https://account.api.here.com/oauth2/token?b=2&a=1").expect("is a URL");
            let parameters = Parameters { access_key_id: "id", nonce: "n", timestamp: 1 };
            let as_refs = |form: &[(String, String)]| -> String {
                let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                base_string("POST", &base_url(&url), &encode(&parameter_string(&url, &form, &parameters)))
            };
            let forward = as_refs(&form);
            form.reverse();
            prop_assert_eq!(forward, as_refs(&form));
        }

        #[test]
        fn base_string_has_exactly_two_ampersands(id in "\\PC{1,20}", value in "\\PC{0,20}") {
            let url = Url::parse("https://account.api.here.com/oauth2/token").expect("is a URL");
            let parameters = Parameters { access_key_id: &id, nonce: "n", timestamp: 1 };
            let parameters = parameter_string(&url, &[("scope", &value)], &parameters);
            let base = base_string("POST", &base_url(&url), &encode(&parameters));
            prop_assert_eq!(base.matches('&').count(), 2);
            prop_assert!(base.is_ascii());
        }
    }
}
