//! Who is asking, and what they may have.
//!
//! *Admit* looks at where a request comes from: the `Host` it names and, for a web page, its origin. *Authenticate*
//! makes a [`Caller`]. *Authorize* makes a [`Permit`]. Only this room can make one, and the [`Handout`], which owns the
//! token providers, gives a token for nothing else: a handler that forgets access control does not compile.
//!
//! The rules are exchanged whole when the configuration is reloaded; the tokens behind them stay.

pub mod api_key;
mod browser;
mod caller;
mod connection;
mod handout;
mod here_key;
mod host;
mod policy;
mod proxy;
mod rate;
mod rules;
mod selection;
mod shares;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use token_provider::{DEFAULT_LIFETIME, TokenKey};

use crate::config::Config;
use crate::problem::{Problem, Subject};

pub use self::browser::Cors;
pub(crate) use self::browser::{admit_local, admit_own_page, refuse_prefetch};
pub use self::caller::Caller;
pub use self::connection::{ClientCertificate, ConnectionInfo};
pub use self::handout::{Handout, Permit, Profile, ProfileStatus};
pub(crate) use self::here_key::{Nonce, Signature, SignedRequest, is_signed};
pub use self::rules::Rules;
pub(crate) use self::rules::{Client, X_API_KEY};
pub use self::shares::{Share, Shares};

/// The access rules of a running server, and the tokens behind them.
#[derive(Debug)]
pub struct Access {
    rules: ArcSwap<Rules>,
    handout: Handout,
    is_draining: AtomicBool,
}

/// What a caller wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenRequest<'a> {
    /// The profile's name.
    pub profile: Option<&'a str>,
    /// The scope.
    pub scope: Option<&'a str>,
    /// The lifetime.
    pub lifetime: Option<Duration>,
}

impl Access {
    /// Puts the rules of a configuration before the tokens of its profiles. With an identity provider it spawns the task
    /// that keeps its keys fresh, and needs a Tokio runtime.
    pub fn start(config: &Config, handout: Handout) -> Self {
        let rules = ArcSwap::from_pointee(Rules::start(config, None));
        Self { rules, handout, is_draining: AtomicBool::new(false) }
    }

    /// Returns the rules of the moment. A request is judged by one set of rules from beginning to end. (Borrowed: a count that all
    /// threads write would be at each request's cost.)
    pub fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Takes the rules of a changed configuration. Requests under way are judged by the old ones; rate limits start
    /// with full buckets. The keys of an identity provider that stays the same are kept; so are the secrets and nonces of access
    /// keys.
    pub fn reload(&self, config: &Config) {
        let rules = Rules::start(config, Some(&self.rules.load()));
        self.rules.store(Arc::new(rules));
        let usual = TokenKey::new(config.lifetimes.usual());
        self.handout.set_usual(usual.expect("the configuration takes only lifetimes that a token can have"));
    }

    /// Marks the server as not ready, so that load balancers send callers elsewhere. Returns how long to keep serving.
    pub fn drain(&self) -> Duration {
        self.is_draining.store(true, Ordering::Relaxed);
        self.rules.load().config.drain
    }

    /// Returns whether the server is shutting down.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Decides what the caller may have. The lifetime is rounded down to a configured one, after the caller's own limit.
    ///
    /// # Errors
    ///
    /// 400 for a profile or scope that the configuration does not list, or no scope where there is none to choose for this
    /// caller; 403 for one that this caller may not have.
    pub fn authorize(
        &self,
        rules: &Rules,
        caller: &Caller<'_>,
        request: TokenRequest<'_>,
    ) -> Result<Permit<'_>, Problem> {
        let profile = self.handout.profile(request.profile)?;
        caller.policy.admit_profile(&profile.name)?;
        let scope = match request.scope {
            Some(scope) => Some(caller.policy.admit_scope(profile.listed_scope(scope)?)?),
            None => caller.policy.scope_of(profile.scope.as_ref(), &profile.scopes)?,
        };
        let wanted = request.lifetime.unwrap_or(DEFAULT_LIFETIME);
        // No caller's limit is below the shortest one. Rounding bounds how many different tokens callers can cause.
        let longest = caller.policy.config.max_ttl.unwrap_or(Duration::MAX);
        let key = TokenKey::new(rules.config.lifetimes.round_down(wanted.min(longest)));
        let key = key.expect("a configured lifetime is one that a token can have").with_scope(scope);
        Ok(Permit { profile, key })
    }

    /// Notes with a refusal who asked, and which of the configured profiles and scopes for. Any other name is a stranger's
    /// text, and is not repeated.
    pub fn note(&self, problem: Problem, caller: &Caller<'_>, request: TokenRequest<'_>) -> Problem {
        let profile = self.handout.profile(request.profile).ok();
        let scope = profile.zip(request.scope).and_then(|(profile, scope)| profile.listed_scope(scope).ok());
        let profile = profile.map(|profile| Arc::clone(&profile.name));
        problem.with_subject(Subject { profile, scope, ..caller.subject() })
    }

    /// Returns what hands out tokens for permits.
    pub fn handout(&self) -> &Handout {
        &self.handout
    }
}

#[cfg(test)]
mod tests;
