//! The configuration: file, environment and flags become one [`Config`], parsed once, here.
//!
//! Flags beat environment variables (`TOKEN_PROVIDER_SECTION__KEY`), which beat the file, which beats defaults. The file holds no
//! secret, only hashes and names of files.

mod access;
mod cors;
mod hint;
mod log;
mod oidc;
mod outputs;
mod overrides;
mod policy;
mod profile;
mod rules;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::access::{
    AccessConfig, ApiKeyConfig, HereKeyConfig, MtlsConfig, TrustedProxyConfig, key_lifetime,
};
pub use self::log::{AuditConfig, LogConfig, LogFormat};
pub use self::oidc::{KeySource, OidcConfig};
pub use self::outputs::{OutputConfig, TokenFormat, output_path};
pub use self::overrides::{FileOption, ListenOption, LogOptions, Overrides, SourceOptions};
pub use self::policy::{PolicyConfig, RuleConfig};
pub use self::profile::{ProfileConfig, Remote};
#[cfg(feature = "store")]
pub use self::store::Topology;
pub use self::store::{StoreConfig, StorePlace};
pub(crate) use crate::settings::did_you_mean;
pub use crate::settings::{ConfigErrors, Environment};
pub use crate::values::{Host, Lifetimes, Listen, Origin, OriginPattern, Owner, PublicHost, UnixPlace};

use self::hint::MISPLACED_SECRETS;
use self::policy::Known;
use crate::settings::{self, List, Locations, Section};
use crate::values::duration::duration;
use crate::values::host::public_host;
use crate::values::listen;
use crate::values::name::name;
use crate::values::ttl::lifetime;

/// The default port.
const DEFAULT_PORT: u16 = 3000;

/// The profile for callers that name none.
const DEFAULT_PROFILE: &str = "default";

/// A server that goes on for longer after SIGTERM looks as if it hung.
const LONGEST_DRAIN: Duration = Duration::from_secs(10 * 60);

/// The whole configuration. Every field is validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that was read, to be watched for changes.
    pub file: Option<PathBuf>,
    /// Where callers are answered; one place at least.
    pub listen: Vec<Listen>,
    /// Names under which the server is known outside, besides loopback names and its own addresses.
    pub public_hosts: Vec<PublicHost>,
    /// The lifetimes that tokens are requested with.
    pub lifetimes: Lifetimes,
    /// How long the server keeps serving, while not ready, before it stops.
    pub drain: Duration,
    /// The certificate; without it the server speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// The profile of callers who name none; it is among `profiles`.
    pub profile: String,
    /// Where tokens come from, by name.
    pub profiles: BTreeMap<String, ProfileConfig>,
    /// The origins, besides the server's own, whose web pages are allowed.
    pub origins: Vec<OriginPattern>,
    /// Which callers are allowed.
    pub access: AccessConfig,
    /// The files that hold a fresh token.
    pub outputs: Vec<OutputConfig>,
    /// Where tokens are kept outside the process.
    pub store: Option<StoreConfig>,
    /// Where metrics and status are, apart from the callers; nowhere unless this is set. A port alone is on loopback.
    pub admin: Option<Listen>,
    /// How to log.
    pub log: LogConfig,
    /// Where audit events go.
    pub audit: AuditConfig,
    /// What the log is to say of the configuration before anything else.
    pub warnings: Vec<String>,
    /// Whether the profile in use is written down, or the default one: only then may its credential be the ambient one.
    pub is_profile_known: bool,
}

impl Config {
    /// Finds and reads the configuration file, and lays environment and flags over it.
    ///
    /// The file is the one that `--config` or `TOKEN_PROVIDER_CONFIG` names, else `token-provider.toml` in the
    /// working directory if no other user can have written it, else `/etc/token-provider/config.toml`, else none.
    ///
    /// # Errors
    ///
    /// Lists everything that is wrong, each problem with its place.
    pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Self, ConfigErrors> {
        let locations = Locations::new(overrides.file.config.as_deref(), environment);
        let Some(path) = locations.find()? else {
            return Self::parse(None, environment, overrides);
        };
        let text = locations.read(&path)?;
        let mut config = Self::parse(Some((&path, &text)), environment, overrides)?;
        config.warnings.extend(locations.unjudged(&path));
        Ok(config)
    }

    /// Reads the text of a configuration file, if there is one, and lays environment and flags over it.
    ///
    /// # Errors
    ///
    /// Lists everything that is wrong, each problem with its place. A file that is not TOML has no keys to look at,
    /// so its syntax is reported first and alone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::path::Path;
    /// # use token_provider_server::parts::config::{Config, Environment, Overrides};
    /// let file = (Path::new("token-provider.toml"), "[cors]\norgins = ['https://maps.example.com']");
    /// let error = Config::parse(Some(file), &Environment::default(), &Overrides::default()).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "token-provider.toml:2: cors.orgins: unknown key; did you mean \"origins\"?"
    /// );
    /// ```
    pub fn parse(
        file: Option<(&Path, &str)>,
        environment: &Environment,
        overrides: &Overrides,
    ) -> Result<Self, ConfigErrors> {
        let read = |section: &mut Section<'_>| Self::read(section, overrides);
        let (mut config, warnings) = settings::read(file, environment, &MISPLACED_SECRETS, read)?;
        config.file = file.map(|(path, _)| path.to_owned());
        config.warnings = warnings.iter().map(ToString::to_string).collect();
        Ok(config)
    }

