//! Tokens from somewhere else than HERE, with the same cache and refresh.
//!
//! ```text
//! cargo run -p token-provider --example custom_issuer
//! ```

#![expect(clippy::print_stdout, reason = "a command: what it says goes to stdout")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use token_provider::{Issue, Issued, TokenError, TokenErrorKind, TokenKey, TokenProvider};

/// Stands for a service that hands out tokens.
#[derive(Default)]
struct Counter(AtomicU64);

impl Issue for Counter {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        if key.lifetime() < Duration::from_secs(60) {
            let message = "the counter has no tokens of less than a minute";
            return Err(TokenError::new(TokenErrorKind::InvalidRequest, message));
        }
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Issued::new(format!("token-{number}"), key.lifetime()))
    }
}

#[tokio::main]
async fn main() -> Result<(), TokenError> {
    let provider = TokenProvider::new(Counter::default());
    for _ in 0..3 {
        println!("{}", provider.token().await?.expose_secret());
    }
    let short = TokenKey::new(Duration::from_secs(30))?;
    if let Err(error) = provider.token_for(&short).await {
        println!("{error}");
    }
    Ok(())
}
