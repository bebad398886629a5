//! Issuers that do as a test tells them.

use std::sync::atomic::{AtomicUsize, Ordering};

use token_provider::{Clock, Issue, Issued, Moment, SystemClock, TokenError, TokenKey};
use tokio::sync::Semaphore;

/// Answers each request when the test says so.
#[derive(Debug)]
pub(crate) struct GatedIssuer {
    asked: Semaphore,
    gate: Semaphore,
    token: String,
}

impl GatedIssuer {
    pub(crate) fn new(token: &str) -> Self {
        Self { asked: Semaphore::new(0), gate: Semaphore::new(0), token: token.to_owned() }
    }

    /// Waits until a request has come in.
    pub(crate) async fn asked(&self) {
        let permit = super::within("a request to the issuer", self.asked.acquire()).await;
        permit.expect("is never closed").forget();
    }

    /// Lets one request be answered.
    pub(crate) fn answer(&self) {
        self.gate.add_permits(1);
    }
}

impl Issue for GatedIssuer {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        self.asked.add_permits(1);
        self.gate.acquire().await.expect("is never closed").forget();
        Ok(Issued::new(self.token.clone(), key.lifetime()))
    }
}

/// A bug in an issuer.
#[derive(Debug)]
pub(crate) struct PanickingIssuer;

impl Issue for PanickingIssuer {
    async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
        panic!("planted panic of an issuer")
    }
}

/// A bug in what a handler calls: the clock breaks down after so many readings.
#[derive(Debug)]
pub(crate) struct BreakingClock(AtomicUsize);

impl BreakingClock {
    pub(crate) fn after(readings: usize) -> Self {
        Self(AtomicUsize::new(readings))
    }
}

impl Clock for BreakingClock {
    fn now(&self) -> Moment {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left.is_ok(), "planted panic of a clock");
        SystemClock.now()
    }
}
