//! Requests that the server itself makes over HTTP: to the identity provider, and of the `health` command. (HERE's are the
//! library's.)

use std::time::Duration;

/// A client that follows no redirect and takes no proxy but those that it is given.
pub(crate) fn client(timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("token-provider/", env!("CARGO_PKG_VERSION")))
}

/// Reads an answer's body; `None` if it is longer than `limit` bytes, whatever it says of its length.
pub(crate) async fn body(mut answer: reqwest::Response, limit: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
