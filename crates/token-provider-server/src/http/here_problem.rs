//! An error in HERE's form, for what HERE's own SDKs send.

use hyper::StatusCode;
use hyper::header::{DATE, HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use token_provider::{Clock as _, SystemClock};

use super::answer::{self, Answer};
use crate::problem::Problem;

/// HERE's form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    error_id: String,
    http_status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    message: &'a str,
    error: &'static str,
    #[serde(rename = "error_description")]
    description: String,
}

/// Builds the answer to such a request that failed.
pub(super) fn answer(problem: &Problem, request_id: &str) -> Answer {
    let (message, error_code) = (&*problem.description, problem.number());
    let number = error_code.map(|number| format!("errorCode: '{number}'. ")).unwrap_or_default();
    let body = Body {
        error_id: error_id(request_id),
        http_status: problem.status.as_u16(),
        error_code,
        message,
        error: problem.code(),
        description: format!("{number}{message}"),
    };
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
