//! `token`: one access token on stdout.

use std::io::Write as _;
use std::time::Duration;

use token_provider::{AccessToken, TokenKey, TokenProvider};
use zeroize::Zeroizing;

use crate::cli::TokenFormat;
use crate::config::LoadedConfig;
use crate::failure::Failure;
use crate::http;
use crate::setup;

pub(super) async fn run(loaded: LoadedConfig, format: TokenFormat, ttl: u64) -> Result<(), Failure> {
    let LoadedConfig { config, environment, .. } = loaded;
    let (_source, secret) = setup::find_credential(&config.profile, &config, &environment)?;
    let issuer = setup::issuer(&config.profile, &config, secret)?;
    let provider =
        TokenProvider::builder(issuer).default_key(TokenKey::new(Duration::from_secs(ttl))?).build();
    let token = provider.token().await?;
    let left = token.remaining(provider.now()).as_secs();
    let text = render(&token, left, format);
    std::io::stdout().write_all(&text).map_err(Failure::stdout)
}

fn render(token: &AccessToken, left: u64, format: TokenFormat) -> Zeroizing<Vec<u8>> {
    let secret = token.expose_secret();
    let text = match format {
        TokenFormat::Text => format!("{secret}\n"),
        TokenFormat::Header => format!("Authorization: Bearer {secret}\n"),
        // RFC 6750's alphabet has nothing that a shell would take for its own.
        TokenFormat::Env => format!("HERE_ACCESS_TOKEN={secret}\n"),
        TokenFormat::Json => {
            let mut json = http::token::json(token, left, http::token::Spelling::Standard);
            json.push(b'\n');
            return json;
        }
    };
    Zeroizing::new(text.into_bytes())
}
