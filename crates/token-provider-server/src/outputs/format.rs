//! The forms in which a file holds a token.

use serde::Serialize;
use token_provider::{AccessToken, Scope};
use zeroize::Zeroizing;

use crate::config::TokenFormat;

/// What HERE's Java SDK reads (`FileAccessTokenResponse`).
#[derive(Serialize)]
struct Json<'a> {
    access_token: &'a str,
    token_type: &'static str,
    /// When it expires, in seconds since the epoch: how many are left says nothing in a file.
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// Returns what a file in one of the forms holds. What is not the token alone is a line.
pub fn render(token: &AccessToken, format: TokenFormat) -> Zeroizing<Vec<u8>> {
    let access_token = token.expose_secret();
    let text = match format {
        TokenFormat::Text => access_token.to_owned(),
        TokenFormat::Header => format!("Authorization: Bearer {access_token}\n"),
        // RFC 6750's alphabet has nothing that a shell would take for its own.
        TokenFormat::Env => format!("HERE_ACCESS_TOKEN={access_token}\n"),
        TokenFormat::Here | TokenFormat::Json => {
            let scope = token.scope().map(Scope::as_str);
            let exp = token.expires_at().wall.as_secs();
            let body = Json { access_token, token_type: "bearer", exp, scope };
            // Room for all of it at once, so that growing leaves no copy of the token behind.
            let room = access_token.len() + scope.map_or(0, str::len) + 256;
            let mut json = Zeroizing::new(Vec::with_capacity(room));
            serde_json::to_writer(&mut *json, &body).expect("strings and a number have a JSON form");
            json.push(b'\n');
            return json;
        }
    };
    Zeroizing::new(text.into_bytes())
}
