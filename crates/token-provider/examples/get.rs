//! Gets a URL with a HERE token, like `curl`, and writes what comes to stdout.
//!
//! With HERE's own credential, or through a running token-provider by its URL or its Unix socket:
//!
//! ```text
//! cargo run -p token-provider --example get -- credentials.properties URL
//! cargo run -p token-provider --example get -- http://localhost:3000/getToken URL
//! cargo run -p token-provider --example get -- unix:/run/token-provider/token-provider.sock URL
//! ```

#![expect(clippy::print_stderr, reason = "a command: errors go to stderr")]

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use token_provider::{
    Credential, HereIssuer, HereIssuerConfig, LoadError, RemoteIssuer, RemoteIssuerConfig, TokenProvider,
};

/// Makes the provider that an argument stands for.
fn provider(from: &str) -> Result<TokenProvider, LoadError> {
    if let Some(socket) = from.strip_prefix("unix:") {
        return Ok(TokenProvider::new(RemoteIssuer::new(RemoteIssuerConfig::from_unix_socket(socket))?));
    }
    if from.contains("://") {
        return Ok(TokenProvider::new(RemoteIssuer::new(RemoteIssuerConfig::new(from)?)?));
    }
    let credential = Credential::from_file(from)?;
    Ok(TokenProvider::new(HereIssuer::new(HereIssuerConfig::new(credential))?))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(url), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: get CREDENTIALS_FILE|TOKEN_PROVIDER_URL|unix:SOCKET URL".into());
    };
    let token = provider(&from)?.token().await?;
    let client = reqwest::Client::builder().build()?;
    let response = client.get(url).bearer_auth(token.expose_secret()).send().await?.error_for_status()?;
    std::io::stdout().write_all(&response.bytes().await?)?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
