//! From a configuration to a server that is ready to run: credentials are found and read, rules put together.

mod credential;
mod here_key;
mod issuer;
mod summary;

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use token_provider::{CredentialSource, Proxies, SharedIssuer, SystemClock, TokenKey, TokenProvider};
use tracing::level_filters::LevelFilter;

use crate::access::{Access, Handout, Profile};
use crate::config::{AuditConfig, Config, Environment, Listen, OidcConfig, ProfileConfig, StoreConfig};
use crate::failure::Failure;
use crate::listen::{Listener, Tls};
use crate::store::{ProfileStore, TokenStore};
use crate::telemetry::MeteredIssuer;
use crate::telemetry::audit::Audit;
use crate::topic::Topic;

use self::credential::read_credential;

pub use self::credential::{
    Secret, TokenSource, find_credential, is_readable_by_others, key_name, read_api_key, warn_of_others,
};
pub use self::here_key::{read_here_secret, read_here_secrets};
pub use self::issuer::{ProfileIssuer, issuer};
pub use self::summary::{listening_on, summary};

/// What to be told of a listener that the network reaches without TLS.
pub const IN_THE_CLEAR: &str = "keys and tokens are sent over the network unencrypted: set tls.cert and \
                                tls.key, or access.trusted_proxy if a proxy in front terminates TLS";

/// Refuses to expose a server to the network without an access rule.
///
/// # Errors
///
/// Names the listener.
pub fn check_exposure(config: &Config) -> Result<(), Failure> {
    // What systemd passes is known when it is bound.
    let is_open = |listen: &&Listen| !listen.is_local() && !matches!(listen, Listen::Systemd(_));
    check_open(config, config.listen.iter().find(is_open))
}

/// The same for sockets that are bound.
///
/// # Errors
///
/// Names the listener.
pub fn check_listeners(config: &Config, listeners: &[Listener]) -> Result<(), Failure> {
    check_open(config, listeners.iter().find(|listener| !listener.is_local()))
}

fn check_open(config: &Config, open: Option<impl Display>) -> Result<(), Failure> {
    let Some(listen) = open.filter(|_| !config.access.has_access_rule()) else { return Ok(()) };
    let message = format!(
        "{listen} can be reached from other machines, but no access rule is configured. Listen on \
         localhost:3000; or configure callers ([[access.api_keys]], [[access.here_keys]], [access.oidc], [access.mtls], or \
         [access.trusted_proxy] with its header); or pass --anonymous if something else protects the server"
    );
    Err(Failure::new(Topic::Exposed, message))
}

/// Reads the certificate that TCP listeners show, where one is configured.
///
/// # Errors
///
/// Names the file.
pub fn tls(config: &Config) -> Result<Option<Arc<Tls>>, Failure> {
    config.tls.as_ref().map(|files| Tls::load(files, Arc::new(SystemClock)).map(Arc::new)).transpose()
}

/// Opens the audit trail. Its newest lines are kept where a status page can show them.
///
/// # Errors
///
/// If the audit trail cannot be opened.
pub fn audit(config: &Config) -> Result<Option<Audit>, Failure> {
    if config.audit == AuditConfig::Log && config.log.level < LevelFilter::INFO {
        tracing::warn!(
            "audit lines are logged at level info, which log.level suppresses; change log.level or audit.to"
        );
    }
    Audit::start(&config.audit, config.admin.is_some()).map_err(no_audit(config))
}

/// Checks that the audit trail could be opened, and leaves it as it is.
///
/// # Errors
///
/// Why it cannot.
pub fn check_audit(config: &Config) -> Result<(), Failure> {
    Audit::probe(&config.audit).map_err(no_audit(config))
}

fn no_audit(config: &Config) -> impl FnOnce(io::Error) -> Failure {
    let place = match &config.audit {
        AuditConfig::File(path) => path.display().to_string(),
        _ => "the audit trail".to_owned(),
    };
    let message = format!("audit.to: {place}: cannot be opened");
    move |error| Failure::new(Topic::AuditTrail, message).caused_by(error)
}

