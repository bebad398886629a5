//! An error in HERE's form, for what HERE's own SDKs send.

use hyper::header::{DATE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use token_provider::{Clock as _, SystemClock};

use crate::problem::Problem;

/// What HERE's support asks for, and the Java SDK logs.
pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// HERE's form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    error_id: String,
    http_status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    message: &'a str,
    error: &'static str,
    #[serde(rename = "error_description")]
    description: String,
}

/// Returns the body of an error answer.
pub(super) fn body<'a>(problem: &'a Problem, request_id: &str) -> Body<'a> {
    let message = &*problem.description;
    let error_code = problem.number();
    Body {
        error_id: error_id(request_id),
        http_status: problem.status.as_u16(),
        error_code,
        message,
        error: problem.code(),
        description: match error_code {
            Some(number) => format!("errorCode: '{number}'. {message}"),
            None => message.to_owned(),
        },
    }
}

/// Completes the head of an error answer. `Date` is what the C++ SDK sets its clock by: hyper's own stands still for as long as
/// the clock was set back.
pub(super) fn apply(correlation_id: &HeaderValue, status: StatusCode, headers: &mut HeaderMap) {
    headers.insert(CORRELATION_ID, correlation_id.clone());
    let date = httpdate::fmt_http_date(SystemClock.now().system_time());
    headers.insert(DATE, HeaderValue::try_from(date).expect("is ASCII"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"OAuth realm="token-provider""#));
    }
}

/// The request's id where that is a UUID, as are those made here: by it the error is found in the log.
fn error_id(request_id: &str) -> String {
    let digits = request_id.replace('-', "");
    let id = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
    let id = id.unwrap_or_else(|| fastrand::u128(..));
    let part = |shift: u32, digits: u32| (id >> shift) & ((1 << (4 * digits)) - 1);
    let (low, middle, high) = (part(96, 8), part(80, 4), part(64, 4));
    format!("ERROR-{low:08x}-{middle:04x}-{high:04x}-{:04x}-{:012x}", part(48, 4), part(0, 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_id_has_the_form_of_a_uuid_and_the_digits_of_the_request() {
        assert_eq!(
            error_id("0123456789abcdef0123456789ABCDEF"),
            "ERROR-01234567-89ab-cdef-0123-456789abcdef"
        );
        assert_eq!(
            error_id("01234567-89ab-cdef-0123-456789abcdef"),
            "ERROR-01234567-89ab-cdef-0123-456789abcdef"
        );
        for other in ["", "id-1", "+123456789abcdef0123456789abcdef0"] {
            let id = error_id(other);
            let lengths: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [5, 8, 4, 4, 4, 12], "{id}");
            assert_ne!(id, error_id(other), "is made up");
        }
    }
}
