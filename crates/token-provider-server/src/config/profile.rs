//! Profiles: each is one credential, or another token provider, with the scopes that may be requested.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use hyper::header::HeaderName;
use token_provider::Scope;
use url::Url;

use super::overrides::Overrides;
use crate::settings::{List, Section, path, word};
use crate::values::header::required_header;
use crate::values::host::service_url;
use crate::values::name::{name, scope};
use crate::values::unix;

/// Where the tokens of one profile come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileConfig {
    /// Another token provider that issues them; without one, HERE does.
    pub remote: Option<Remote>,
    /// File with the API key for `remote`.
    pub api_key_file: Option<PathBuf>,
    /// File with the credential for HERE, if it is in none of the usual places. Never set together with `remote`.
    pub credentials: Option<PathBuf>,
    /// The scopes that callers may request; holds `scope` too.
    pub scopes: Vec<Scope>,
    /// The scope of tokens for which the caller names none. It beats the one in the credential file.
    pub scope: Option<Scope>,
    /// The header that another token provider requires of callers without a credential.
    pub remote_header: Option<HeaderName>,
    /// PEM file with certificate authorities that are trusted for the token endpoint, besides the system's.
    pub ca: Option<PathBuf>,
    /// Whether held tokens are replaced after a rotation of the credential.
    pub replaces: bool,
}

/// Where another token provider is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remote {
    /// Its `https://…/getToken`.
    Url(Url),
    /// Its Unix socket.
    Socket(PathBuf),
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It has neither user nor query, where a secret could be.
            Self::Url(url) => url.fmt(f),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ProfileConfig {
    /// Returns its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.credentials.iter().chain(&self.api_key_file).chain(&self.ca)
    }

    /// Applies the flags that are about the profile in use.
    pub(super) fn apply(&mut self, flags: &Overrides, section: &Section<'_>) {
        if let Some(scope) = section.argument("--scope", flags.source.scope.as_deref(), scope) {
            self.set_scope(scope);
        }
        let Some(file) = &flags.source.credentials else { return };
        // A path need not be text.
        section.argument("--credentials", file.to_str(), path);
        if self.remote.is_some() {
            section.error_of_flag(
                "--credentials",
                "cannot be combined with the profile's remote: the tokens come from one or the other",
            );
        }
        self.credentials = Some(file.clone());
    }

    /// Sets the scope of tokens for which the caller names none, which callers may name, too.
    fn set_scope(&mut self, scope: Scope) {
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope.clone());
        }
        self.scope = Some(scope);
    }
}

/// Reads `[profiles]`: a table of profiles by name.
pub(super) fn read_all(mut section: Section<'_>) -> BTreeMap<String, ProfileConfig> {
    let mut profiles = BTreeMap::new();
    for key in section.names() {
        let profile = section.table(&key).map(read);
        if let Err(message) = name(&key) {
            section.error(&key, message);
        }
        // Also where it could not be read: others that name it are right to.
        profiles.insert(key, profile.unwrap_or_default());
    }
    profiles
}

fn read(mut section: Section<'_>) -> ProfileConfig {
    let words = [("keep", false), ("replace", true)];
    let mut profile = ProfileConfig {
        remote: section.text("remote", remote),
        api_key_file: section.path("api_key_file"),
        credentials: section.path("credentials"),
        scopes: section.list("scopes", List::Any, scope).unwrap_or_default(),
        scope: None,
        remote_header: section.text("remote_header", required_header),
        ca: section.path("ca"),
        replaces: section.text("on_rotation", |text: &str| word(text, &words, None)).unwrap_or_default(),
    };
    if profile.credentials.is_some() && profile.remote.is_some() {
        section.error("remote", "cannot be combined with credentials: the tokens come from one or the other");
    }
    for key in ["api_key_file", "remote_header"] {
        if section.is_set(key) && !section.is_set("remote") {
            section.error(key, "is for another token provider, but `remote` is not set");
        }
    }
    if let Some(scope) = section.text("scope", scope) {
        profile.set_scope(scope);
    }
    profile
}

fn remote(text: &str) -> Result<Remote, &'static str> {
    match text.strip_prefix("unix:") {
        // What looks like the rest of a URL is a slip: `unix://host/x`, `unix:/x?y`.
        Some(path) if path.starts_with("//") || path.contains(['?', '#']) => Err(unix::EXPECTED_PATH),
        Some(path) => unix::socket_path(path).map(Remote::Socket),
        None => service_url(text).map(Remote::Url),
    }
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
            if let Ok(remote) = remote(text) {
                assert_eq!(remote.to_string(), text);
            }
        }
    }
}
