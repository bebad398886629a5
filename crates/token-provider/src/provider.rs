//! The public face: a [`TokenProvider`] hands out a token that is kept fresh behind it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Cache, ReportOutcome, SlotStatus};
use crate::clock::{Clock, Moment, SystemClock};
use crate::credential::{Credential, CredentialSource};
use crate::error::{LoadError, TokenError, TokenErrorKind};
use crate::issuer::{AnyIssuer, HereIssuer, HereIssuerConfig, Issue};
use crate::token::{AccessToken, Fingerprint, TokenKey};

/// How long a caller without a token waits for one.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Eleven lifetimes for some dozens of scopes; each takes about 2 KiB.
const MAX_TOKENS: usize = 512;

/// Hands out tokens of one issuer and keeps them fresh. Cheap to clone; clones share everything.
///
/// Must be used within a Tokio runtime, or several; see [the crate's
/// documentation](crate#runtimes-cancellation-blocking-use). Its background tasks end when the last clone is dropped.
///
/// Call [`token`](Self::token) every time you need a token instead of storing it: getting a held token is cheap.
#[derive(Clone)]
pub struct TokenProvider(Arc<Inner>);

struct Inner {
    cache: Cache,
    issuer: AnyIssuer,
    default_key: TokenKey,
    max_wait: Duration,
}

/// Sets up a [`TokenProvider`].
#[derive(Debug)]
pub struct TokenProviderBuilder {
    issuer: AnyIssuer,
    clock: Arc<dyn Clock>,
    default_key: TokenKey,
    max_wait: Duration,
    max_tokens: usize,
    seed: Option<u64>,
}

impl TokenProvider {
    /// Makes a provider with the usual settings.
    pub fn new(issuer: impl Issue) -> Self {
        Self::builder(issuer).build()
    }

