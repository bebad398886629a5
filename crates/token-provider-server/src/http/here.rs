//! What HERE's own SDKs send to `POST /oauth2/token`: `Authorization: OAuth …`, and a JSON body in camel case or a signed form.
//! Errors have HERE's form and numbers. And `GET /timestamp`, by which the Java SDK sets its clock right.

use std::collections::BTreeMap;

use hyper::header::{AUTHORIZATION, DATE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};
use token_provider::{Clock as _, SystemClock};
use zeroize::Zeroizing;

use super::answer::{self, Answer, JSON, NO_STORE};
use super::parameters::{Given, MAX_TTL, Value, has_content_type, is_credential};
use crate::access::is_signed;
use crate::problem::Problem;

/// Returns whether a request is meant as HERE's SDKs send it: signed, or in JSON without another way to authenticate.
pub(super) fn is_meant(headers: &HeaderMap) -> bool {
    is_signed(headers) || has_content_type(headers, JSON) && !headers.contains_key(AUTHORIZATION)
}

/// Reads a body in JSON. Its fields are text, or a number, or nothing that is right anywhere.
pub(super) fn fields(body: &[u8]) -> Result<Box<dyn Iterator<Item = Given<'_>> + '_>, Problem> {
    let malformed =
        |_| Problem::invalid_request("the request body is not a JSON object").with_number(400_002);
    // The names alone: of a secret there is no copy, and one that is null is none the less a credential.
    let names: BTreeMap<String, Option<IgnoredAny>> = serde_json::from_slice(body).map_err(malformed)?;
    if names.keys().any(|name| is_credential(name, true)) {
        return Err(Problem::unsupported_client_authentication());
    }
    let members: BTreeMap<String, Option<Json>> = serde_json::from_slice(body).map_err(malformed)?;
    Ok(Box::new(members.into_iter().filter_map(|(name, value)| match value? {
        Json::String(text) => Some((name.into(), text.into())),
        other => Some((name.into(), other.to_string().into())),
    })))
}

/// Returns what is wanted, as HERE reads it: a lifetime of 0 is no wish, and one that is too long is cut. There is no profile.
pub(super) fn wanted(
    lifetime: Option<Value>,
    scope: Option<Value>,
    has_unsupported: bool,
) -> Result<[Option<Value>; 3], Problem> {
    if has_unsupported {
        let problem = "token formats and resources are not supported here; leave them out";
        return Err(Problem::invalid_request(problem).with_number(400_203));
    }
    let lifetime = lifetime.and_then(|text| match text.parse::<u128>() {
        Ok(0) => None,
        Ok(seconds) if seconds > MAX_TTL.into() => Some(Zeroizing::new(MAX_TTL.to_string())),
        _ => Some(text),
    });
    Ok([lifetime, None, scope])
}

/// Answers `GET /timestamp`.
pub(super) fn timestamp() -> Answer {
    answer::json(NO_STORE, &json!({ "timestamp": SystemClock.now().wall.as_secs() }))
}

/// Builds the answer to such a request that failed.
pub(super) fn problem(problem: &Problem, request_id: &str) -> Answer {
    let (message, number) = (&*problem.description, problem.number());
    let start = number.map(|number| format!("errorCode: '{number}'. ")).unwrap_or_default();
    let code = number.map(|number| ("errorCode", number.into()));
    let members: [(_, Json); 5] = [
        ("errorId", error_id(request_id).into()),
        ("httpStatus", problem.status.as_u16().into()),
        ("message", message.into()),
        ("error", problem.code().into()),
        ("error_description", format!("{start}{message}").into()),
    ];
    let body: BTreeMap<_, _> = members.into_iter().chain(code).collect();
    let mut answer = answer::refusal(problem, &body);
    if problem.status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static(r#"OAuth realm="token-provider""#);
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        // A client sets its clock by it. hyper's own is wrong for as long as the clock was set back.
        let date = httpdate::fmt_http_date(SystemClock.now().system_time());
        answer.headers_mut().insert(DATE, HeaderValue::try_from(date).expect("is ASCII"));
    }
    answer
}

/// The request's id, by which the error is found in the log; one of 32 digits, as are those made here, in the form of a UUID.
fn error_id(request_id: &str) -> String {
    let mut id = request_id.to_owned();
    if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        for place in [20, 16, 12, 8] {
            id.insert(place, '-');
        }
    }
    format!("ERROR-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_is_none_if_zero_and_cut_if_too_long() {
        for (text, expected) in [
            ("0", None),
            ("00", None),
            ("3600", Some("3600")),
            ("59", Some("59")),
            ("86400", Some("86400")),
            ("86401", Some("86400")),
            ("99999999999999999999999", Some("86400")),
            ("-1", Some("-1")),
            ("", Some("")),
            ("3600.5", Some("3600.5")),
        ] {
            let wanted = wanted(Some(text.to_owned().into()), None, false).expect("is fine");
            let [lifetime, ..] = wanted.map(|value| value.as_deref().cloned());
            assert_eq!(lifetime.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn error_id_is_that_of_the_request_in_the_form_of_a_uuid() {
        for (id, expected) in [
            ("0123456789abcdef0123456789abcdef", "ERROR-01234567-89ab-cdef-0123-456789abcdef"),
            ("01234567-89ab-cdef-0123-456789abcdef", "ERROR-01234567-89ab-cdef-0123-456789abcdef"),
            ("0123456789abcdef0123456789abcdex", "ERROR-0123456789abcdef0123456789abcdex"),
            ("id-1", "ERROR-id-1"),
        ] {
            assert_eq!(error_id(id), expected);
        }
    }
}
