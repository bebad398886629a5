//! The process environment, looked at once: settings of ours, and what the search for a credential needs. Taking a
//! snapshot keeps tests apart from the machine that they run on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use secrecy::SecretString;

use super::error::PREFIX;

/// Names the configuration file; not a setting itself.
pub(super) const CONFIG_VARIABLE: &str = "TOKEN_PROVIDER_CONFIG";

const ACCESS_KEY_SECRET: &str = "HERE_ACCESS_KEY_SECRET";
const CREDENTIALS_STRING: &str = "HERE_CREDENTIALS_STRING";

/// The variables that are kept besides our own and the secrets. Everything else is nobody's business here.
const KEPT: [&str; 14] = [
    "CREDENTIALS_DIRECTORY",
    "HERE_ACCESS_KEY_ID",
    "HERE_CREDENTIALS_FILE",
    "HERE_TOKEN_ENDPOINT_URL",
    "HERE_TOKEN_SCOPE",
    "HOME",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "USERPROFILE",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// A snapshot of the environment variables that matter here. An empty variable counts as one that is not set, as
/// shells and container tools cannot always leave one out.
#[derive(Clone, Default)]
pub struct Environment {
    settings: BTreeMap<String, String>,
    kept: BTreeMap<String, OsString>,
    secrets: BTreeMap<&'static str, SecretString>,
    unreadable: BTreeSet<String>,
}

impl Environment {
    /// Takes the variables that matter from a list.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let mut environment = Self::default();
        for (name, value) in pairs {
            // A name that is no text is none of ours.
            if let Ok(name) = name.into().into_string() {
                environment.take(name, value.into());
            }
        }
        environment
    }

    /// `HERE_ACCESS_KEY_ID`
    pub fn access_key_id(&self) -> Option<&str> {
        self.text("HERE_ACCESS_KEY_ID")
    }

    /// `HERE_ACCESS_KEY_SECRET`
    pub fn access_key_secret(&self) -> Option<&SecretString> {
        self.secrets.get(ACCESS_KEY_SECRET)
    }

    /// `HERE_TOKEN_ENDPOINT_URL`
    pub fn token_endpoint_url(&self) -> Option<&str> {
        self.text("HERE_TOKEN_ENDPOINT_URL")
    }

    /// `HERE_TOKEN_SCOPE`
    pub fn token_scope(&self) -> Option<&str> {
        self.text("HERE_TOKEN_SCOPE")
    }

    /// `HERE_CREDENTIALS_FILE`
    pub fn credentials_file(&self) -> Option<&Path> {
        self.variable("HERE_CREDENTIALS_FILE").map(Path::new)
    }

    /// `HERE_CREDENTIALS_STRING`: a whole credential file's text.
    pub fn credentials_string(&self) -> Option<&SecretString> {
        self.secrets.get(CREDENTIALS_STRING)
    }

    /// `CREDENTIALS_DIRECTORY`: where systemd puts what the unit's `LoadCredential=` names.
    pub fn credentials_directory(&self) -> Option<&Path> {
        self.variable("CREDENTIALS_DIRECTORY").map(Path::new)
    }

    /// The user's home directory.
    pub fn home(&self) -> Option<&Path> {
        self.variable("HOME").or_else(|| self.variable("USERPROFILE")).map(Path::new)
    }

    /// One of the variables that are no secret: those above, those of systemd (`NOTIFY_SOCKET`, `LISTEN_FDS`,
    /// `WATCHDOG_USEC` …), `NO_COLOR`.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.kept.get(name).map(OsString::as_os_str)
    }

    /// The variable that names the configuration file.
    pub(super) fn config_file(&self) -> Option<&Path> {
        self.variable(CONFIG_VARIABLE).map(Path::new)
    }

    /// Variables that set a key, by name.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Variables that should be text and are not.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }

    fn take(&mut self, name: String, value: OsString) {
        if value.is_empty() {
            return;
        }
        if KEPT.contains(&name.as_str()) || name == CONFIG_VARIABLE {
            if name.starts_with("HERE_") && name != "HERE_CREDENTIALS_FILE" && value.to_str().is_none() {
                self.unreadable.insert(name);
            } else {
                self.kept.insert(name, value);
            }
            return;
        }
        let secret = [ACCESS_KEY_SECRET, CREDENTIALS_STRING].into_iter().find(|secret| *secret == name);
        let setting = name.strip_prefix(PREFIX);
        if secret.is_none() && setting.is_none() {
            return;
        }
        match (value.into_string(), secret) {
            (Ok(value), Some(secret)) => {
                self.secrets.insert(secret, value.into());
            }
            (Ok(value), None) => {
                self.settings.insert(name, value);
            }
            (Err(_), _) => {
                self.unreadable.insert(name);
            }
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.variable(name).and_then(OsStr::to_str)
    }
}

