//! What a caller may have: the same few keys beside every way to authenticate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;
use token_provider::Scope;

use super::profile::ProfileConfig;
use crate::settings::{List, ReadError, Section};
use crate::values::duration::{positive, rate};
use crate::values::ttl::lifetime;
use crate::values::{Lifetimes, NameTemplate, Pattern};

/// What one caller, or one kind of caller, may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyConfig {
    /// The profiles that the caller may use; where the configuration names none, the default profile alone.
    pub profiles: Vec<String>,
    /// The scopes that the caller may request; `None` for all that the profile lists.
    pub scopes: Option<Vec<Scope>>,
    /// The longest lifetime; `None` for the longest there is.
    pub max_ttl: Option<Duration>,
    /// How often; `None` for what is usual for this kind of caller.
    pub rate: Option<Quota>,
    /// The place in the configuration of a rule, such as `access.mtls.rules[0]`, or of an identity provider: callers of others may
    /// have the same names.
    pub path: Arc<str>,
    /// Whether handouts are marked, as those of a rule that is to be removed.
    pub is_audit: bool,
    /// Rules, and what each gives instead. Where there are any, nobody is let in whom none matches.
    pub rules: Vec<(RuleConfig, Self)>,
}

/// Whom a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleConfig {
    /// Pointers to claims that a caller must have, all of them, and the patterns of which one must match.
    pub claims: Vec<(String, Vec<Pattern>)>,
    /// What their name is; without it, the one by which they are known anyway.
    pub name: Option<NameTemplate>,
}

/// What is already known of the configuration when policies are read.
pub(super) struct Known<'c> {
    /// The one in use is among them.
    pub(super) profiles: &'c BTreeMap<String, ProfileConfig>,
    /// What a policy gives that does not say otherwise: the default profile, or to a rule, what its section gives.
    pub(super) usual: &'c PolicyConfig,
    pub(super) lifetimes: &'c Lifetimes,
}

impl Known<'_> {
    /// Reads the name of a profile.
    pub(super) fn profile(&self, text: &str) -> Result<String, ReadError> {
        let name = self.profiles.contains_key(text).then(|| text.to_owned());
        let names = || self.profiles.keys().cloned().collect();
        name.ok_or_else(|| ReadError::unknown("expected the name of a configured profile", names()))
    }

    /// Reads a lifetime for which a token can be handed out.
    pub(super) fn lifetime(&self, section: &mut Section<'_>, key: &str) -> Option<Duration> {
        let lifetime = section.text_or_number(key, lifetime);
        if lifetime.is_some_and(|lifetime| lifetime < self.lifetimes.shortest()) {
            section.error(key, "is shorter than every value in `lifetimes`: no token could be handed out");
        }
        lifetime
    }
}

/// Reads a policy from a caller's section, its keys beginning with `prefix`.
pub(super) fn read(section: &mut Section<'_>, prefix: &str, known: &Known<'_>) -> PolicyConfig {
    let key = |name: &str| format!("{prefix}{name}");

    let profiles = section.list(&key("profiles"), List::NotEmpty, |text: &str| known.profile(text));
    let profiles = profiles.unwrap_or_else(|| known.usual.profiles.clone());

    // Nobody gets a scope that no profile lists. Naming one here is a mistake, which would otherwise show only as a caller's
    // `invalid_scope`.
    let listed =
        profiles.iter().filter_map(|name| known.profiles.get(name)).flat_map(|profile| &profile.scopes);
    let scopes = section.list(&key("scopes"), List::NotEmpty, |text: &str| {
        let scope = listed.clone().find(|listed| listed.as_str() == text);
        scope.cloned().ok_or("expected a scope listed in one of this caller's profiles")
    });
    let scopes = scopes.or_else(|| known.usual.scopes.clone());

    let max_ttl = known.lifetime(section, &key("max_ttl")).or(known.usual.max_ttl);
    let rate = section.text(&key("rate"), rate);
    let burst = section.text_or_number(&key("burst"), positive);
    if section.is_set(&key("burst")) && !section.is_set(&key("rate")) && known.usual.rate.is_none() {
        section.error(&key("burst"), format!("requires {}", key("rate")));
    }
    let rate = rate.or(known.usual.rate).map(|rate| burst.map_or(rate, |burst| rate.allow_burst(burst)));
    PolicyConfig { profiles, scopes, max_ttl, rate, ..PolicyConfig::default() }
}
