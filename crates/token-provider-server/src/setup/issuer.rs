//! The issuer that a profile's tokens come from: HERE, or another token provider.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use token_provider::{
    Credential, CredentialSource, HereIssuer, HereIssuerConfig, Issue, IssueFuture, RemoteIssuer,
    RemoteIssuerConfig, Scope, TokenKey,
};

use super::credential::{FoundCredential, Secret};
use super::error::SetupError;
use crate::config::{Config, ProfileConfig, Remote};
use crate::telemetry::MeteredIssuer;

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

/// Makes the issuer that a profile's tokens come from.
///
/// # Errors
///
/// When the extra CA file is of no use, the API key cannot be sent, or TLS cannot be set up.
pub fn issuer(name: &str, config: &Config, found: FoundCredential) -> Result<ProfileIssuer, SetupError> {
    let profile = config.profile(name);
    match found.secret {
        Secret::AccessKey(credential, source) => {
            let issuer = Arc::new(here_issuer(name, profile, credential)?);
            Ok(ProfileIssuer::Here { issuer, source, scope: profile.scope.clone() })
        }
        Secret::ApiKey(at, key) => {
            let mut remote = match &at {
                Remote::Url(url) => {
                    RemoteIssuerConfig::new(url.as_str()).map_err(SetupError::profile(name))?
                }
                Remote::Socket(path) => RemoteIssuerConfig::from_unix_socket(path),
            };
            remote.network.extra_ca_pem = extra_ca(name, profile)?;
            remote.bearer = key;
            let issuer = Arc::new(RemoteIssuer::new(remote).map_err(SetupError::profile(name))?);
            Ok(ProfileIssuer::Remote { issuer, at, api_key_file: found.file })
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
    HereIssuer::new(issuer).map_err(SetupError::profile(name))
}

/// Reads the certificates that a profile's issuer is trusted by, beside the system's.
fn extra_ca(name: &str, profile: &ProfileConfig) -> Result<Option<Vec<u8>>, SetupError> {
    let file = profile.ca.as_ref();
    file.map(|file| std::fs::read(file).map_err(SetupError::file(name, "ca", file))).transpose()
}

impl ProfileIssuer {
    pub(super) fn metered(&self) -> MeteredIssuer {
        match self {
            Self::Here { issuer, .. } => MeteredIssuer::here(Arc::clone(issuer)),
            Self::Remote { issuer, at, .. } => MeteredIssuer::other(Arc::clone(issuer), at.to_string()),
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
