//! Where a profile's tokens come from: HERE, or another token provider. Setting a profile up takes these two steps: the
//! credential is found, then the issuer is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use token_provider::{
    Credential, CredentialSource, ErrorKind, HereIssuer, HereIssuerConfig, Issue, IssueFuture, Lookup,
    RemoteIssuer, RemoteIssuerConfig, Scope, TokenKey,
};
use url::Url;

use super::{SetupError, TokenSource, failed, read_api_key, unreadable};
use crate::config::{Config, Environment, ProfileConfig, Remote, Source, did_you_mean};
use crate::telemetry::{MeteredIssuer, place_of};

/// What a profile's tokens are requested with, and where that was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum FoundCredential {
    /// HERE's access key.
    AccessKey {
        /// The place.
        source: CredentialSource,
        /// What it holds.
        credential: Credential,
    },
    /// For another token provider.
    ApiKey {
        /// Where that is.
        at: Remote,
        /// Its API key with the file that it is in, where the configuration names one.
        key: Option<(PathBuf, SecretString)>,
    },
}

/// The issuer of one profile's tokens.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProfileIssuer {
    /// HERE.
    Here {
        /// What sends the requests.
        issuer: Arc<HereIssuer>,
        /// Where its credential can be read again.
        source: CredentialSource,
        /// The configuration's scope, which beats the file's.
        scope: Option<Scope>,
    },
    /// Another token provider.
    Remote {
        /// What sends the requests.
        issuer: Arc<RemoteIssuer>,
        /// Where it is.
        at: Remote,
        /// Where its API key can be read again.
        api_key_file: Option<PathBuf>,
    },
}

/// Finds and reads the credential of a profile.
///
/// # Errors
///
/// [`SetupError::Profile`], with the place and the line; [`SetupError::File`] for an API key.
pub fn find_credential(
    name: &str,
    config: &Config,
    environment: &Environment,
) -> Result<FoundCredential, SetupError> {
    let file = match &config.profile(name).source {
        Source::Here { credentials } => credentials,
        Source::Remote { at, api_key_file } => {
            let read = |file: &PathBuf| match read_api_key(file) {
                Ok(key) => Ok((file.clone(), key)),
                Err(error) => Err(unreadable(name, "api_key_file", file)(error)),
            };
            let key = api_key_file.as_ref().map(read).transpose()?;
            return Ok(FoundCredential::ApiKey { at: at.clone(), key });
        }
    };
    if name == config.profile && !config.is_profile_known {
        check_section(name, config, environment)?;
    }
    let source = lookup(name, config, file.as_deref(), environment).find().map_err(failed(name))?;
    let credential = source.load().map_err(failed(name))?;
    Ok(FoundCredential::AccessKey { source, credential })
}

/// A profile that the configuration does not have must be a section of `~/.here/credentials.ini`.
fn check_section(name: &str, config: &Config, environment: &Environment) -> Result<(), SetupError> {
    let ini = home(environment).map(|home| home.join(".here/credentials.ini"));
    let sections = match ini.map(Credential::ini_sections) {
        Some(Ok(sections)) => sections,
        Some(Err(error)) if error.kind() != ErrorKind::CredentialNotFound => return Err(failed(name)(error)),
        _ => Vec::new(),
    };
    if sections.iter().any(|section| section == name) {
        return Ok(());
    }
    let known =
        config.profiles.keys().filter(|profile| *profile != name).chain(&sections).map(String::as_str);
    let meant = did_you_mean(name, known.chain(["default"])).map(str::to_owned);
    Err(SetupError::UnknownProfile { profile: name.to_owned(), meant })
}

/// The default profile's credential is looked for everywhere. Any other's is in the file that the configuration names,
/// or in a section of its own: it must not silently be the default's.
fn lookup(name: &str, config: &Config, file: Option<&Path>, environment: &Environment) -> Lookup {
    let path = |name| environment.variable(name).map(PathBuf::from);
    let mut lookup = Lookup::default();
    lookup.file = file.map(Path::to_owned);
    lookup.home = home(environment);
    lookup.profile = (name != "default").then(|| name.to_owned());
    if name == config.profile && config.is_profile_known {
        lookup.access_key_id = environment.text("HERE_ACCESS_KEY_ID");
        lookup.access_key_secret = environment.secret("HERE_ACCESS_KEY_SECRET");
        lookup.token_endpoint_url = environment.text("HERE_TOKEN_ENDPOINT_URL");
        lookup.scope = environment.text("HERE_TOKEN_SCOPE");
        lookup.credentials_file = path("HERE_CREDENTIALS_FILE");
        lookup.credentials_string = environment.secret("HERE_CREDENTIALS_STRING");
        lookup.credentials_directory = path("CREDENTIALS_DIRECTORY");
        lookup.working_directory = Some(PathBuf::new());
    } else {
        lookup.sections_only = true;
    }
    lookup
}

