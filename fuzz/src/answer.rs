//! An issuer's answer: `w` and lines for status, `Retry-After`, `Date` and the body, or `r` and the parts of an answer
//! that is put together in each of its spellings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};
use token_provider::{HereIssuer, Issued, Scope, TokenError, TokenErrorKind};

use super::planted::{assert_hidden, plant};

/// 2026-01-01, or any other day.
const NOW: Duration = Duration::from_secs(1_767_225_600);
/// What is not believed any more.
const LONGEST: u64 = 30 * 86_400;

/// RFC 6750 §2.1, without the padding.
const B64TOKEN: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";

/// Every spelling that HERE has for the number of an error, with 999999 for it.
const SPELLINGS: &str = include_str!("../../crates/token-provider/testdata/number-spellings.json");

/// One run.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((b'r', data)) => agree_in_every_spelling(data),
        Some((_, data)) => {
            if let Some(data) = plant(data) {
                on_the_wire(&data);
            }
        }
        None => {}
    }
}

fn read(status: u16, headers: HeaderMap, body: &[u8]) -> Result<(String, Issued), TokenError> {
    let now: SystemTime = UNIX_EPOCH + NOW;
    let result = HereIssuer::read_answer(status, headers, body, now);
    match &result {
        Ok((token, issued)) => check_issued(status, token, issued),
        Err(error) => check_error(status, error),
    }
    result
}

fn on_the_wire(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let status = std::str::from_utf8(part()).ok().and_then(|status| status.parse().ok()).unwrap_or(200);
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &[u8]| {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    };
    set(RETRY_AFTER, part());
    set(DATE, part());
    let asks_for_pause = headers.contains_key(RETRY_AFTER);
    if let Err(error) = read(status, headers, part()) {
        assert!(asks_for_pause || error.retry_after().is_none(), "nobody asked for a pause: {error:?}");
    }
}

fn check_issued(status: u16, token: &str, issued: &Issued) {
    assert!((200..300).contains(&status), "a token with status {status}");
    let body = token.trim_end_matches('=');
    assert!(!body.is_empty() && body.bytes().all(|byte| B64TOKEN.contains(&byte)), "{token:?}");
    assert!(issued.expires_in().as_secs() <= LONGEST);
    if token.len() >= 16 {
        let shown = format!("{issued:?} {issued:#?}");
        // A scope is shown, and may be the same text.
        assert!(!shown.contains(token) || shown.contains("Scope"), "{shown}");
    }
}

fn check_error(status: u16, error: &TokenError) {
    for id in [error.error_id(), error.correlation_id()].into_iter().flatten() {
        assert!(
            !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic()),
            "{id:?}"
        );
        assert!(!error.to_string().contains(id), "{error}");
    }
    assert_hidden("an error", &format!("{error} {error:?} {error:#?} {:?}", error.causes()));
    let fits = match error.kind() {
        TokenErrorKind::InvalidAnswer { status: Some(told), .. } => {
            told == status && status != 429 && status != 408 && status < 500
        }
        // HERE's numbers for these may come with any refusal.
        TokenErrorKind::Throttled | TokenErrorKind::ClockSkew => !(200..400).contains(&status),
        TokenErrorKind::Unavailable { status: told, .. } => told == status && status >= 400 && status != 429,
        TokenErrorKind::Rejected { status: told, .. } => told == status && !(200..400).contains(&status),
        _ => false,
    };
    // Statuses that HTTP does not know are refusals like any other; the client would not have let them through.
    assert!(fits || !(100..600).contains(&status), "{status}: {error:?}");
    if matches!(status, 429 | 408 | 500..=599) {
        assert!(error.is_transient(), "{status}: {error:?}");
    }
}

/// What HERE says in one spelling means the same in every other.
fn agree_in_every_spelling(data: &[u8]) {
    let Some((number, text)) = data.split_first_chunk::<4>() else { return };
    let number = u32::from_le_bytes(*number);
    let text = text.get(..text.len().min(200)).unwrap_or_default();
    if !text.is_empty() {
        let letter = |byte: &u8| char::from(B64TOKEN[usize::from(*byte) % B64TOKEN.len()]);
        let token: String = text.iter().map(letter).collect();
        for expires_in in [json!(number), json!(number.to_string())] {
            for body in [
                json!({ "accessToken": token, "tokenType": "bearer", "expiresIn": expires_in }),
                json!({ "access_token": token, "token_type": "Bearer", "expires_in": expires_in, "more": [{}] }),
            ] {
                let scope = Scope::new(&String::from_utf8_lossy(text)).ok();
                check_token(&body, &token, number, scope.as_ref());
            }
        }
    }
    let spellings: Value = serde_json::from_str(SPELLINGS).expect("the table is well-formed");
    let spellings: Vec<String> =
        spellings["bodies"].as_array().expect("is a list").iter().map(Value::to_string).collect();
    // HERE's numbers begin with an HTTP status.
    let code = 400_000 + number % 200_000;
    for status in [400, 401, 403, 500] {
        let kinds: Vec<_> = spellings
            .iter()
            .map(|body| {
                let body = body.replace("999999", &code.to_string()).replace("TEXT", &format!("{text:?}"));
                let error = read(status, HeaderMap::new(), body.as_bytes()).expect_err("is a refusal");
                (error.kind(), error.to_string())
            })
            .collect();
        assert!(kinds.iter().all(|kind| *kind == kinds[0]), "{kinds:?}");
    }
}

fn check_token(body: &Value, token: &str, expires_in: u32, scope: Option<&Scope>) {
    let mut body = body.clone();
    if let Some(scope) = scope {
        body["scope"] = json!(scope.as_str());
    }
    let (read_token, issued) = read(200, HeaderMap::new(), body.to_string().as_bytes()).expect("is a token");
    assert_eq!(read_token, token);
    assert_eq!(issued.expires_in().as_secs(), u64::from(expires_in).min(LONGEST));
    let debug = format!("{issued:?}");
    assert!(scope.is_none_or(|scope| debug.contains(&format!("{scope:?}"))), "{debug}");
}
