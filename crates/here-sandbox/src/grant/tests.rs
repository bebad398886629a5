//! Every way in which a field can be wrong, in both spellings.

use axum::http::HeaderValue;
use axum::response::IntoResponse as _;

use super::*;

const PROJECT: &str = "hrn:here:authorization::rlm0000:project/my-project-0000";

fn read(content_type: &'static str, body: &str) -> Result<Grant, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    TokenRequestBody::read(&headers, body.as_bytes())?.grant()
}

fn json(body: &str) -> Result<Grant, Refusal> {
    read("application/json", body)
}

fn form(body: &str) -> Result<Grant, Refusal> {
    read("application/x-www-form-urlencoded", body)
}

async fn body_of(refusal: Refusal) -> Value {
    let bytes = axum::body::to_bytes(refusal.into_response().into_body(), 10_000).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The `errorFields` of a refusal as `name code` texts.
async fn fields_of(result: Result<Grant, Refusal>) -> Vec<String> {
    let body = body_of(result.expect_err("accepted")).await;
    assert_eq!(body["errorCode"], 400_200);
    let fields = body["errorFields"].as_array().unwrap();
    fields.iter().map(|field| format!("{} {}", field["name"].as_str().unwrap(), field["errorCode"])).collect()
}

#[test]
fn bodies_of_the_sdks_are_read() {
    let cases = [
        (json(r#"{"grantType":"client_credentials","expiresIn":3600}"#), Some(3600), None),
        (
            json(&format!(r#"{{"grantType":"client_credentials","scope":"{PROJECT}","expiresIn":86400}}"#)),
            Some(86400),
            Some(PROJECT),
        ),
        (json(r#"{"grantType":"client_credentials"}"#), None, None),
        (
            json(r#"{"grantType":"client_credentials","deviceId":"d","scope":null,"expiresIn":null}"#),
            None,
            None,
        ),
        (form("grant_type=client_credentials"), None, None),
        (form("expires_in=15&grant_type=client_credentials&scope=openid"), Some(15), Some("openid")),
        (
            form("grant_type=client_credentials&scope=hrn%3Ahere%3Aauthorization%3A%3Ar%3Aproject%2Fp"),
            None,
            Some("hrn:here:authorization::r:project/p"),
        ),
    ];
    for (result, lifetime, scope) in cases {
        assert_eq!(result, Ok(Grant { lifetime, scope: scope.map(str::to_owned) }));
    }
}

#[test]
fn zero_asks_for_the_default_and_too_much_is_no_error() {
    let lifetime = |result: Result<Grant, Refusal>| result.unwrap().lifetime;
    assert_eq!(lifetime(json(r#"{"grantType":"client_credentials","expiresIn":0}"#)), None);
    assert_eq!(lifetime(form("grant_type=client_credentials&expires_in=0")), None);
    assert_eq!(
        lifetime(json(r#"{"grantType":"client_credentials","expiresIn":18446744073709551615}"#)),
        Some(u64::MAX)
    );
    assert_eq!(
        lifetime(form("grant_type=client_credentials&expires_in=99999999999999999999")),
        Some(u64::MAX)
    );
}

#[tokio::test]
async fn wrong_fields_are_named_with_heres_codes() {
    let cases = [
        (json("{}"), "grantType 400201"),
        (json(r#"{"grant_type":"client_credentials"}"#), "grantType 400201"),
        (json(r#"{"grantType":null}"#), "grantType 400201"),
        (json(r#"{"grantType":""}"#), "grantType 400202"),
        (json(r#"{"grantType":"password"}"#), "grantType 400290"),
        (json(r#"{"grantType":7}"#), "grantType 400217"),
        (json(r#"{"grantType":"client_credentials","expiresIn":-1}"#), "expiresIn 400209"),
        (json(r#"{"grantType":"client_credentials","expiresIn":1.5}"#), "expiresIn 400208"),
        (json(r#"{"grantType":"client_credentials","expiresIn":"3600"}"#), "expiresIn 400208"),
        (json(r#"{"grantType":"client_credentials","expiresIn":""}"#), "expiresIn 400202"),
        (json(r#"{"grantType":"client_credentials","scope":""}"#), "scope 400202"),
        (json(r#"{"grantType":"client_credentials","scope":["openid"]}"#), "scope 400217"),
        (json(r#"{"grantType":"client_credentials","scope":"test scope"}"#), "scope 400927"),
        (json(r#"{"grantType":"client_credentials","scope":"openid\\u0007"}"#), "scope 400909"),
        (
            json(r#"{"grantType":"client_credentials","scope":"hrn:here:authorization::r:project/*"}"#),
            "scope 400909",
        ),
        (json(r#"{"grantType":"client_credentials","scope":"openidä"}"#), "scope 400909"),
        (form(""), "grant_type 400201"),
        (form("grantType=client_credentials"), "grant_type 400201"),
        (form("grant_type="), "grant_type 400202"),
        (form("grant_type=client_credentials&grant_type=client_credentials"), "grant_type 400290"),
        (form("grant_type=%ff"), "grant_type 400290"),
        (form("grant_type=client_credentials&expires_in=-1"), "expires_in 400208"),
        (form("grant_type=client_credentials&expires_in=%2B1"), "expires_in 400208"),
        (form("grant_type=client_credentials&expires_in="), "expires_in 400202"),
        (form("grant_type=client_credentials&expires_in=1&expires_in=1"), "expires_in 400208"),
        (form("grant_type=client_credentials&scope="), "scope 400202"),
        (form("grant_type=client_credentials&scope=openid&scope=openid"), "scope 400927"),
    ];
    for (result, expected) in cases {
        let shown = format!("{result:?}");
        assert_eq!(fields_of(result).await, [expected], "{shown}");
    }
    let all = fields_of(json(r#"{"grantType":"x","expiresIn":-1,"scope":1}"#)).await;
    assert_eq!(all, ["grantType 400290", "expiresIn 400209", "scope 400217"]);
}

#[test]
fn one_project_is_enough_for_a_scope() {
    let body = format!(r#"{{"grantType":"client_credentials","scope":"{PROJECT} {PROJECT}-2"}}"#);
    assert_eq!(json(&body), Err(Refusal::SEVERAL_PROJECTS));
}

#[tokio::test]
async fn oauth_error_names_the_field() {
    let error = async |result: Result<Grant, Refusal>| {
        body_of(result.unwrap_err()).await["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(error(json(r#"{"grantType":"password"}"#)).await, "unsupported_grant_type");
    assert_eq!(error(json(r#"{"grantType":"client_credentials","scope":"x"}"#)).await, "invalid_scope");
    assert_eq!(error(json("{}")).await, "invalid_request");
}

#[test]
fn content_type_decides_how_the_body_is_read() {
    assert!(read("application/json; charset=utf-8", r#"{"grantType":"client_credentials"}"#).is_ok());
    assert!(read("Application/X-WWW-Form-Urlencoded;charset=UTF-8", "grant_type=client_credentials").is_ok());
    assert_eq!(read("text/plain", "{}"), Err(Refusal::CONTENT_TYPE_UNSUPPORTED));
    assert_eq!(read("", "{}"), Err(Refusal::CONTENT_TYPE_UNSUPPORTED));
    assert_eq!(read("application/x-www-form-urlencoded", "a=%zz"), Err(Refusal::BODY_UNREADABLE));

    let mut headers = HeaderMap::new();
    let read = |headers: &HeaderMap| TokenRequestBody::read(headers, b"").map(|_| ()).unwrap_err();
    assert_eq!(read(&headers), Refusal::CONTENT_TYPE_MISSING);
    headers.append(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.append(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    assert_eq!(read(&headers), Refusal::CONTENT_TYPE_UNSUPPORTED);
}

#[test]
fn what_is_no_json_object_is_invalid_json() {
    for body in ["", "{x\\}", "[]", "\"text\"", "{\"grantType\":", "null"] {
        assert_eq!(json(body), Err(Refusal::JSON_INVALID), "{body}");
    }
}
