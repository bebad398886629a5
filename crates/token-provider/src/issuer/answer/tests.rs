//! Answers as HERE and others give them, and as nobody should.

mod corpus;
mod numbers;
mod refusals;

use proptest::prelude::*;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use zeroize::Zeroizing;

use super::*;
use crate::credential::PrivateKey;
use crate::credential::SigningAlgorithm::Es256;

/// Published answers; the file names the source of each.
const ANSWERS: &str = include_str!("../../../testdata/answers.json");
/// Stands for whatever an answer's body holds; must show up nowhere.
const MARKER: &str = "QzPlantedBodyQz";

#[derive(Deserialize)]
struct Answers {
    success: Vec<SuccessCase>,
    errors: Vec<ErrorCase>,
}

#[derive(Deserialize)]
struct SuccessCase {
    case: String,
    body: String,
    expected: Option<Value>,
}

#[derive(Deserialize)]
struct ErrorCase {
    name: String,
    http_status: u16,
    body: String,
    error_code: u32,
    /// The one in `errorFields`, where `error_code` refers to it.
    field_code: Option<u32>,
}

fn published() -> Answers {
    serde_json::from_str(ANSWERS).expect("the sample file is well-formed")
}

fn access_key() -> Credential {
    let credential = Credential::new("an-id", "a-secret".into()).expect("is well-formed");
    credential.with_place("credentials.properties")
}

fn private_key() -> Credential {
    let pem = PrivateKey::generate_pem(Es256).expect("randomness is there");
    let key = PrivateKey::from_pem(pem.expose_secret()).expect("is a key");
    Credential::with_private_key("an-app", key).expect("is well-formed").with_place("credentials.properties")
}

/// Reads an answer to a request with this credential.
fn answer_to(
    credential: &Credential,
    status: u16,
    headers: HeaderMap,
    body: impl AsRef<[u8]>,
) -> Result<Issued, TokenError> {
    let body = Zeroizing::new(body.as_ref().to_vec());
    read(&Exchange { status, headers, body }, SystemTime::UNIX_EPOCH, credential)
}

fn answer(status: u16, body: impl AsRef<[u8]>) -> Result<Issued, TokenError> {
    answer_to(&access_key(), status, HeaderMap::new(), body)
}

fn read_ok(body: &str) -> Issued {
    answer(200, body).expect(body)
}

fn read_err(status: u16, body: &str) -> TokenError {
    answer(status, body).expect_err(body)
}

/// Everything that a program could show of an error.
fn shown(error: &TokenError) -> String {
    format!("{error} {error:?} {error:#?} {:?}", error.causes())
}

#[test]
fn published_tokens_are_read() {
    let cases = published().success;
    assert_eq!(cases.len(), 7);
    for SuccessCase { case, body, expected } in cases {
        // The published bodies stand `<token>` for a token, which is none by RFC 6750.
        let read = answer(200, body.replace("<token>", "eyJ.token-._~+/=="));
        match expected {
            Some(Value::Object(expected)) => {
                let issued = read.expect(&case);
                assert_eq!(issued.access_token.expose_secret(), "eyJ.token-._~+/==", "{case}");
                assert_eq!(
                    issued.expires_in.as_secs(),
                    expected["expires_in"].as_u64().expect("is a number"),
                    "{case}"
                );
                assert_eq!(issued.scope.as_ref().map(Scope::as_str), expected["scope"].as_str(), "{case}");
            }
            Some(_invalid) => {
                assert_eq!(
                    read.expect_err(&case).kind(),
                    TokenErrorKind::InvalidAnswer { status: Some(200) },
                    "{case}"
                );
            }
            None => assert_eq!(read.expect(&case).access_token.expose_secret(), "password_grant_token"),
        }
    }
}

