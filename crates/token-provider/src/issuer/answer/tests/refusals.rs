//! Answers that bring no token: what is said, what may be repeated, and that the body shows up nowhere.

use super::*;

#[test]
fn remedy_names_the_place_that_the_credential_is_from() {
    let credential = access_key().with_place("other.properties");
    let answer = answer_to(&credential, 401, HeaderMap::new(), r#"{"errorCode":401300}"#);
    let error = answer.expect_err("is none");
    assert!(error.to_string().ends_with("in other.properties; both must belong to the same key"), "{error}");
}

#[test]
fn number_that_is_not_documented_is_told_with_what_the_status_means() {
    for (status, number, text) in [
        (
            403,
            403_403,
            "HERE refused the access key (403403): check here.access.key.id and here.access.key.secret in \
             credentials.properties",
        ),
        (400, 401_999, "HERE refused the request (401999): check here.token.endpoint.url and the scope"),
        (404, 404_001, "HERE refused the request (404001): check here.token.endpoint.url and the scope"),
    ] {
        let error = read_err(status, &format!(r#"{{"errorCode":{number},"message":"{MARKER}"}}"#));
        assert_eq!(error.kind(), TokenErrorKind::Rejected { status, code: Some(number) });
        assert_eq!(error.to_string(), text);
        assert!(!shown(&error).contains(MARKER), "{error:?}");
    }
}

#[test]
fn refusals_without_a_number_name_the_status() {
    for (status, body, start) in [
        (401, r#"{"errorId":"ERROR-1"}"#, "HERE refused the access key (status 401)"),
        (400, r#"{"errorCode":-1}"#, "HERE refused the request (status 400)"),
        (400, r#"{"errorCode":99999999999}"#, "HERE refused the request (status 400)"),
        (400, r#"{"errorCode":[1]}"#, "HERE refused the request (status 400)"),
        (400, r#"{"error_description":"errorCode: 'x'"}"#, "HERE refused the request (status 400)"),
    ] {
        let error = read_err(status, body);
        assert_eq!(error.kind(), TokenErrorKind::Rejected { status, code: None }, "{body}");
        assert!(error.to_string().starts_with(start), "{error}");
    }
}

#[test]
fn json_without_any_member_of_heres_comes_from_something_else() {
    for body in [
        r#"{"message":"Forbidden"}"#,
        r#"{"timestamp":"2026-01-01","status":403,"error":"Forbidden","path":"/"}"#,
        r#"{"title":"Forbidden","status":403,"code":"blocked"}"#,
        r#"{"code":403,"message":"Forbidden"}"#,
        r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403}"#,
        r#"{"error":"unauthorized"}"#,
        r#"{"error":""}"#,
        r#"{"code":"E605"}"#,
        r#"{"errors":[{"errorCode":401300}],"message":"no errorCode here"}"#,
        "{}",
    ] {
        for status in [400, 401, 403] {
            let error = read_err(status, body);
            assert_eq!(error.kind(), TokenErrorKind::InvalidAnswer { status: Some(status) }, "{body}");
            assert!(error.to_string().contains("by something that is not HERE's token endpoint"), "{error}");
        }
    }
    // What OAuth 2.0 has every token endpoint say, HERE's included.
    let error = read_err(401, r#"{"error":"invalid_client"}"#);
    assert_eq!(error.kind(), TokenErrorKind::Rejected { status: 401, code: None });
    // A byte-order mark does not hide the number.
    let error = read_err(401, "\u{feff}{\"errorCode\":401300}");
    assert_eq!(error.kind(), TokenErrorKind::Rejected { status: 401, code: Some(401_300) });
}

#[test]
fn what_is_not_json_comes_from_something_else() {
    let page = format!("<!DOCTYPE html><title>{MARKER}</title>");
    let cut = format!(r#"{{"errorCode":401300,"message":"{MARKER}"#);
    let table = [
        // status, kind, transient, part of the text
        (200, TokenErrorKind::InvalidAnswer { status: Some(200) }, true, "is not a JSON token response"),
        (204, TokenErrorKind::InvalidAnswer { status: Some(204) }, true, "is not a JSON token response"),
        (
            301,
            TokenErrorKind::InvalidAnswer { status: Some(301) },
            true,
            "a redirect (301), which is not followed",
        ),
        (
            302,
            TokenErrorKind::InvalidAnswer { status: Some(302) },
            true,
            "a redirect (302), which is not followed",
        ),
        (
            400,
            TokenErrorKind::InvalidAnswer { status: Some(400) },
            false,
            "by something that is not HERE's token endpoint",
        ),
        (
            401,
            TokenErrorKind::InvalidAnswer { status: Some(401) },
            false,
            "by something that is not HERE's token endpoint",
        ),
        (
            403,
            TokenErrorKind::InvalidAnswer { status: Some(403) },
            false,
            "by something that is not HERE's token endpoint",
        ),
        (
            404,
            TokenErrorKind::InvalidAnswer { status: Some(404) },
            true,
            "there is no token endpoint at this address (404)",
        ),
        (
            405,
            TokenErrorKind::InvalidAnswer { status: Some(405) },
            true,
            "there is no token endpoint at this address (405)",
        ),
        (
            407,
            TokenErrorKind::InvalidAnswer { status: Some(407) },
            true,
            "a proxy requires authentication (407)",
        ),
        (408, TokenErrorKind::Unavailable { status: 408 }, true, "is failing (408)"),
        (429, TokenErrorKind::Throttled, true, "429 (too many requests)"),
        (500, TokenErrorKind::Unavailable { status: 500 }, true, "is failing (500)"),
        (502, TokenErrorKind::Unavailable { status: 502 }, true, "is failing (502)"),
        (599, TokenErrorKind::Unavailable { status: 599 }, true, "is failing (599)"),
    ];
    for (status, kind, is_transient, part) in table {
        for body in ["", &page, &cut, "null", "[]", "\u{FEFF}"] {
            let error = read_err(status, body);
            assert_eq!((error.kind(), error.is_transient()), (kind, is_transient), "{status} {body}");
            assert!(error.to_string().contains(part), "{error}");
            assert!(!shown(&error).contains(MARKER), "{error:?}");
        }
    }
    let failing = read_err(500, r#"{"errorCode":500203,"message":"Missing Thing Encrypted Secret."}"#);
    assert!(failing.to_string().contains("(500, 500203)"), "{failing}");
}

#[test]
fn retry_after_is_kept_wherever_it_makes_sense() {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, "7".parse().expect("is a value"))]);
    for status in [408, 429, 500, 503, 401, 403] {
        let error = answer_to(&access_key(), status, headers.clone(), "{}").expect_err("is none");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{status}");
    }
}

#[test]
fn error_id_is_kept_if_it_is_one() {
    let id = "ERROR-cf976ca6-bf6e-44f7-a9e6-e271766c61fe";
    for status in [400, 401, 403, 408, 429, 500, 503] {
        let error = read_err(status, &format!(r#"{{"errorId":"{id}","errorCode":401300}}"#));
        assert_eq!(error.error_id(), Some(id), "{status}");
        assert!(!error.to_string().contains("ERROR-"), "it is not for callers: {error}");
    }
    let long = format!("{id}{}", "0".repeat(60_000));
    for other in [
        "",
        "ERROR-",
        "ERROR-1",
        "cf976ca6-bf6e-44f7-a9e6-e271766c61fe",
        "ERROR-cf976ca6-bf6e-44f7-a9e6-e271766c61f\\n",
        "ERROR-cf976ca6-bf6e-44f7-a9e6-e271766c61f\\u0000",
        "ERROR-cf976ca6-bf6e-44f7-a9e6-e271766c61f\\u202e",
        "ERROR-cf976ca6-bf6e-44f7-a9e6-e271766c61f-",
        "ERROR-cf976ca6bf6e44f7a9e6e271766c61fe0000",
        "ERROR-cf976ca6-bf6e-44f7-a9e6-e271766c61fe\\u001b[2J",
        &long,
        MARKER,
    ] {
        let error = read_err(401, &format!(r#"{{"errorId":"{other}","errorCode":401300}}"#));
        assert_eq!(error.error_id(), None, "{other:.80}");
        assert!(!shown(&error).contains(MARKER), "{error:?}");
    }
    assert_eq!(read_err(401, r#"{"errorId":["x"],"errorCode":401300}"#).error_id(), None);
}

#[test]
fn body_of_any_size_and_depth_is_read_or_left() {
    let wide =
        format!(r#"{{"errorCode":400200,"errorFields":[{}{{"errorCode":400209}}]}}"#, "{},".repeat(20_000));
    assert_eq!(read_err(400, &wide).kind(), TokenErrorKind::Rejected { status: 400, code: Some(400_209) });
    let text =
        format!(r#"{{"message":"{}errorCode: 401300{}"}}"#, "errorCode ".repeat(3000), "0".repeat(30_000));
    assert_eq!(read_err(400, &text).kind(), TokenErrorKind::InvalidAnswer { status: Some(400) });
    // Deeper than any answer of HERE's: not read.
    let deep = format!(r#"{{"errorCode":401300,"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(read_err(401, &deep).kind(), TokenErrorKind::InvalidAnswer { status: Some(401) });
}
