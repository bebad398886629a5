//! What is wrong with a configuration, and where. Nothing here ever holds a value that was read: a secret
//! pasted into the wrong place must not come out again in a message or a log.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::environment::variable_name;
use crate::printable::excerpt;

/// What is wrong with bytes that are no text.
pub(super) const NOT_TEXT: &str = "expected UTF-8 text";

/// Everything that is wrong with a configuration, in the order of the file: one edit can put it right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by(|one, other| one.place.cmp(&other.place));
        Self(errors)
    }

    /// Returns each error, for callers that show them in their own way.
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.0
    }
}

/// One thing that is wrong: the place, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    place: Place,
    message: String,
}

impl ConfigError {
    /// Names the key, unless the place says which one it is.
    pub(super) fn new(place: Place, key: &str, message: impl fmt::Display) -> Self {
        let is_named = match &place {
            Place::File { .. } => key.is_empty(),
            Place::Variable(name) => key.is_empty() || *name == variable_name(key),
            // Only the place in a repeated flag is news.
            Place::Flag(_) => !key.ends_with(']'),
        };
        let message = if is_named { message.to_string() } else { format!("{key}: {message}") };
        Self { place, message }
    }
}

/// Where a value came from. The order is the one in which errors are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    File {
        file: Arc<Path>,
        /// 0 for the file as a whole.
        line: usize,
        /// Only for syntax: a key is found by its name.
        column: Option<usize>,
    },
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: 0, .. } => write!(f, "{}", file.display()),
            Self::File { file, line, column: None } => write!(f, "{}:{line}", file.display()),
            Self::File { file, line, column: Some(column) } => {
                write!(f, "{}:{line}:{column}", file.display())
            }
            Self::Variable(name) => f.write_str(&excerpt(name)),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// What is wrong with a value. It holds text of this program and names from the schema only, so that no message made of it can
/// show the value.
pub(crate) struct ReadError {
    expected: String,
    /// The words of which one may have been meant.
    known: Vec<String>,
}

impl ReadError {
    /// The value is none of a known set.
    pub(crate) fn unknown(expected: &'static str, known: Vec<String>) -> Self {
        Self { expected: expected.to_owned(), known }
    }

    /// Returns the message; `text` is compared with what is known, and not shown.
    pub(super) fn message(self, text: &str) -> String {
        match did_you_mean(text, self.known.iter().map(String::as_str)) {
            Some(name) => format!("{}; did you mean \"{name}\"?", self.expected),
            None => self.expected,
        }
    }
}

impl From<&'static str> for ReadError {
    fn from(expected: &'static str) -> Self {
        Self::unknown(expected, Vec::new())
    }
}

/// Reads one of these words; `or` says what else may stand in its place.
pub(crate) fn word<T: Clone>(text: &str, words: &[(&str, T)], or: Option<&str>) -> Result<T, ReadError> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
    found.ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(word, _)| (*word).to_owned()).collect();
        let words = known.iter().map(|word| format!("\"{word}\""));
        let mut words: Vec<String> = words.chain(or.map(str::to_owned)).collect();
        let last = words.pop().expect("there are words");
        ReadError { expected: format!("expected {} or {last}", words.join(", ")), known }
    })
}

/// Returns the one of `known` that was probably meant: the nearest, if it is near enough.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_").replace("__", "_");
    let word = plain(word);
    // One slip in a short word, two or three in a long one; with more the guess is noise.
    let near_enough = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&word, &plain(name)), name))
        .filter(|(distance, _)| *distance <= near_enough)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let known = ["listen", "lifetimes", "public_hosts", "tls", "log"];
        for (word, expected) in [
            ("lisen", Some("listen")),
            ("lisetn", Some("listen")),
            ("LISTEN", Some("listen")),
            ("public-hosts", Some("public_hosts")),
            ("publichost", Some("public_hosts")),
            ("tsl", Some("tls")),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(word, known), expected, "{word}");
        }
    }
}
