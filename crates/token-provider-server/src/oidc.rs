//! Tokens of the company's identity provider (`OpenID` Connect): what they must say, and the keys that sign them.
//!
//! What a token says is judged before its signature: that is cheap, refuses most bad tokens, and keeps them from making
//! the server request keys. Nothing is trusted, and no required claim is checked, until the signature has been
//! verified.

mod claims;
mod keys;
mod provider;
mod refresher;
mod token;

use std::sync::Arc;

use futures_util::FutureExt as _;
use token_provider::Clock;
use tokio::time::Instant;

use self::provider::FetchError;
use self::refresher::{CALLER_TIMEOUT, KeyRefresher};
use self::token::Jwt;
use crate::config::OidcConfig;
use crate::problem::{Problem, Subject};
use crate::reason::{Method, Rejection, Rule};

/// How many times a token's signature is checked: with the held keys, with those from a request already in flight
/// (which may predate the token's key), and with those from a new request.
const LOOKS: u32 = 3;

/// The identity provider whose tokens let a caller in.
#[derive(Debug)]
pub(crate) struct IdentityProvider {
    config: OidcConfig,
    keys: Arc<KeyRefresher>,
    clock: Arc<dyn Clock>,
}

/// Requests an identity provider's keys once, and returns how many of them can be used.
///
/// # Errors
///
/// Why there are none.
pub(crate) async fn fetch_keys(config: &OidcConfig) -> Result<usize, FetchError> {
    Ok(provider::fetch(config.issuer.clone(), config.discovery.clone()).await?.len())
}

impl IdentityProvider {
    /// Spawns the task that requests the provider's keys and keeps them fresh; nobody waits for it. Needs a Tokio runtime.
    ///
    /// `previous` is what was in force before the configuration changed; its keys are kept if they are this provider's.
    pub(crate) fn spawn_refresher(
        config: &OidcConfig,
        clock: Arc<dyn Clock>,
        previous: Option<&Self>,
    ) -> Self {
        let is_same =
            |old: &&Self| (&old.config.issuer, &old.config.discovery) == (&config.issuer, &config.discovery);
        let new = || {
            let OidcConfig { issuer, discovery, .. } = config.clone();
            let fetch = move || provider::fetch(issuer.clone(), discovery.clone()).boxed();
            Arc::new(KeyRefresher::spawn(Box::new(fetch), Arc::clone(&clock)))
        };
        let keys = previous.filter(is_same).map_or_else(new, |old| Arc::clone(&old.keys));
        Self { config: config.clone(), keys, clock }
    }

    /// Returns the provider's name, and whether its last answer brought keys.
    pub(crate) fn status(&self) -> (&str, bool) {
        (&self.config.issuer, self.keys.is_up())
    }

    /// Returns the subject of a token.
    ///
    /// # Errors
    ///
    /// 401 for a token that is not good; 403 for a good one without a required claim; 503 when it cannot be judged
    /// because no keys are held and the provider is away, or because its key may be newer than those held.
    pub(crate) async fn authenticate(&self, token: &[u8]) -> Result<Arc<str>, Problem> {
        let jwt = Jwt::parse(token)?;
        let subject: Arc<str> = claims::judge(&jwt.claims, &self.config, self.clock.now().wall)?.into();
        self.verify(&jwt).await?;
        if let Some(claim) = claims::missing(&jwt.claims, &self.config.require) {
            let description =
                format!("the token's `{claim}` has none of the values required by access.oidc.require");
            let (method, caller) = (Some(Method::Oidc), Some(subject));
            let subject = Subject { method, caller, ..Subject::default() };
            return Err(Problem::access_denied(Rule::Claims, &description).with_subject(subject));
        }
        Ok(subject)
    }

    /// Checks the signature, with other keys if the provider has some.
    async fn verify(&self, jwt: &Jwt<'_>) -> Result<(), Problem> {
        let (came_in, deadline) = (self.clock.now(), Instant::now() + CALLER_TIMEOUT);
        let mut retry_after = CALLER_TIMEOUT;
        for look in 1..=LOOKS {
            match self.keys.usable().map(|keys| keys.verify(jwt)) {
                Some(Err(Rejection::UnknownKey)) | None => {}
                Some(verdict) => return Ok(verdict?),
            }
            if look < LOOKS
                && let Err(not_now) = self.keys.refresh(deadline).await
            {
                retry_after = not_now;
                break;
            }
        }
        if self.keys.usable().is_none() {
            return Err(Problem::keys_unavailable(retry_after));
        }
        if self.keys.are_newer_than(claims::issued_at(&jwt.claims), came_in) {
            return Err(Rejection::UnknownKey.into());
        }
        // Its key may be newer than ours: no reason to sign in again.
        Err(Problem::key_not_known_yet(retry_after))
    }
}

#[cfg(test)]
pub(crate) mod tests;
