//! From a configuration to a server that is ready to run: credentials are found and read, rules put together.

mod credential;
mod error;
mod issuer;
mod summary;

use std::io;
use std::sync::Arc;

use token_provider::{Credential, Proxies, SystemClock, TokenKey, TokenProvider};

use crate::access::{Access, Handout, Profile};
use crate::config::{AuditConfig, Config, Environment, LogLevel, ProfileConfig};
use crate::listen::{Listener, Tls};
use crate::telemetry::MeteredIssuer;
use crate::telemetry::audit::Audit;
use crate::topic::Topic;

use self::issuer::here_issuer;

pub use self::credential::{
    TokenSource, find_credential, is_readable_by_others, read_api_key, warn_of_others,
};
pub use self::error::SetupError;
pub use self::issuer::{ProfileIssuer, issuer};
pub use self::summary::{listening_on, summary};

/// What to be told of a listener that the network reaches without TLS.
pub const IN_THE_CLEAR: &str = "keys and tokens go over the network in the clear: set tls.cert and tls.key, or \
                                access.trusted_proxy if a proxy in front speaks TLS";

/// Refuses a server that anyone on the network could get tokens from without anyone having meant it.
///
/// # Errors
///
/// Names the listener.
pub fn check_exposure(config: &Config) -> Result<(), SetupError> {
    config.exposed_listener().map_or(Ok(()), |listen| Err(SetupError::open(listen)))
}

/// The same for sockets that are bound: what systemd passes is only known then.
///
/// # Errors
///
/// Names the listener.
pub fn check_listeners(config: &Config, listeners: &[Listener]) -> Result<(), SetupError> {
    match listeners.iter().find(|listener| !listener.is_local()) {
        Some(listener) if !config.access.says_who_may_ask() => Err(SetupError::open(listener)),
        _ => Ok(()),
    }
}

/// Warns of sockets through which keys and tokens go over the network in the clear. It may be meant so, as in a network of
/// containers that encrypts by itself: nothing is refused.
pub fn warn_of_plain_listeners(config: &Config, listeners: &[Listener]) {
    if config.is_plain() {
        for listener in listeners.iter().filter(|listener| !listener.is_local()) {
            tracing::warn!(%listener, "{IN_THE_CLEAR}");
        }
    }
}

/// Reads the certificate that TCP listeners show, where one is configured.
///
/// # Errors
///
/// Names the file.
pub fn tls(config: &Config) -> Result<Option<Arc<Tls>>, SetupError> {
    let load = |files| Tls::load(files, Arc::new(SystemClock)).map(Arc::new);
    let tls = config.tls.as_ref().map(load).transpose();
    tls.map_err(|error| SetupError::new(Topic::Certificate, error.to_string(), Some(error.into())))
}

/// Opens the audit trail. Its newest lines are kept where a status page can show them.
///
/// # Errors
///
/// A server that is to leave a trail does not run without.
pub fn audit(config: &Config) -> Result<Option<Audit>, SetupError> {
    if config.audit == AuditConfig::Log && config.log.level < LogLevel::Info {
        tracing::warn!(
            "audit lines go into the log at level info, and so are left out; set log.level or audit.to"
        );
    }
    if config.audit == AuditConfig::Journal {
        tracing::warn!(
            "audit.to = \"journal\" is the same as \"stdout\", which systemd writes to the journal; set it to \"stdout\""
        );
    }
    Audit::start(&config.audit, config.admin.is_some()).map_err(no_audit(config))
}

/// Checks that the audit trail could be opened, and leaves it as it is.
///
/// # Errors
///
/// Why it cannot.
pub fn check_audit(config: &Config) -> Result<(), SetupError> {
    Audit::probe(&config.audit).map_err(no_audit(config))
}

fn no_audit(config: &Config) -> impl Fn(io::Error) -> SetupError {
    let place = match &config.audit {
        AuditConfig::File(path) => path.display().to_string(),
        AuditConfig::Journal => "journal".to_owned(),
        _ => "the audit trail".to_owned(),
    };
    move |error| {
        let message = format!("audit.to: {place}: cannot be opened");
        SetupError::new(Topic::AuditTrail, message, Some(error.into()))
    }
}

/// Access rules with a provider for each profile behind them.
#[derive(Debug)]
pub struct Service {
    /// The rules, and the providers.
    pub access: Access,
    /// Where each profile's tokens come from, by the profile's name.
    pub issuers: Vec<(String, ProfileIssuer)>,
    /// Where tokens come from, for the log.
    pub sources: Vec<TokenSource>,
}

/// Puts the access rules together, with a provider for each profile behind them.
///
/// # Errors
///
/// The first profile that cannot be set up.
pub fn service(config: &Config, environment: &Environment) -> Result<Service, SetupError> {
    check_proxy(config)?;
    let (mut profiles, mut issuers, mut sources) = (Vec::new(), Vec::new(), Vec::new());
    for name in config.profiles.keys() {
        let found = find_credential(name, config, environment)?;
        if let Some(file) = found.file.as_ref().filter(|file| is_readable_by_others(file)) {
            warn_of_others(file);
        }
        sources.push(found.token_source(name));
        let issuer = issuer(name, config, found)?;
        profiles.push(profile_of(name, config, issuer.metered()));
        issuers.push((name.clone(), issuer));
    }
    Ok(Service { access: access_with(config, profiles), issuers, sources })
}

/// Looks at the proxy variables for the identity provider; issuers look at them for themselves. A value that cannot be
/// used and is not needed deserves a warning.
fn check_proxy(config: &Config) -> Result<(), SetupError> {
    let proxies = Proxies::from_env();
    if let Some(oidc) = &config.access.oidc {
        proxies.for_url(&oidc.discovery).map_err(SetupError::of("access.oidc"))?;
    }
    if let Some(problem) = proxies.problem() {
        tracing::warn!("{problem}; no request needs it so far");
    }
    Ok(())
}

/// Makes a profile whose tokens HERE issues for this credential, which does not change.
///
/// # Errors
///
/// As for `issuer`.
pub fn profile(name: &str, config: &Config, credential: Credential) -> Result<Profile, SetupError> {
    let issuer = here_issuer(name, config.profile(name), credential)?;
    Ok(profile_of(name, config, MeteredIssuer::here(Arc::new(issuer))))
}

fn profile_of(name: &str, config: &Config, issuer: MeteredIssuer) -> Profile {
    let ProfileConfig { scopes, scope, .. } = config.profile(name);
    // What callers get who name no lifetime, so that the token fetched at the start is the one they ask for.
    let key =
        TokenKey::new(config.lifetimes.usual()).expect("the configuration takes only lifetimes of HERE");
    let issuer = Arc::new(issuer.sharing_with(config.profiles.len()));
    let builder = TokenProvider::builder(Arc::clone(&issuer)).default_key(key);
    // At the highest level, so that it is around every line, however little is logged.
    let provider = tracing::error_span!("tokens", profile = name, issuer = issuer.endpoint())
        .in_scope(|| builder.build());
    let mut profile = Profile::new(name, scopes.clone(), provider);
    (profile.scope, profile.issuer) = (scope.clone(), Some(issuer));
    profile
}

/// Puts the access rules together around profiles made before.
pub fn access_with(config: &Config, profiles: Vec<Profile>) -> Access {
    Access::start(config, Handout::new(profiles, &config.profile))
}
