//! `token`: one access token, on stdout or in a file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use token_provider::{TokenKey, TokenProvider};

use crate::config::{LoadedConfig, TokenFormat};
use crate::failure::Failure;
use crate::outputs::{self, Place, render};
use crate::setup;

pub(super) async fn run(
    loaded: LoadedConfig,
    format: TokenFormat,
    output: Option<PathBuf>,
    ttl: u64,
) -> Result<(), Failure> {
    let LoadedConfig { config, environment, .. } = loaded;
    let (_source, secret) = setup::find_credential(&config.profile, &config, &environment)?;
    let issuer = setup::issuer(&config.profile, &config, secret)?;
    let provider =
        TokenProvider::builder(issuer).default_key(TokenKey::new(Duration::from_secs(ttl))?).build();
    let token = provider.token().await?;
    let left = token.remaining(provider.now()).as_secs();
    let text = render(&token, left, format);
    match output {
        Some(file) => write(&file, &text),
        None => std::io::stdout().write_all(&text).map_err(Failure::stdout),
    }
}

fn write(file: &Path, text: &[u8]) -> Result<(), Failure> {
    let written = Place::new(file).and_then(|place| place.replace(0o600, None, text, || true));
    written.map(drop).map_err(|error| outputs::failure(file, &error).at_run_time())
}
