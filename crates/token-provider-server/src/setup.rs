//! From a configuration to a server that is ready to run: credentials are found and read, rules put together.

mod credential_file;
mod issuer;
mod summary;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use token_provider::{Credential, Error, HereIssuer, Proxies, TokenKey, TokenProvider};

use crate::access::{Access, Handout, Profile};
use crate::config::{AuditConfig, Config, Environment, LogLevel, ProfileConfig};
use crate::listen::{Listener, Tls, TlsError};
use crate::telemetry::MeteredIssuer;
use crate::telemetry::audit::Audit;
use crate::topic::Topic;

use self::issuer::here_issuer;

pub use self::credential_file::{is_readable_by_others, read_api_key, warn_of_others};
pub use self::issuer::{FoundCredential, ProfileIssuer, find_credential, issuer};
pub use self::summary::{Summary, TokenSource, listening_on};

/// Why a configuration that reads well cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A profile's credential, or its issuer, cannot be used.
    #[error("profile {profile}: {source}")]
    Profile {
        /// The profile's name.
        profile: String,
        /// What is wrong, and what to do.
        source: Error,
    },
    /// The profile in use is written down nowhere: a typing mistake must not get the ambient credential.
    #[error(
        "profile {profile}: there is neither [profiles.{profile}] in the configuration nor a section [{profile}] in \
         ~/.here/credentials.ini{}",
        meant.as_ref().map_or_else(String::new, |meant| format!("; did you mean \"{meant}\"?"))
    )]
    UnknownProfile {
        /// The name that was given.
        profile: String,
        /// One that is there and looks like it.
        meant: Option<String>,
    },
    /// The identity provider cannot be reached as the environment says.
    #[error("access.oidc: {0}")]
    IdentityProvider(Error),
    /// A file that the configuration names cannot be read.
    #[error("profile {profile}: {key}: {}: cannot be read", file.display())]
    File {
        /// The profile's name.
        profile: String,
        /// The key that names the file.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The audit trail cannot be written.
    #[error("audit.to: {place}: cannot be opened")]
    Audit {
        /// What the configuration says.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Reachable from outside, and nobody has said who may ask.
    #[error(
        "{listen} can be reached from outside this machine, and nothing says who may ask. Either listen on \
         localhost:3000; or configure callers ([[access.api_keys]], [access.oidc], [access.mtls] or \
         [access.trusted_proxy] with its header); or say --anonymous if something else protects the server"
    )]
    Open {
        /// The listener that is too open.
        listen: String,
    },
}

impl SetupError {
    pub(crate) fn topic(&self) -> Topic {
        match self {
            Self::Profile { source, .. } | Self::IdentityProvider(source) => source.kind().into(),
            Self::UnknownProfile { .. } => Topic::UnknownProfile,
            Self::File { .. } => Topic::ProfileFile,
            Self::Audit { .. } => Topic::AuditTrail,
            Self::Tls(_) => Topic::Certificate,
            Self::Open { .. } => Topic::Exposed,
        }
    }
}

/// What to be told of a listener that the network reaches without TLS.
pub const IN_THE_CLEAR: &str = "keys and tokens go over the network in the clear: set tls.cert and tls.key, or \
                                access.trusted_proxy if a proxy in front speaks TLS";

/// Refuses a server that anyone on the network could get tokens from without anyone having meant it.
///
/// # Errors
///
/// [`SetupError::Open`].
pub fn check_exposure(config: &Config) -> Result<(), SetupError> {
    match config.exposed_listener() {
        Some(listen) => Err(SetupError::Open { listen: listen.to_string() }),
        None => Ok(()),
    }
}

