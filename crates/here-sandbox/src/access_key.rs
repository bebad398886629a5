//! The account's access keys: at most two, so that one can be rotated while the other works.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};

/// The number of access keys that HERE lets an app have.
const MAX_KEYS: usize = 2;

/// What is wrong with an access key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessKeyError {
    /// The app has two keys already, HERE's limit; remove one first.
    #[error("the app already has two access keys")]
    TooMany,
    /// An access key with this id exists; ids are never reused.
    #[error("an access key with this id exists")]
    Exists,
    /// A credential file does not have it.
    #[error("here.access.key.id or here.access.key.secret is missing")]
    Missing,
}

/// The keys in the order in which they were made.
pub(crate) struct AccessKeys(Mutex<Vec<AccessKey>>);

#[derive(Clone)]
struct AccessKey {
    id: String,
    secret: SecretString,
}

impl AccessKeys {
    pub(crate) fn new(id: String, secret: SecretString) -> Self {
        Self(Mutex::new(vec![AccessKey { id, secret }]))
    }

    pub(crate) fn add(&self, id: String, secret: SecretString) -> Result<(), AccessKeyError> {
        let mut keys = self.lock();
        if keys.iter().any(|key| key.id == id) {
            return Err(AccessKeyError::Exists);
        }
        if keys.len() >= MAX_KEYS {
            return Err(AccessKeyError::TooMany);
        }
        keys.push(AccessKey { id, secret });
        Ok(())
    }

    /// Returns whether there was such a key.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let mut keys = self.lock();
        let before = keys.len();
        keys.retain(|key| key.id != id);
        keys.len() < before
    }

    pub(crate) fn secret(&self, id: &str) -> Option<SecretString> {
        self.lock().iter().find(|key| key.id == id).map(|key| key.secret.clone())
    }

    /// Writes the oldest key as two lines of a `.properties` file; nothing when every key is removed.
    pub(crate) fn properties_lines(&self) -> String {
        let keys = self.lock();
        let Some(key) = keys.first() else {
            return String::new();
        };
        format!(
            "here.access.key.id = {}\nhere.access.key.secret = {}\n",
            escape_property(&key.id),
            escape_property(key.secret.expose_secret())
        )
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AccessKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().iter().map(|key| &key.id)).finish()
    }
}

/// Reads the access key of a file in which it was written so.
pub(crate) fn read_properties(text: &str) -> Result<(String, SecretString), AccessKeyError> {
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let value = pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| unescape_property(value));
        value.filter(|value| !value.is_empty()).ok_or(AccessKeyError::Missing)
    };
    Ok((value("here.access.key.id")?, value("here.access.key.secret")?.into()))
}

/// Escapes what would not survive `java.util.Properties`. Nothing in the base64url keys that HERE makes.
pub(crate) fn escape_property(value: &str) -> String {
    let mut text = value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    if text.starts_with(' ') {
        text.insert(0, '\\');
    }
    text
}

/// Undoes [`escape_property`].
fn unescape_property(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value.trim_start().chars();
    while let Some(character) = rest.next() {
        match (character, if character == '\\' { rest.next() } else { None }) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('r')) => text.push('\r'),
            ('\\', Some('t')) => text.push('\t'),
            (_, escaped) => text.push(escaped.unwrap_or(character)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> AccessKeys {
        AccessKeys::new("one".into(), "first".into())
    }

    #[test]
    fn third_key_waits_until_one_is_removed() {
        let keys = keys();
        assert_eq!(keys.add("one".into(), "x".into()), Err(AccessKeyError::Exists));
        assert_eq!(keys.add("two".into(), "second".into()), Ok(()));
        assert_eq!(keys.add("three".into(), "third".into()), Err(AccessKeyError::TooMany));
        assert!(keys.remove("one") && !keys.remove("one"));
        assert_eq!(keys.add("three".into(), "third".into()), Ok(()));
        assert!(keys.secret("one").is_none() && keys.secret("three").is_some());
    }

    #[test]
    fn file_shows_the_oldest_key_that_is_left() {
        let keys = keys();
        keys.add("two".into(), "second".into()).unwrap();
        assert_eq!(keys.properties_lines(), "here.access.key.id = one\nhere.access.key.secret = first\n");
        keys.remove("one");
        assert_eq!(keys.properties_lines(), "here.access.key.id = two\nhere.access.key.secret = second\n");
        keys.remove("two");
        assert_eq!(keys.properties_lines(), "");
    }

    #[test]
    fn odd_values_are_escaped_as_java_reads_them() {
        let value = " a\\b\nc d#=:";
        assert_eq!(escape_property(value), "\\ a\\\\b\\nc d#=:");
        for value in [value, "plain", "\\n", "a\tb\r", "  two"] {
            assert_eq!(unescape_property(&format!(" {}", escape_property(value))), value);
        }
    }

    #[test]
    fn key_is_read_back_from_its_file() {
        let keys = AccessKeys::new(" odd\\".into(), "se=cret".into());
        let text = format!("here.user.id = u\n{}", keys.properties_lines());
        let (id, secret) = read_properties(&text).unwrap();
        assert_eq!((id.as_str(), secret.expose_secret()), (" odd\\", "se=cret"));
        for text in ["", "here.access.key.id = a", "here.access.key.id = a\nhere.access.key.secret ="] {
            assert_eq!(read_properties(text).unwrap_err(), AccessKeyError::Missing);
        }
    }

    #[test]
    fn debug_shows_ids_alone() {
        assert_eq!(format!("{:?}", keys()), r#"["one"]"#);
    }
}
