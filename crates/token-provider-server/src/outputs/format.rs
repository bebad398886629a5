//! The forms in which a file holds a token.

use token_provider::AccessToken;
use zeroize::Zeroizing;

use crate::config::TokenFormat;
use crate::http::token::{Spelling, json};

/// What HERE's Java SDK reads (`FileAccessTokenResponse`). How many seconds are left says nothing in a file: `exp` is when the token
/// expires, in seconds since the epoch.
const IN_A_FILE: Spelling = ["access_token", "token_type", "exp", "bearer"];

/// Returns what a file in one of the forms holds. What is not the token alone is a line.
pub fn render(token: &AccessToken, format: TokenFormat) -> Zeroizing<Vec<u8>> {
    let access_token = token.expose_secret();
    let text = match format {
        TokenFormat::Text => access_token.to_owned(),
        TokenFormat::Header => format!("Authorization: Bearer {access_token}\n"),
        // RFC 6750's alphabet has nothing that a shell would take for its own.
        TokenFormat::Env => format!("HERE_ACCESS_TOKEN={access_token}\n"),
        TokenFormat::Here | TokenFormat::Json => {
            let mut json = json(token, token.expires_at().wall.as_secs(), IN_A_FILE);
            json.push(b'\n');
            return json;
        }
    };
    Zeroizing::new(text.into_bytes())
}
