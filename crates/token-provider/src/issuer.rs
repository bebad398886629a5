//! The interface to the issuer of tokens.
//!
//! [`HereIssuer`] requests tokens from HERE, [`RemoteIssuer`] from another token provider. Tests script their own [`Issue`].

mod answer;
mod assertion;
mod here;
mod http;
mod proxy;
mod remote;
mod tls;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::TokenError;
use crate::token::{AccessToken, Fingerprint, Scope, TokenKey};

pub use self::here::{HereIssuer, HereIssuerConfig};
pub use self::http::Network;
pub use self::proxy::Proxies;
pub use self::remote::{RemoteIssuer, RemoteIssuerConfig};
pub use self::tls::connection_problem;

/// A source of tokens.
///
/// One call is one attempt: retries, waiting and keeping are the cache's. An implementation bounds its own time; a provider gives
/// up an attempt after 60 s. It may panic: that is a failure ([`TokenErrorKind::IssuerPanicked`](crate::TokenErrorKind::IssuerPanicked)).
///
/// ```
/// use token_provider::{Issue, Issued, TokenError, TokenErrorKind, TokenKey};
///
/// /// A service of one's own that hands out tokens.
/// struct Vault;
///
/// # impl Vault { async fn read(&self) -> std::io::Result<String> { Ok("token".to_owned()) } }
/// impl Issue for Vault {
///     async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
///         let token = self.read().await.map_err(|error| {
///             TokenError::new(TokenErrorKind::Unreachable, "the vault does not answer").with_source(error)
///         })?;
///         Ok(Issued::new(token, key.lifetime()))
///     }
/// }
/// ```
pub trait Issue: Send + Sync + 'static {
    /// Requests one new token.
    ///
    /// # Errors
    ///
    /// Returns an error if there is none. Its kind decides when the request is repeated: see
    /// [`TokenError::is_transient`].
    fn issue(&self, key: &TokenKey) -> impl Future<Output = Result<Issued, TokenError>> + Send;

    /// Learns that a service refused this token, just before its successor is requested. An issuer that hands out what it
    /// holds must replace the token, or the successor is the same one again; one that wraps another passes it on.
    ///
    /// A provider waits at most 3 s for the report. The default does nothing, which is right where each request brings a new
    /// token.
    fn report(&self, _token: &AccessToken) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

impl<I: Issue> Issue for Arc<I> {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        (**self).issue(key).await
    }

    async fn report(&self, token: &AccessToken) {
        (**self).report(token).await;
    }
}

/// An issuer of any type, for programs that choose it when they run. Cheap to clone.
#[derive(Clone)]
pub struct AnyIssuer(Arc<dyn DynIssue>);

impl AnyIssuer {
    /// Wraps an issuer.
    pub fn new(issuer: impl Issue) -> Self {
        Self(Arc::new(issuer))
    }

    /// Returns the issuer if it is of this type, however often it was wrapped.
    pub(crate) fn downcast<I: Issue>(&self) -> Option<&I> {
        let issuer: &dyn Any = &*self.0;
        issuer.downcast_ref().or_else(|| issuer.downcast_ref::<Self>()?.downcast())
    }
}

impl Issue for AnyIssuer {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        self.0.issue_boxed(key).await
    }

    async fn report(&self, token: &AccessToken) {
        self.0.report_boxed(token).await;
    }
}

impl fmt::Debug for AnyIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the issuer: one written elsewhere may derive `Debug`, with a secret in it.
        f.write_str("AnyIssuer")
    }
}

/// The object-safe form of [`Issue`], which returns `impl Future` and so is not.
trait DynIssue: Any + Send + Sync {
    fn issue_boxed<'a>(&'a self, key: &'a TokenKey) -> BoxFuture<'a, Result<Issued, TokenError>>;
    fn report_boxed<'a>(&'a self, token: &'a AccessToken) -> BoxFuture<'a, ()>;
}

impl<I: Issue> DynIssue for I {
    fn issue_boxed<'a>(&'a self, key: &'a TokenKey) -> BoxFuture<'a, Result<Issued, TokenError>> {
        Box::pin(self.issue(key))
    }

    fn report_boxed<'a>(&'a self, token: &'a AccessToken) -> BoxFuture<'a, ()> {
        Box::pin(self.report(token))
    }
}

/// Lifetimes are capped here: no issuer grants a month.
const LONGEST_BELIEVED: Duration = Duration::from_secs(30 * 86_400);

/// A token fresh from the issuer.
#[derive(Debug)]
pub struct Issued {
    pub(crate) access_token: SecretString,
    pub(crate) expires_in: Duration,
    pub(crate) scope: Option<Scope>,
    pub(crate) is_from_cache: bool,
}

impl Issued {
    /// Creates it from a token's text and the lifetime that the issuer granted, counted from the moment the request was
    /// sent and cut to 30 days. If the text is not as in RFC 6750 §2.1, the provider reports an invalid answer.
    pub fn new(access_token: impl Into<SecretString>, expires_in: Duration) -> Self {
        let (access_token, expires_in) = (access_token.into(), expires_in.min(LONGEST_BELIEVED));
        Self { access_token, expires_in, scope: None, is_from_cache: false }
    }

    /// Shows the token, for a [`Store`](crate::Store) that encrypts it.
    pub fn expose_secret(&self) -> &str {
        self.access_token.expose_secret()
    }

    /// Returns the name by which logs may call the token.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.expose_secret().as_bytes())
    }

    /// Returns the scope that the issuer named.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Returns the lifetime that the issuer granted.
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }

    /// Notes the scope that the issuer named.
    #[must_use]
    pub fn with_scope(self, scope: Option<Scope>) -> Self {
        Self { scope, ..self }
    }

    /// Notes that the issuer hands out what it holds, as another token provider does: of the lifetime requested,
    /// some may have passed already, and the next request may bring the same token again.
    #[must_use]
    pub fn marked_as_cached(self) -> Self {
        Self { is_from_cache: true, ..self }
    }
}
