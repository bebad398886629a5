//! Tokens of identity providers (`OpenID` Connect): what they must say, and the keys that sign them.
//!
//! What a token says is judged before its signature: that is cheap, refuses most bad tokens, and keeps them from making
//! the server request keys. It chooses whose keys the signature is checked with, and nothing else: nothing is trusted, and no
//! required claim is checked, until the signature has been verified.

mod claims;
mod keys;
mod provider;
mod refresher;
mod token;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::StatusCode;
use serde_json::{Map, Value};
use token_provider::Clock;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::provider::{FetchError, Fetcher};
use self::refresher::{CALLER_TIMEOUT, FILE_EVERY, KeyRefresher, REFRESH_EVERY};
use self::token::Jwt;
use crate::config::{KeySource, OidcConfig};
use crate::problem::{Problem, Subject};
use crate::reason::{Method, Rejection, Rule};

/// How many times a token's signature is checked: with the held keys, with those from a request already in flight
/// (which may predate the token's key), and with those from a new request.
const LOOKS: u32 = 3;

/// An identity provider whose tokens let callers in.
#[derive(Debug)]
pub(crate) struct IdentityProvider {
    config: OidcConfig,
    keys: Arc<KeyRefresher>,
    clock: Arc<dyn Clock>,
}

/// All that a token says.
pub(crate) type Claims = Map<String, Value>;

/// Requests an identity provider's keys once, and returns how many of them can be used.
///
/// # Errors
///
/// Why there are none.
pub(crate) async fn fetch_keys(source: &KeySource) -> Result<usize, FetchError> {
    Ok(Fetcher::new(source).fetch().await?.len())
}

/// Finds the provider that accepts a token: the first of those that it fits. Each comes with what is to be returned for it,
/// together with the token's subject and all of its claims.
///
/// Those that have to request keys for it are waited for together, and only if no held key has signed it: one that is away holds
/// up no token of another.
///
/// # Errors
///
/// 401 for a token that is not good; 403 for a good one without a required claim; 503 when it cannot be judged
/// because no keys are held and the provider is away, or because its key may be newer than those held. Where several
/// providers refuse it, a 403 wins over a 503, and that over a 401.
pub(crate) async fn authenticate<'p, P: Copy>(
    providers: impl Iterator<Item = (&'p IdentityProvider, P)>,
    token: &[u8],
) -> Result<(P, Arc<str>, Claims), Problem> {
    let jwt = Jwt::parse(token)?;
    let (mut candidates, mut refused) = (Vec::new(), Rejection::Issuer);
    for (provider, with) in providers {
        match claims::judge(&jwt.claims, &provider.config, provider.clock.now().wall) {
            Ok(subject) => candidates.push(Candidate { provider, with, jwt: &jwt, subject }),
            Err(rejection) => refused = refused.max(rejection),
        }
    }
    let mut refused = Problem::from(refused);
    let first = || candidates.iter().find(|candidate| matches!(candidate.verdict(), Some(Ok(()))));
    // By the held keys of all of them, before anybody is asked for others.
    let mut found = first();
    let mut verdicts: FuturesUnordered<_> = candidates.iter().map(Candidate::judge).collect();
    while found.is_none()
        && let Some(verdict) = verdicts.next().await
    {
        if verdict.as_ref().err().is_none_or(|problem| problem.status == StatusCode::FORBIDDEN) {
            // One of its keys has signed the token, so it is no other's, unless they share their keys: then the order counts.
            found = first();
            found.map_or(verdict, |_| Ok(()))?;
        } else if let Err(problem) = verdict
            && problem.status >= refused.status
        {
            // A 503 wins over a 401.
            refused = problem;
        }
    }
    drop(verdicts);
    let Some(Candidate { with, subject, .. }) = found else { return Err(refused) };
    let (with, subject) = (*with, Arc::from(*subject));
    Ok((with, subject, jwt.claims.0))
}

/// A token, and a provider that it fits as far as can be told without its signature.
struct Candidate<'a, P> {
    provider: &'a IdentityProvider,
    with: P,
    jwt: &'a Jwt<'a>,
    subject: &'a str,
}

impl<P> Candidate<'_, P> {
    /// Judges by the held keys, if there are some and no others could change the verdict.
    fn verdict(&self) -> Option<Result<(), Problem>> {
        match self.provider.keys.usable()?.verify(self.jwt) {
            Ok(()) => {}
            Err(Rejection::UnknownKey) => return None,
            Err(rejection) => return Some(Err(rejection.into())),
        }
        let claim = claims::missing(&self.jwt.claims, &self.provider.config.require);
        Some(claim.map_or(Ok(()), |claim| {
            let description =
                format!("the token's `{claim}` has none of the values required by access.oidc.require");
            let (method, caller) = (Some(Method::Oidc), Some(self.subject.into()));
            let subject = Subject { method, caller, ..Subject::default() };
            Err(Problem::access_denied(Rule::Claims, &description).with_subject(subject))
        }))
    }

    /// Judges: by the held keys, else by others if the provider has some.
    async fn judge(&self) -> Result<(), Problem> {
        let keys = &self.provider.keys;
        let (came_in, deadline) = (self.provider.clock.now(), Instant::now() + CALLER_TIMEOUT);
        let mut looks = 1..LOOKS;
        let retry_after = loop {
            if let Some(verdict) = self.verdict() {
                return verdict;
            }
            let Some(_) = looks.next() else { break CALLER_TIMEOUT };
            if let Err(not_now) = keys.refresh(deadline).await {
                break not_now;
            }
        };
        if keys.usable().is_none() {
            return Err(Problem::keys_unavailable(retry_after));
        }
        if keys.are_newer_than(claims::time(&self.jwt.claims, "iat").ok().flatten(), came_in) {
            return Err(Rejection::UnknownKey.into());
        }
        // Its key may be newer than ours: no reason to sign in again.
        Err(Problem::key_not_known_yet(retry_after))
    }
}

impl IdentityProvider {
    /// Spawns the task that requests the provider's keys and keeps them fresh; nobody waits for it. Needs a Tokio runtime.
    ///
    /// `others` are those that are there already, as before the configuration changed: if one has its keys from the same place, it
    /// shares them.
    pub(crate) fn spawn_refresher<'o>(
        config: &OidcConfig,
        clock: Arc<dyn Clock>,
        mut others: impl Iterator<Item = &'o Self>,
    ) -> Self {
        let new = || {
            let fetcher = Arc::new(Mutex::new(Fetcher::new(&config.keys)));
            let fetch = move || {
                let fetcher = Arc::clone(&fetcher);
                async move { fetcher.lock().await.fetch().await }.boxed()
            };
            let every = if config.keys.file.is_some() { FILE_EVERY } else { REFRESH_EVERY };
            // At the highest level, so that it is around every line, however little is logged.
            let span = tracing::error_span!("keys", provider = config.name);
            span.in_scope(|| Arc::new(KeyRefresher::spawn(Box::new(fetch), every, Arc::clone(&clock))))
        };
        let same = others.find(|other| other.config.keys == config.keys);
        let keys = same.map_or_else(new, |other| Arc::clone(&other.keys));
        Self { config: config.clone(), keys, clock }
    }

    /// Returns its name, and why its last answer brought no keys, if so.
    pub(crate) fn status(&self) -> (&str, Option<String>) {
        (&self.config.name, self.keys.problem())
    }
}

#[cfg(test)]
pub(crate) mod tests;
