//! Configuration: file, environment and flags become one [`Config`], parsed once, here. The only room that reads the
//! environment.
//!
//! Flags beat environment variables (`TOKEN_PROVIDER_SECTION__KEY`), which beat the file, which beats defaults. All of
//! them end up in one tree (`tree.rs`); the sections read it key by key (`read.rs`) into types that have no room for a
//! wrong value. Everything wrong is reported in one go, with place, key and what was expected, and never with the
//! value: a secret pasted into the wrong line must not reach a log. The file itself holds no secret, only hashes and
//! names of files.

mod access;
mod environment;
mod error;
mod file;
mod host;
mod lifetimes;
mod listen;
mod log;
mod network;
mod origin;
mod policy;
mod profile;
mod read;
mod sources;
mod tls;
mod tree;
mod units;
mod unix;
mod unknown;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::access::{AccessConfig, ApiKeyConfig, MtlsConfig, OidcConfig, SubjectName, TrustedProxyConfig};
pub use self::environment::Environment;
pub use self::error::{ConfigError, Problem};
pub use self::host::PublicHost;
pub use self::lifetimes::Lifetimes;
pub use self::listen::{Host, Listen};
pub use self::log::{AdminConfig, AuditConfig, LogConfig, LogFormat, LogLevel};
pub use self::network::IpNet;
pub use self::origin::{CorsConfig, Origin, OriginPattern};
pub use self::policy::{PolicyConfig, RateConfig};
pub use self::profile::ProfileConfig;
pub use self::sources::Overrides;
pub use self::tls::TlsConfig;
pub use self::unix::{Owner, UnixPlace};

use self::error::Place;
pub(crate) use self::error::did_you_mean;
use self::file::Places;
use self::listen::DEFAULT_PORT;
use self::policy::Known;
use self::profile::DEFAULT_PROFILE;
use self::read::{List, Section};
use self::tree::Table;