    /// Returns the files that it names and the server needs itself, and the folder of the store.
    pub fn needed_files(&self) -> Vec<&Path> {
        let tls = self.tls.iter().flat_map(TlsConfig::files);
        let secrets = self.access.here_keys.iter().map(|key| &key.secret_file);
        let of_providers = self.access.oidc.iter().flat_map(|oidc| oidc.keys.files());
        let audit = if let AuditConfig::File(path) = &self.audit { Some(path) } else { None };
        let of_profiles = self.profiles.values().flat_map(ProfileConfig::files);
        let store = self.store.iter().flat_map(StoreConfig::files);
        let named = tls.chain(secrets).chain(of_providers).chain(audit).chain(of_profiles).chain(store);
        named.map(PathBuf::as_path).collect()
    }

    /// Returns the settings of a profile that is among `profiles`.
    pub(crate) fn profile(&self, name: &str) -> &ProfileConfig {
        self.profiles.get(name).expect("profile names come from the configuration")
    }

    /// Returns whether the network sees requests in the clear: neither this server nor a trusted proxy has TLS.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none() && self.access.trusted_proxy.is_none()
    }

    /// Reads the sections in order of their dependencies.
    fn read(section: &mut Section<'_>, flags: &Overrides) -> Self {
        let given = section.arguments("--listen", "listen", &flags.listeners.listen, listen::listen);
        let listed = section.list("listen", List::NotEmptyNumbers, listen::listen);
        let usual = || vec![Listen::Tcp { host: Host::Localhost, port: DEFAULT_PORT }];
        let listen = given.or(listed).unwrap_or_else(usual);
        let lifetimes = section.list("lifetimes", List::NotEmptyNumbers, lifetime);
        let lifetimes = lifetimes.and_then(Lifetimes::new).unwrap_or_default();

        let given = section.argument("--profile", flags.source.profile.as_deref(), name);
        let set = section.text("profile", name);
        let profile = given.or(set).unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        let mut profiles = profile::read_all(section.table_or_empty("profiles"));
        let is_profile_known = profile == DEFAULT_PROFILE
            || profiles.contains_key(&profile)
            || flags.source.credentials.is_some();
        // A profile without settings has a credential all the same: in the environment, or in one of the usual files.
        profiles.entry(profile.clone()).or_default().apply(flags, section);

        let mut tls = section.table("tls");
        let tls_config = tls.as_mut().map(read_tls);
        let client_ca = tls.is_some_and(|tls| tls.is_set("client_ca"));
        let usual = PolicyConfig { profiles: vec![profile.clone()], ..PolicyConfig::default() };
        let known = Known { profiles: &profiles, usual: &usual, lifetimes: &lifetimes };
        let mut access = access::read(section.table_or_empty("access"), &known, client_ca);
        access.anonymous |= flags.anonymous;
        let by_proxy = access.naming_proxy().map(|_| "access.trusted_proxy");
        let ambient = access.mtls.as_ref().map(|_| "access.mtls").or(by_proxy);
        let is_local = !flags.is_on_network && listen.iter().all(Listen::is_local);
        let mut config = Self {
            file: None,
            public_hosts: section.list("public_hosts", List::Any, public_host).unwrap_or_default(),
            lifetimes,
            drain: section.text_or_number("drain", drain).unwrap_or_default(),
            tls: tls_config,
            profile,
            profiles,
            origins: cors::read(section.table_or_empty("cors"), flags, is_local, ambient),
            access,
            outputs: Vec::new(),
            store: section.table("store").and_then(store::read),
            admin: log::read_admin(section.table_or_empty("admin"), &listen),
            log: log::read_log(section.table_or_empty("log"), flags),
            audit: section.table_or_empty("audit").text("to", log::audit).unwrap_or_default(),
            warnings: Vec::new(),
            is_profile_known,
            listen,
        };
        let known = Known { profiles: &config.profiles, usual: &usual, lifetimes: &config.lifetimes };
        config.outputs = outputs::read(section, &known, &config.needed_files());
        config
    }
}

/// A configuration, and what it can be loaded from again.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The configuration in use.
    pub config: Config,
    /// The flags, which still take precedence over the file.
    pub overrides: Overrides,
    /// The environment, which a running process keeps.
    pub environment: Environment,
}

impl LoadedConfig {
    /// Loads the configuration by the environment of this process.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each problem with its place.
    pub fn from_process(overrides: Overrides) -> Result<Self, ConfigErrors> {
        let environment = Environment::from_process();
        let config = Config::load(&overrides, &environment)?;
        Ok(Self { config, overrides, environment })
    }
}

/// The server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file with the certificate and its chain.
    pub cert: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// PEM file with the authorities for client certificates; without it none is requested.
    pub client_ca: Option<PathBuf>,
}

impl TlsConfig {
    /// Returns all of its files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten()
    }
}

fn read_tls(section: &mut Section<'_>) -> TlsConfig {
    let (cert, key, client_ca) = (section.path("cert"), section.path("key"), section.path("client_ca"));
    section.need(&[
        ("cert", "the path of the certificate chain in PEM form"),
        ("key", "the path of the private key in PEM form"),
    ]);
    TlsConfig { cert: cert.unwrap_or_default(), key: key.unwrap_or_default(), client_ca }
}

/// Reads how long a server that is to stop goes on serving.
fn drain(text: &str) -> Result<Duration, &'static str> {
    let drain = duration(text)?;
    if drain > LONGEST_DRAIN { Err("expected a duration from 0s to 10m") } else { Ok(drain) }
}

#[cfg(test)]
mod tests;
