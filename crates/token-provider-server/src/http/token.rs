//! `GET /getToken`: the access token as text, or as JSON in the form of RFC 6749 §5.1.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use serde::Serialize;
use token_provider::AccessToken;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::answer::{self, Answer, JSON, NO_STORE, TEXT};
use crate::access::{Access, Caller, Ends, Rules, Wish};
use crate::problem::Problem;
use crate::reason::Outcome;
use crate::telemetry::audit::Event;

/// Fetch standard, "Cross-Origin-Resource-Policy": an answer that was asked for without CORS does not even get into the
/// process of a foreign page. For browsers that do not say where a request comes from.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const TOKEN_EXPIRES_IN: HeaderName = HeaderName::from_static("token-expires-in");

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct TokenBody<'a> {
    access_token: &'a str,
    token_type: &'static str,
    /// Seconds left, not the lifetime: the token has been held for a while.
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// The parameters of the query, each at most once.
#[derive(Default)]
struct Query<'a> {
    ttl: Option<Cow<'a, str>>,
    profile: Option<Cow<'a, str>>,
    scope: Option<Cow<'a, str>>,
}

pub(super) async fn answer(
    access: &Access,
    rules: &Rules,
    request: &Parts,
    ends: &Ends,
    event: &mut Event,
) -> Result<Answer, Problem> {
    let caller = rules.authenticate(&request.headers, ends).await?;
    let answer = answer_to(&caller, access, rules, request, event).await;
    super::audit::note_caller(event, caller);
    answer
}

async fn answer_to(
    caller: &Caller<'_>,
    access: &Access,
    rules: &Rules,
    request: &Parts,
    event: &mut Event,
) -> Result<Answer, Problem> {
    let query = Query::parse(request.uri.query().unwrap_or_default())?;
    let wish = Wish {
        ttl: query.ttl.as_deref(),
        ttl_name: "ttl",
        profile: query.profile.as_deref(),
        scope: query.scope.as_deref(),
    };
    let (token, left) = hand_out(access, rules, caller, &wish, event).await?;
    Ok(if prefers_json(&request.headers) { json(&token, left) } else { text(&token, left) })
}

/// Authorizes a wish and hands out its token, with the seconds it has left. The event is told what there is to tell.
pub(super) async fn hand_out(
    access: &Access,
    rules: &Rules,
    caller: &Caller<'_>,
    wish: &Wish<'_>,
    event: &mut Event,
) -> Result<(AccessToken, u64), Problem> {
    let permit = access.authorize(rules, caller, wish).inspect_err(|_| {
        (event.profile, event.scope) = access.known_in(wish);
    })?;
    event.profile = Some(permit.profile_number());
    event.scope = permit.scope().cloned();
    event.lifetime = Some(permit.key().lifetime().as_secs());
    let handout = access.handout();
    let (token, now) = match handout.held(&permit) {
        Some(held) => held,
        None => handout.token(&permit, caller, event.trace).await.map_err(|error| Problem::from(&error))?,
    };
    let left = token.left_at(now).as_secs();
    event.time = now.wall;
    // The one that it has: where none was asked for, the credential's own.
    event.scope = token.scope().cloned();
    event.left = Some(left);
    event.fingerprint = Some(token.fingerprint());
    event.outcome = Outcome::HandedOut;
    Ok((token, left))
}

fn text(token: &AccessToken, left: u64) -> Answer {
    with_headers(token.expose_secret_bytes(), TEXT, left)
}

pub(super) fn json(token: &AccessToken, left: u64) -> Answer {
    let scope = token.scope().map(token_provider::Scope::as_str);
    let body =
        TokenBody { access_token: token.expose_secret(), token_type: "Bearer", expires_in: left, scope };
    // Room for all of it at once, so that growing leaves no copy of the token behind.
    let mut json =
        Zeroizing::new(Vec::with_capacity(body.access_token.len() + scope.map_or(0, str::len) + 256));
    // Strings and a number always have a JSON form, and writing to a `Vec` does not fail.
    let _ = serde_json::to_writer(&mut *json, &body);
    with_headers(Bytes::from_owner(json), JSON, left)
}

fn with_headers(body: Bytes, content_type: &'static str, left: u64) -> Answer {
    let mut answer = answer::answer(content_type, NO_STORE, body);
    let headers = answer.headers_mut();
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(TOKEN_EXPIRES_IN, HeaderValue::from(left));
    answer
}

impl<'a> Query<'a> {
    /// Unknown parameters are ignored: people add some to get round caches.
    fn parse(query: &'a str) -> Result<Self, Problem> {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (slot, name) = match &*name {
                "ttl" => (&mut parsed.ttl, "ttl"),
                "profile" => (&mut parsed.profile, "profile"),
                "scope" => (&mut parsed.scope, "scope"),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(Problem::invalid_request(format!("{name}: given twice")));
            }
        }
        Ok(parsed)
    }
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

    #[test]
    fn parameters_are_decoded_and_given_once() {
        let query = Query::parse("ttl=60&scope=hrn%3Ahere%3Aa+b&_=123")
            .map(|query| (query.ttl, query.scope, query.profile));
        let expected = (Some(Cow::Borrowed("60")), Some(Cow::Borrowed("hrn:here:a b")), None);
        assert_eq!(query.ok(), Some(expected));
        for twice in ["ttl=60&ttl=61", "ttl=60&t%74l=60", "profile=a&profile=a", "scope=&scope="] {
            assert!(Query::parse(twice).is_err(), "{twice}");
        }
    }
}
