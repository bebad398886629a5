//! `POST /oauth2/token` as HERE's own SDKs use it: with `Authorization: OAuth …`, a JSON body in camel case or a signed form.
//! Answers have the spelling of the request, and errors have HERE's form and numbers. And `GET /timestamp`, by which the Java
//! SDK sets its clock right.

use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value as Json, json};
use token_provider::{Clock as _, SystemClock};
use zeroize::Zeroizing;

use super::answer::{self, Answer, JSON, NO_STORE};
use super::here_problem::CORRELATION_ID;
use super::oauth2::{self, FORM, has_content_type};
use super::parameters::{MAX_TTL, Value, parameters};
use super::request::id_of;
use super::token::{self, Served, Spelling};
use crate::access::{Access, ConnectionInfo, Rules, Shares, Signature, SignedRequest, X_API_KEY, is_signed};
use crate::problem::Problem;

/// The fields of a request, in JSON and in a form. Others are ignored, such as `deviceId`.
const IN_JSON: [&str; 8] = [
    "grantType",
    "expiresIn",
    "scope",
    "tokenFormat",
    "resource",
    "clientAssertion",
    "clientAssertionType",
    "clientSecret",
];
const IN_FORM: [&str; 8] = [
    "grant_type",
    "expires_in",
    "scope",
    "token_format",
    "resource",
    "client_assertion",
    "client_assertion_type",
    "client_secret",
];

/// The values of these, in their order.
type Fields = [Option<Value>; IN_JSON.len()];

/// Returns whether a request is meant as HERE's SDKs send it: signed, or in JSON without another way to authenticate.
pub(super) fn is_meant(headers: &HeaderMap) -> bool {
    is_signed(headers) || has_content_type(headers, JSON) && !headers.contains_key(AUTHORIZATION)
}

/// Answers `POST /oauth2/token`. The URL is the host and the query of the request.
pub(super) async fn post(
    access: &Access,
    bodies: &Arc<Shares>,
    rules: &Rules,
    url: (&str, &str),
    headers: HeaderMap,
    body: impl Body<Data = Bytes>,
    connection: &ConnectionInfo,
) -> Result<Served, Problem> {
    let id = id_of(&headers, &CORRELATION_ID);
    match exchange(access, bodies, rules, url, headers, body, connection).await {
        Ok(mut served) => {
            served.answer.headers_mut().insert(CORRELATION_ID, id);
            Ok(served)
        }
        Err(problem) => Err(problem.in_here_form(id)),
    }
}

async fn exchange(
    access: &Access,
    bodies: &Arc<Shares>,
    rules: &Rules,
    (host, query): (&str, &str),
    headers: HeaderMap,
    body: impl Body<Data = Bytes>,
    connection: &ConnectionInfo,
) -> Result<Served, Problem> {
    let spelling = admit_head(&headers)?;
    let address = rules.address(&headers, connection);
    let signature = Signature::of(&headers);
    drop(headers);
    // The signature may be about the body, which is waited for like that of any caller who is not known yet.
    let share = bodies.take(address).ok_or_else(|| Problem::too_many_bodies().with_address(address))?;
    let body = oauth2::read(body).await.map_err(|problem| problem.with_address(address))?;
    drop(share);
    let form = if spelling == Spelling::Here { body.as_slice() } else { b"" };
    let request = SignedRequest { host, query, form };
    let (caller, nonce) = rules.authenticate_signed(signature, &request, address, connection)?;
    let (name, fields) = match spelling {
        Spelling::Here => ("expires_in", parameters(&body, IN_FORM)),
        _ => ("expiresIn", members(&body)),
    };
    let wanted = fields.and_then(wanted).map_err(|problem| problem.with_subject(caller.subject()));
    let [expires_in, scope] = wanted?;
    let profile = caller.usual_profile().map(|name| Zeroizing::new(name.to_owned()));
    let handed_out = token::hand_out(access, rules, &caller, (name, expires_in), [profile, scope]).await?;
    if let Some(nonce) = nonce {
        nonce.note();
    }
    Ok(oauth2::into_grant(handed_out, spelling))
}

/// Returns the spelling of a request. Refuses `X-API-Key`: a caller that sends a key must not be let in as anonymous.
fn admit_head(headers: &HeaderMap) -> Result<Spelling, Problem> {
    if headers.contains_key(X_API_KEY) {
        return Err(Problem::unsupported_client_authentication());
    }
    if has_content_type(headers, JSON) {
        return Ok(Spelling::HereCamelCase);
    }
    if has_content_type(headers, FORM) {
        return Ok(Spelling::Here);
    }
    let number = if headers.contains_key(CONTENT_TYPE) { 400_004 } else { 400_003 };
    let problem = Problem::invalid_request(format!("Content-Type: expected {JSON} or {FORM}"));
    Err(problem.with_number(number))
}

/// Reads the members of a JSON object. Numbers may be text.
fn members(body: &[u8]) -> Result<Fields, Problem> {
    let mut members: Map<String, Json> = serde_json::from_slice(body).map_err(|_| {
        Problem::invalid_request("the request body is not a JSON object").with_number(400_002)
    })?;
    let mut values = [const { None }; IN_JSON.len()];
    for (name, value) in IN_JSON.into_iter().zip(&mut values) {
        *value = match members.remove(name) {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => Some(Zeroizing::new(text)),
            Some(other) => Some(Zeroizing::new(other.to_string())),
        };
    }
    Ok(values)
}

/// Returns the lifetime and the scope that are wanted.
fn wanted(fields: Fields) -> Result<[Option<Value>; 2], Problem> {
    let [grant_type, expires_in, scope, token_format, resource, assertion, assertion_type, secret] = fields;
    if assertion.or(assertion_type).or(secret).is_some() {
        return Err(Problem::unsupported_client_authentication());
    }
    match grant_type.as_deref().map(String::as_str) {
        Some("client_credentials") => {}
        Some(_) => return Err(Problem::unsupported_grant_type()),
        None => {
            let problem = "the grant type is missing; expected client_credentials";
            return Err(Problem::invalid_request(problem).with_number(400_201));
        }
    }
    if token_format.or(resource).is_some() {
        let problem = "token formats and resources are not supported here; leave them out";
        return Err(Problem::invalid_request(problem).with_number(400_203));
    }
    Ok([expires_in.and_then(lifetime), scope.filter(|scope| !scope.is_empty())])
}

/// HERE takes 0 for no wish, and cuts what is too long. Digits that do not fit are a number above every limit.
fn lifetime(text: Value) -> Option<Value> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match is_number.then(|| text.parse().unwrap_or(u64::MAX)) {
        Some(0) => None,
        Some(seconds) if seconds > MAX_TTL => Some(Zeroizing::new(MAX_TTL.to_string())),
        _ => Some(text),
    }
}

/// Answers `GET /timestamp`.
pub(super) fn timestamp() -> Answer {
    answer::json(NO_STORE, &json!({ "timestamp": SystemClock.now().wall.as_secs() }))
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
            let found = lifetime(Zeroizing::new(text.to_owned()));
            assert_eq!(found.as_deref().map(String::as_str), expected, "{text}");
        }
    }
}
