//! The seam to the party that issues tokens.
//!
//! [`HereIssuer`] requests tokens from HERE, [`RemoteIssuer`] from another token provider. Tests script their own [`Issue`].

mod answer;
mod here;
mod http;
mod proxy;
mod remote;
mod tls;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::token::{Scope, TokenKey};

pub use self::here::{HereIssuer, HereIssuerConfig};
pub use self::http::{Network, with_traceparent};
pub use self::proxy::Proxies;
pub use self::remote::{RemoteIssuer, RemoteIssuerConfig};
pub use self::tls::connection_problem;

/// What [`Issue::issue`] returns: boxed, so that a provider can hold any issuer.
pub type IssueFuture<'a> = Pin<Box<dyn Future<Output = Result<Issued, Error>> + Send + 'a>>;

/// A source of tokens.
///
/// One call is one attempt: retries, waiting and keeping are the cache's. An implementation bounds its own time.
pub trait Issue: Send + Sync + 'static {
    /// Asks for one new token.
    fn issue<'a>(&'a self, key: &'a TokenKey) -> IssueFuture<'a>;
}

impl<I: Issue + ?Sized> Issue for std::sync::Arc<I> {
    fn issue<'a>(&'a self, key: &'a TokenKey) -> IssueFuture<'a> {
        (**self).issue(key)
    }
}

/// A token fresh from the issuer.
pub struct Issued {
    pub(crate) access_token: Zeroizing<String>,
    pub(crate) expires_in: Duration,
    pub(crate) scope: Option<Scope>,
    pub(crate) is_from_cache: bool,
}

impl Issued {
    /// Takes a token's text and the lifetime that the issuer granted, counted from the moment the request was sent.
    pub fn new(access_token: impl Into<String>, expires_in: Duration) -> Self {
        Self {
            access_token: Zeroizing::new(access_token.into()),
            expires_in,
            scope: None,
            is_from_cache: false,
        }
    }

    /// Returns the lifetime that the issuer granted.
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }

    /// Notes the scope that the issuer named.
    #[must_use]
    pub fn with_scope(mut self, scope: Option<Scope>) -> Self {
        self.scope = scope;
        self
    }

    /// Notes that the issuer hands out what it holds, as another token provider does: of the lifetime requested,
    /// some may have passed already, and the next request may bring the same token again.
    #[must_use]
    pub fn from_cache(mut self) -> Self {
        self.is_from_cache = true;
        self
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .field("is_from_cache", &self.is_from_cache)
            .finish_non_exhaustive()
    }
}
