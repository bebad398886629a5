//! Hands out tokens for permits, and owns the providers so that nothing else can.
//!
//! Each profile has its own provider, rather than a place in the cache's key: so it has its own credential, issuer and backoff.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use governor::Quota;
use prometheus_client::metrics::histogram::Histogram;
use token_provider::{
    AccessToken, Moment, ReportOutcome, Scope, SlotStatus, TokenError, TokenErrorKind, TokenKey,
    TokenProvider,
};
use tokio::time::timeout;

use super::caller::Caller;
use super::rate::Limiter;
use crate::problem::{Problem, Subject};
use crate::telemetry::{BUCKETS, MeteredIssuer};

/// One credential, and the scopes it may be used for.
#[derive(Debug)]
pub struct Profile {
    pub(super) name: Arc<str>,
    pub(super) scopes: Vec<Scope>,
    /// The one that the configuration gives requests without a scope, for callers that may not have every scope. (The issuer
    /// behind the provider has it already; the credential may have one, too.)
    pub(crate) scope: Option<Scope>,
    /// Whether held tokens are replaced after a rotation of the credential.
    pub(crate) replaces: bool,
    provider: TokenProvider,
    counts: Counts,
    waits: Histogram,
    /// The issuer behind the provider, for status pages and metrics.
    pub(crate) issuer: Option<Arc<MeteredIssuer>>,
}

/// A permit for one kind of token. Made by [`Access::authorize`](super::Access::authorize) alone.
#[derive(Debug)]
pub struct Permit<'a> {
    pub(super) profile: &'a Profile,
    /// What the token is for: its lifetime, and the scope that was asked for, by the caller or for it. Without one it is left to the
    /// credential.
    pub(super) key: TokenKey,
}

/// How requests that were permitted ended, and why the last rotation failed.
#[derive(Debug, Default)]
struct Counts {
    held: AtomicU64,
    waited: AtomicU64,
    failed: AtomicU64,
    rotation_problem: ArcSwapOption<String>,
}

/// The providers of all profiles.
#[derive(Debug)]
pub struct Handout {
    profiles: BTreeMap<Arc<str>, Profile>,
    default: Arc<str>,
    /// The token for callers that request no lifetime; a reload may change it.
    usual: ArcSwap<TokenKey>,
    /// How often all tokens of a profile are replaced.
    replacements: Limiter<Arc<str>>,
}

/// A look at one profile, for status pages and metrics.
#[derive(Debug)]
pub struct ProfileStatus<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is for callers that name none.
    pub is_default: bool,
    /// Whether tokens can be handed out: the usual token, or, if nobody requests it, any requested token. `true` if
    /// none is requested.
    pub is_ready: bool,
    /// Every token held or wanted.
    pub tokens: Vec<SlotStatus>,
    /// How permitted requests have ended, by name: with a token that was held, or after a wait, or with none.
    pub handouts: [(&'static str, u64); 3],
    /// How long callers waited for a token that was not held.
    pub waits: &'a Histogram,
    /// Where its tokens come from.
    pub issuer: Option<&'a MeteredIssuer>,
    /// Why its credential is not the one in its file.
    pub rotation_problem: Option<Arc<String>>,
}

impl Permit<'_> {
    /// Returns who is to have the token, and which, for the audit trail.
    pub fn subject(&self, caller: &Caller<'_>) -> Subject {
        Subject {
            profile: Some(Arc::clone(&self.profile.name)),
            scope: self.key.scope().cloned(),
            lifetime: Some(self.key.lifetime()),
            ..caller.subject()
        }
    }
}

impl Profile {
    /// Puts a profile together. Callers may ask for the listed scopes and no other.
    pub fn new(name: &str, scopes: Vec<Scope>, provider: TokenProvider) -> Self {
        let (counts, waits) = (Counts::default(), Histogram::new(BUCKETS));
        let replaces = false;
        Self { name: name.into(), scopes, scope: None, replaces, provider, counts, waits, issuer: None }
    }