/// The same for sockets that are bound: what systemd passes is only known then.
///
/// # Errors
///
/// [`SetupError::Open`].
pub fn check_listeners(config: &Config, listeners: &[Listener]) -> Result<(), SetupError> {
    if config.access.says_who_may_ask() {
        return Ok(());
    }
    match listeners.iter().find(|listener| !listener.is_local()) {
        Some(listener) => Err(SetupError::Open { listen: listener.to_string() }),
        None => Ok(()),
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
/// [`SetupError::Tls`], with the file.
pub fn tls(config: &Config) -> Result<Option<Arc<Tls>>, SetupError> {
    Ok(config.tls.as_ref().map(Tls::load).transpose()?.map(Arc::new))
}

/// Opens the audit trail. Its newest lines are kept where a status page can show them.
///
/// # Errors
///
/// [`SetupError::Audit`]: a server that is to leave a trail does not run without.
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
    let audit = Audit::start(&config.audit, config.admin.listen.is_some());
    audit.map_err(|source| SetupError::Audit { place: audit_place(config), source })
}

/// Says whether the audit trail could be opened, and leaves it as it is.
///
/// # Errors
///
/// [`SetupError::Audit`].
pub fn check_audit(config: &Config) -> Result<(), SetupError> {
    Audit::probe(&config.audit).map_err(|source| SetupError::Audit { place: audit_place(config), source })
}

fn audit_place(config: &Config) -> String {
    match &config.audit {
        AuditConfig::File(path) => path.display().to_string(),
        AuditConfig::Journal => "journal".to_owned(),
        _ => "the audit trail".to_owned(),
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
        if let Some(file) = found.file().filter(|file| is_readable_by_others(file)) {
            warn_of_others(file);
        }
        sources.push(found.token_source(name));
        let issuer = issuer(name, config, found)?;
        profiles.push(profile_of(name, config, issuer.metered(name)));
        issuers.push((name.clone(), issuer));
    }
    Ok(Service { access: access_with(config, profiles), issuers, sources })
}

/// Looks at the proxy variables for the identity provider; issuers look at them for themselves. A value that cannot be
/// used and is not needed deserves a warning.
fn check_proxy(config: &Config) -> Result<(), SetupError> {
    let proxies = Proxies::from_env();
    if let Some(oidc) = &config.access.oidc {
        proxies.for_url(&oidc.discovery).map_err(SetupError::IdentityProvider)?;
    }
    if let Some(problem) = proxies.problem() {
        tracing::warn!("{problem}; no request needs it so far");
    }
    Ok(())
}

/// Makes a profile from its credential, and returns with it the issuer whose credential can be rotated.
///
/// # Errors
///
/// As for [`issuer`].
pub fn profile(
    name: &str,
    config: &Config,
    credential: Credential,
) -> Result<(Profile, Arc<HereIssuer>), SetupError> {
    let issuer = Arc::new(here_issuer(name, config.profile(name), credential)?);
    Ok((profile_of(name, config, MeteredIssuer::here(name, Arc::clone(&issuer))), issuer))
}

fn profile_of(name: &str, config: &Config, issuer: MeteredIssuer) -> Profile {
    let ProfileConfig { scopes, scope, .. } = config.profile(name);
    // What callers get who name no lifetime, so that the token fetched at the start is the one they ask for.
    let key =
        TokenKey::new(config.lifetimes.usual()).expect("the configuration takes only lifetimes of HERE");
    let issuer = Arc::new(issuer.sharing_with(config.profiles.len()));
    let builder = TokenProvider::builder(Arc::clone(&issuer)).default_key(key);
    // At the highest level, so that it is around every line, however little is logged.
    let provider =
        tracing::error_span!("tokens", profile = name, issuer = issuer.place()).in_scope(|| builder.build());
    Profile::new(name, scopes.clone(), provider).with_scope(scope.clone()).with_issuer(issuer)
}

fn unreadable(profile: &str, key: &'static str, file: &Path) -> impl FnOnce(io::Error) -> SetupError {
    move |source| SetupError::File { profile: profile.to_owned(), key, file: file.to_owned(), source }
}

fn failed(profile: &str) -> impl Fn(Error) -> SetupError {
    move |source| SetupError::Profile { profile: profile.to_owned(), source }
}

/// Puts the access rules together around profiles made before.
pub fn access_with(config: &Config, profiles: Vec<Profile>) -> Access {
    Access::start(config, Handout::new(profiles, &config.profile))
}
