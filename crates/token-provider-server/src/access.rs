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
mod hints;
mod host;
mod mtls;
mod policy;
mod proxy;
mod rate;
mod rules;
mod shares;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use token_provider::{Scope, TokenKey};

use crate::config::Config;
use crate::problem::Problem;

pub use self::browser::Cors;
pub(crate) use self::browser::refuse_prefetch;
pub use self::caller::Caller;
pub use self::connection::{ClientCertificate, ClientNames, Ends};
pub use self::handout::{Handout, Permit, Profile, ProfileStatus};
pub use self::rules::Rules;
pub(crate) use self::rules::X_API_KEY;
pub use self::shares::{Share, Shares};

/// The access rules of a running server, and the tokens behind them.
#[derive(Debug)]
pub struct Access {
    rules: ArcSwap<Rules>,
    handout: Handout,
    is_draining: AtomicBool,
}

/// The profile and the scope that a request names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// The profile's name.
    pub profile: Option<&'a str>,
    /// The scope.
    pub scope: Option<&'a str>,
}

impl Access {
    /// Puts the rules of a configuration before the tokens of its profiles. With an identity provider it spawns the task
    /// that keeps its keys fresh, and needs a Tokio runtime.
    pub fn start(config: &Config, handout: Handout) -> Self {
        let rules = ArcSwap::from_pointee(Rules::start(config, None));
        Self { rules, handout, is_draining: AtomicBool::new(false) }
    }

    /// Returns the rules of the moment. A request is judged by one set of rules from beginning to end.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Takes the rules of a changed configuration. Requests under way are judged by the old ones; rate limits start
    /// with full buckets. The keys of an identity provider that stays the same are kept.
    pub fn reload(&self, config: &Config) {
        let rules = Rules::start(config, Some(&self.rules.load()));
        self.rules.store(Arc::new(rules));
        // Every lifetime that can be configured is one that a token can have.
        if let Ok(key) = TokenKey::new(config.lifetimes.usual()) {
            self.handout.set_usual(key);
        }
    }

    /// Has the server be not ready from now on, so that balancers send callers elsewhere. Returns how long they are given
    /// to notice.
    pub fn drain(&self) -> Duration {
        self.is_draining.store(true, Ordering::Relaxed);
        self.rules.load().drain
    }

    /// Returns whether the server is about to stop.
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
        lifetime: Option<Duration>,
        names: Names<'_>,
    ) -> Result<Permit<'_>, Problem> {
        let lifetime = rules.lifetime(caller, lifetime);
        let profile = self.handout.profile(names.profile)?;
        caller.policy.admit_profile(&profile.name)?;
        let scope = match names.scope {
            Some(scope) => Some(caller.policy.admit_scope(profile.listed_scope(scope)?)?),
            None => caller.policy.scope_of(profile.scope.as_ref(), &profile.scopes)?,
        };
        let key = TokenKey::new(lifetime).map_err(|error| Problem::from(&error))?;
        Ok(Permit { profile, key: key.with_scope(scope) })
    }

    /// Returns which of the configured profiles and scopes a request names: for the audit trail, where it was refused. Any
    /// other name is anybody's text, and is not repeated.
    pub fn find(&self, names: Names<'_>) -> (Option<Arc<str>>, Option<Scope>) {
        let Ok(profile) = self.handout.profile(names.profile) else { return (None, None) };
        let scope = names.scope.and_then(|scope| profile.listed_scope(scope).ok());
        (Some(Arc::clone(&profile.name)), scope)
    }

    /// Returns what hands out tokens for permits.
    pub fn handout(&self) -> &Handout {
        &self.handout
    }
}

#[cfg(test)]
mod tests;
