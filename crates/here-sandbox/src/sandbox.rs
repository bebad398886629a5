//! The public face of the account.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::account::Account;
use crate::assertion::read_jwks;
use crate::config::SandboxConfig;
use crate::fault::FaultControl;
use crate::stats::Stats;
use crate::token::{TokenClaims, TokenRefusal};
use crate::{http, serve};

/// An offline HERE account. Clones share everything.
#[derive(Clone)]
pub struct Sandbox(Arc<Account>);

impl Sandbox {
    /// Opens an account.
    pub fn new(config: SandboxConfig) -> Self {
        Self(Arc::new(Account::new(config)))
    }

    /// Serves the account over plain HTTP/1.1 on these listeners until dropped, which closes every connection at once.
    pub async fn serve(&self, listeners: Vec<TcpListener>) {
        let router = http::router(&self.0);
        let serve = |listener| serve::serve(router.clone(), listener);
        futures_util::future::join_all(listeners.into_iter().map(serve)).await;
    }

    /// Writes the credential file that HERE's portal would offer for download: user, client, the first access key and
    /// token endpoint. The text holds the secret.
    pub fn credentials_properties(&self, token_endpoint_url: &str) -> String {
        self.0.config.credentials_properties(token_endpoint_url)
    }

    /// Makes another access key valid, to rotate to.
    pub fn add_access_key(&self, id: impl Into<String>, secret: impl Into<SecretString>) {
        self.0.keys().insert(id.into(), secret.into());
    }

    /// Makes an access key invalid; returns whether there was one with this id. Tokens that it got stay
    /// valid, as is assumed of HERE's, which documents nothing about it.
    pub fn remove_access_key(&self, id: &str) -> bool {
        self.0.keys().remove(id).is_some()
    }

    /// Registers public keys with the app, from a JWK or a JWK Set: client assertions signed with their private halves are accepted.
    ///
    /// # Errors
    ///
    /// Says why they cannot be registered; then none is.
    pub fn register_jwks(&self, text: &str) -> serde_json::Result<()> {
        let keys = read_jwks(text)?;
        self.0.public_keys().extend(keys);
        Ok(())
    }

    /// Forgets the public key of this name; returns whether there was one.
    pub fn remove_jwk(&self, key_id: &str) -> bool {
        let mut keys = self.0.public_keys();
        let before = keys.len();
        keys.retain(|key| key.common.key_id.as_deref() != Some(key_id));
        keys.len() < before
    }

    /// Verifies an access token: issued here, not changed, not expired.
    ///
    /// # Errors
    ///
    /// Says why the token is not accepted.
    pub fn verify_token(&self, token: &str) -> Result<TokenClaims, TokenRefusal> {
        self.0.verify_token_at(self.0.now(self.0.faults.skew()), token)
    }

    /// Makes the account misbehave.
    pub fn faults(&self) -> &FaultControl {
        &self.0.faults
    }

    /// Returns what has been requested so far.
    pub fn stats(&self) -> Stats {
        self.0.stats().clone()
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sandbox").field(&self.0.config).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let sandbox = Sandbox::new(SandboxConfig::new("key-id", "planted-secret"));
        let text = format!("{sandbox:?}");
        assert!(text.contains("key-id") && !text.contains("planted"), "{text}");
    }
}
