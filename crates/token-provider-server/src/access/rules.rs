//! The rules of one configuration, and the order in which they are asked.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use token_provider::{DEFAULT_LIFETIME, SystemClock, is_loopback_address};

use super::api_key::{self, ApiKeys};
use super::browser::{self, BrowserRules, Cors};
use super::caller::Caller;
use super::connection::Ends;
use super::hints::Hints;
use super::host::HostRules;
use super::mtls::Mtls;
use super::policy::Policy;
use super::proxy::TrustedProxy;
use super::rate::{Limiter, network_of};
use crate::config::{Config, Lifetimes, OidcConfig, RateConfig};
use crate::oidc::IdentityProvider;
use crate::problem::Problem;
use crate::reason::{Method, Rule};

/// What callers without a name may ask of one address that is not loopback, unless the configuration says otherwise.
/// A wrong credential is charged to its address as well. (A right one is let in all the same: who shares an address
/// with somebody who guesses is not shut out.)
const ADDRESS_RATE: RateConfig = RateConfig {
    count: NonZeroU32::new(50).expect("is not zero"),
    per: Duration::from_secs(1),
    burst: NonZeroU32::new(200).expect("is not zero"),
};

pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// All rules but those about profiles and scopes, which stand with the tokens.
#[derive(Debug)]
pub struct Rules {
    hosts: HostRules,
    browser: BrowserRules,
    hints: Hints,
    lifetimes: Lifetimes,
    pub(super) drain: Duration,
    api_keys: ApiKeys,
    identity_provider: Option<(IdentityProvider, Policy)>,
    mtls: Option<Mtls>,
    trusted_proxy: Option<TrustedProxy>,
    /// `None` when everybody has to say who they are.
    anonymous: Option<Policy>,
    /// For those without a name, and for those who show a wrong one; those without an address, at a Unix socket, share one
    /// bucket.
    addresses: Limiter<Option<IpAddr>>,
    /// Loopback and Unix sockets have no limit unless the configuration sets one.
    limits_local: bool,
}

