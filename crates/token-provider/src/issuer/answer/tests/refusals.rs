//! Answers that bring no token: what is said, what may be repeated, and that the body shows up nowhere.

use super::*;

#[test]
fn remedy_names_the_place_that_the_credential_is_from() {
    let body = br#"{"errorCode":401300}"#;
    let error = read(401, None, body, "other.properties").expect_err("is none");
    assert!(error.to_string().ends_with("in other.properties; both must belong to the same key"), "{error}");
}

#[test]
fn every_code_says_what_to_do() {
    let table = [
        // status, code, kind, text
        (
            401,
            401_300,
            None,
            "HERE refused the access key (401300): check here.access.key.id and here.access.key.secret in \
             credentials.properties; both must belong to the same key",
        ),
        (
            400,
            401_300,
            None,
            "HERE refused the access key (401300): check here.access.key.id and here.access.key.secret in \
             credentials.properties; both must belong to the same key",
        ),
        (
            401,
            401_310,
            None,
            "HERE refused the access key id (401310): here.access.key.id in credentials.properties holds the client id; \
             put the access key id there",
        ),
        (
            401,
            401_600,
            None,
            "HERE does not know this access key (401600): check here.access.key.id in \
             credentials.properties; the key may have been deleted",
        ),
        (
            401,
            401_302,
            None,
            "HERE does not let this app use the endpoint (401302): check the app's permissions in the HERE portal, and \
             here.token.endpoint.url",
        ),
        (
            401,
            401_200,
            None,
            "HERE could not read the signature (401200): something in between, most likely a proxy, \
             changes the Authorization header",
        ),
        (
            401,
            401_206,
            None,
            "HERE could not read the signature (401206): something in between, most likely a proxy, \
             changes the Authorization header",
        ),
        (400, 400_200, None, "HERE refused the scope or the lifetime (400200): check both"),
        (400, 400_217, None, "HERE refused the scope or the lifetime (400217): check both"),
        (
            400,
            400_002,
            None,
            "HERE refused the request (400002): check here.token.endpoint.url and the scope",
        ),
        (
            404,
            404_000,
            None,
            "HERE refused the request (404000): check here.token.endpoint.url and the scope",
        ),
        (
            403,
            403_999,
            None,
            "HERE refused the access key (403999): check here.access.key.id and here.access.key.secret in \
             credentials.properties",
        ),
        (
            401,
            401_204,
            Some(TokenErrorKind::ClockSkew),
            "HERE refused the timestamp (401204): set this machine's clock, preferably with NTP",
        ),
        (
            401,
            401_207,
            Some(TokenErrorKind::Unavailable { status: 401 }),
            "HERE has seen this request before (401207): something in between sends requests twice",
        ),
    ];
    for (status, code, kind, text) in table {
        let kind = kind.unwrap_or(TokenErrorKind::Rejected { status, code: Some(code) });
        // The spellings of HERE's old and new services, and of gateways that are loose with JSON.
        for body in [
            format!(r#"{{"errorCode":{code},"message":"{MARKER}"}}"#),
            format!(r#"{{"errorCode":"{code}","message":"{MARKER}"}}"#),
            format!(r#"{{"code":"{code}","title":"{MARKER}","cause":"{MARKER}"}}"#),
            format!(r#"{{"error":"{MARKER}","error_description":"errorCode: '{code}'. {MARKER}"}}"#),
        ] {
            let error = read_err(status, &body);
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, text), "{body}");
            assert!(!shown(&error).contains(MARKER), "{error:?}");
        }
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
    let asked = Some(Duration::from_secs(7));
    for status in [408, 429, 500, 503, 401, 403] {
        let error = read(status, asked, b"{}", PLACE).expect_err("is none");
        assert_eq!(error.retry_after(), asked, "{status}");
    }
}
