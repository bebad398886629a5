//! The issuer that a profile's tokens come from: HERE, or another token provider.

use std::sync::Arc;

use token_provider::{
    CredentialSource, HereIssuer, HereIssuerConfig, Issue, Issued, PrivateKey, RemoteIssuer,
    RemoteIssuerConfig, Scope, TokenError, TokenKey,
};

use super::credential::{Secret, unreadable};
use crate::config::{Config, ProfileConfig, Remote};
use crate::failure::Failure;

/// The issuer of one profile's tokens.
#[derive(Clone, Debug)]
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
    Remote(Arc<RemoteIssuer>),
}

/// Makes the issuer that a profile's tokens come from.
///
/// # Errors
///
/// When the extra CA file is of no use, the API key cannot be sent, or TLS cannot be set up.
pub fn issuer(name: &str, config: &Config, secret: Secret) -> Result<ProfileIssuer, Failure> {
    let profile = config.profile(name);
    let unusable = Failure::setup(format!("profile {name}"));
    match secret {
        Secret::Here(mut credential, source) => {
            if let Some(scope) = &profile.scope {
                credential = credential.with_scope(Some(scope.clone()));
            }
            let mut here = HereIssuerConfig::new(credential);
            here.network.extra_ca_pem = extra_ca(name, profile)?;
            let issuer = Arc::new(HereIssuer::new(here).map_err(unusable)?);
            Ok(ProfileIssuer::Here { issuer, source, scope: profile.scope.clone() })
        }
        Secret::ApiKey(at, key) => {
            let mut remote = match &at {
                Remote::Url(url) => RemoteIssuerConfig::new(url.as_str()).map_err(&unusable)?,
                Remote::Socket(path) => RemoteIssuerConfig::from_unix_socket(path),
            };
            remote.network.extra_ca_pem = extra_ca(name, profile)?;
            remote.bearer = key;
            remote.required_header.clone_from(&profile.remote_header);
            Ok(ProfileIssuer::Remote(Arc::new(RemoteIssuer::new(remote).map_err(unusable)?)))
        }
    }
}

/// Reads a profile's extra CA certificates.
fn extra_ca(name: &str, profile: &ProfileConfig) -> Result<Option<Vec<u8>>, Failure> {
    let file = profile.ca.as_ref();
    file.map(|file| std::fs::read(file).map_err(unreadable(name, "ca", file))).transpose()
}

impl ProfileIssuer {
    /// Returns the private key in use, if it is one.
    pub fn private_key(&self) -> Option<PrivateKey> {
        let Self::Here { issuer, .. } = self else { return None };
        issuer.credential().private_key().cloned()
    }
}

impl Issue for ProfileIssuer {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        match self {
            Self::Here { issuer, .. } => issuer.issue(key).await,
            Self::Remote(issuer) => issuer.issue(key).await,
        }
    }
}
