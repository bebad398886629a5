//! The forms in which a token is written to a file, or printed.

use serde::Serialize;
use token_provider::{AccessToken, Scope};
use zeroize::Zeroizing;

use crate::config::TokenFormat;
use crate::http;

/// What HERE's Java SDK reads (`FileAccessTokenResponse`).
#[derive(Serialize)]
struct Here<'a> {
    access_token: &'a str,
    token_type: &'static str,
    /// When it expires, in seconds since the epoch.
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// Returns the token in one of its forms, a line each. `left` is how many seconds it has left.
pub fn render(token: &AccessToken, left: u64, format: TokenFormat) -> Zeroizing<Vec<u8>> {
    let secret = token.expose_secret();
    let text = match format {
        TokenFormat::Text => format!("{secret}\n"),
        TokenFormat::Header => format!("Authorization: Bearer {secret}\n"),
        // RFC 6750's alphabet has nothing that a shell would take for its own.
        TokenFormat::Env => format!("HERE_ACCESS_TOKEN={secret}\n"),
        TokenFormat::Json => {
            let mut json = http::token::json(token, left, http::token::STANDARD);
            json.push(b'\n');
            return json;
        }
        TokenFormat::Here => {
            let scope = token.scope().map(Scope::as_str);
            let exp = token.expires_at().wall.as_secs();
            let body = Here { access_token: secret, token_type: "bearer", exp, scope };
            let room = secret.len() + scope.map_or(0, str::len) + 256;
            // All of it at once, so that growing leaves no copy of the token behind.
            let mut json = Zeroizing::new(Vec::with_capacity(room));
            serde_json::to_writer(&mut *json, &body).expect("strings and a number have a JSON form");
            json.push(b'\n');
            return json;
        }
    };
    Zeroizing::new(text.into_bytes())
}