    /// Makes a provider for the HERE credential in the first of the usual places; see
    /// [`CredentialSource::find`].
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::NotFound`](crate::LoadErrorKind::NotFound) when there is none; any other kind when it cannot be
    /// used.
    pub fn from_env() -> Result<Self, LoadError> {
        Ok(Self::new(HereIssuer::new(HereIssuerConfig::new(CredentialSource::from_env()?.load()?))?))
    }

    /// Begins a provider with other settings.
    pub fn builder(issuer: impl Issue) -> TokenProviderBuilder {
        TokenProviderBuilder {
            issuer: AnyIssuer::new(issuer),
            clock: Arc::new(SystemClock),
            default_key: TokenKey::default(),
            max_wait: MAX_WAIT,
            max_tokens: MAX_TOKENS,
            seed: None,
        }
    }

    /// Returns a usable token of the default kind.
    ///
    /// Returns at once while one is held. Else waits for the request that is in flight, which many callers share; while
    /// the provider pauses after a failure, that failure is returned at once.
    ///
    /// # Errors
    ///
    /// Returns the issuer's failure, or [`TokenErrorKind::WaitedTooLong`] if it took longer than the provider's
    /// `max_wait` (10 s); the request then continues, and the next caller may find its token.
    pub async fn token(&self) -> Result<AccessToken, TokenError> {
        self.token_for(&self.0.default_key).await
    }

    /// Returns a usable token of this kind; see [`TokenProvider::token`].
    ///
    /// # Errors
    ///
    /// As for [`TokenProvider::token`], and [`TokenErrorKind::TooManyTokens`] for a kind that is not held while 512
    /// others are.
    pub async fn token_for(&self, key: &TokenKey) -> Result<AccessToken, TokenError> {
        self.token_of(key, None).await
    }

    /// Returns the same on behalf of an owner, such as one caller of a server: of the tokens that may be held at once,
    /// an owner can have a quarter made for it, and all owners together leave one in 64 (one at least) for
    /// [`TokenProvider::token_for`].
    ///
    /// # Errors
    ///
    /// As for [`TokenProvider::token_for`].
    pub async fn token_for_owner(&self, key: &TokenKey, owner: &str) -> Result<AccessToken, TokenError> {
        self.token_of(key, Some(owner)).await
    }

    async fn token_of(&self, key: &TokenKey, owner: Option<&str>) -> Result<AccessToken, TokenError> {
        if let Some(token) = self.held(key) {
            return Ok(token);
        }
        if let Some(failure) = self.0.cache.failure(key) {
            return Err(failure);
        }
        let (max_wait, asked_at) = (self.0.max_wait, tokio::time::Instant::now());
        let answer = tokio::time::timeout(max_wait, self.0.cache.wait(key, owner)).await;
        // An attempt that began for this caller ends in the same moment as its wait. Of the two it is told that it has
        // waited long enough, and not that the issuer cannot be reached.
        let is_late = |error: &TokenError| error.is_transient() && asked_at.elapsed() >= max_wait;
        answer.ok().filter(|answer| !answer.as_ref().is_err_and(is_late)).unwrap_or_else(|| {
            let seconds = max_wait.as_secs();
            let message = format!("the issuer has not responded within {seconds} s; the request continues");
            Err(TokenError::new(TokenErrorKind::WaitedTooLong, message))
        })
    }

    /// Returns the token held for this key if it may be handed out; never waits, and takes no lock.
    pub fn held(&self, key: &TokenKey) -> Option<AccessToken> {
        self.held_at(key, self.now())
    }

    /// Like [`TokenProvider::held`], at a time just read from [`TokenProvider::now`].
    pub fn held_at(&self, key: &TokenKey, now: Moment) -> Option<AccessToken> {
        self.0.cache.held(key, now)
    }

    /// Returns whether a token of this kind can be handed out, as far as is known without asking for it: one is held,
    /// or nobody has asked for one lately. Not while the first one is requested, nor after a failure.
    pub fn is_ready(&self, key: &TokenKey) -> bool {
        self.0.cache.is_ready(key)
    }

    /// Starts fetching the token of the default kind, so that the first caller need not wait. See
    /// [`TokenProvider::warm_for`].
    pub fn warm(&self) {
        self.warm_for(&self.0.default_key);
    }

    /// Starts fetching a token of this kind, so that the first caller need not wait. Outside a Tokio runtime, or where
    /// no more tokens may be held, that is left to the first caller.
    pub fn warm_for(&self, key: &TokenKey) {
        // Fails only where no more tokens may be held.
        let _ = self.0.cache.want(key);
    }

    /// Returns the kind of token that [`TokenProvider::token`] hands out.
    pub fn default_key(&self) -> &TokenKey {
        &self.0.default_key
    }

    /// Tries another HERE credential with a real request, and uses it from then on if HERE accepts it. Requests that
    /// were refused are then repeated at once. Tokens that are held go on being handed out.
    ///
    /// # Errors
    ///
    /// Returns an error if it was not accepted; the old credential then stays in use.
    /// [`TokenErrorKind::InvalidRequest`] if the issuer is not a [`HereIssuer`]: one that wraps it calls
    /// [`HereIssuer::rotate`] itself, and then [`TokenProvider::credential_changed`].
    pub async fn rotate(&self, credential: Credential) -> Result<(), TokenError> {
        let issuer = &self.0.issuer;
        let shared = || issuer.downcast::<Arc<HereIssuer>>().map(Arc::as_ref);
        let Some(here) = issuer.downcast::<HereIssuer>().or_else(shared) else {
            let message = "this provider's issuer is not a HereIssuer, so its credential cannot be replaced";
            return Err(TokenError::new(TokenErrorKind::InvalidRequest, message));
        };
        here.rotate(credential, &self.0.default_key).await?;
        self.credential_changed();
        Ok(())
    }

    /// Retries refused requests immediately; call this after the credential has changed.
    ///
    /// Backoff after other failures continues: it protects the issuer, whatever the credential.
    pub fn credential_changed(&self) {
        self.0.cache.credential_changed();
    }

    /// Reports that a service refused this token, which the provider handed out. If it is still held, its successor is requested at
    /// once and replaces it on arrival. Until then it goes on being handed out: no report leaves a caller without a token.
    ///
    /// Reports lead to few requests, however many there are: for each kind of token one in 10 s, a pause that each request
    /// after a report doubles, up to 5 min, and that 10 min without a report reset; for all kinds together ten in a minute;
    /// and none while the provider pauses after a failure: until a request succeeds, one in a minute finds out for another kind.
    /// A report that comes too soon is [`ReportOutcome::Limited`]: it is acted on later.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_provider::TokenError> {
    /// use token_provider::{ReportOutcome, TokenProvider};
    ///
    /// # let provider = TokenProvider::fixed("abc");
    /// let token = provider.token().await?;
    /// let status = 401; // what the service answered
    /// if status == 401 && provider.report(&token) != ReportOutcome::Unknown {
    ///     // Ask for a token again in a moment.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn report(&self, token: &AccessToken) -> ReportOutcome {
        self.0.cache.report(token.fingerprint())
    }

    /// Reports a token of which only the text is known; see [`TokenProvider::report`]. It is known by its SHA-256, so that how
    /// long this takes says nothing about the text of tokens that are held.
    pub fn report_text(&self, token: &str) -> ReportOutcome {
        self.0.cache.report(Fingerprint::of(token.as_bytes()))
    }

    /// Replaces the tokens that are held now, or were requested before now, one after the other: they are handed out until their
    /// successors are there.
    ///
    /// Waits for nothing. While requests fail the others wait, but for one in a minute, and what is held goes on being handed out;
    /// so it does where a refresher's turn has come on a runtime that nobody drives.
    pub fn replace_all(&self) {
        self.0.cache.replace_all();
    }

    /// Drops the tokens that nobody has asked for since their last refresh. Within a Tokio runtime, they are reported to the issuer
    /// in the background, so that it does not return them again.
    pub fn drop_unused(&self) {
        self.0.cache.drop_unused();
    }

    /// Returns the status of every token held or wanted, sorted by their keys. Asks for none.
    pub fn status(&self) -> Vec<SlotStatus> {
        self.0.cache.status()
    }

    /// Returns the present moment by this provider's clock, to be compared with [`AccessToken::expires_at`].
    pub fn now(&self) -> Moment {
        self.0.cache.now()
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProvider").field("slots", &self.status()).finish_non_exhaustive()
    }
}

impl TokenProviderBuilder {
    /// Sets the kind of token that [`TokenProvider::token`] returns. Default: one hour, the credential's own scope.
    #[must_use]
    pub fn default_key(self, key: TokenKey) -> Self {
        Self { default_key: key, ..self }
    }

    /// Sets how long a caller without a token waits for one. Default: 10 s.
    #[must_use]
    pub fn max_wait(self, max_wait: Duration) -> Self {
        Self { max_wait, ..self }
    }

    /// Sets how many different tokens may be held at once. Default: 512.
    #[must_use]
    pub fn max_tokens(self, max_tokens: usize) -> Self {
        Self { max_tokens, ..self }
    }

    /// Uses another clock than the system's.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Draws jitter from this seed, so that a simulation can be repeated.
    #[must_use]
    pub fn jitter_seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Makes the provider. Nothing is requested yet. What it logs later is in the span that is entered now.
    pub fn build(self) -> TokenProvider {
        let Self { issuer, clock, max_tokens, seed, default_key, max_wait } = self;
        let cache = Cache::new(issuer.clone(), clock, max_tokens, seed);
        TokenProvider(Arc::new(Inner { cache, issuer, default_key, max_wait }))
    }
}
