//! The rules of one configuration, and the order in which they are asked.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use governor::Quota;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::{Value, json};
use token_provider::{Clock as _, SystemClock, is_loopback_address};
use zeroize::Zeroizing;

use super::api_key;
use super::caller::Caller;
use super::connection::{ClientCertificate, ConnectionInfo};
use super::here_key::{self, HereKey, Nonce, Signature, SignedRequest};
use super::policy::{Policy, Way};
use super::rate::{Limiter, network_of};
use crate::config::{ApiKeyConfig, Config, MtlsConfig, OutputConfig, TrustedProxyConfig};
use crate::oidc::{self, IdentityProvider};
use crate::problem::Problem;
use crate::reason::{Method, Rejection, Rule};
use crate::values::name::HERE_KEY;

/// What callers without a name may ask of one address that is not loopback, unless the configuration says otherwise.
/// A wrong credential is charged to its address as well. (A right one is let in all the same: who shares an address
/// with somebody who guesses is not shut out.)
const ADDRESS_RATE: Quota = Quota::per_second(NonZeroU32::new(50).expect("is not zero"))
    .allow_burst(NonZeroU32::new(200).expect("is not zero"));

const HERE_KEY_WAY: &str = "sign a `POST /oauth2/token` with an access key of this server, as HERE's SDKs do";
const OIDC_WAY: &str = "send a token from your identity provider (Authorization: Bearer)";

/// Signing as in OAuth 1.0, which is not registered as a way to authenticate in OAuth 2.0.
const OAUTH_1: &str = "urn:ietf:rfc:5849";

pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// All rules but those about profiles and scopes, which stand with the tokens.
#[derive(Debug)]
pub struct Rules {
    /// What they are made from.
    pub(crate) config: Config,
    api_keys: Vec<Way<ApiKeyConfig>>,
    here_keys: Vec<Way<Arc<HereKey>>>,
    identity_providers: Vec<Way<IdentityProvider>>,
    mtls: Option<Way<MtlsConfig>>,
    pub(super) trusted_proxy: Option<Way<TrustedProxyConfig>>,
    outputs: Vec<Way<OutputConfig>>,
    /// `None` when everybody has to say who they are.
    anonymous: Option<Policy>,
    /// For those without a name, and for those who show a wrong one; those without an address, at a Unix socket, share one
    /// bucket.
    addresses: Limiter<Option<IpAddr>>,
    /// Loopback and Unix sockets have no limit unless the configuration sets one.
    limits_local: bool,
}

/// How a client at an OAuth 2.0 endpoint says who it is.
pub(crate) enum Client<'r> {
    /// Not at all, in the head of its request.
    Unnamed,
    /// By the id of an API key, and the key (RFC 6749 §2.3.1).
    Secret { id: Zeroizing<String>, secret: Zeroizing<String> },
    /// By a signature, or what claims to be one.
    Signed(Result<Signature, Problem>),
    /// In a way that the other endpoints have; `None` if it has shown nothing.
    Shown(Result<Option<Caller<'r>>, Problem>),
}

impl Rules {
    /// Makes the rules of a configuration. `previous` is what was in force before it changed. With an identity provider
    /// it spawns the task that keeps its keys fresh, and needs a Tokio runtime.
    pub(super) fn start(config: &Config, previous: Option<&Self>) -> Self {
        let access = &config.access;
        let here_keys =
            here_key::start(&access.here_keys, previous.map_or(&[], |previous| &previous.here_keys));
        let previous = previous.map_or(&[][..], |previous| &previous.identity_providers);
        let mut identity_providers: Vec<Way<IdentityProvider>> = Vec::new();
        for oidc in &access.oidc {
            let others = identity_providers.iter().chain(previous).map(|way| &way.config);
            let provider = IdentityProvider::spawn_refresher(oidc, Arc::new(SystemClock), others);
            identity_providers.push(Way::new(provider, &oidc.policy));
        }
        let mut anonymous_policy = access.anonymous_policy.clone();
        // That rate is for each address, not for all of them together.
        let address_rate = anonymous_policy.rate.take();
        Self {
            config: config.clone(),
            api_keys: access.api_keys.iter().map(|key| Way::new(key.clone(), &key.policy)).collect(),
            here_keys,
            identity_providers,
            mtls: access.mtls.as_ref().map(|mtls| Way::new(mtls.clone(), &mtls.policy)),
            trusted_proxy: access.trusted_proxy.as_ref().map(|proxy| Way::new(proxy.clone(), &proxy.policy)),
            outputs: config.outputs.iter().map(|output| Way::new(output.clone(), &output.policy())).collect(),
            anonymous: access.allows_anonymous().then(|| Policy::new(&anonymous_policy)),
            addresses: Limiter::new(address_rate.unwrap_or(ADDRESS_RATE)),
            limits_local: address_rate.is_some(),
        }
    }

