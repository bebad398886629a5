//! Requests one token from HERE, and keeps none: for a script that makes a request or two.
//!
//! ```text
//! cargo run -p token-provider --example one_token
//! ```

#![expect(clippy::print_stdout, reason = "a command: what it says goes to stdout")]

use token_provider::{CredentialSource, HereIssuer, HereIssuerConfig, Issue as _, TokenKey};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let credential = CredentialSource::from_env()?.load()?;
    let issuer = HereIssuer::new(HereIssuerConfig::new(credential))?;
    let issued = issuer.issue(&TokenKey::default()).await?;
    println!("HERE issued a token for {} s", issued.expires_in().as_secs());
    Ok(())
}
