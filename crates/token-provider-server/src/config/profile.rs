//! Profiles: each is one credential, or another token provider, with the scopes that may be asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use url::Url;

use super::host::service_url;
use super::read::{List, Section};
use super::units::{name, scope};

/// Name of the profile that callers get who name none.
pub(super) const DEFAULT_PROFILE: &str = "default";

/// Where the tokens of one profile come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileConfig {
    /// The credential file; without it, the usual places are looked through.
    pub credentials: Option<PathBuf>,
    /// The scopes that callers may ask for; holds `scope` too.
    pub scopes: Vec<String>,
    /// The scope of tokens for which the caller names none. It beats the one in the credential file.
    pub scope: Option<String>,
    /// Another token provider to ask in HERE's place: its `https://…/getToken`, or `unix:/path` of its socket.
    pub remote: Option<Url>,
    /// File with the API key for `remote`.
    pub api_key_file: Option<PathBuf>,
    /// PEM file with certificate authorities that are trusted for the token endpoint, besides the system's.
    pub ca: Option<PathBuf>,
}

/// Reads `[profiles]`: a table of profiles by name.
pub(super) fn read_all(section: &mut Section<'_>) -> BTreeMap<String, ProfileConfig> {
    let mut profiles = BTreeMap::new();
    for key in section.names() {
        let profile = section.section(&key, read);
        if let Err(message) = name(&key) {
            section.problem(&key, message);
        }
        // Also where it could not be read: others that name it are right to.
        profiles.insert(key, profile.unwrap_or_default());
    }
    profiles
}

fn read(section: &mut Section<'_>) -> ProfileConfig {
    let mut profile = ProfileConfig {
        credentials: section.path("credentials"),
        scopes: section.list("scopes", List::Any, scope).unwrap_or_default(),
        scope: section.text("scope", scope),
        remote: section.text("remote", remote),
        api_key_file: section.path("api_key_file"),
        ca: section.path("ca"),
    };
    if let Some(scope) = &profile.scope
        && !profile.scopes.contains(scope)
    {
        profile.scopes.push(scope.clone());
    }
    if profile.credentials.is_some() && profile.remote.is_some() {
        section
            .problem("remote", "cannot be combined with credentials: the tokens come from one or the other");
    }
    if section.is_set("api_key_file") && !section.is_set("remote") {
        section.problem("api_key_file", "is for another token provider, and none is named as remote");
    }
    profile
}

fn remote(text: &str) -> Result<Url, &'static str> {
    if text.starts_with("unix:") {
        return Url::parse(text)
            .ok()
            .filter(|url| text.starts_with("unix:/") && !url.has_host() && url.path().len() > 1)
            .filter(|url| url.query().is_none() && url.fragment().is_none())
            .ok_or("expected an absolute path after `unix:`");
    }
    service_url(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_provider_is_a_url_or_a_socket() {
        for (text, good) in [
            ("https://tokens.example.com/getToken", true),
            ("http://localhost:3000/getToken", true),
            ("unix:/run/token-provider.sock", true),
            ("unix:run/x", false),
            ("unix:/", false),
            ("unix:", false),
            ("unix://host/x", false),
            ("unix:/x?y", false),
            ("http://tokens.example.com/getToken", false),
            ("https://user:word@tokens.example.com", false),
            ("/run/x", false),
        ] {
            assert_eq!(remote(text).is_ok(), good, "{text}");
        }
    }
}