    pub(super) fn listed_scope(&self, scope: &str) -> Result<Scope, Problem> {
        let listed = self.scopes.iter().find(|listed| listed.as_str() == scope);
        listed.cloned().ok_or_else(|| Problem::invalid_scope("scope: not in this profile's `scopes`"))
    }
}

impl Handout {
    /// Takes the profiles, and the name of the one for callers that name none.
    pub fn new(profiles: impl IntoIterator<Item = Profile>, default: &str) -> Self {
        let profiles: BTreeMap<_, _> =
            profiles.into_iter().map(|profile| (Arc::clone(&profile.name), profile)).collect();
        // A test that hands nothing out has no profiles.
        let usual = profiles.get(default).map(|profile| profile.provider.default_key().clone());
        let usual = Arc::new(usual.unwrap_or_default());
        let replacements = Limiter::new(Quota::with_period(Duration::from_secs(10)).expect("is not zero"));
        let handout =
            Self { profiles, default: default.into(), usual: ArcSwap::new(Arc::clone(&usual)), replacements };
        handout.tell_issuers(&usual);
        handout
    }

    fn tell_issuers(&self, usual: &Arc<TokenKey>) {
        for issuer in self.profiles.values().filter_map(|profile| profile.issuer.as_ref()) {
            issuer.set_usual(Arc::clone(usual));
        }
    }

