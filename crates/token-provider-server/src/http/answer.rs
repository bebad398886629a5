//! The ground floor: the one builder of answers, and the one reader of what a caller accepts.

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, RETRY_AFTER, X_FRAME_OPTIONS,
};
use hyper::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::problem::Problem;

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const CSS: &str = "text/css; charset=utf-8";
pub(crate) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Nobody on the way keeps the answer.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// A copy is used only after asking whether it is still current.
pub(crate) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Builds an answer with status 200.
pub(crate) fn answer(content_type: &'static str, cache: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(Full::new(body.into()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, cache);
    answer
}

/// Builds an answer in JSON.
pub(crate) fn json(cache: HeaderValue, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("strings, numbers and lists of them have a JSON form");
    answer(JSON, cache, body)
}

/// Builds the answer to a request that failed (RFC 6749 §5.2). CORS and the headers that every answer has are added later.
pub(crate) fn problem(problem: &Problem, request_id: &str) -> Answer {
    let (error, error_description) = (problem.code(), &*problem.description);
    let body = json!({"error": error, "error_description": error_description, "request_id": request_id});
    refusal(problem, &body)
}

/// Builds such an answer with this body.
pub(super) fn refusal(problem: &Problem, body: &impl Serialize) -> Answer {
    let mut answer = json(NO_STORE, body);
    *answer.status_mut() = problem.status;
    let headers = answer.headers_mut();
    if let Some(pause) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(pause)));
    }
    if let Some((name, value)) = &problem.header {
        headers.insert(name, HeaderValue::try_from(&**value).expect("it is printable ASCII"));
    }
    answer
}

/// `Retry-After` has no fractions, and "0" would invite a caller back before the pause is over.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Builds an answer that is part of a page. The page may load nothing from elsewhere but what `sources` of its
/// Content-Security-Policy say, and may not be framed.
pub(crate) fn page(content_type: &'static str, sources: &str, body: impl Into<Bytes>) -> Answer {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; {sources}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).expect("origins are printable ASCII");
    let mut answer = answer(content_type, NO_CACHE, body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    answer
}

/// Names a version of some content, so that another is seen to be another. It need not be the same in every build of this
/// program.
pub(crate) fn etag(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Gives an answer its `ETag`, and takes its body away if the caller has this version already (RFC 9110 §13.1.2).
pub(crate) fn with_etag(mut answer: Answer, etag: &str, headers: &HeaderMap) -> Answer {
    let is_same = |known: &str| known.trim_start_matches("W/") == etag.trim_start_matches("W/");
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    if known.any(|known| known == "*" || is_same(known)) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = Full::default();
    }
    answer.headers_mut().insert(ETAG, HeaderValue::try_from(etag).expect("hexadecimal digits in quotes"));
    answer
}

/// Returns how much a caller wants something, in thousandths (RFC 9110 §12.4.2): by the first of `names` that it lists,
/// from the exact name to the range that includes everything. 0 where it lists none of them.
pub(crate) fn weight(headers: &HeaderMap, list: &HeaderName, names: &[&str]) -> u16 {
    let values = headers.get_all(list).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let rank = names.iter().position(|listed| listed.eq_ignore_ascii_case(name.trim()))?;
            Some((rank, Reverse(quality(parameters))))
        })
        .min()
        .map_or(0, |(_, Reverse(quality))| quality)
}

/// Reads the `q` among parameters, which is 1 when it is not given or makes no sense.
fn quality(parameters: &str) -> u16 {
    let mut parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let q = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let q = q.and_then(|(_, value)| value.trim().parse::<f32>().ok()).unwrap_or(1.0).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000 above")]
    let thousandths = (q * 1000.0).round() as u16;
    thousandths
}

#[cfg(test)]
mod tests {
    use hyper::header::{ACCEPT, ACCEPT_ENCODING, ALLOW};
    use token_provider::{TokenError, TokenErrorKind};

    use super::*;

    #[test]
    fn pause_is_said_in_whole_seconds_and_never_as_none() {
        for (millis, seconds) in [(0, 0), (1, 1), (200, 1), (1000, 1), (1001, 2), (300_000, 300)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }

    #[test]
    fn answer_is_not_kept_by_anyone() {
        let error = TokenError::new(TokenErrorKind::Throttled, "\"quoted\"\n");
        let pause = Some(Duration::from_millis(1500));
        let answer = problem(&Problem::from(&error.with_retry_after(pause)), "id-1");
        let headers = answer.headers();
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers[RETRY_AFTER], "2");
    }

    #[test]
    fn method_that_is_not_allowed_names_those_that_are() {
        let answer = problem(&Problem::method_not_allowed("GET, HEAD"), "id");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[ALLOW]),
            (405, &HeaderValue::from_static("GET, HEAD"))
        );
    }

    #[track_caller]
    fn assert_weight(list: &HeaderName, value: &'static str, names: &[&str], expected: u16) {
        let headers = [(list.clone(), HeaderValue::from_static(value))].into_iter().collect();
        assert_eq!(weight(&headers, list, names), expected, "{value}");
    }

    #[test]
    fn most_specific_name_counts_and_of_equals_the_largest_weight() {
        let names = ["application/json", "application/*", "*/*"];
        for (accept, expected) in [
            ("", 0),
            ("text/html", 0),
            ("application/json", 1000),
            ("Application/JSON; charset=utf-8", 1000),
            ("application/json;q=0.25, application/*;q=0.5, */*", 250),
            ("*/*;q=0.5, application/*", 1000),
            ("application/json;q=0, */*", 0),
            ("application/json;version=1 ; Q=0.3, application/json;version=0;q=0.75", 750),
            ("application/json;q=wrong", 1000),
            ("application/json;q=-1", 0),
            ("application/json;q=7", 1000),
            ("application/jsonx, xapplication/json", 0),
        ] {
            assert_weight(&ACCEPT, accept, &names, expected);
        }
        assert_eq!(weight(&HeaderMap::new(), &ACCEPT, &names), 0);
    }

    #[test]
    fn lines_of_a_list_are_one_list() {
        let lines = [(ACCEPT, "text/plain;q=0.5"), (ACCEPT, "application/json;q=0.25")];
        let lines = lines.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let headers = lines.into_iter().collect();
        assert_eq!(weight(&headers, &ACCEPT, &["application/json"]), 250);
        assert_eq!(weight(&headers, &ACCEPT, &["text/plain"]), 500);
    }

    #[test]
    fn coding_is_wanted_unless_its_weight_is_none() {
        for (codings, expected) in
            [("gzip", 1000), ("br, GZIP;q=0.5", 500), ("gzip;q=0", 0), ("gzip; q=0.000", 0), ("gzipped", 0)]
        {
            assert_weight(&ACCEPT_ENCODING, codings, &["gzip"], expected);
        }
    }
}
