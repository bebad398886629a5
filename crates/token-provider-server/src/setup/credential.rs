//! The credential of a profile: where it is found, and what the log says of it.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use token_provider::{Credential, CredentialSource, LoadErrorKind, PrivateKey, Proxies, trim_value};
use url::Url;

use crate::config::{Config, Environment, ProfileConfig, Remote, did_you_mean};
use crate::failure::Failure;
use crate::file_work::{MAX_SECRET, read_small};
use crate::telemetry::endpoint_of;
use crate::topic::Topic;

/// Where a profile's tokens come from, in words.
#[derive(Clone, Debug)]
pub struct TokenSource {
    /// The profile.
    pub profile: String,
    /// Where its credential was found.
    pub credential: String,
    /// The file that the credential is in, which others should not be able to read.
    pub file: Option<PathBuf>,
    /// The private key, if the credential is one.
    pub private_key: Option<PrivateKey>,
    /// The token endpoint, without its query, which may hold a key.
    pub endpoint: String,
    /// The proxy on the way there, without its password.
    pub proxy: Option<String>,
    /// Whether that is another token provider.
    pub is_remote: bool,
}

/// What tokens are requested with.
#[derive(Debug)]
pub enum Secret {
    /// HERE's access key or a private key, and where it can be read again.
    Here(Credential, CredentialSource),
    /// For another token provider, which may need none.
    ApiKey(Remote, Option<SecretString>),
}

/// Finds and reads the credential of a profile.
///
/// # Errors
///
/// With the place, and the line.
pub fn find_credential(
    name: &str,
    config: &Config,
    environment: &Environment,
) -> Result<(TokenSource, Secret), Failure> {
    let ProfileConfig { remote, api_key_file, credentials, .. } = config.profile(name);
    if let Some(at) = remote {
        return find_api_key(name, at, api_key_file.as_deref());
    }
    if name == config.profile && !config.is_profile_known {
        check_section(name, config, environment)?;
    }
    read_credential(name, source(name, config, credentials.as_deref(), environment)?)
}

/// Reads the credential of a profile.
///
/// # Errors
///
/// As for [`find_credential`].
pub fn read_credential(name: &str, found: CredentialSource) -> Result<(TokenSource, Secret), Failure> {
    let credential = found.load().map_err(Failure::setup(format!("profile {name}")))?;
    let source = TokenSource {
        profile: name.to_owned(),
        credential: found.to_string(),
        file: found.path().map(Path::to_owned),
        private_key: credential.private_key().cloned(),
        endpoint: endpoint_of(credential.token_endpoint_url()),
        proxy: proxy(credential.token_endpoint_url()),
        is_remote: false,
    };
    Ok((source, Secret::Here(credential, found)))
}

fn find_api_key(name: &str, at: &Remote, file: Option<&Path>) -> Result<(TokenSource, Secret), Failure> {
    let read = |file| read_api_key(file).map_err(unreadable(name, "api_key_file", file));
    let key = file.map(read).transpose()?;
    let source = TokenSource {
        profile: name.to_owned(),
        credential: file.map_or_else(|| "none needed".to_owned(), |file| format!("file {}", file.display())),
        file: file.map(Path::to_owned),
        private_key: None,
        endpoint: at.to_string(),
        proxy: if let Remote::Url(url) = at { proxy(url) } else { None },
        is_remote: true,
    };
    Ok((source, Secret::ApiKey(at.clone(), key)))
}

/// Returns the proxy on the way, without its password. One that cannot be used is an error elsewhere.
fn proxy(url: &Url) -> Option<String> {
    Proxies::from_env().for_url(url).ok().flatten().map(Proxies::describe)
}

/// A profile that the configuration does not have must be a section of `~/.here/credentials.ini`.
fn check_section(name: &str, config: &Config, environment: &Environment) -> Result<(), Failure> {
    let sections = match ini(environment).map(Credential::ini_sections) {
        Some(Err(error)) if error.kind() != LoadErrorKind::NotFound => {
            return Err(Failure::setup(format!("profile {name}"))(error));
        }
        sections => sections.and_then(Result::ok).unwrap_or_default(),
    };
    if sections.iter().any(|section| section == name) {
        return Ok(());
    }
    let known =
        config.profiles.keys().filter(|profile| *profile != name).chain(&sections).map(String::as_str);
    let meant = did_you_mean(name, known.chain(["default"]));
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean \"{meant}\"?"));
    let message = format!(
        "profile {name}: there is neither [profiles.{name}] in the configuration nor a section [{name}] in \
         ~/.here/credentials.ini{meant}"
    );
    Err(Failure::new(Topic::UnknownProfile, message))
}

