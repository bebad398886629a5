//! `token`: one access token on stdout.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use token_provider::{AccessToken, TokenKey, TokenProvider};
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::cli::TokenFormat;
use crate::reload::Settings;
use crate::setup;

#[derive(Serialize)]
struct Json<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

pub(super) async fn run(settings: Settings, format: TokenFormat, ttl: u64) -> Result<(), Failure> {
    let Settings { config, environment, .. } = settings;
    let found = setup::find_credential(&config.profile, &config, &environment)?;
    let issuer = setup::issuer(&config.profile, &config, found)?;
    let provider =
        TokenProvider::builder(issuer).default_key(TokenKey::new(Duration::from_secs(ttl))?).build();
    let token = provider.token().await?;
    let left = token.left_at(provider.now()).as_secs();
    let text = render(&token, left, format);
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::system("cannot write to stdout"))
}

fn render(token: &AccessToken, left: u64, format: TokenFormat) -> Zeroizing<String> {
    let secret = token.expose_secret();
    Zeroizing::new(match format {
        TokenFormat::Text => format!("{secret}\n"),
        TokenFormat::Header => format!("Authorization: Bearer {secret}\n"),
        // RFC 6750's alphabet has nothing that a shell would take for its own.
        TokenFormat::Env => format!("HERE_ACCESS_TOKEN={secret}\n"),
        TokenFormat::Json => {
            let scope = token.scope().map(token_provider::Scope::as_str);
            let json = Json { access_token: secret, token_type: "Bearer", expires_in: left, scope };
            // Strings and a number always have a JSON form.
            serde_json::to_string(&json).unwrap_or_default() + "\n"
        }
    })
}
