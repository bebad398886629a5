//! The public face of the account, and its life as a server.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::access_key::{self, AccessKeyError};
use crate::account::Account;
use crate::config::SandboxConfig;
use crate::fault::FaultControl;
use crate::random;
use crate::stats::Stats;
use crate::token::{TokenClaims, TokenRefusal};

/// An offline HERE account. Clones share everything.
#[derive(Clone)]
pub struct Sandbox(Arc<Account>);

impl Sandbox {
    /// Opens an account.
    pub fn new(config: SandboxConfig) -> Self {
        Self(Arc::new(Account::new(config)))
    }

    /// Returns the whole HTTP face, to be served by other means than [`serve`](Self::serve).
    ///
    /// Two things need what only `serve` knows of a connection. The control endpoint answers only where it
    /// finds the peer's address, as `into_make_service_with_connect_info::<SocketAddr>` provides it. And a
    /// hang-up before or within the header becomes a broken body.
    pub fn router(&self) -> axum::Router {
        crate::http::router(&self.0)
    }

    /// Serves the account over plain HTTP/1.1 until `shutdown` ends, then lets running requests finish for
    /// up to five seconds. Dropping the future closes every connection at once.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener is not usable.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        crate::serve::serve(self.router(), listener, shutdown).await
    }

    /// Serves the account on several listeners until dropped, which closes every connection at once.
    pub async fn serve_all(&self, listeners: Vec<TcpListener>) {
        let serve = |listener| self.serve(listener, std::future::pending());
        futures_util::future::join_all(listeners.into_iter().map(serve)).await;
    }

    /// Writes the credential file that HERE's portal would offer for download: user, client, access key and
    /// token endpoint.
    ///
    /// The access key is the oldest one that is not removed. The text holds the secret.
    pub fn credentials_properties(&self, token_endpoint_url: &str) -> String {
        let app_id = self.app_id();
        let user_id = random::derived_uuid(&format!("here-sandbox user id\n{app_id}"));
        format!(
            "here.user.id = HERE-{user_id}\nhere.client.id = {}\n{}here.token.endpoint.url = {}\n",
            access_key::escape_property(app_id),
            self.0.keys.properties_lines(),
            access_key::escape_property(token_endpoint_url)
        )
    }

    /// Makes a second access key valid, to rotate to.
    ///
    /// # Errors
    ///
    /// Returns an error if there are two keys already, HERE's limit, or one with this id.
    pub fn add_access_key(
        &self,
        id: impl Into<String>,
        secret: impl Into<SecretString>,
    ) -> Result<(), AccessKeyError> {
        self.0.keys.add(id.into(), secret.into())
    }

    /// Makes an access key invalid; returns whether there was one with this id. Tokens that it got stay
    /// valid, as at HERE.
    pub fn remove_access_key(&self, id: &str) -> bool {
        self.0.keys.remove(id)
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

    /// The app's id, as in tokens and in `here.client.id`.
    pub fn app_id(&self) -> &str {
        self.0.app_id()
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("app_id", &self.app_id())
            .field("keys", &self.0.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_file_is_laid_out_like_the_portals() {
        let sandbox = Sandbox::new(SandboxConfig::new("key-id", "planted-secret"));
        let url = "http://127.0.0.1:8080/oauth2/token";
        let text = sandbox.credentials_properties(url);
        let keys: Vec<_> = text.lines().map(|line| line.split_once(" = ").unwrap()).collect();
        let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "here.user.id",
                "here.client.id",
                "here.access.key.id",
                "here.access.key.secret",
                "here.token.endpoint.url"
            ]
        );
        assert_eq!(keys[1].1, sandbox.app_id());
        assert_eq!((keys[2].1, keys[3].1, keys[4].1), ("key-id", "planted-secret", url));
        assert_eq!(text, sandbox.credentials_properties(url));
    }

    #[test]
    fn debug_shows_no_secret() {
        let sandbox = Sandbox::new(SandboxConfig::new("key-id", "planted-secret"));
        let text = format!("{sandbox:?}");
        assert!(text.contains("key-id") && !text.contains("planted"), "{text}");
    }
}
