//! A program without async code: one runtime is kept beside the provider.
//!
//! ```text
//! cargo run -p token-provider --example blocking
//! ```

#![expect(clippy::print_stdout, reason = "a command: what it says goes to stdout")]

use token_provider::{AccessToken, TokenError, TokenProvider};
use tokio::runtime::{Builder, Runtime};

/// Hands out tokens to code that blocks.
struct Tokens {
    /// With its own thread, so that a token is refreshed while nobody blocks on it.
    runtime: Runtime,
    provider: TokenProvider,
}

impl Tokens {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { runtime, provider: TokenProvider::from_env()? })
    }

    fn token(&self) -> Result<AccessToken, TokenError> {
        self.runtime.block_on(self.provider.token())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = Tokens::new()?;
    for _ in 0..3 {
        println!("token {}", tokens.token()?.fingerprint());
    }
    Ok(())
}
