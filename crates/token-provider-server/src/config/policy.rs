//! What a caller may have: the same few keys beside every way to authenticate.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::lifetimes::Lifetimes;
use super::profile::ProfileConfig;
use super::read::{List, Section};
use super::units::{known_name, lifetime, positive, rate};

/// What one caller, or one kind of caller, may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// The profiles that may be asked for; where the configuration names none, the default profile alone.
    pub profiles: Vec<String>,
    /// The scopes that may be asked for; `None` for all that the profile lists.
    pub scopes: Option<Vec<String>>,
    /// The longest lifetime; `None` for the longest there is.
    pub max_ttl: Option<Duration>,
    /// How often; `None` for what is usual for this kind of caller.
    pub rate: Option<RateConfig>,
}

/// A token bucket: it holds `burst`, and gains `count` in every `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateConfig {
    /// How many requests.
    pub count: NonZeroU32,
    /// In this span.
    pub per: Duration,
    /// How many at once, after a quiet time; as many as `count` unless said otherwise.
    pub burst: NonZeroU32,
}

/// What is already known of the configuration when policies are read.
pub(super) struct Known<'c> {
    pub(super) profiles: &'c BTreeMap<String, ProfileConfig>,
    pub(super) default_profile: &'c str,
    pub(super) lifetimes: &'c Lifetimes,
}

impl Known<'_> {
    /// The default profile need not be written down.
    pub(super) fn all_profiles(&self) -> Vec<String> {
        let mut names: Vec<String> = self.profiles.keys().cloned().collect();
        if !self.profiles.contains_key(self.default_profile) {
            names.push(self.default_profile.to_owned());
        }
        names
    }
}

/// Reads a policy from a caller's section, its keys beginning with `prefix`.
pub(super) fn read(section: &mut Section<'_>, prefix: &str, known: &Known<'_>) -> PolicyConfig {
    let key = |name: &str| format!("{prefix}{name}");

    let is_profile = |name: &str| name == known.default_profile || known.profiles.contains_key(name);
    let profile = known_name("expected the name of a configured profile", is_profile, || {
        known.profiles.keys().cloned().collect()
    });
    let profiles = section
        .list(&key("profiles"), List::NotEmpty, profile)
        .unwrap_or_else(|| vec![known.default_profile.to_owned()]);

    // A scope that no profile lists is refused whoever asks: to name it here is a slip, which would show as a
    // caller's `invalid_scope` much later.
    let listed = |scope: &str| {
        profiles
            .iter()
            .filter_map(|name| known.profiles.get(name))
            .any(|profile| profile.scopes.iter().any(|listed| listed == scope))
    };
    let scopes = section.list(&key("scopes"), List::NotEmpty, |scope| {
        listed(scope).then(|| scope.to_owned()).ok_or("expected a scope that a profile of this caller lists")
    });

    let max_ttl = section.text_or_number(&key("max_ttl"), lifetime);
    if max_ttl.is_some_and(|most| most < known.lifetimes.shortest()) {
        section.problem(&key("max_ttl"), "is shorter than all of `lifetimes`: no token could be handed out");
    }

    PolicyConfig { profiles, scopes, max_ttl, rate: read_rate(section, &key("rate"), &key("burst")) }
}

fn read_rate(section: &mut Section<'_>, rate_key: &str, burst_key: &str) -> Option<RateConfig> {
    let rate = section.text(rate_key, rate);
    let burst = section.text_or_number(burst_key, positive);
    if section.is_set(burst_key) && !section.is_set(rate_key) {
        section.problem(burst_key, format!("needs {rate_key} beside it"));
    }
    rate.map(|(count, per)| RateConfig { count, per, burst: burst.unwrap_or(count) })
}