/// Returns the files that a program with this configuration and these credentials needs itself: none may become an output.
pub fn needed_files<'s>(
    config: &'s Config,
    sources: impl IntoIterator<Item = &'s TokenSource>,
) -> Arc<[PathBuf]> {
    let named = config.file.as_deref().into_iter().chain(config.needed_files());
    named.chain(sources.into_iter().flat_map(TokenSource::files)).map(Path::to_owned).collect()
}

/// Access rules with a provider for each profile behind them.
#[derive(Debug)]
pub struct Service {
    /// The rules, and the providers.
    pub access: Access,
    /// Where each profile's tokens come from, and what requests them.
    pub issuers: Vec<(TokenSource, ProfileIssuer)>,
    /// Where tokens are kept outside the process.
    pub store: Option<Arc<TokenStore>>,
}

/// Puts the access rules together, with a provider for each profile behind them. With `--sandbox` every profile has the
/// access key of the offline account.
///
/// # Errors
///
/// The first profile that cannot be set up.
pub fn service(
    config: &Config,
    environment: &Environment,
    sandbox: Option<&CredentialSource>,
) -> Result<Service, Failure> {
    // Issuers check theirs when they are made.
    for OidcConfig { name, keys, .. } in &config.access.oidc {
        let Some(url) = &keys.url else { continue };
        Proxies::from_env().for_url(url).map_err(Failure::setup(format!("identity provider {name}")))?;
    }
    let store = config.store.as_ref().map(TokenStore::new).transpose()?.map(Arc::new);
    config.store.iter().flat_map(StoreConfig::secrets).for_each(|file| warn_of_others(file));
    let (mut profiles, mut issuers) = (Vec::new(), Vec::new());
    for name in config.profiles.keys() {
        let (source, secret) = match sandbox {
            None => find_credential(name, config, environment)?,
            Some(account) => {
                let (found, secret) = read_credential(name, account.clone())?;
                (TokenSource { credential: "made for the sandbox".to_owned(), ..found }, secret)
            }
        };
        source.files().for_each(warn_of_others);
        let issuer = issuer(name, config, secret)?;
        let (metered, store) = match &issuer {
            ProfileIssuer::Here { issuer, .. } => (MeteredIssuer::here(Arc::clone(issuer)), store.clone()),
            // What that one holds, its own store has.
            ProfileIssuer::Remote(issuer) => {
                (MeteredIssuer::other(Arc::clone(issuer), source.endpoint.clone()), None)
            }
        };
        profiles.push(profile(name, config, metered, store));
        issuers.push((source, issuer));
    }
    let access = Access::start(config, Handout::new(profiles, &config.profile));
    read_here_secrets(config, &access)?;
    Ok(Service { access, issuers, store })
}

fn profile(name: &str, config: &Config, issuer: MeteredIssuer, store: Option<Arc<TokenStore>>) -> Profile {
    let ProfileConfig { scopes, scope, replaces, .. } = config.profile(name);
    // The lifetime of callers who name none, so that the token fetched at the start is the one that they request.
    let key =
        TokenKey::new(config.lifetimes.usual()).expect("the configuration takes only lifetimes of HERE");
    let issuer = Arc::new(issuer.sharing_with(config.profiles.len()));
    let shared = store.map(|store| ProfileStore { store, issuer: Arc::clone(&issuer) });
    let builder = match shared {
        Some(store) => TokenProvider::builder(SharedIssuer::new(Arc::clone(&issuer), store)),
        None => TokenProvider::builder(Arc::clone(&issuer)),
    };
    // At the highest level, so that it is around every line, however little is logged.
    let provider = tracing::error_span!("tokens", profile = name, issuer = issuer.endpoint())
        .in_scope(|| builder.default_key(key).build());
    let mut profile = Profile::new(name, scopes.clone(), provider);
    (profile.scope, profile.issuer, profile.replaces) = (scope.clone(), Some(issuer), *replaces);
    profile
}