    /// Returns the permitted token, waiting for it if none is held, and the time at which its remaining lifetime was
    /// measured. Each caller may cause only a share of the held tokens; the usual token is not counted and always has
    /// room.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn token(
        &self,
        permit: &Permit<'_>,
        caller: &Caller<'_>,
    ) -> Result<(AccessToken, Moment), TokenError> {
        let Profile { provider, counts, waits, .. } = permit.profile;
        let now = provider.now();
        if let Some(token) = provider.held_at(&permit.key, now) {
            counts.held.fetch_add(1, Ordering::Relaxed);
            return Ok((token, now));
        }
        let wait = Box::pin(async {
            if permit.key == **self.usual.load() {
                return provider.token_for(&permit.key).await;
            }
            provider.token_for_owner(&permit.key, &caller.owner()).await
        });
        let result = timeout(caller.max_wait(), wait).await.unwrap_or_else(|_elapsed| {
            let problem = "the issuer has not responded in time; the request continues";
            Err(TokenError::new(TokenErrorKind::WaitedTooLong, problem))
        });
        let count = if result.is_ok() { &counts.waited } else { &counts.failed };
        count.fetch_add(1, Ordering::Relaxed);
        let then = provider.now();
        waits.observe(then.boot.saturating_sub(now.boot).as_secs_f64());
        result.map(|token| (token, then))
    }

    /// Reports a token that a service refused to the profiles that this caller may use. Returns the one that holds it, else the
    /// default one, and what became of the report. All are looked at in any case, so that the time tells nothing.
    pub(crate) fn report(&self, caller: &Caller<'_>, token: &str) -> (Arc<str>, ReportOutcome) {
        let may_use = |profile: &&Profile| caller.policy.admit_profile(&profile.name).is_ok();
        let reports = self.profiles.values().filter(may_use);
        let reports = reports.map(|profile| (&profile.name, profile.provider.report_text(token)));
        let held = reports.filter(|(_, outcome)| *outcome != ReportOutcome::Unknown).last();
        let (name, outcome) = held.unwrap_or((&self.default, ReportOutcome::Unknown));
        (Arc::clone(name), outcome)
    }

    /// Reports a token that was refused elsewhere.
    #[cfg(feature = "store")]
    pub(crate) fn report_held(&self, token: &AccessToken) {
        for profile in self.profiles.values() {
            profile.provider.report(token);
        }
    }

    /// Has all held tokens of a profile replaced, behind the callers; those that nobody has asked for since their last refresh are
    /// dropped. `by` names who asked, for the log.
    ///
    /// # Errors
    ///
    /// 404 where there is no such profile; 429 where the same was asked for in the last ten seconds.
    pub(crate) fn replace_all(&self, profile: &str, by: &str) -> Result<(), Problem> {
        let Profile { name, provider, .. } =
            self.profiles.get(profile).ok_or_else(Problem::unknown_profile)?;
        // It is no caller that is refused.
        self.replacements.take(name).map_err(|problem| problem.with(|it| it.rule = None))?;
        tracing::info!(profile = &**name, "{by}: replacing all tokens of this profile");
        provider.drop_unused();
        provider.replace_all();
        Ok(())
    }

    /// Does so for every profile.
    pub(crate) fn replace_everything(&self, by: &str) {
        for name in self.profiles.keys() {
            if let Err(problem) = self.replace_all(name, by) {
                tracing::warn!(profile = &**name, "{by}: {}", problem.description);
            }
        }
    }

    /// Returns the permitted token if it is held. This keeps it fresh, and does not count as a handout.
    pub fn held(&self, permit: &Permit<'_>) -> Option<AccessToken> {
        permit.profile.provider.held(&permit.key)
    }

    /// Starts fetching the default profile's token.
    pub fn warm(&self) {
        self.default_profile().provider.warm_for(&self.usual.load());
    }

    /// Sets what callers get who name no lifetime; readiness is about this token. Where it is another than before, starts
    /// fetching it.
    pub(super) fn set_usual(&self, key: TokenKey) {
        if **self.usual.load() != key {
            let key = Arc::new(key);
            self.tell_issuers(&key);
            self.usual.store(key);
            self.warm();
        }
    }

    /// Waits until the default profile's token can be handed out. This counts as a request for it, so that a server that is
    /// probed for readiness stays ready.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub async fn ready(&self) -> Result<(), TokenError> {
        self.default_profile().provider.token_for(&self.usual.load_full()).await.map(drop)
    }

    /// Returns whether the default profile's token can be handed out, as far as is known without asking for it.
    pub fn is_ready(&self) -> bool {
        self.default_profile().provider.is_ready(&self.usual.load())
    }

    fn default_profile(&self) -> &Profile {
        self.existing(&self.default)
    }

    fn existing(&self, profile: &str) -> &Profile {
        self.profiles.get(profile).expect("all that the configuration has, and the default one, are there")
    }

    /// Has a profile's refused requests tried again at once, and its tokens replaced where that is wanted: its credential is another
    /// one now.
    pub fn credential_changed(&self, profile: &str) {
        let Profile { provider, replaces, .. } = self.existing(profile);
        provider.credential_changed();
        if *replaces {
            provider.replace_all();
        }
    }

    /// Sets why a profile's credential is not the one in its file; `None` if it is.
    pub fn set_rotation_problem(&self, profile: &str, problem: Option<String>) {
        self.existing(profile).counts.rotation_problem.store(problem.map(Arc::new));
    }

    /// Returns the status of every profile. This does not count as a request, so it keeps no token alive.
    pub fn status(&self) -> impl Iterator<Item = ProfileStatus<'_>> {
        self.profiles.values().map(|profile| {
            let Profile { name, provider, counts, waits, issuer, .. } = profile;
            let (tokens, usual) = (provider.status(), self.usual.load());
            let usual = tokens.iter().find(|slot| slot.key == **usual);
            let is_ready = match usual {
                Some(usual) => usual.token.is_some(),
                None => tokens.is_empty() || tokens.iter().any(|slot| slot.token.is_some()),
            };
            ProfileStatus {
                name,
                is_default: *name == self.default,
                is_ready,
                tokens,
                handouts: [("held", &counts.held), ("waited", &counts.waited), ("failed", &counts.failed)]
                    .map(|(name, count)| (name, count.load(Ordering::Relaxed))),
                waits,
                issuer: issuer.as_deref(),
                rotation_problem: counts.rotation_problem.load_full(),
            }
        })
    }

    pub(super) fn profile(&self, name: Option<&str>) -> Result<&Profile, Problem> {
        self.profiles
            .get(name.unwrap_or(&self.default))
            .ok_or_else(|| Problem::invalid_request("profile: no profile with this name is configured"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use token_provider::{Issue, Issued, TestClock};

    use super::*;
    use crate::access::policy::Policy;
    use crate::config::PolicyConfig;
    use crate::reason::Method;

    #[derive(Debug)]
    struct Hanging;

    impl Issue for Hanging {
        async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
            std::future::pending().await
        }
    }

    /// Asks for tokens of these lifetimes at once. Returns for how many the issuer is asked.
    async fn under_way(issuer: &Arc<MeteredIssuer>, lifetimes: impl Iterator<Item = u64>) -> u64 {
        let before = issuer.ended().map(|(_, count)| count).sum::<u64>();
        let requests = lifetimes.map(|lifetime| {
            let key = TokenKey::new(Duration::from_secs(lifetime)).expect("is one");
            async move { issuer.issue(&key).await.map(drop) }
        });
        let all = futures_util::future::join_all(requests);
        // What is given up is counted where it had begun.
        assert!(timeout(Duration::from_secs(1), all).await.is_err(), "they hang");
        issuer.ended().map(|(_, count)| count).sum::<u64>() - before
    }

    #[tokio::test(start_paused = true)]
    async fn usual_token_waits_for_no_other_whichever_it_is_after_a_reload() {
        let issuer = Arc::new(MeteredIssuer::other(Hanging, String::new()).sharing_with(2));
        let provider = TokenProvider::builder(Hanging).build();
        let mut profile = Profile::new("p", Vec::new(), provider);
        profile.issuer = Some(Arc::clone(&issuer));
        let handout = Handout::new([profile], "p");
        // The usual one is the last in the queue.
        assert_eq!(under_way(&issuer, (3601..3641).chain([3600])).await, 4);
        handout.set_usual(TokenKey::new(Duration::from_secs(7200)).expect("is one"));
        assert_eq!(under_way(&issuer, (3601..3641).chain([7200])).await, 4);
        assert_eq!(under_way(&issuer, (3601..3641).chain([3600])).await, 3, "it is one of many now");
    }

    #[tokio::test(start_paused = true)]
    async fn caller_that_signs_is_answered_before_it_sends_the_same_request_again() {
        let handout =
            Handout::new([Profile::new("p", Vec::new(), TokenProvider::builder(Hanging).build())], "p");
        let config = PolicyConfig::default();
        let policy = Policy::new(&config);
        for (method, seconds) in [(Method::HereKey, 4), (Method::ApiKey, 10)] {
            for lifetime in [3600, 60] {
                let key = TokenKey::new(Duration::from_secs(lifetime)).expect("is one");
                let permit = Permit { profile: handout.default_profile(), key };
                let begin = tokio::time::Instant::now();
                let caller = Caller::new(method, Some("a".into()), &policy);
                let error = handout.token(&permit, &caller).await.expect_err("nobody answers");
                assert!(matches!(error.kind(), TokenErrorKind::WaitedTooLong), "{error:?}");
                assert_eq!(begin.elapsed().as_secs(), seconds);
            }
        }
    }

    /// Knows the credential from some moment on.
    #[derive(Debug, Default)]
    struct Account(AtomicBool);

    impl Issue for Account {
        async fn issue(&self, _: &TokenKey) -> Result<Issued, TokenError> {
            let is_known = self.0.load(Ordering::Relaxed);
            let refused = TokenErrorKind::Rejected { status: 401, code: None };
            let issued = || Issued::new("planted-token", Duration::from_secs(3600));
            is_known.then(issued).ok_or_else(|| TokenError::new(refused, "not known"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changed_credential_ends_the_backoff_of_its_profile() {
        let account = Arc::new(Account::default());
        let provider = TokenProvider::builder(Arc::clone(&account)).clock(TestClock::new()).build();
        let another = TokenProvider::builder(Hanging).build();
        let profiles = [("default", provider), ("another", another)]
            .map(|(name, provider)| Profile::new(name, Vec::new(), provider));
        let handout = Handout::new(profiles, "default");
        handout.ready().await.expect_err("is refused");
        account.0.store(true, Ordering::Relaxed);
        handout.ready().await.expect_err("HERE is left alone for a minute");
        handout.credential_changed("another");
        handout.ready().await.expect_err("that was another profile's");
        handout.credential_changed("default");
        handout.ready().await.expect("HERE was asked at once");
    }
}
