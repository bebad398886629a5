//! What HERE's own SDKs send, and how it is answered, worked out a second time.

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use url::form_urlencoded;

use super::{Answer, Asked, TOKEN};

const NUMBERS: [u64; 17] = [
    400_002, 400_003, 400_004, 400_200, 400_201, 400_203, 400_208, 400_209, 400_290, 400_927, 401_200,
    401_202, 401_204, 401_205, 401_206, 401_300, 401_600,
];

/// Returns whether the request has a signature, or is in JSON without another way to authenticate.
pub(super) fn is_meant(asked: &Asked) -> bool {
    match asked.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) {
        None => content_type(asked).as_deref() == Some("application/json"),
        Some(value) => scheme(value) == b"oauth",
    }
}

fn scheme(value: &[u8]) -> Vec<u8> {
    value.iter().take_while(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

fn content_type(asked: &Asked) -> Option<String> {
    let text = asked.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next()?.trim().to_ascii_lowercase())
}

/// Panics when such a request should not have been given a token, or not in this form.
pub(super) fn check(asked: &Asked, answer: &Answer, has_key: bool) {
    if let Some(header) = asked.headers.get(AUTHORIZATION) {
        let header = header.to_str().expect("is text");
        assert!(
            !(has_key && header.contains("oauth_consumer_key=\"tp.a\"")),
            "nobody can sign with this key"
        );
        assert_eq!(asked.headers.get_all(AUTHORIZATION).iter().count(), 1);
        for name in ["oauth_consumer_key", "oauth_nonce", "oauth_signature", "oauth_timestamp"] {
            assert_eq!(header.matches(&format!("{name}=\"")).count(), 1, "{name}");
        }
    }
    assert!(!asked.headers.contains_key("x-api-key"));
    let body: Value = serde_json::from_slice(&answer.body).expect("is JSON");
    let is_json = content_type(asked).as_deref() == Some("application/json");
    let names = if is_json {
        ["accessToken", "tokenType", "expiresIn"]
    } else {
        ["access_token", "token_type", "expires_in"]
    };
    assert_eq!((&body[names[0]], &body[names[1]]), (&TOKEN.into(), &"bearer".into()));
    let left = body[names[2]].as_u64().expect("is a number");
    let wish = if is_json {
        let sent: Value = serde_json::from_slice(&asked.body).expect("is JSON");
        let wish =
            sent["expiresIn"].as_str().map_or_else(|| sent["expiresIn"].to_string(), ToOwned::to_owned);
        (wish != "null").then_some(wish)
    } else {
        let mut fields = form_urlencoded::parse(&asked.body).filter(|(name, _)| name == "expires_in");
        fields.next().map(|(_, value)| value.into_owned())
    };
    let most = wish.map_or(3600, |wish| wish.parse().unwrap_or(u64::MAX).min(86_400));
    let most = if most == 0 { 3600 } else { most };
    assert!(most >= 60 && left >= 10 && left <= most, "{left} s left, {most} s at most");
}

/// HERE's form of an error.
pub(super) fn check_refusal(asked: &Asked, answer: &Answer, body: &Value) {
    assert!(is_meant(asked) && asked.uri.path() == "/oauth2/token", "HERE's form is for its SDKs");
    assert_eq!(body["httpStatus"], answer.status);
    let number = body.get("errorCode").map(|number| number.as_u64().expect("is a number"));
    let is_known = |number: u64| NUMBERS.contains(&number) && number / 1000 == u64::from(answer.status);
    assert!(number.is_none_or(|number| is_known(number) || number == 429_002), "{number:?}");
    assert!(answer.header("x-correlation-id").is_some());
}