#[test]
fn answers_that_a_gateway_rewrote_are_read() {
    let lifetime = |expires_in: &str| {
        let body = format!("\u{feff}{{\"access_token\":\"a\",\"expires_in\":{expires_in}}}");
        answer(200, body).ok().map(|issued| issued.expires_in.as_secs())
    };
    for whole in ["3600", "3600.0", "3.6e3", "\"3600\"", "\"3600.0\"", "\" 3600 \""] {
        assert_eq!(lifetime(whole), Some(3600), "{whole}");
    }
    for other in ["3600.5", "-1", "-3600.0", "1e300", "\"\"", "\"x\"", "\"[3600]\"", "null", "[3600]", "true"]
    {
        assert_eq!(lifetime(other), None, "{other}");
    }
    let scope = |scope: &str| {
        let body = format!(r#"{{"access_token":"a","expires_in":3599,"scope":{scope}}}"#);
        read_ok(&body).scope.map(|scope| scope.as_str().to_owned())
    };
    assert_eq!(scope(r#"["hrn:a"]"#).as_deref(), Some("hrn:a"));
    assert_eq!(scope(r#"["hrn:a","openid"]"#).as_deref(), Some("hrn:a openid"));
    for none in ["[]", "[1]", "{}", "7", "null", "\"\""] {
        assert_eq!(scope(none), None, "{none}");
    }
}

#[test]
fn published_errors_keep_their_number() {
    let cases = published().errors;
    assert_eq!(cases.len(), 13);
    for ErrorCase { name, http_status, body, error_code, field_code } in cases {
        let error = read_err(http_status, &body);
        let error_code = field_code.unwrap_or(error_code);
        let expected = match (http_status, error_code) {
            (_, 401_204) => TokenErrorKind::ClockSkew,
            (429, _) => TokenErrorKind::Throttled,
            (500.., _) => TokenErrorKind::Unavailable { status: http_status },
            _ => TokenErrorKind::Rejected { status: http_status, code: Some(error_code) },
        };
        assert_eq!(error.kind(), expected, "{name}");
        if http_status != 429 {
            assert!(error.to_string().contains(&error_code.to_string()), "{name}: {error}");
        }
    }
}

#[test]
fn text_that_would_split_a_header_is_no_token() {
    for text in [
        "",
        " ",
        "==",
        "a b",
        "a\\r\\nSet-Cookie: x=1",
        "a\\nb",
        "a\\u0000b",
        "a=b",
        "a,b",
        "\\\"a\\\"",
        "ä",
        "\\u2028",
        "Bearer a",
    ] {
        let body = format!(r#"{{"access_token":"{text}","token_type":"bearer","expires_in":3599}}"#);
        let error = read_err(200, &body);
        assert_eq!(error.kind(), TokenErrorKind::InvalidAnswer { status: Some(200) }, "{body}");
        assert!(error.to_string().contains("holds an access token that is not well-formed"), "{error}");
    }
}

#[test]
fn lifetime_is_whole_seconds_and_cut_down_to_a_month() {
    let month = 30 * 86_400;
    for (written, expected) in [
        ("0", 0),
        ("1", 1),
        ("3599", 3599),
        (r#""3599""#, 3599),
        ("2592000", month),
        ("2592001", month),
        ("4294967295", month),
        ("18446744073709551615", month),
    ] {
        let issued = read_ok(&format!(r#"{{"accessToken":"t","expiresIn":{written}}}"#));
        assert_eq!(issued.expires_in.as_secs(), expected, "{written}");
    }
    for written in ["-1", "-0.5", "3599.5", "1e400", "null", "true", "[]", r#""""#, r#""-1""#, r#""soon""#] {
        let body = format!(r#"{{"accessToken":"t","expiresIn":{written}}}"#);
        assert_eq!(
            read_err(200, &body).kind(),
            TokenErrorKind::InvalidAnswer { status: Some(200) },
            "{written}"
        );
    }
    // Too large for 64 bits: no number of seconds that anyone means.
    assert!(answer(200, br#"{"accessToken":"t","expiresIn":99999999999999999999}"#).is_err());
    assert!(read_err(200, r#"{"accessToken":"t"}"#).to_string().contains("(expires_in)"));
}

#[test]
fn other_fields_do_no_harm() {
    let issued = read_ok(
        r#"{"accessToken":"camel","access_token":"snake","expiresIn":1,"expires_in":2,"scope":"a\"b","x":[{}],"userId":null}"#,
    );
    assert_eq!((issued.access_token.expose_secret(), issued.expires_in.as_secs()), ("camel", 1));
    assert_eq!(issued.scope, None, "a scope that is not well-formed is left out");
    assert_eq!(
        read_ok(r#"{"access_token":"t","token_type":"BEARER","expires_in":1}"#).access_token.expose_secret(),
        "t"
    );
    for kind in ["mac", "", "bearer "] {
        let error = read_err(200, &format!(r#"{{"access_token":"t","token_type":"{kind}","expires_in":1}}"#));
        assert!(error.to_string().contains("that is not of type Bearer"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_answer_panics_or_shows_its_body(
        status in 100_u16..1000,
        fields in proptest::collection::vec(
            ("accessToken|access_token|expiresIn|expires_in|scope|errorCode|code|error_description|message", ".{0,6}"),
            0..5,
        ),
        is_number: bool,
    ) {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| {
                let value = serde_json::to_string(&format!("{MARKER}{value}")).expect("is text");
                format!("\"{name}\":{}", if is_number && name.contains("xpires") { "60" } else { &value })
            })
            .collect();
        let body = format!("{{{}}}", fields.join(","));
        for body in [body.as_str(), body.trim_end_matches('}')] {
            if let Err(error) = answer(status, body) {
                prop_assert!(!shown(&error).contains(MARKER), "{}", shown(&error));
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_do_not_panic(status in 0_u16.., body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = answer(status, &body);
    }
}
