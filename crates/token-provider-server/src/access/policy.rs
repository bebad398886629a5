//! What a caller may have: profiles, scopes, the longest lifetime, and how often.

use std::time::Duration;

use super::rate::Limiter;
use crate::config::PolicyConfig;
use crate::problem::Problem;

/// One caller's rules, or those that all callers of one kind share.
#[derive(Debug)]
pub(super) struct Policy {
    profiles: Vec<String>,
    scopes: Option<Vec<String>>,
    max_ttl: Option<Duration>,
    limiter: Option<Limiter>,
}

impl Policy {
    pub(super) fn new(config: &PolicyConfig) -> Self {
        Self {
            profiles: config.profiles.clone(),
            scopes: config.scopes.clone(),
            max_ttl: config.max_ttl,
            limiter: config.rate.map(Limiter::new),
        }
    }

    /// Cuts a wish down to the longest lifetime allowed.
    pub(super) fn limit_ttl(&self, seconds: u64) -> u64 {
        self.max_ttl.map_or(seconds, |longest| seconds.min(longest.as_secs()))
    }

    pub(super) fn admit_profile(&self, profile: &str) -> Result<(), Problem> {
        if self.profiles.iter().any(|allowed| allowed == profile) {
            return Ok(());
        }
        Err(Problem::access_denied(
            "profile",
            "this caller may not use this profile; the configuration lists its profiles",
        ))
    }

    pub(super) fn admit_scope(&self, scope: &str) -> Result<(), Problem> {
        match &self.scopes {
            Some(allowed) if !allowed.iter().any(|allowed| allowed == scope) => Err(Problem::access_denied(
                "scope",
                "this caller may not have this scope; the configuration lists its scopes",
            )),
            _ => Ok(()),
        }
    }

    /// Takes one from the caller's bucket.
    pub(super) fn admit_rate(&self) -> Result<(), Problem> {
        match &self.limiter {
            Some(limiter) => limiter.take(),
            None => Ok(()),
        }
    }
}
