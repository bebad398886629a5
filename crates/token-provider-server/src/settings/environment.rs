//! The process environment, read once. Working on a snapshot keeps tests apart from the machine that they run on.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::mem;
use std::sync::Arc;

use zeroize::Zeroize as _;

/// What each environment variable that sets a key begins with.
pub(super) const PREFIX: &str = "TOKEN_PROVIDER_";

/// The variable that names the configuration file; it sets no key.
pub(super) const FILE_VARIABLE: &str = "TOKEN_PROVIDER_CONFIG";

/// A snapshot of the environment, wiped on drop. An empty variable counts as one that is not set, as shells and container
/// tools cannot always leave one out.
#[derive(Clone, Default)]
pub struct Environment(Arc<BTreeMap<String, Value>>);

struct Value(OsString);

impl Drop for Value {
    fn drop(&mut self) {
        mem::take(&mut self.0).into_encoded_bytes().zeroize();
    }
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

    /// Takes the variables of a list.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        // A variable whose name is not text is none of ours. On Windows `Path` and `PATH` are one variable.
        let pairs = pairs.into_iter().filter_map(|(name, value)| {
            let name = name.into().into_string().ok()?;
            let name = if cfg!(windows) { name.to_ascii_uppercase() } else { name };
            Some((name, Value(value.into())))
        });
        Self(Arc::new(pairs.filter(|(_, value)| !value.0.is_empty()).collect()))
    }

    /// Returns a variable as it is.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(|value| value.0.as_os_str())
    }

    /// Returns the variables that set a key, by name.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        let variables = self.0.iter().map(|(name, value)| (name.as_str(), value.0.as_os_str()));
        variables.filter(|(name, _)| name.starts_with(PREFIX) && *name != FILE_VARIABLE)
    }
}

/// The variable that sets a key: `tls.client_ca` is `TOKEN_PROVIDER_TLS__CLIENT_CA`.
pub(super) fn variable_name(path: &str) -> String {
    format!("{PREFIX}{}", upper(path))
}

/// A variable cannot have a hyphen or small letters, so `PROFILES__MY_MAPS` also names a profile that the file calls `my-maps`.
pub(super) fn upper(path: &str) -> String {
    path.replace('.', "__").replace('-', "_").to_uppercase()
}

/// Shows names alone: a value may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_are_not_set() {
        let environment = Environment::from_pairs([("HOME", ""), ("TOKEN_PROVIDER_LISTEN", "")]);
        assert_eq!((environment.variable("HOME"), environment.settings().count()), (None, 0));
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let names = ["HERE_ACCESS_KEY_ID", "HERE_ACCESS_KEY_SECRET", "TOKEN_PROVIDER_X"];
        let environment = Environment::from_pairs(names.map(|name| (name, "planted")));
        let shown = format!("{environment:?}");
        assert!(!shown.contains("planted"), "{shown}");
        assert!(names.iter().all(|name| shown.contains(name)), "{shown}");
    }

    #[test]
    fn paths_may_be_anything() {
        use std::os::unix::ffi::OsStringExt as _;

        let environment = Environment::from_pairs([("HOME", OsString::from_vec(vec![b'/', 0xff]))]);
        assert_eq!(environment.variable("HOME").map(OsStr::len), Some(2));
    }

    #[test]
    fn the_file_variable_sets_no_key() {
        let pairs = [("TOKEN_PROVIDER_CONFIG", "x"), ("TOKEN_PROVIDER_LISTEN", "x"), ("PATH", "x")];
        let environment = Environment::from_pairs(pairs);
        assert_eq!(
            environment.settings().map(|(name, _)| name).collect::<Vec<_>>(),
            ["TOKEN_PROVIDER_LISTEN"]
        );
        assert!(environment.variable("TOKEN_PROVIDER_CONFIG").is_some());
    }
}
