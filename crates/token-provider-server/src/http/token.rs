//! `GET /getToken`: the access token as text, or as JSON in the form of RFC 6749 §5.1.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use token_provider::{AccessToken, Moment, Scope};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::answer::{self, Answer, JSON, NO_STORE, TEXT};
use super::parameters::{Value, lifetime, parameters};
use super::request::Call;
use crate::access::{Caller, TokenRequest};
use crate::problem::{Problem, Subject};
use crate::telemetry::audit::Event;

/// Fetch standard, "Cross-Origin-Resource-Policy": an answer that was asked for without CORS does not even get into the
/// process of a foreign page. For browsers that do not say where a request comes from.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const TOKEN_EXPIRES_IN: HeaderName = HeaderName::from_static("token-expires-in");

/// How a token answer is written: the names of its members, and its token's type.
pub(crate) type Spelling = [&'static str; 4];
/// RFC 6749 §5.1.
pub(crate) const STANDARD: Spelling = ["access_token", "token_type", "expires_in", "Bearer"];
/// As HERE answers a form.
pub(super) const HERE_FORM: Spelling = ["access_token", "token_type", "expires_in", "bearer"];
/// As HERE answers JSON.
pub(super) const HERE_JSON: Spelling = ["accessToken", "tokenType", "expiresIn", "bearer"];

/// An answer, and what was done for it, if it was for a caller, as far as the handler knows it. In a box: it is large, and handed on
/// from one step to the next.
pub(crate) type Served = (Answer, Option<Box<Event>>);

/// Answers `GET /getToken`.
pub(super) async fn get(call: Call<'_>, headers: &HeaderMap) -> Result<Served, Problem> {
    let caller = call.rules.authenticate(headers, call.info.connection).await?;
    let query = call.info.head.uri.query().unwrap_or_default();
    let wanted = parameters(form_urlencoded::parse(query.as_bytes()), ["ttl", "profile", "scope"]);
    hand_out(call, &caller, "ttl", wanted, prefers_json(headers).then_some(STANDARD)).await
}

/// Decides what a caller may have, and hands out the token for it, as text unless there is a spelling for JSON. What is wanted are
/// lifetime, profile and scope; the first is called `name` in this request.
pub(super) async fn hand_out(
    Call { access, rules, .. }: Call<'_>,
    caller: &Caller<'_>,
    name: &str,
    wanted: Result<[Option<Value>; 3], Problem>,
    spelling: Option<Spelling>,
) -> Result<Served, Problem> {
    let [ttl, profile, scope] = wanted.map_err(|problem| problem.with_subject(caller.subject()))?;
    let text = |value| Option::as_deref(value).map(String::as_str);
    let profile = text(&profile).or_else(|| caller.usual_profile());
    let named = TokenRequest { profile, scope: text(&scope), lifetime: None };
    let permit = lifetime(name, ttl.as_ref(), rules.config.lifetimes.shortest())
        .and_then(|lifetime| access.authorize(rules, caller, TokenRequest { lifetime, ..named }));
    let permit = permit.map_err(|problem| access.note(problem, caller, named))?;
    let subject = permit.subject(caller);
    match access.handout().token(&permit, caller).await {
        Ok((token, now)) => Ok(serve(&token, now, subject, spelling)),
        Err(error) => Err(Problem::from(&error).with_subject(subject)),
    }
}

/// Makes the answer with a token, and what is noted of it.
fn serve(token: &AccessToken, now: Moment, subject: Subject, spelling: Option<Spelling>) -> Served {
    let left = token.remaining(now).as_secs();
    let (content_type, body) = match spelling {
        Some(spelling) => (JSON, Bytes::from_owner(json(token, left, spelling))),
        None => (TEXT, token.expose_secret_bytes()),
    };
    let mut answer = answer::answer(content_type, NO_STORE, body);
    let headers = answer.headers_mut();
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(TOKEN_EXPIRES_IN, HeaderValue::from(left));
    (answer, Some(Box::new(Event::handout(token, now, subject))))
}

/// Returns the body of a token answer. `expiry` are the seconds left, not the lifetime: the token has been held for a while. In a file
/// it is the time.
pub(crate) fn json(token: &AccessToken, expiry: u64, spelling: Spelling) -> Zeroizing<Vec<u8>> {
    let (access_token, scope) = (token.expose_secret(), token.scope().map(Scope::as_str));
    let [token_name, type_name, expiry_name, token_type] = spelling;
    // Room for all of it at once, so that growing leaves no copy of the token behind.
    let mut json = Zeroizing::new(Vec::with_capacity(access_token.len() + scope.map_or(0, str::len) + 256));
    let write = |json: &mut Vec<u8>| {
        let mut serializer = serde_json::Serializer::new(json);
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry(token_name, access_token)?;
        members.serialize_entry(type_name, token_type)?;
        members.serialize_entry(expiry_name, &expiry)?;
        scope.map_or(Ok(()), |scope| members.serialize_entry("scope", scope))?;
        members.end()
    };
    write(&mut json).expect("strings and a number have a JSON form");
    json
}

/// On a tie it is text, the answer that `fetch(url).then(r => r.text())` expects.
fn prefers_json(headers: &HeaderMap) -> bool {
    let weight = |names: &[&str]| answer::weight(headers, &ACCEPT, names);
    weight(&["application/json", "application/*", "*/*"]) > weight(&["text/plain", "text/*", "*/*"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_want_it_more_than_text() {
        let table = [
            ("", false),
            ("*/*", false),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/json, */*;q=0.5", true),
            ("application/json, text/javascript, */*; q=0.01", true),
            // axios' default: either will do.
            ("application/json, text/plain, */*", false),
            ("text/plain;q=0.5, application/json;q=0.9", true),
            ("application/json;q=0", false),
            ("application/*, text/plain;q=0.1", true),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
        ];
        for (accept, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_json(&headers), expected, "{accept}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }
}