/// What a request shows to say who its caller is.
enum Presented<'a> {
    Nothing,
    ApiKey(&'a [u8]),
    /// A bearer token that is no API key.
    Token(&'a [u8]),
}

impl Rules {
    /// Makes the rules of a configuration. `previous` is what was in force before it changed. With an identity provider
    /// it spawns the task that keeps its keys fresh, and needs a Tokio runtime.
    pub(super) fn start(config: &Config, previous: Option<&Self>) -> Self {
        let access = &config.access;
        let previous = previous.and_then(|previous| previous.identity_provider.as_ref());
        let identity_provider = |oidc: &OidcConfig| {
            let previous = previous.map(|(provider, _)| provider);
            let provider = IdentityProvider::spawn_refresher(oidc, Arc::new(SystemClock), previous);
            (provider, Policy::new(&oidc.policy))
        };
        let mut anonymous_policy = access.anonymous_policy.clone();
        // That rate is for each address, not for all of them together.
        let address_rate = anonymous_policy.rate.take();
        Self {
            hosts: HostRules::new(config),
            browser: BrowserRules::new(config),
            hints: Hints::default(),
            lifetimes: config.lifetimes.clone(),
            drain: config.drain,
            api_keys: ApiKeys::new(&access.api_keys),
            identity_provider: access.oidc.as_ref().map(identity_provider),
            mtls: access.mtls.as_ref().map(Mtls::new),
            trusted_proxy: access.trusted_proxy.as_ref().map(TrustedProxy::new),
            anonymous: access.lets_anyone_in().then(|| Policy::new(&anonymous_policy)),
            addresses: Limiter::new(address_rate.unwrap_or(ADDRESS_RATE)),
            limits_local: address_rate.is_some(),
        }
    }

    /// Returns the identity provider, and whether it had keys when it was last asked.
    pub fn identity_provider(&self) -> Option<(&str, bool)> {
        self.identity_provider.as_ref().map(|(provider, _)| provider.status())
    }

    /// Judges the name by which the request calls this server, before anything else is done for it, and returns it.
    ///
    /// # Errors
    ///
    /// 400 without a `Host`; 403 for one that is not ours (DNS rebinding).
    pub fn admit_host<'r>(
        &self,
        headers: &'r HeaderMap,
        authority: Option<&'r str>,
        ends: &Ends,
    ) -> Result<&'r str, Problem> {
        self.hosts.admit(headers, authority, ends)
    }

    /// Judges the web page that a request comes from, if any. Returns the CORS headers that the answer gets.
    ///
    /// # Errors
    ///
    /// 403 for a page that may not ask.
    pub fn admit_page(&self, headers: &HeaderMap, host: &str, ends: &Ends) -> Result<Cors, Problem> {
        let admitted = self.browser.admit(headers, host, self.is_tls(headers, ends));
        admitted.inspect_err(|_| self.hints.refused_page(headers))
    }

    /// Writes the headers by which a preflight is answered that may ask.
    pub fn apply_preflight(&self, request: &HeaderMap, headers: &mut HeaderMap) {
        let callers_name = self.trusted_proxy.as_ref().and_then(TrustedProxy::header);
        Cors::apply_preflight(request, callers_name, headers);
    }

    /// Returns the CORS headers of a refusal for what is no page's fault, such as its `Host` or its length: a page that
    /// the configuration lists may read it.
    pub fn cors_of_refusal(&self, headers: &HeaderMap) -> Cors {
        self.browser.listed(headers)
    }

    /// Judges the same where no page but the server's own may ask, whatever the configuration allows elsewhere.
    ///
    /// # Errors
    ///
    /// 403 for any other page, and for a prefetch.
    pub fn admit_own_page(headers: &HeaderMap, host: &str, ends: &Ends) -> Result<(), Problem> {
        let own = BrowserRules::none().admit(headers, host, ends.is_tls);
        own.map_err(|_| Problem::access_denied(Rule::Origin, "only pages of this listener itself may ask"))?;
        browser::refuse_prefetch(headers)
    }

    /// Returns who is asking. Any of the configured ways lets a caller in; one that shows a wrong credential, and nothing
    /// else that counts, is refused even where callers without a name are let in: it claims to be somebody.
    ///
    /// # Errors
    ///
    /// 401 when the caller has not shown who it is; 403 when its token lacks a required claim; 429 when it asks too often;
    /// 503 when its token cannot be judged for want of the identity provider's keys.
    pub async fn authenticate<'r>(&'r self, headers: &HeaderMap, ends: &Ends) -> Result<Caller<'r>, Problem> {
        let shown = match self.presented(headers) {
            Presented::Nothing => None,
            Presented::ApiKey(key) => {
                Some(self.api_keys.authenticate(key).ok_or_else(Problem::invalid_token))
            }
            Presented::Token(token) => Some(self.authenticate_token(token).await),
        };
        let (named, refusal) = match shown.transpose() {
            Ok(named) => (named, None),
            Err(problem) => (None, Some(problem)),
        };
        let named = named
            .or_else(|| self.certified(ends))
            .or_else(|| self.trusted_proxy.as_ref()?.authenticate(headers, peer(ends)));
        let refusal = refusal.or_else(|| ends.client.is_rejected().then(Problem::rejected_certificate));
        let unauthenticated = || Problem::unauthenticated(&self.ways());
        self.admit(named, refusal, self.address(headers, ends), unauthenticated)
    }

    /// Returns who a caller at the OAuth 2.0 endpoint is. `secret` is its client id and secret, that is, the id and text of
    /// an API key; a caller without one may have a certificate, or need none.
    ///
    /// # Errors
    ///
    /// 401 when it is not known; 429 when it asks too often.
    pub fn authenticate_client<'r>(
        &'r self,
        secret: Option<(&str, &[u8])>,
        address: Option<IpAddr>,
        ends: &Ends,
    ) -> Result<Caller<'r>, Problem> {
        let (named, refusal) = if let Some((id, secret)) = secret {
            (self.api_keys.authenticate_as(id, secret), Some(Problem::invalid_client()))
        } else {
            let rejected = ends.client.is_rejected().then(Problem::rejected_client_certificate);
            (self.certified(ends), rejected)
        };
        let unauthenticated = || Problem::unauthenticated_client(&self.client_ways());
        self.admit(named, refusal, address, unauthenticated)
    }

    /// Lets a named caller in, within its rate. Anybody else is charged to its address, and let in where nobody has to
    /// say who they are, unless it has shown a wrong credential.
    fn admit<'r>(
        &'r self,
        named: Option<Caller<'r>>,
        refusal: Option<Problem>,
        address: Option<IpAddr>,
        unauthenticated: impl FnOnce() -> Problem,
    ) -> Result<Caller<'r>, Problem> {
        let admitted = match named {
            Some(caller) => caller.admit_rate().map(|()| caller),
            None => self.admit_address(address).and_then(|()| match (refusal, &self.anonymous) {
                (Some(problem), _) => Err(problem),
                (None, Some(policy)) => Ok(Caller::anonymous(policy)),
                (None, None) => Err(unauthenticated()),
            }),
        };
        admitted.map(|caller| caller.at(address)).map_err(|problem| problem.with_address(address))
    }

    async fn authenticate_token(&self, token: &[u8]) -> Result<Caller<'_>, Problem> {
        let (provider, policy) = self.identity_provider.as_ref().ok_or_else(Problem::invalid_token)?;
        let subject = provider.authenticate(token).await?;
        Ok(Caller::named(Method::Oidc, subject, policy))
    }

    /// Returns whether a certificate names the caller already.
    pub fn has_certificate(&self, ends: &Ends) -> bool {
        self.certified(ends).is_some()
    }

    fn certified(&self, ends: &Ends) -> Option<Caller<'_>> {
        self.mtls.as_ref()?.authenticate(ends.client.names()?)
    }

    /// Returns how a caller can authenticate here; only what is configured.
    fn ways(&self) -> String {
        let proxy_names_callers = self.trusted_proxy.as_ref().is_some_and(|proxy| proxy.header().is_some());
        in_words(&[
            (!self.api_keys.is_empty(), "send an API key (X-API-Key, or Authorization: Bearer)"),
            (
                self.identity_provider.is_some(),
                "send a token of your identity provider (Authorization: Bearer)",
            ),
            (self.mtls.is_some(), "show a client certificate"),
            (proxy_names_callers, "come through the proxy in front"),
        ])
    }

    /// The same at the OAuth 2.0 endpoint.
    fn client_ways(&self) -> String {
        in_words(&[
            (
                !self.api_keys.is_empty(),
                "send an API key's id and the key as client id and secret (HTTP Basic, or in the form)",
            ),
            (self.mtls.is_some(), "show a client certificate"),
        ])
    }

    /// Returns whether the caller's side of the connection is encrypted: here, or at a trusted proxy that says so.
    pub fn is_tls(&self, headers: &HeaderMap, ends: &Ends) -> bool {
        let is_at_proxy = || Some(self.trusted_proxy.as_ref()?.says_tls(headers, peer(ends)?));
        ends.is_tls || is_at_proxy().unwrap_or(false)
    }

    /// Returns where the request came from: as a trusted proxy saw it, else the other side of the connection.
    pub fn address(&self, headers: &HeaderMap, ends: &Ends) -> Option<IpAddr> {
        let peer = peer(ends)?;
        Some(self.trusted_proxy.as_ref().map_or(peer, |proxy| proxy.origin_of(headers, peer)))
    }

    /// Returns the ways in which a client may authenticate at the OAuth 2.0 endpoint, by their registered names
    /// (RFC 8414 §2, RFC 8705 §2.1).
    pub fn client_auth_methods(&self) -> Vec<&'static str> {
        let mut methods = Vec::new();
        if !self.api_keys.is_empty() {
            methods.extend(["client_secret_basic", "client_secret_post"]);
        }
        if self.mtls.is_some() {
            methods.push("tls_client_auth");
        }
        if self.anonymous.is_some() {
            methods.push("none");
        }
        methods
    }

    /// Returns the shortest lifetime that is handed out. A request for less is refused, not rounded up.
    pub fn shortest_lifetime(&self) -> Duration {
        self.lifetimes.shortest()
    }

    /// Rounds down to a configured lifetime, so that callers can make the server ask HERE for only so many different
    /// tokens. No caller's limit is below the shortest one, which those get who name none where all are longer.
    pub(super) fn lifetime(&self, caller: &Caller<'_>, wanted: Option<Duration>) -> Duration {
        self.lifetimes.round_down(caller.policy.limit_lifetime(wanted.unwrap_or(DEFAULT_LIFETIME)))
    }

    fn admit_address(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let is_local = address.is_none_or(is_loopback_address);
        if is_local && !self.limits_local { Ok(()) } else { self.addresses.take(&address.map(network_of)) }
    }

    /// `X-API-Key`, or `Authorization: Bearer` (RFC 6750 §2.1). Other schemes are for a proxy in front, which may pass on
    /// what it has judged; so are bearer tokens where nobody has to say who they are and no caller here has one.
    fn presented<'a>(&self, headers: &'a HeaderMap) -> Presented<'a> {
        let mut keys = headers.get_all(X_API_KEY).iter();
        if let Some(key) = keys.next() {
            // Two are a doubt about which counts: neither.
            return Presented::ApiKey(if keys.next().is_some() { b"" } else { key.as_bytes() });
        }
        let Some(value) = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) else {
            return Presented::Nothing;
        };
        // Whatever stands behind the scheme's name, if it is no space as it should be: it claims to be somebody.
        let end = value.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(value.len());
        let (scheme, token) = value.split_at(end);
        if !scheme.eq_ignore_ascii_case(b"Bearer") {
            return Presented::Nothing;
        }
        let token = token.trim_ascii();
        if token.starts_with(api_key::PREFIX.as_bytes()) {
            Presented::ApiKey(token)
        } else if self.anonymous.is_some() && self.identity_provider.is_none() && self.api_keys.is_empty() {
            Presented::Nothing
        } else {
            Presented::Token(token)
        }
    }
}

fn in_words(ways: &[(bool, &str)]) -> String {
    let ways: Vec<&str> =
        ways.iter().filter(|(is_configured, _)| *is_configured).map(|(_, way)| *way).collect();
    if ways.is_empty() { "nobody is let in here".to_owned() } else { ways.join(", or ") }
}

/// The address of the other side; an IPv4 one that came in through IPv6 is the same address.
fn peer(ends: &Ends) -> Option<IpAddr> {
    ends.peer.map(|peer| peer.ip().to_canonical())
}
