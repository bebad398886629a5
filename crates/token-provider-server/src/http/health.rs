//! `/livez`: the process answers. `/readyz`: it has a token to hand out, and is not about to stop.

use std::time::Duration;

use hyper::header::{HOST, ORIGIN};
use hyper::{HeaderMap, StatusCode, Version};
use url::form_urlencoded;

use super::answer::{Answer, NO_STORE, TEXT, answer};
use super::parameters::{Value, parameters};
use super::request::{PAGE, RequestInfo, allow};
use crate::access::Access;
use crate::problem::Problem;

/// Probes give up after a second by default (Kubernetes); they should hear a "no" before that.
const MAX_WAIT: Duration = Duration::from_millis(800);

pub(crate) fn live() -> Answer {
    text("live\n")
}

/// Waits a moment for a token that is on its way. Of a profile that is named this tells what is known.
pub(crate) async fn ready(access: &Access, info: &RequestInfo<'_>) -> Result<Answer, Problem> {
    if access.is_draining() || profile_of(info)?.is_some() {
        return known(access, info).map(|()| text("ready\n"));
    }
    match tokio::time::timeout(MAX_WAIT, Box::pin(access.handout().ready())).await {
        Ok(Ok(())) => Ok(text("ready\n")),
        Ok(Err(error)) => Err(Problem::unavailable(error.to_string())),
        Err(_elapsed) => Err(Problem::unavailable("the first token has not arrived yet")),
    }
}

/// Judges the default profile, or the one that is named, or `all`, by what is known: this requests no token, and keeps none fresh.
fn known(access: &Access, info: &RequestInfo<'_>) -> Result<(), Problem> {
    if access.is_draining() {
        return Err(Problem::unavailable("the server is shutting down"));
    }
    let Some(name) = profile_of(info)? else {
        let is_ready = access.handout().is_ready();
        return is_ready.then_some(()).ok_or_else(|| Problem::unavailable("no token is held"));
    };
    let is_meant = |profile: &str| *name == "all" || profile == *name;
    let mut profiles = access.handout().status().filter(|profile| is_meant(profile.name)).peekable();
    profiles.peek().ok_or_else(Problem::unknown_profile)?;
    let unready: Vec<_> = profiles.filter(|profile| !profile.is_ready).map(|profile| profile.name).collect();
    if unready.is_empty() {
        return Ok(());
    }
    let unready = unready.join(", ");
    Err(Problem::unavailable(format!("no token can be handed out for {unready}; see GET /status")))
}

/// Returns the profile that a query names, on the admin listener. Callers have one answer for all.
pub(crate) fn profile_of(info: &RequestInfo<'_>) -> Result<Option<Value>, Problem> {
    let query = info.head.uri.query().filter(|_| info.route.is_none()).unwrap_or_default();
    parameters(form_urlencoded::parse(query.as_bytes()), ["profile"]).map(|[profile]| profile)
}

/// Returns whether a request whose `Host` is not ours comes from a health check all the same: balancers send any name, and
/// over HTTP/1.0 none. What comes from a page tells of itself; an old browser's page that was rebound to this address
/// learns one word.
pub(crate) fn is_probe(info: &RequestInfo<'_>, headers: &HeaderMap) -> bool {
    let hosts = headers.get_all(HOST).iter().count();
    let needs_none = info.authority().is_some() || info.head.version <= Version::HTTP_10;
    (hosts == 1 || hosts == 0 && needs_none)
        && matches!(info.head.uri.path(), "/livez" | "/readyz")
        && !headers.contains_key(ORIGIN)
        && !headers.contains_key("sec-fetch-site")
}

/// Answers such a request by the status and one word. It is not asking for a token: a stranger keeps none alive.
pub(crate) fn probe(access: &Access, info: &RequestInfo<'_>) -> Result<Answer, Problem> {
    allow(&info.head.method, PAGE)?;
    if info.head.uri.path() == "/livez" {
        return Ok(live());
    }
    let status = known(access, info).map_or_else(|problem| problem.status, |()| StatusCode::OK);
    let mut answer = text(if status == StatusCode::OK { "ready\n" } else { "unready\n" });
    *answer.status_mut() = status;
    Ok(answer)
}

fn text(body: &'static str) -> Answer {
    answer(TEXT, NO_STORE, body)
}
