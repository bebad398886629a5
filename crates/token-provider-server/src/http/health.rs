//! `/livez`: the process answers. `/readyz`: it has a token to hand out.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::Answer;
use crate::access::Access;
use crate::problem::Problem;

/// Probes give up after a second by default (Kubernetes); they should hear a "no" before that.
const MAX_WAIT: Duration = Duration::from_millis(800);

pub(super) fn live() -> Answer {
    text("live\n")
}

/// Waits a moment for a token that is on its way.
pub(super) async fn ready(access: &Access) -> Result<Answer, Problem> {
    match tokio::time::timeout(MAX_WAIT, access.handout().ready()).await {
        Ok(Ok(())) => Ok(text("ready\n")),
        Ok(Err(error)) => Err(Problem::not_ready(error.to_string())),
        Err(_elapsed) => Err(Problem::not_ready("the first token has not come yet")),
    }
}

fn text(body: &'static str) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from_static(body.as_bytes())));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
