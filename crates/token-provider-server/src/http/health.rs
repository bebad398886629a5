//! `/livez`: the process answers. `/readyz`: it has a token to hand out, and is not about to stop.

use std::time::Duration;

use hyper::header::{HOST, ORIGIN};
use hyper::{HeaderMap, StatusCode, Version};

use super::answer::{Answer, NO_STORE, TEXT, answer};
use super::request::{PAGE, RequestInfo, allow};
use crate::access::Access;
use crate::problem::Problem;

/// Probes give up after a second by default (Kubernetes); they should hear a "no" before that.
const MAX_WAIT: Duration = Duration::from_millis(800);

pub(crate) fn live() -> Answer {
    text("live\n")
}

/// Waits a moment for a token that is on its way.
pub(crate) async fn ready(access: &Access) -> Result<Answer, Problem> {
    if access.is_draining() {
        return Err(Problem::unavailable("the server is shutting down"));
    }
    match tokio::time::timeout(MAX_WAIT, Box::pin(access.handout().ready())).await {
        Ok(Ok(())) => Ok(text("ready\n")),
        Ok(Err(error)) => Err(Problem::unavailable(error.to_string())),
        Err(_elapsed) => Err(Problem::unavailable("the first token has not arrived yet")),
    }
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
    if !access.is_draining() && access.handout().is_ready() {
        return Ok(text("ready\n"));
    }
    let mut answer = text("unready\n");
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    Ok(answer)
}

fn text(body: &'static str) -> Answer {
    answer(TEXT, NO_STORE, body)
}