/// The default profile's credential is looked for everywhere. Any other's is in the file that the configuration names,
/// or in its own section: it must not silently be the default's.
fn source(
    name: &str,
    config: &Config,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<CredentialSource, Failure> {
    let not_found = |remedy: &str| {
        Failure::new(Topic::CredentialNotFound, format!("profile {name}: no HERE credential {remedy}"))
    };
    if let Some(file) = file {
        return Ok(CredentialSource::file(file, name));
    }
    if name == config.profile && config.is_profile_known {
        let variable = |name: &str| environment.variable(name).map(ToOwned::to_owned);
        return CredentialSource::find(name, "", variable).map_err(|_none| {
            not_found(
                "found: save the credentials.properties from the HERE portal in this directory or in \
                 ~/.here/, or pass it with --credentials or HERE_CREDENTIALS_FILE",
            )
        });
    }
    ini(environment).and_then(|ini| CredentialSource::file_if_present(ini, name)).ok_or_else(|| {
        not_found(&format!(
            "found for this profile: set its `credentials` file, or add a section [{name}] to \
             ~/.here/credentials.ini"
        ))
    })
}

/// The file of HERE's SDKs with a section for each profile.
fn ini(environment: &Environment) -> Option<PathBuf> {
    // As the library has it for the default profile.
    let names = if cfg!(windows) { ["USERPROFILE", "HOME"] } else { ["HOME", "USERPROFILE"] };
    let home = names.into_iter().find_map(|name| environment.variable(name))?;
    Some(Path::new(home).join(".here/credentials.ini"))
}

impl TokenSource {
    /// Returns the files that only this user should be able to read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let private_key = self.private_key.as_ref().and_then(PrivateKey::file);
        self.file.as_deref().into_iter().chain(private_key)
    }

    /// Describes where the credential is, and which private key it is.
    pub(super) fn credential(&self) -> String {
        let key = self.private_key.as_ref().map(|key| format!(" ({})", key_name(key)));
        format!("{}{}", self.credential, key.unwrap_or_default())
    }

    /// Describes where tokens are requested, including the proxy.
    pub(super) fn issuer(&self) -> String {
        let through = |proxy| format!(" through the proxy {proxy}");
        let proxy = self.proxy.as_ref().map(through).unwrap_or_default();
        let kind = if self.is_remote { ", another token provider" } else { "" };
        format!("{}{proxy}{kind}", self.endpoint)
    }
}

/// Names a private key, by which it is found at HERE.
pub fn key_name(key: &PrivateKey) -> String {
    let thumbprint = key.thumbprint();
    let id = key.key_id().filter(|id| *id != thumbprint);
    let id = id.map(|id| format!("key {id}, ")).unwrap_or_default();
    format!("private_key_jwt: {id}thumbprint {thumbprint}")
}

/// Reads the API key for another token provider.
///
/// # Errors
///
/// What the system said.
pub fn read_api_key(file: &Path) -> io::Result<SecretString> {
    Ok(SecretString::from(trim_value(&read_small(file, MAX_SECRET)?)))
}

/// A file that a key of a profile names cannot be read.
pub(super) fn unreadable(profile: &str, key: &str, file: &Path) -> impl FnOnce(io::Error) -> Failure {
    let message = format!("profile {profile}: {key}: {}: cannot be read", file.display());
    move |error| Failure::new(Topic::ProfileFile, message).caused_by(error)
}

/// Returns whether users other than the file's owner can read it, which deserves a warning. Group access is left out of
/// account: services are often given their files that way. On Windows that cannot be told.
pub fn is_readable_by_others(file: &Path) -> Option<bool> {
    const READ_BY_OTHERS: u32 = 0o004;
    #[cfg(unix)]
    let mode = |file: std::fs::Metadata| Some(std::os::unix::fs::MetadataExt::mode(&file));
    #[cfg(not(unix))]
    let mode = |_| None;
    file.metadata().map_or(Some(0), mode).map(|mode: u32| mode & READ_BY_OTHERS != 0)
}

/// Logs it where users other than the file's owner can read it.
pub fn warn_of_others(file: &Path) {
    if is_readable_by_others(file) == Some(true) {
        tracing::warn!(
            credential.source = %file.display(),
            "other users can read the credential file; run chmod 600 on it"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn file_that_everyone_can_read_is_noticed() {
        let file = tempfile::NamedTempFile::new().expect("can be made");
        for (mode, expected) in [(0o600, false), (0o400, false), (0o640, false), (0o644, true), (0o604, true)]
        {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("is ours");
            assert_eq!(is_readable_by_others(file.path()), Some(expected), "{mode:o}");
        }
        assert_eq!(is_readable_by_others(Path::new("/nonexistent/file")), Some(false));
    }
}
