//! `token`: one access token, on stdout or in a file.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use token_provider::{AccessToken, TokenKey, TokenProvider};

use crate::config::{LoadedConfig, TokenFormat};
use crate::failure::Failure;
use crate::http::token::{STANDARD, json};
use crate::outputs::{self, Place, render};
use crate::setup;

pub(super) async fn run(
    loaded: LoadedConfig,
    format: TokenFormat,
    output: Option<PathBuf>,
    ttl: u64,
) -> Result<(), Failure> {
    let LoadedConfig { config, environment, .. } = loaded;
    let (source, secret) = setup::find_credential(&config.profile, &config, &environment)?;
    let issuer = setup::issuer(&config.profile, &config, secret)?;
    let provider =
        TokenProvider::builder(issuer).default_key(TokenKey::new(Duration::from_secs(ttl))?).build();
    let token = provider.token().await?;
    let Some(file) = output else {
        let left = token.remaining(provider.now()).as_secs();
        return print(&token, left, format).map_err(Failure::stdout);
    };
    let place = Place::new(&file, setup::needed_files(&config, [&source]));
    let written = place.replace(0o600, None, &render(&token, format), || true);
    written.map(drop).map_err(|error| outputs::failure(&file, &error).at_run_time())
}

/// Prints a line.
fn print(token: &AccessToken, left: u64, format: TokenFormat) -> io::Result<()> {
    let text = match format {
        TokenFormat::Json => json(token, left, STANDARD),
        _ => render(token, format),
    };
    let mut stdout = io::stdout();
    stdout.write_all(text.trim_ascii_end())?;
    stdout.write_all(b"\n")
}
