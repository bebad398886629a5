//! Who is asking, and what they may have.
//!
//! Steps: *admit* looks at where a request comes from (its `Host` and, from a web page, its origin);
//! *authenticate* makes a [`Caller`]; *authorize* makes a [`Permit`]. Only this room can make one, and the [`Handout`],
//! which owns the token providers, gives a token for nothing else: a handler that forgets access control does not
//! compile.

mod browser;
mod handout;
mod host;

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use token_provider::{Scope, TokenKey};

use crate::config::{Config, Lifetimes, PublicHost};
use crate::problem::Problem;

pub use self::browser::Cors;
pub use self::handout::{Handout, Profile};

use self::browser::BrowserRules;
use self::handout::ProfileName;
use self::host::HostRules;

/// The lifetime of a token when the caller does not say.
const DEFAULT_TTL: u64 = 3600;
/// The shortest that a caller may ask for.
const MIN_TTL: u64 = 60;

/// The access rules of a running server, and the tokens behind them.
#[derive(Debug)]
pub struct Access {
    hosts: HostRules,
    browser: BrowserRules,
    lifetimes: Lifetimes,
    handout: Handout,
}

/// The two ends of a connection; a Unix socket has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// The address that the connection came in on.
    pub local: Option<SocketAddr>,
    /// The address of the other side.
    pub peer: Option<SocketAddr>,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caller {
    /// Anyone; where from is all that is known.
    Anonymous {
        /// The address, unless the request came through a Unix socket.
        address: Option<IpAddr>,
    },
}

/// What a caller wishes for, as it wrote it.
#[derive(Debug, Default)]
pub struct Wish<'a> {
    /// The lifetime in seconds, as digits.
    pub ttl: Option<&'a str>,
    /// The profile's name.
    pub profile: Option<&'a str>,
    /// The scope.
    pub scope: Option<&'a str>,
}

/// Leave to have one kind of token. Made by [`Access::authorize`] alone.
#[derive(Debug)]
pub struct Permit<'a> {
    profile: &'a Profile,
    key: TokenKey,
}

impl Access {
    /// Puts the rules together.
    pub fn new(config: &Config, handout: Handout) -> Self {
        Self {
            hosts: HostRules::new(config),
            browser: BrowserRules::new(config),
            lifetimes: config.lifetimes.clone(),
            handout,
        }
    }

    /// Judges the name by which the request calls this server, before anything else is done for it.
    ///
    /// # Errors
    ///
    /// 400 without a `Host`; 403 for one that is not ours (DNS rebinding).
    pub fn admit_host(
        &self,
        headers: &HeaderMap,
        authority: Option<&str>,
        ends: Ends,
    ) -> Result<PublicHost, Problem> {
        self.hosts.admit(headers, authority, ends)
    }

    /// Judges the web page that a request comes from, if any. Returns the CORS headers that the answer gets.
    ///
    /// # Errors
    ///
    /// 403 for a page that may not ask.
    pub fn admit_page(&self, headers: &HeaderMap, host: &PublicHost) -> Result<Cors, Problem> {
        self.browser.admit(headers, host)
    }

    /// Says who is asking.
    ///
    /// # Errors
    ///
    /// 401 when nobody may ask without saying who they are.
    pub fn authenticate(&self, ends: Ends) -> Result<Caller, Problem> {
        Ok(Caller::Anonymous {
            address: ends.peer.map(|peer| peer.ip().to_canonical()),
        })
    }

    /// Decides what the caller may have.
    ///
    /// # Errors
    ///
    /// 400 for a parameter that is not well-formed, a profile or scope that the configuration does not list.
    pub fn authorize(&self, _caller: &Caller, wish: &Wish<'_>) -> Result<Permit<'_>, Problem> {
        let lifetime = self.lifetime(wish.ttl)?;
        let profile = self.handout.profile(wish.profile)?;
        let scope = wish.scope.map(|scope| profile.listed_scope(scope)).transpose()?;
        let key = TokenKey::new(lifetime).map_err(|error| Problem::from(&error))?;
        Ok(Permit {
            profile,
            key: key.with_scope(scope),
        })
    }

    /// Returns what hands out tokens for permits.
    pub fn handout(&self) -> &Handout {
        &self.handout
    }

    /// Rounds the wish down to a configured lifetime, so that callers can make the server ask HERE for only so many
    /// different tokens.
    fn lifetime(&self, ttl: Option<&str>) -> Result<std::time::Duration, Problem> {
        let seconds = match ttl {
            None => DEFAULT_TTL,
            // Digits that do not fit are a number above every limit, which is cut down like any other.
            Some(ttl) if !ttl.is_empty() && ttl.bytes().all(|byte| byte.is_ascii_digit()) => {
                ttl.parse().unwrap_or(u64::MAX)
            }
            Some(_) => {
                return Err(Problem::invalid_request(
                    "ttl: expected whole seconds in decimal digits, 60 or more",
                ));
            }
        };
        if seconds < MIN_TTL {
            return Err(Problem::invalid_request("ttl: expected 60 seconds or more"));
        }
        match self.lifetimes.round_down(seconds) {
            Some(lifetime) => Ok(lifetime),
            None if ttl.is_none() => Ok(self.lifetimes.shortest()),
            None => Err(Problem::invalid_request(format!(
                "ttl: the shortest lifetime handed out here is {} seconds",
                self.lifetimes.shortest().as_secs()
            ))),
        }
    }
}

impl Permit<'_> {
    /// Returns what the token is for.
    pub fn key(&self) -> &TokenKey {
        &self.key
    }

    /// Returns the name of the profile whose credential is used.
    pub fn profile(&self) -> &ProfileName {
        self.profile.name()
    }

    /// Returns the scope asked for.
    pub fn scope(&self) -> Option<&Scope> {
        self.key.scope()
    }
}

#[cfg(test)]
mod tests;
