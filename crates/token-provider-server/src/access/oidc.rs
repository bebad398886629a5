//! Callers with an access token or ID token of the company's identity provider (`OpenID` Connect).
//!
//! What a token says is judged before its signature is checked: that is cheap, refuses most bad ones, and keeps tokens
//! that are of no use anyway from having the provider asked for keys. Nothing is believed, and no required claim looked
//! at, until the signature is right.

mod algorithm;
mod claims;
mod fault;
mod jwt;
mod keeper;
mod key_set;
mod provider;

use std::sync::Arc;

use token_provider::Clock;
use tokio::time::Instant;

use self::claims::Expected;
use self::fault::Fault;
use self::jwt::Jwt;
use self::keeper::{CALLER_PATIENCE, Keeper, Lack};
use self::provider::Provider;
use super::Caller;
use super::policy::Policy;
use crate::config::OidcConfig;
use crate::problem::Problem;
use crate::reason::{Method, Rule};

/// How often one token is held against the keys: those at hand; those after a request that was under way, which may have
/// been sent before its key was there; and those after a request of its own.
const LOOKS: u32 = 3;

/// The identity provider whose tokens let a caller in.
#[derive(Debug)]
pub(super) struct Oidc {
    expected: Expected,
    provider: Arc<Provider>,
    keeper: Arc<Keeper>,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

/// Asks an identity provider for its keys once, and returns how many of them can be used.
///
/// # Errors
///
/// Why there are none, with what lies under it.
pub async fn fetch_keys(config: &OidcConfig) -> Result<usize, String> {
    let fetched = Provider::new(config.issuer.clone(), config.discovery.clone()).fetch().await;
    fetched.map(|fetched| fetched.keys.len()).map_err(|error| {
        let causes = error.causes();
        if causes.is_empty() { error.to_string() } else { format!("{error}: {causes}") }
    })
}

impl Oidc {
    /// Starts asking the provider for its keys, behind the callers: it need not be there yet. Needs a Tokio runtime.
    ///
    /// `previous` is what was in force before the configuration changed; its keys are kept if they are this provider's.
    pub(super) fn start(config: &OidcConfig, clock: Arc<dyn Clock>, previous: Option<&Self>) -> Self {
        let same = previous.filter(|previous| previous.provider.is(&config.issuer, &config.discovery));
        let (provider, keeper) = if let Some(same) = same {
            (Arc::clone(&same.provider), Arc::clone(&same.keeper))
        } else {
            let provider = Arc::new(Provider::new(config.issuer.clone(), config.discovery.clone()));
            let asked = Arc::clone(&provider);
            let fetch = move || {
                let asked = Arc::clone(&asked);
                async move { asked.fetch().await }
            };
            (provider, Arc::new(Keeper::start(fetch, Arc::clone(&clock))))
        };
        Self::with_keeper(config, clock, provider, keeper)
    }

    fn with_keeper(
        config: &OidcConfig,
        clock: Arc<dyn Clock>,
        provider: Arc<Provider>,
        keeper: Arc<Keeper>,
    ) -> Self {
        Self {
            expected: Expected::new(config),
            provider,
            keeper,
            policy: Policy::of_each(&config.policy),
            clock,
        }
    }

    /// Returns the provider's name, and whether it had keys when it was last asked.
    pub(super) fn status(&self) -> (&str, bool) {
        (&self.provider.issuer, self.keeper.is_up())
    }

    /// Says whose token it is.
    ///
    /// # Errors
    ///
    /// 401 for a token that is not good; 403 for a good one without a required claim; 503 when it cannot be judged
    /// because no keys are held and the provider is away, or because its key may be newer than those held.
    pub(super) async fn authenticate<'r>(&'r self, token: &[u8]) -> Result<Caller<'r>, Problem> {
        let jwt = Jwt::parse(token)?;
        let subject = self.expected.judge(&jwt.claims, self.clock.now().wall)?;
        self.verify(&jwt).await?;
        match self.expected.missing(&jwt.claims) {
            None => Ok(Caller::named(Method::Oidc, subject, &self.policy)),
            Some(claim) => {
                let description =
                    format!("the token's `{claim}` has none of the values that access.oidc.require asks for");
                let problem = Problem::access_denied(Rule::Claims, &description);
                Err(problem.with_caller(Method::Oidc, subject))
            }
        }
    }

    /// Checks the signature, with other keys if the provider has some.
    async fn verify(&self, jwt: &Jwt<'_>) -> Result<(), Problem> {
        let (came_in, deadline) = (self.clock.now(), Instant::now() + CALLER_PATIENCE);
        let mut lack = Lack::Keys;
        let mut retry_after = CALLER_PATIENCE;
        for look in 1..=LOOKS {
            let keys = self.keeper.usable(self.clock.now());
            lack = match keys.map(|keys| keys.set.verify(jwt)) {
                Some(Err(Fault::UnknownKey)) => Lack::ThisKey,
                Some(verdict) => return Ok(verdict?),
                None => Lack::Keys,
            };
            if look == LOOKS {
                break;
            }
            if let Err(not_now) = self.keeper.refresh(lack, deadline).await {
                retry_after = not_now.retry_after;
                break;
            }
        }
        Err(match lack {
            Lack::ThisKey if self.keeper.would_have_key(claims::issued_at(&jwt.claims), came_in) => {
                Fault::UnknownKey.into()
            }
            // It may be of a key that is newer than ours, and is no reason to sign in again.
            Lack::ThisKey => Problem::key_not_known_yet(retry_after),
            Lack::Keys => Problem::keys_unavailable(retry_after),
        })
    }
}

#[cfg(test)]
mod tests;