fn home(environment: &Environment) -> Option<PathBuf> {
    environment.variable("HOME").or_else(|| environment.variable("USERPROFILE")).map(PathBuf::from)
}

/// Makes the issuer that a profile's tokens come from.
///
/// # Errors
///
/// When the extra CA file is of no use, the API key cannot be sent, or TLS cannot be set up.
pub fn issuer(name: &str, config: &Config, found: FoundCredential) -> Result<ProfileIssuer, SetupError> {
    let profile = config.profile(name);
    match found {
        FoundCredential::AccessKey { source, credential } => Ok(ProfileIssuer::Here {
            issuer: Arc::new(here_issuer(name, profile, credential)?),
            source,
            scope: profile.scope.clone(),
        }),
        FoundCredential::ApiKey { at, key } => {
            let mut remote = match &at {
                Remote::Url(url) => RemoteIssuerConfig::new(url.as_str()).map_err(failed(name))?,
                Remote::Socket(path) => RemoteIssuerConfig::from_unix_socket(path),
            };
            remote.network.extra_ca_pem = extra_ca(name, profile)?;
            let (api_key_file, key) = key.unzip();
            remote.bearer = key;
            let issuer = Arc::new(RemoteIssuer::new(remote).map_err(failed(name))?);
            Ok(ProfileIssuer::Remote { issuer, at, api_key_file })
        }
    }
}

pub(super) fn here_issuer(
    name: &str,
    profile: &ProfileConfig,
    mut credential: Credential,
) -> Result<HereIssuer, SetupError> {
    if let Some(scope) = &profile.scope {
        credential = credential.with_scope(Some(scope.clone()));
    }
    let mut issuer = HereIssuerConfig::new(credential);
    issuer.network.extra_ca_pem = extra_ca(name, profile)?;
    HereIssuer::new(issuer).map_err(failed(name))
}

/// Reads the certificates that a profile's issuer is trusted by, beside the system's.
fn extra_ca(name: &str, profile: &ProfileConfig) -> Result<Option<Vec<u8>>, SetupError> {
    let file = profile.ca.as_ref();
    file.map(|file| std::fs::read(file).map_err(unreadable(name, "ca", file))).transpose()
}

impl FoundCredential {
    /// Returns the file to be kept from others' eyes, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::AccessKey { source, .. } => source.path(),
            Self::ApiKey { key, .. } => key.as_ref().map(|(file, _)| file.as_path()),
        }
    }

    /// Returns where the issuer is, unless that is a Unix socket.
    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::AccessKey { credential, .. } => Some(credential.token_endpoint_url()),
            Self::ApiKey { at: Remote::Url(url), .. } => Some(url),
            Self::ApiKey { .. } => None,
        }
    }

    /// Returns where the issuer is, without the query, where an endpoint of one's own may want a key.
    pub fn endpoint(&self) -> String {
        match self {
            Self::AccessKey { credential, .. } => place_of(credential.token_endpoint_url()),
            Self::ApiKey { at, .. } => at.to_string(),
        }
    }

    /// Returns for the log where a profile's tokens come from.
    pub fn token_source(&self, profile: &str) -> TokenSource {
        TokenSource::of(profile, self)
    }
}

impl ProfileIssuer {
    pub(super) fn metered(&self, profile: &str) -> MeteredIssuer {
        match self {
            Self::Here { issuer, .. } => MeteredIssuer::here(profile, Arc::clone(issuer)),
            Self::Remote { issuer, at, .. } => {
                MeteredIssuer::other(profile, Arc::clone(issuer), &at.to_string())
            }
        }
    }

    /// Returns what its answers are said to come from.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Here { .. } => "HERE",
            Self::Remote { .. } => "the other token provider",
        }
    }

    /// Returns the file that its credential is read from, if it is in one.
    pub fn credential_file(&self) -> Option<&Path> {
        match self {
            Self::Here { source, .. } => source.path(),
            Self::Remote { api_key_file, .. } => api_key_file.as_deref(),
        }
    }
}

impl Issue for ProfileIssuer {
    fn issue<'a>(&'a self, key: &'a TokenKey) -> IssueFuture<'a> {
        match self {
            Self::Here { issuer, .. } => issuer.issue(key),
            Self::Remote { issuer, .. } => issuer.issue(key),
        }
    }
}