/// Names only: a value may be a secret, or be taken for one by whoever reads a log.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.settings.keys().chain(self.kept.keys()).chain(&self.unreadable).map(String::as_str);
        f.debug_set().entries(names.chain(self.secrets.keys().copied())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_by_their_purpose() {
        let environment = Environment::from_pairs([
            ("HERE_ACCESS_KEY_ID", "id"),
            ("HERE_ACCESS_KEY_SECRET", "secret"),
            ("HERE_TOKEN_ENDPOINT_URL", "url"),
            ("HERE_TOKEN_SCOPE", "scope"),
            ("HERE_CREDENTIALS_FILE", "/file"),
            ("CREDENTIALS_DIRECTORY", "/directory"),
            ("HOME", "/home/x"),
            ("NOTIFY_SOCKET", "/run/notify"),
            ("TOKEN_PROVIDER_CONFIG", "/config"),
            ("TOKEN_PROVIDER_LISTEN", "localhost:1"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(environment.access_key_id(), Some("id"));
        assert!(environment.access_key_secret().is_some());
        assert_eq!(environment.token_endpoint_url(), Some("url"));
        assert_eq!(environment.token_scope(), Some("scope"));
        assert_eq!(environment.credentials_file(), Some(Path::new("/file")));
        assert!(environment.credentials_string().is_none());
        assert_eq!(environment.credentials_directory(), Some(Path::new("/directory")));
        assert_eq!(environment.home(), Some(Path::new("/home/x")));
        assert_eq!(environment.config_file(), Some(Path::new("/config")));
        assert_eq!(environment.variable("NOTIFY_SOCKET"), Some(OsStr::new("/run/notify")));
        assert_eq!(environment.variable("PATH"), None);
        assert_eq!(environment.variable("HERE_ACCESS_KEY_SECRET"), None, "secrets have their own way out");
        assert_eq!(environment.settings().collect::<Vec<_>>(), [("TOKEN_PROVIDER_LISTEN", "localhost:1")]);
    }

    #[test]
    fn empty_variables_are_not_set() {
        let environment =
            Environment::from_pairs(KEPT.iter().chain(&["TOKEN_PROVIDER_LISTEN"]).map(|name| (*name, "")));
        assert_eq!(format!("{environment:?}"), "{}");
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let names =
            ["HERE_ACCESS_KEY_ID", "HERE_ACCESS_KEY_SECRET", "HERE_CREDENTIALS_STRING", "TOKEN_PROVIDER_X"];
        let shown = format!("{:?}", Environment::from_pairs(names.map(|name| (name, "planted"))));
        assert!(!shown.contains("planted"), "{shown}");
        assert!(names.iter().all(|name| shown.contains(name)), "{shown}");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_reported_and_paths_may_be_anything() {
        use std::os::unix::ffi::OsStringExt;

        let names =
            ["HERE_ACCESS_KEY_SECRET", "HERE_ACCESS_KEY_ID", "TOKEN_PROVIDER_LISTEN", "HOME", "OTHER"];
        let environment =
            Environment::from_pairs(names.map(|name| (name, OsString::from_vec(vec![b'/', 0xff]))));
        assert_eq!(
            environment.unreadable().collect::<Vec<_>>(),
            ["HERE_ACCESS_KEY_ID", "HERE_ACCESS_KEY_SECRET", "TOKEN_PROVIDER_LISTEN"]
        );
        assert!(environment.home().is_some());
    }
}
