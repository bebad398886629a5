//! What a caller may have: profiles, scopes, the longest lifetime, and how often.

use std::sync::Arc;

use token_provider::Scope;

use super::rate::Limiter;
use crate::config::{PolicyConfig, RuleConfig};
use crate::problem::Problem;
use crate::reason::Rule;

/// One caller's rules, or those of all callers of one kind.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) config: PolicyConfig,
    /// Each caller has the rate for itself, by its name.
    pub(super) limiter: Option<Limiter<Arc<str>>>,
    /// The rules of its section with theirs, in the order of the file.
    pub(super) rules: Vec<(RuleConfig, Self)>,
}

/// A way to authenticate, and what its callers may have.
#[derive(Debug)]
pub(super) struct Way<C> {
    pub(super) config: C,
    pub(super) policy: Policy,
}

impl<C> Way<C> {
    pub(super) fn new(config: C, policy: &PolicyConfig) -> Self {
        Self { config, policy: Policy::new(policy) }
    }
}

impl Policy {
    pub(super) fn new(config: &PolicyConfig) -> Self {
        let rules = config.rules.iter().map(|(rule, policy)| (rule.clone(), Self::new(policy))).collect();
        Self { config: config.clone(), limiter: config.rate.map(Limiter::new), rules }
    }

    pub(super) fn admit_profile(&self, profile: &str) -> Result<(), Problem> {
        if self.config.profiles.iter().any(|allowed| allowed == profile) {
            return Ok(());
        }
        Err(Problem::access_denied(
            Rule::Profile,
            "this caller is not allowed to use this profile; see its `profiles` in the configuration",
        ))
    }

    pub(super) fn admit_scope(&self, scope: Scope) -> Result<Scope, Problem> {
        match &self.config.scopes {
            Some(allowed) if !allowed.contains(&scope) => Err(Problem::access_denied(
                Rule::Scope,
                "this caller is not allowed to request this scope; see its `scopes` in the configuration",
            )),
            _ => Ok(scope),
        }
    }

    /// Chooses among the scopes of a profile for a caller that names none (RFC 6749 §3.3); `None` leaves it to the
    /// credential. `default` is what the configuration gives the profile.
    ///
    /// That is not for a caller limited to some scopes: it would have whatever the credential has, which changes with
    /// the credential. It gets the scope that the configuration gives the profile, if it may have that one, or the only
    /// one it may have.
    pub(super) fn scope_of(
        &self,
        default: Option<&Scope>,
        listed: &[Scope],
    ) -> Result<Option<Scope>, Problem> {
        let Some(allowed) = &self.config.scopes else { return Ok(None) };
        if let Some(scope) = default.filter(|scope| allowed.contains(scope)) {
            return Ok(Some(scope.clone()));
        }
        let possible: Vec<&Scope> = listed.iter().filter(|scope| allowed.contains(scope)).collect();
        match possible.as_slice() {
            [] => Err(Problem::access_denied(
                Rule::Scope,
                "this caller is not allowed any of this profile's scopes",
            )),
            [only] => Ok(Some(Scope::clone(only))),
            several => {
                let names: Vec<&str> = several.iter().map(|scope| scope.as_str()).collect();
                Err(Problem::invalid_scope(format!("scope: name one of {}", names.join(", "))))
            }
        }
    }
}
