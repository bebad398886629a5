//! What a program does when an hour has passed, tested in no time: Tokio's time is paused, and the provider goes by a clock that follows
//! it.
//!
//! ```text
//! cargo run -p token-provider --example test_clock
//! ```

#![expect(clippy::print_stdout, reason = "a command: what it says goes to stdout")]

use std::time::Duration;

use token_provider::{Issue, Issued, TestClock, TokenError, TokenKey, TokenProvider};

struct Issuer;

impl Issue for Issuer {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(Issued::new("a-token", key.lifetime()))
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), TokenError> {
    // Made in the runtime whose time is paused.
    let clock = TestClock::new();
    let provider = TokenProvider::builder(Issuer).clock(clock.clone()).build();
    provider.token().await?;
    for _ in 0..4 {
        // Not `advance`: the refresh is a task, and has to run.
        tokio::time::sleep(Duration::from_secs(900)).await;
        println!("{} s left", provider.token().await?.remaining(provider.now()).as_secs());
    }
    // The machine sleeps for a day: what was held has expired, and a caller waits for the next token.
    clock.suspend(Duration::from_secs(86_400));
    println!("{} s left", provider.token().await?.remaining(provider.now()).as_secs());
    Ok(())
}
