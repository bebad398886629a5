//! Hands out tokens for permits, and owns the providers so that nothing else can.

use std::collections::BTreeMap;

use token_provider::{AccessToken, Error, Moment, Scope, SlotStatus, TokenProvider};

use super::Permit;
use crate::problem::Problem;

/// One credential, and the scopes it may be used for.
#[derive(Debug)]
pub struct Profile {
    name: Box<str>,
    scopes: Vec<Scope>,
    provider: TokenProvider,
}

/// The providers of all profiles.
#[derive(Debug)]
pub struct Handout {
    profiles: BTreeMap<Box<str>, Profile>,
    default: Box<str>,
}

impl Profile {
    /// Puts a profile together. Callers may ask for the listed scopes and no other.
    pub fn new(name: &str, scopes: Vec<Scope>, provider: TokenProvider) -> Self {
        Self { name: name.into(), scopes, provider }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn listed_scope(&self, scope: &str) -> Result<Scope, Problem> {
        let listed = self.scopes.iter().find(|listed| listed.as_str() == scope);
        listed.cloned().ok_or_else(|| {
            Problem::invalid_scope(
                "scope: not one that the configuration lists under this profile's `scopes`",
            )
        })
    }
}

impl Handout {
    /// Takes the profiles, and the name of the one for callers that name none.
    pub fn new(profiles: impl IntoIterator<Item = Profile>, default: &str) -> Self {
        let profiles = profiles.into_iter().map(|profile| (profile.name.clone(), profile)).collect();
        Self { profiles, default: default.into() }
    }

    /// Returns the token that was permitted, if it is held.
    pub fn held(&self, permit: &Permit<'_>) -> Option<AccessToken> {
        permit.profile.provider.held(&permit.key)
    }

    /// Returns the token that was permitted, waiting for it where none is held.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn token(&self, permit: &Permit<'_>) -> Result<AccessToken, Error> {
        permit.profile.provider.token_for(&permit.key).await
    }

    /// Returns the present moment, which a token's time left is counted from.
    pub fn now(&self, permit: &Permit<'_>) -> Moment {
        permit.profile.provider.now()
    }

    /// Starts fetching the default profile's token.
    pub fn warm(&self) {
        if let Some(profile) = self.profiles.get(&self.default) {
            profile.provider.warm();
        }
    }

    /// Says whether the default profile's token can be handed out. Asking counts as a wish for the token, so that a
    /// server that is probed for readiness stays ready.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub async fn ready(&self) -> Result<(), Error> {
        match self.profiles.get(&self.default) {
            Some(profile) => profile.provider.token().await.map(drop),
            // The configuration makes the default profile when it is not written down: it is there.
            None => Ok(()),
        }
    }

    /// Has a profile's refused requests tried again at once: its credential is another one now.
    pub fn credential_changed(&self, profile: &str) {
        if let Some(profile) = self.profiles.get(profile) {
            profile.provider.credential_changed();
        }
    }

    /// Returns a look at every token held, by profile.
    pub fn status(&self) -> impl Iterator<Item = (&str, Vec<SlotStatus>)> {
        self.profiles.values().map(|profile| (profile.name(), profile.provider.status()))
    }

    pub(super) fn profile(&self, name: Option<&str>) -> Result<&Profile, Problem> {
        self.profiles.get(name.unwrap_or(&self.default)).ok_or_else(|| {
            Problem::invalid_request("profile: there is no profile of this name in the configuration")
        })
    }
}