    /// Returns the identity providers by name, in the order of the configuration, each with why its last answer brought no keys, if so.
    pub fn identity_providers(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        self.identity_providers.iter().map(|provider| provider.config.status())
    }

    /// Authenticates the caller, by any of the configured methods. A caller with a wrong credential and no valid one is
    /// refused even if anonymous callers are allowed, because it claims an identity.
    ///
    /// # Errors
    ///
    /// 401 when the caller has not shown who it is; 403 when its token lacks a required claim; 429 when it asks too often;
    /// 503 when its token cannot be judged for want of the identity provider's keys.
    pub async fn authenticate<'r>(
        &'r self,
        headers: &HeaderMap,
        connection: &ConnectionInfo,
    ) -> Result<Caller<'r>, Problem> {
        let shown = match self.identify(headers, connection).await {
            Ok(None) if connection.client == ClientCertificate::Rejected => {
                Err(Rejection::Certificate.into())
            }
            shown => shown,
        };
        let unauthenticated = || Problem::unauthenticated(&self.ways(false));
        let missing = self.missing_header(headers, connection);
        self.admit(shown, self.address(headers, connection), missing, unauthenticated)
    }

    /// Returns the caller that the head of a request shows, by any of the configured methods but those of a client at the OAuth 2.0
    /// endpoint. It has not been admitted yet.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        connection: &ConnectionInfo,
    ) -> Result<Option<Caller<'_>>, Problem> {
        let shown = self.authenticate_head(headers).await;
        // A signature with a key of this server is judged whatever else there is.
        if matches!(shown, Ok(Some(_))) || has_own_signature(headers) {
            return shown;
        }
        let by_proxy = || self.trusted_proxy.as_ref()?.authenticate(headers, connection.address());
        let otherwise = match self.certified(connection) {
            Some(Ok(caller)) => Some(Ok(caller)),
            refused => by_proxy().or(refused),
        };
        match (shown, otherwise) {
            (shown, None) | (shown @ Err(_), Some(Err(_))) => shown,
            (_, Some(verdict)) => verdict.map(Some),
        }
    }

    /// Authenticates a client at the OAuth 2.0 endpoint. One that names nobody, or an access key that is not of this server, may have
    /// a certificate, or need nothing. With a key of this server comes the nonce to be noted.
    ///
    /// # Errors
    ///
    /// 401 when it is not known or its signature is not good; 429 when it asks too often.
    pub(crate) fn authenticate_client<'r>(
        &'r self,
        client: Client<'r>,
        request: &SignedRequest<'_>,
        address: Option<IpAddr>,
        missing_header: Option<&HeaderName>,
        connection: &ConnectionInfo,
    ) -> Result<(Caller<'r>, Option<Nonce>), Problem> {
        let (now, has_signed) = (SystemClock.now(), matches!(client, Client::Signed(_)));
        let is_client = !matches!(client, Client::Shown(_));
        let mut signed = None;
        let named = match client {
            Client::Unnamed => Ok(None),
            Client::Shown(shown) => shown,
            Client::Secret { id, secret } => {
                api_key::authenticate(&self.api_keys, secret.as_bytes(), Some(&id), now.wall).map(Some)
            }
            Client::Signed(signature) => signature.and_then(|signature| {
                let found = here_key::authenticate(&self.here_keys, &signature, request, now)?;
                Ok(found.map(|(caller, nonces)| {
                    signed = Some((nonces, signature));
                    caller
                }))
            }),
        };
        let shown = match named {
            Ok(None) if connection.client == ClientCertificate::Rejected => {
                Err(Problem::rejected(Rejection::Certificate, true))
            }
            Ok(None) => self.certified(connection).transpose(),
            named => named,
        };
        let unauthenticated = || Problem::unauthenticated_client(has_signed, &self.ways(is_client));
        let caller = self.admit(shown, address, missing_header, unauthenticated)?;
        let nonce = signed.map(|(nonces, signature)| nonces.reserve(&signature, now)).transpose();
        let nonce = nonce.map_err(|problem| problem.with_subject(caller.subject()))?;
        Ok((caller, nonce))
    }

    /// Returns whether a signature has to be verified with the form that it may cover. All others are judged without.
    pub(crate) fn needs_form(&self, signature: &Result<Signature, Problem>) -> bool {
        let Ok(signature) = signature else { return false };
        signature.is_timely(SystemClock.now()) && here_key::find(&self.here_keys, &signature.key_id).is_some()
    }

    /// Has requests of this access key be verified with this secret from now on. Returns whether it is another one than before.
    pub fn set_secret(&self, id: &str, secret: SecretString) -> bool {
        here_key::find(&self.here_keys, id).is_some_and(|key| key.config.set_secret(secret))
    }

    /// Lets a named caller in, within its rate. Anybody else is charged to its address, and let in where nobody has to
    /// say who they are, unless it has shown a wrong credential, or none and not the header that is then required.
    fn admit<'r>(
        &'r self,
        shown: Result<Option<Caller<'r>>, Problem>,
        address: Option<IpAddr>,
        missing_header: Option<&HeaderName>,
        unauthenticated: impl FnOnce() -> Problem,
    ) -> Result<Caller<'r>, Problem> {
        let admitted = match (shown, missing_header) {
            (Ok(Some(caller)), _) => caller.admit_rate().map(|()| caller),
            // Not charged to the address, whose other programs would pay for it.
            (Ok(None), Some(header)) => {
                let expected = "once and not empty, and none of Forwarded, Via and X-Forwarded-*";
                let description = format!("without a credential, send the header {header}, {expected}");
                Err(Problem::access_denied(Rule::Header, &description))
            }
            (other, _) => self.admit_address(address).and(other).and_then(|_nobody| {
                let policy = self.anonymous.as_ref().ok_or_else(unauthenticated)?;
                Ok(Caller::new(Method::Anonymous, None, policy))
            }),
        };
        match admitted {
            Ok(caller) => Ok(Caller { address, ..caller }),
            Err(problem) => Err(problem.with(|it| it.subject.address = address)),
        }
    }

    /// Returns the caller whose client certificate has an allowed name; the one on the list is the caller's, unless there are rules:
    /// then it is the one that a rule matches. The connection has checked the chain against `tls.client_ca`.
    pub(crate) fn certified(&self, connection: &ConnectionInfo) -> Option<Result<Caller<'_>, Problem>> {
        let ClientCertificate::Verified(names) = &connection.client else { return None };
        let Way { config: MtlsConfig { allow, .. }, policy } = self.mtls.as_ref()?;
        let allowed = allow.iter().find(|allowed| names.contains(allowed));
        if allowed.is_none() && (policy.rules.is_empty() || !allow.is_empty()) {
            return None;
        }
        let identity = |name: &String| (Arc::from(name.as_str()), json!({ "names": name }));
        let identities = || names.iter().map(identity).collect();
        let name = allowed.or_else(|| names.first()).map(|name| Arc::from(name.as_str()));
        Some(policy.caller(Method::Mtls, name, identities))
    }

    /// Returns the output at a path, and who it is as a caller.
    pub fn output(&self, path: &Path) -> Option<(&OutputConfig, Caller<'_>)> {
        let Way { config, policy } = self.outputs.iter().find(|output| output.config.path == path)?;
        let name = path.to_string_lossy().into();
        Some((config, Caller::new(Method::Output, Some(name), policy)))
    }

    /// Returns how a caller can authenticate, or a client at the OAuth 2.0 endpoint; only what is configured.
    fn ways(&self, is_client: bool) -> String {
        let key = if is_client {
            "send an API key's id as the client id and the key as the client secret (HTTP Basic, or form \
             fields)"
        } else {
            "send an API key (X-API-Key, or Authorization: Bearer)"
        };
        let has_naming_proxy = self.config.access.naming_proxy().is_some();
        let ways = configured([
            (!self.api_keys.is_empty(), key),
            (!self.here_keys.is_empty(), HERE_KEY_WAY),
            (!is_client && !self.identity_providers.is_empty(), OIDC_WAY),
            (self.mtls.is_some(), "present a client certificate"),
            (!is_client && has_naming_proxy, "connect through the proxy in front"),
        ]);
        if ways.is_empty() { "this server refuses all callers".to_owned() } else { ways.join(", or ") }
    }

    /// Returns whether the caller's side of the connection is encrypted: here, or at a trusted proxy that says so.
    pub fn is_tls(&self, headers: &HeaderMap, connection: &ConnectionInfo) -> bool {
        let is_at_proxy = || Some(self.trusted_proxy.as_ref()?.says_tls(headers, connection.address()?));
        connection.is_tls || is_at_proxy().unwrap_or(false)
    }

    /// Returns where the request came from: as a trusted proxy saw it, else the other side of the connection.
    pub fn address(&self, headers: &HeaderMap, connection: &ConnectionInfo) -> Option<IpAddr> {
        let peer = connection.address()?;
        Some(self.trusted_proxy.as_ref().map_or(peer, |proxy| proxy.origin_of(headers, peer)))
    }

    /// Returns the ways in which a client may authenticate at the OAuth 2.0 endpoint, by their registered names
    /// (RFC 8414 §2, RFC 8705 §2.1); one that has none goes by a URI (RFC 7591 §2).
    pub fn client_auth_methods(&self) -> Vec<&'static str> {
        configured([
            (!self.api_keys.is_empty(), "client_secret_basic"),
            (!self.api_keys.is_empty(), "client_secret_post"),
            (!self.here_keys.is_empty(), OAUTH_1),
            (self.mtls.is_some(), "tls_client_auth"),
            (self.anonymous.is_some(), "none"),
        ])
    }

    fn admit_address(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let is_local = address.is_none_or(is_loopback_address);
        if is_local && !self.limits_local { Ok(()) } else { self.addresses.take(&address.map(network_of)) }
    }

    /// Returns the caller that `X-API-Key` or `Authorization: Bearer` (RFC 6750 §2.1) names, if the head has one of them. Other
    /// schemes are for a proxy in front, which may pass on what it has judged; so are bearer tokens where nobody has to say
    /// who they are and no caller here has one.
    async fn authenticate_head(&self, headers: &HeaderMap) -> Result<Option<Caller<'_>>, Problem> {
        let by_key = |key| api_key::authenticate(&self.api_keys, key, None, SystemClock.now().wall).map(Some);
        let mut keys = headers.get_all(X_API_KEY).iter();
        if let Some(key) = keys.next() {
            // With two keys it is unclear which one applies, so neither does.
            return by_key(if keys.next().is_some() { b"" } else { key.as_bytes() });
        }
        let Some(value) = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) else { return Ok(None) };
        // Whatever stands behind the scheme's name, if it is no space as it should be: it claims to be somebody.
        let end = value.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(value.len());
        let (scheme, token) = value.split_at(end);
        let token = token.trim_ascii();
        if has_own_signature(headers) {
            return Err(Problem::rejected_token(
                "an access key signs only requests to POST /oauth2/token or /oauth2/revoke",
            ));
        }
        if !scheme.eq_ignore_ascii_case(b"Bearer") {
            return Ok(None);
        }
        if token.starts_with(api_key::PREFIX.as_bytes()) {
            return by_key(token);
        }
        if self.anonymous.is_some() && self.identity_providers.is_empty() && self.api_keys.is_empty() {
            return Ok(None);
        }
        if self.identity_providers.is_empty() {
            return Err(Problem::invalid_token());
        }
        let providers = self.identity_providers.iter().map(|way| (&way.config, &way.policy));
        let (policy, subject, claims) = Box::pin(oidc::authenticate(providers, token)).await?;
        let identities = || vec![(Arc::clone(&subject), Value::Object(claims))];
        policy.caller(Method::Oidc, Some(Arc::clone(&subject)), identities).map(Some)
    }
}

/// Returns whether a request is signed with an access key of this server, or claims to be.
fn has_own_signature(headers: &HeaderMap) -> bool {
    matches!(Signature::of(headers), Some(Ok(signature)) if signature.key_id.starts_with(HERE_KEY))
}

/// Returns the texts of what is configured.
fn configured<const N: usize>(texts: [(bool, &'static str); N]) -> Vec<&'static str> {
    texts.into_iter().filter(|(is_configured, _)| *is_configured).map(|(_, text)| text).collect()
}
