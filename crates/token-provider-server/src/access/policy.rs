//! What a caller may have: profiles, scopes, the longest lifetime, and how often.

use std::sync::Arc;
use std::time::Duration;

use token_provider::Scope;

use super::handout::Profile;
use super::rate::Limiter;
use crate::config::{PolicyConfig, RateConfig};
use crate::problem::Problem;
use crate::reason::Rule;

/// One caller's rules, or those of all callers of one kind.
#[derive(Debug)]
pub(super) struct Policy {
    profiles: Vec<String>,
    scopes: Option<Vec<Scope>>,
    max_ttl: Option<Duration>,
    limiter: Option<Limiter>,
}

impl Policy {
    /// The rules of one caller.
    pub(super) fn of_one(config: &PolicyConfig) -> Self {
        Self::new(config, Limiter::one)
    }

    /// The rules of all who come the same way, each of whom has the rate for itself.
    pub(super) fn of_each(config: &PolicyConfig) -> Self {
        Self::new(config, Limiter::each)
    }

    fn new(config: &PolicyConfig, limiter: fn(RateConfig) -> Limiter) -> Self {
        Self {
            profiles: config.profiles.clone(),
            scopes: config.scopes.clone(),
            max_ttl: config.max_ttl,
            limiter: config.rate.map(limiter),
        }
    }

    /// Cuts a lifetime down to the longest allowed.
    pub(super) fn limit_lifetime(&self, wanted: Duration) -> Duration {
        self.max_ttl.map_or(wanted, |longest| wanted.min(longest))
    }

    pub(super) fn admit_profile(&self, profile: &str) -> Result<(), Problem> {
        if self.profiles.iter().any(|allowed| allowed == profile) {
            return Ok(());
        }
        Err(Problem::access_denied(
            Rule::Profile,
            "this caller may not use this profile; the configuration lists its profiles",
        ))
    }

    pub(super) fn admit_scope(&self, scope: Scope) -> Result<Scope, Problem> {
        match &self.scopes {
            Some(allowed) if !allowed.contains(&scope) => Err(Problem::access_denied(
                Rule::Scope,
                "this caller may not have this scope; the configuration lists its scopes",
            )),
            _ => Ok(scope),
        }
    }

    /// Chooses the scope for a caller that names none (RFC 6749 §3.3); `None` leaves it to the profile's credential.
    ///
    /// That is not for a caller limited to some scopes: it would have whatever the credential has, which changes with
    /// the credential. It gets the scope that the configuration gives the profile, if it may have that one, or the only
    /// one it may have.
    pub(super) fn scope_of(&self, profile: &Profile) -> Result<Option<Scope>, Problem> {
        let Some(allowed) = &self.scopes else { return Ok(None) };
        if let Some(scope) = profile.scope().filter(|scope| allowed.contains(scope)) {
            return Ok(Some(scope.clone()));
        }
        let possible: Vec<&Scope> = profile.scopes().iter().filter(|scope| allowed.contains(scope)).collect();
        match possible.as_slice() {
            [] => Err(Problem::access_denied(Rule::Scope, "this caller may have no scope of this profile")),
            [only] => Ok(Some(Scope::clone(only))),
            several => {
                let names: Vec<&str> = several.iter().map(|scope| scope.as_str()).collect();
                Err(Problem::invalid_scope(format!("scope: name one of {}", names.join(", "))))
            }
        }
    }

    /// Takes one from the bucket of the caller of this name.
    pub(super) fn admit_rate(&self, name: &Arc<str>) -> Result<(), Problem> {
        match &self.limiter {
            Some(limiter) => limiter.take(name),
            None => Ok(()),
        }
    }
}
