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
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::answer::{self, Answer, JSON, NO_STORE};
use super::oauth2::{self, FORM, has_content_type};
use super::parameters::{MAX_TTL, Value};
use super::token::{self, HERE_FORM, HERE_JSON, Served};
use crate::access::{Access, ConnectionInfo, Rules, Shares, Signature, SignedRequest, is_signed};
use crate::problem::Problem;

/// Returns whether a request is meant as HERE's SDKs send it: signed, or in JSON without another way to authenticate.
pub(super) fn is_meant(headers: &HeaderMap) -> bool {
    is_signed(headers) || has_content_type(headers, JSON) && !headers.contains_key(AUTHORIZATION)
}

/// Answers `POST /oauth2/token`. The URL is the host and the target of the request.
pub(super) async fn post(
    access: &Access,
    bodies: &Arc<Shares>,
    rules: &Rules,
    (host, target): (&str, &str),
    headers: HeaderMap,
    body: impl Body<Data = Bytes>,
    connection: &ConnectionInfo,
) -> Result<Served, Problem> {
    let is_form = is_form(&headers)?;
    admit_target(target)?;
    let address = rules.address(&headers, connection);
    let signature = Signature::of(&headers);
    drop(headers);
    let judge = |signature, form: &[u8]| {
        rules.authenticate_signed(signature, &SignedRequest { host, target, form }, address, connection)
    };
    // Only a form is covered by a signature. All that can be judged before the body is waited for, is.
    let early =
        if is_form && rules.needs_form(&signature) { Err(signature) } else { Ok(judge(signature, b"")?) };
    let is_known = early.as_ref().is_ok_and(|(caller, _)| caller.subject().caller.is_some());
    let share = if is_known { None } else { Some(oauth2::share(bodies, address)?) };
    let body = oauth2::read(body).await.map_err(|problem| problem.with_address(address))?;
    drop(share);
    let (caller, nonce) = early.or_else(|signature| judge(signature, &body))?;
    let [expires_in, scope] =
        wanted(&body, is_form).map_err(|problem| problem.with_subject(caller.subject()))?;
    let (name, spelling) = if is_form { ("expires_in", HERE_FORM) } else { ("expiresIn", HERE_JSON) };
    let profile = caller.usual_profile().map(|name| Zeroizing::new(name.to_owned()));
    let handed_out = token::hand_out(access, rules, &caller, (name, expires_in), [profile, scope]).await?;
    if let Some(nonce) = nonce {
        nonce.note();
    }
    Ok(oauth2::into_grant(handed_out, spelling))
}

/// Returns whether the body is a form, and else JSON.
fn is_form(headers: &HeaderMap) -> Result<bool, Problem> {
    let is_form = has_content_type(headers, FORM);
    if is_form || has_content_type(headers, JSON) {
        return Ok(is_form);
    }
    let number = if headers.contains_key(CONTENT_TYPE) { 400_004 } else { 400_003 };
    let problem = format!("Content-Type: expected {JSON} or {FORM}");
    Err(Problem::invalid_request(problem).with_number(number))
}

/// Refuses a form's fields in the query: a signature does not tell the two apart, and a signed form could be sent as a query,
/// with another body.
fn admit_target(target: &str) -> Result<(), Problem> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let is_field = |name: &str| matches!(name, "grant_type" | "scope" | "expires_in");
    match form_urlencoded::parse(query.as_bytes()).find(|(name, _)| is_field(name)) {
        Some((name, _)) => Err(Problem::invalid_request(format!("{name}: expected in the body"))),
        None => Ok(()),
    }
}

/// Returns the lifetime and the scope that are wanted. Other fields are ignored, such as `deviceId`.
fn wanted(body: &[u8], is_form: bool) -> Result<[Option<Value>; 2], Problem> {
    let refused = |number, problem| Err(Problem::invalid_request(problem).with_number(number));
    let fields: Map<String, Json> = if is_form {
        form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into())).collect()
    } else if let Ok(members) = serde_json::from_slice(body) {
        members
    } else {
        return refused(400_002, "the request body is not a JSON object");
    };
    let field = |in_json: &str, in_form: &str| {
        Some(match fields.get(if is_form { in_form } else { in_json })? {
            Json::Null => return None,
            Json::String(text) => text.clone(),
            // A number, or nothing that is right anywhere.
            other => other.to_string(),
        })
    };
    if fields.keys().any(|name| is_credential(name)) {
        return Err(Problem::unsupported_client_authentication());
    }
    match field("grantType", "grant_type").as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            let problem = "the grant type is not supported; expected client_credentials";
            return Err(Problem::unsupported_grant_type(problem));
        }
        None => return refused(400_201, "the grant type is missing; expected client_credentials"),
    }
    if field("tokenFormat", "token_format").or_else(|| field("resource", "resource")).is_some() {
        return refused(400_203, "token formats and resources are not supported here; leave them out");
    }
    let expires_in = field("expiresIn", "expires_in").and_then(lifetime).map(Zeroizing::new);
    let scope = field("scope", "scope").filter(|scope| !scope.is_empty()).map(Zeroizing::new);
    Ok([expires_in, scope])
}

/// Returns whether a field, in either spelling, claims to show who somebody is.
fn is_credential(name: &str) -> bool {
    let name = name.replace('_', "").to_ascii_lowercase();
    ["clientsecret", "clientassertion", "oauth"].iter().any(|start| name.starts_with(start))
}

/// HERE takes 0 for no wish, and cuts what is too long.
fn lifetime(text: String) -> Option<String> {
    match text.parse::<u128>() {
        Ok(0) => None,
        Ok(seconds) if seconds > MAX_TTL.into() => Some(MAX_TTL.to_string()),
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
            assert_eq!(lifetime(text.to_owned()).as_deref(), expected, "{text}");
        }
    }
}
