//! Where a profile's tokens come from: HERE, or another token provider. Whoever sets a profile up does it by these two
//! steps: what is asked with is found, then the issuer is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use token_provider::{
    Credential, CredentialSource, ErrorKind, HereIssuer, HereIssuerConfig, Issue, IssueFuture, Lookup,
    RemoteIssuer, RemoteIssuerConfig, Scope, TokenKey,
};
use url::Url;

use super::{SetupError, TokenSource, failed, read_api_key, unreadable};
use crate::config::{Config, Environment, ProfileConfig, did_you_mean};
use crate::telemetry::{MeteredIssuer, place_of};

/// What a profile's issuer is asked with, and where that was found.
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
        /// Its `/getToken`, or its socket.
        url: Url,
        /// Its API key with the file that it is in, where the configuration names one.
        key: Option<(PathBuf, SecretString)>,
    },
}

/// The issuer of one profile's tokens, ready to be asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProfileIssuer {
    /// HERE.
    Here {
        /// What asks it.
        issuer: Arc<HereIssuer>,
        /// Where its credential can be read again.
        source: CredentialSource,
        /// The configuration's scope, which beats the file's.
        scope: Option<Scope>,
    },
    /// Another token provider.
    Remote {
        /// What asks it.
        issuer: Arc<RemoteIssuer>,
        /// Where it is.
        url: Url,
        /// Where its API key can be read again.
        api_key_file: Option<PathBuf>,
    },
}

/// Finds and reads what a profile's issuer is asked with.
///
/// # Errors
///
/// [`SetupError::Profile`], with the place and the line; [`SetupError::File`] for an API key.
pub fn find_credential(
    name: &str,
    config: &Config,
    environment: &Environment,
) -> Result<FoundCredential, SetupError> {
    let profile = config.profiles.get(name).cloned().unwrap_or_default();
    if let Some(url) = profile.remote {
        let key = match profile.api_key_file {
            Some(file) => {
                let key = read_api_key(&file).map_err(unreadable(name, "api_key_file", &file))?;
                Some((file, key))
            }
            None => None,
        };
        return Ok(FoundCredential::ApiKey { url, key });
    }
    if name == config.profile && !config.is_profile_known {
        check_section(name, config, environment)?;
    }
    let source = lookup(name, config, &profile, environment).find().map_err(failed(name))?;
    let credential = source.load().map_err(failed(name))?;
    Ok(FoundCredential::AccessKey { source, credential })
}

/// A profile that the configuration does not have must be a section of `~/.here/credentials.ini`.
fn check_section(name: &str, config: &Config, environment: &Environment) -> Result<(), SetupError> {
    let ini = environment.home().map(|home| home.join(".here/credentials.ini"));
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
fn lookup(name: &str, config: &Config, profile: &ProfileConfig, environment: &Environment) -> Lookup {
    let mut lookup = Lookup::default();
    lookup.file.clone_from(&profile.credentials);
    lookup.home = environment.home().map(Path::to_owned);
    lookup.profile = (name != "default").then(|| name.to_owned());
    if name == config.profile && config.is_profile_known {
        lookup.access_key_id = environment.access_key_id().map(str::to_owned);
        lookup.access_key_secret = environment.access_key_secret().cloned();
        lookup.token_endpoint_url = environment.token_endpoint_url().map(str::to_owned);
        lookup.scope = environment.token_scope().map(str::to_owned);
        lookup.credentials_file = environment.credentials_file().map(Path::to_owned);
        lookup.credentials_string = environment.credentials_string().cloned();
        lookup.credentials_directory = environment.credentials_directory().map(Path::to_owned);
        lookup.working_directory = Some(PathBuf::new());
    } else {
        lookup.sections_only = true;
    }
    lookup
}

/// Makes the issuer that a profile's tokens come from.
///
/// # Errors
///
/// When the extra CA file is of no use, the API key cannot be sent, or TLS cannot be set up.
pub fn issuer(name: &str, config: &Config, found: FoundCredential) -> Result<ProfileIssuer, SetupError> {
    match found {
        FoundCredential::AccessKey { source, credential } => Ok(ProfileIssuer::Here {
            issuer: Arc::new(here_issuer(name, config, credential)?),
            source,
            scope: default_scope(name, config)?,
        }),
        FoundCredential::ApiKey { url, key } => {
            let mut remote = if url.scheme() == "unix" {
                RemoteIssuerConfig::from_unix_socket(url.path())
            } else {
                RemoteIssuerConfig::new(url.as_str()).map_err(failed(name))?
            };
            remote.network.extra_ca_pem = extra_ca(name, config)?;
            let mut api_key_file = None;
            if let Some((file, key)) = key {
                api_key_file = Some(file);
                remote = remote.with_bearer(key);
            }
            let issuer = Arc::new(RemoteIssuer::new(remote).map_err(failed(name))?);
            Ok(ProfileIssuer::Remote { issuer, url, api_key_file })
        }
    }
}

pub(super) fn here_issuer(
    name: &str,
    config: &Config,
    mut credential: Credential,
) -> Result<HereIssuer, SetupError> {
    if let Some(scope) = default_scope(name, config)? {
        credential = credential.with_scope(Some(scope));
    }
    let mut issuer = HereIssuerConfig::new(credential);
    issuer.network.extra_ca_pem = extra_ca(name, config)?;
    HereIssuer::new(issuer).map_err(failed(name))
}

/// Reads the certificates that a profile's issuer is trusted by, beside the system's.
fn extra_ca(name: &str, config: &Config) -> Result<Option<Vec<u8>>, SetupError> {
    let file = config.profiles.get(name).and_then(|profile| profile.ca.as_ref());
    file.map(|file| std::fs::read(file).map_err(unreadable(name, "ca", file))).transpose()
}

/// Returns the scope that the configuration gives a profile's requests.
pub(super) fn default_scope(name: &str, config: &Config) -> Result<Option<Scope>, SetupError> {
    let scope = config.profiles.get(name).and_then(|profile| profile.scope.as_deref());
    scope.map(Scope::new).transpose().map_err(failed(name))
}

impl FoundCredential {
    /// Returns the file to be kept from others' eyes, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::AccessKey { source, .. } => source.path(),
            Self::ApiKey { key, .. } => key.as_ref().map(|(file, _)| file.as_path()),
        }
    }

    /// Returns where the issuer is.
    pub fn endpoint(&self) -> &Url {
        match self {
            Self::AccessKey { credential, .. } => credential.token_endpoint_url(),
            Self::ApiKey { url, .. } => url,
        }
    }

    /// Says for the log where a profile's tokens come from.
    pub fn token_source(&self, profile: &str) -> TokenSource {
        match self {
            Self::AccessKey { source, credential } => TokenSource::here(profile, source, credential),
            Self::ApiKey { url, .. } => TokenSource::remote(profile, url, self.file()),
        }
    }
}

impl ProfileIssuer {
    pub(super) fn metered(&self, profile: &str) -> MeteredIssuer {
        match self {
            Self::Here { issuer, .. } => MeteredIssuer::here(profile, Arc::clone(issuer)),
            Self::Remote { issuer, url, .. } => {
                MeteredIssuer::other(profile, Arc::clone(issuer), &place_of(url))
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
