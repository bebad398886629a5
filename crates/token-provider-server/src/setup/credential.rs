//! The credential of a profile: where it is found, and what the log says of it.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use token_provider::{Credential, CredentialSource, ErrorKind, Lookup, Proxies, trim_value};
use url::Url;
use zeroize::Zeroizing;

use super::error::SetupError;
use crate::config::{Config, Environment, Remote, Source, did_you_mean};
use crate::telemetry::endpoint_of;
use crate::topic::Topic;

/// A profile's credential, and where it leads.
#[derive(Debug)]
pub struct FoundCredential {
    /// Where it was found, in words.
    pub place: String,
    /// The file that it is in, to be kept from others' eyes.
    pub file: Option<PathBuf>,
    /// Where the issuer is, without the query, where an endpoint of one's own may want a key.
    pub endpoint: String,
    /// The proxy on the way to the issuer, without its password.
    pub proxy: Option<String>,
    pub(super) secret: Secret,
}

/// What tokens are requested with.
#[derive(Debug)]
pub(super) enum Secret {
    /// HERE's access key, and where it can be read again.
    AccessKey(Credential, CredentialSource),
    /// For another token provider, which may need none.
    ApiKey(Remote, Option<SecretString>),
}

/// Where a profile's tokens come from, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource {
    pub(super) profile: String,
    pub(super) credential: String,
    pub(super) issuer: String,
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
) -> Result<FoundCredential, SetupError> {
    let file = match &config.profile(name).source {
        Source::Here { credentials } => credentials.as_deref(),
        Source::Remote { at, api_key_file: file } => {
            let read =
                |file: &PathBuf| read_api_key(file).map_err(SetupError::file(name, "api_key_file", file));
            let key = file.as_ref().map(read).transpose()?;
            return Ok(FoundCredential {
                place: file
                    .as_ref()
                    .map_or_else(|| "none needed".to_owned(), |file| format!("file {}", file.display())),
                file: file.clone(),
                endpoint: at.to_string(),
                proxy: if let Remote::Url(url) = at { proxy(url) } else { None },
                secret: Secret::ApiKey(at.clone(), key),
            });
        }
    };
    if name == config.profile && !config.is_profile_known {
        check_section(name, config, environment)?;
    }
    let source = lookup(name, config, file, environment).find().map_err(SetupError::profile(name))?;
    let credential = source.load().map_err(SetupError::profile(name))?;
    Ok(FoundCredential {
        place: source.to_string(),
        file: source.path().map(Path::to_owned),
        endpoint: endpoint_of(credential.token_endpoint_url()),
        proxy: proxy(credential.token_endpoint_url()),
        secret: Secret::AccessKey(credential, source),
    })
}

/// Returns the proxy on the way, without its password. One that cannot be used is an error elsewhere.
fn proxy(url: &Url) -> Option<String> {
    Proxies::from_env().for_url(url).ok().flatten().map(Proxies::describe)
}

/// A profile that the configuration does not have must be a section of `~/.here/credentials.ini`.
fn check_section(name: &str, config: &Config, environment: &Environment) -> Result<(), SetupError> {
    let ini = home(environment).map(|home| home.join(".here/credentials.ini"));
    let sections = match ini.map(Credential::ini_sections) {
        Some(Ok(sections)) => sections,
        Some(Err(error)) if error.kind() != ErrorKind::CredentialNotFound => {
            return Err(SetupError::profile(name)(error));
        }
        _ => Vec::new(),
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
    Err(SetupError::new(Topic::UnknownProfile, message, None))
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

impl FoundCredential {
    /// Returns where a profile's tokens come from, for the log.
    pub(super) fn token_source(&self, profile: &str) -> TokenSource {
        let proxy =
            self.proxy.as_ref().map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
        let kind = if let Secret::ApiKey(..) = self.secret { ", another token provider" } else { "" };
        let issuer = format!("{}{proxy}{kind}", self.endpoint);
        TokenSource::new(profile, &self.place, issuer)
    }
}

impl TokenSource {
    /// Takes in words where a profile's credential is, and where its tokens are requested.
    pub fn new(profile: &str, credential: &str, issuer: String) -> Self {
        Self { profile: profile.to_owned(), credential: credential.to_owned(), issuer }
    }
}

/// Reads the API key for another token provider.
///
/// # Errors
///
/// What the system said.
pub fn read_api_key(file: &Path) -> io::Result<SecretString> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new)?;
    Ok(SecretString::from(trim_value(&text)))
}

/// Returns whether users other than the file's owner can read it, which deserves a warning. Group access is left out of
/// account: services are often given their files that way.
pub fn is_readable_by_others(file: &Path) -> bool {
    const READ_BY_OTHERS: u32 = 0o004;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & READ_BY_OTHERS != 0)
}

/// Logs that users other than the file's owner can read it.
pub fn warn_of_others(file: &Path) {
    tracing::warn!(
        credential.source = %file.display(),
        "other users of this machine can read the credential file; chmod 600 it"
    );
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn file_that_everyone_can_read_is_noticed() {
        let file = tempfile::NamedTempFile::new().expect("can be made");
        for (mode, expected) in [(0o600, false), (0o400, false), (0o640, false), (0o644, true), (0o604, true)]
        {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("is ours");
            assert_eq!(is_readable_by_others(file.path()), expected, "{mode:o}");
        }
        assert!(!is_readable_by_others(Path::new("/nonexistent/file")));
    }
}