/// The whole configuration. Each field is what it says: nothing is left to be checked later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that was read, to be watched for changes.
    pub file: Option<PathBuf>,
    /// Where callers are answered; one place at least.
    pub listen: Vec<Listen>,
    /// Names under which the server is known outside, besides loopback names and its own addresses.
    pub public_hosts: Vec<PublicHost>,
    /// The lifetimes that tokens are asked for with.
    pub lifetimes: Lifetimes,
    /// How long a server that is to stop is not ready and goes on serving.
    pub drain: Duration,
    /// The certificate; without it the server speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// The profile of callers who name none; it is among `profiles`.
    pub profile: String,
    /// Where tokens come from, by name.
    pub profiles: BTreeMap<String, ProfileConfig>,
    /// Which web pages may ask.
    pub cors: CorsConfig,
    /// Which callers may ask.
    pub access: AccessConfig,
    /// The listener for metrics and status.
    pub admin: AdminConfig,
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
    /// working directory if nobody else can have written it, else `/etc/token-provider/config.toml`, else none.
    ///
    /// # Errors
    ///
    /// Lists everything that is wrong, each problem with its place.
    pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Self, ConfigError> {
        let found = Places::new(overrides, environment).find();
        let Some(path) = found.map_err(|problem| ConfigError::new(vec![problem]))? else {
            return Self::parse(None, environment, overrides);
        };
        let text = Self::read_file(&path, overrides, environment)?;
        Self::parse(Some((&path, &text)), environment, overrides)
    }

    /// Reads the text of the file that [`load`](Self::load) has found, which may have changed.
    ///
    /// # Errors
    ///
    /// Why it cannot be read: one that is missing is an error here.
    pub fn read_file(
        path: &Path,
        overrides: &Overrides,
        environment: &Environment,
    ) -> Result<String, ConfigError> {
        Places::new(overrides, environment).read(path).map_err(|problem| ConfigError::new(vec![problem]))
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
    /// # use token_provider_server::config::{Config, Environment, Overrides};
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
    ) -> Result<Self, ConfigError> {
        let path: Arc<Path> = file.map_or_else(|| Path::new(""), |(path, _)| path).into();
        let mut table = match file {
            Some((_, text)) => tree::from_toml(&path, text).map_err(ConfigError::new)?,
            None => Table::new(),
        };
        let mut problems = Vec::new();
        sources::lay_environment(&mut table, environment, &mut problems);
        let written = sources::profiles_in(&table);
        sources::lay_overrides(&mut table, overrides, &mut problems);
        let top = Place::File { file: path, line: 0, column: None };
        let mut config = Section::walk(table, top, String::new(), &mut problems, Self::read);
        let (warnings, problems): (Vec<_>, Vec<_>) = problems.into_iter().partition(Problem::is_warning);
        if !problems.is_empty() {
            return Err(ConfigError::new(problems));
        }
        config.file = file.map(|(path, _)| path.to_owned());
        config.warnings = warnings.iter().map(ToString::to_string).collect();
        config.is_profile_known = config.profile == DEFAULT_PROFILE
            || written.contains(&config.profile)
            || overrides.credentials.is_some();
        config.log.level = config.log.level.shifted(overrides.verbosity);
        // On the network the flag takes the place of the default, as flags do.
        let is_local = !overrides.is_on_network && config.listen.iter().all(Listen::is_local);
        if is_local && !overrides.allow_origin.is_empty() {
            let without = Overrides { allow_origin: Vec::new(), ..overrides.clone() };
            config.cors.add(Self::parse(file, environment, &without)?.cors);
        }
        Ok(config)
    }

    /// Returns the first listener through which anyone on the network could get tokens without anyone having meant it.
    pub fn exposed_listener(&self) -> Option<&Listen> {
        if self.access.says_who_may_ask() {
            return None;
        }
        // What systemd passes is only known once it is there: it is judged when it is bound.
        let is_open = |listen: &&Listen| !listen.is_local() && !matches!(listen, Listen::Systemd(_));
        self.listen.iter().find(is_open)
    }

    /// Says whether what goes over the network is in the clear: nobody here speaks TLS, and no proxy is known that does.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none() && self.access.trusted_proxy.is_none()
    }

    /// Reads the sections in an order in which each finds what it has to agree with.
    fn read(section: &mut Section<'_>) -> Self {
        let listen = section.list("listen", List::NotEmptyNumbers, listen::listen);
        let listen =
            listen.unwrap_or_else(|| vec![Listen::Tcp { host: Host::Localhost, port: DEFAULT_PORT }]);
        let public_hosts = section.list("public_hosts", List::Any, host::public_host).unwrap_or_default();
        let lifetimes = lifetimes::read(section);
        let drain = section.text_or_number("drain", units::drain).unwrap_or_default();
        let profile = section.text("profile", units::name).unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        let profiles = section.section("profiles", profile::read_all).unwrap_or_default();
        let (tls, client_ca) = section
            .section("tls", |section| (tls::read(section), section.is_set("client_ca")))
            .map_or((None, false), |(tls, client_ca)| (Some(tls), client_ca));

        let known = Known { profiles: &profiles, default_profile: &profile, lifetimes: &lifetimes };
        let access = section.section_or_empty("access", |section| access::read(section, &known, client_ca));
        let ambient = match &access {
            AccessConfig { mtls: Some(_), .. } => Some("access.mtls"),
            AccessConfig { trusted_proxy: Some(proxy), .. } if proxy.header.is_some() => {
                Some("access.trusted_proxy")
            }
            _ => None,
        };
        let cors = section.section("cors", |section| origin::read(section, ambient)).unwrap_or_default();

        let admin = section.section("admin", |section| log::read_admin(section, &listen)).unwrap_or_default();
        let log = section.section("log", log::read_log).unwrap_or_default();
        let audit = section.section("audit", log::read_audit).unwrap_or_default();

        let mut config = Self {
            file: None,
            listen,
            public_hosts,
            lifetimes,
            drain,
            tls,
            profile,
            profiles,
            cors,
            access,
            admin,
            log,
            audit,
            warnings: Vec::new(),
            is_profile_known: false,
        };
        // A profile without settings has a credential all the same: in the environment, or in one of the usual files.
        config.profiles.entry(config.profile.clone()).or_default();
        config
    }
}

/// Says whether a caller or profile may have this name.
///
/// # Errors
///
/// What was expected.
pub fn check_name(text: &str) -> Result<(), &'static str> {
    units::name(text).map(drop)
}

impl Environment {
    /// Takes the variables of this process.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the environment is read; everybody else gets this snapshot"
    )]
    pub fn from_process() -> Self {
        Self::from_pairs(std::env::vars_os())
    }
}

#[cfg(test)]
mod tests;
