//! What is wrong with a configuration, and where. Nothing here ever holds a value that was read: a secret
//! pasted into the wrong place must not come out again in a message or a log.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;

use super::environment::variable_name;
use crate::printable::excerpt;

/// What is wrong with bytes that are no text.
pub(super) const NOT_TEXT: &str = "expected UTF-8 text";

/// Everything that is wrong with a configuration, in the order of the file: one edit can put it right.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Error for ConfigErrors {}

/// One thing that is wrong: the place, the key, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    place: Place,
    key: String,
    message: String,
}

impl ConfigError {
    pub(super) fn new(place: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place, key: key.into(), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names_the_key = match &self.place {
            Place::File { .. } => true,
            Place::Variable(name) => *name != variable_name(&self.key),
            // A flag says which key it sets; only the place in a repeated flag is news.
            Place::Flag(_) => self.key.ends_with(']'),
        };
        write!(f, "{}: ", self.place)?;
        if names_the_key && !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
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

/// What is wrong with a value: a message made of text of this program and names from the schema, so that none can show
/// the value.
pub(crate) struct ReadError(String);

impl ReadError {
    /// The value is none of those that are known. It is compared with them, and not shown.
    pub(crate) fn unknown<'k>(
        value: &str,
        known: impl IntoIterator<Item = &'k str>,
        expected: &'static str,
    ) -> Self {
        Self(expected.to_owned()).or_meant(value, known)
    }

    fn or_meant<'k>(self, value: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        match did_you_mean(value, known) {
            Some(name) => Self(format!("{}; did you mean \"{name}\"?", self.0)),
            None => self,
        }
    }

    pub(super) fn into_message(self) -> String {
        self.0
    }
}

impl From<&'static str> for ReadError {
    fn from(message: &'static str) -> Self {
        Self(message.to_owned())
    }
}

/// Reads a word; `or` says what else may stand in its place.
pub(crate) fn word<T: ValueEnum>(text: &str, or: Option<&'static str>) -> Result<T, ReadError> {
    T::from_str(text, false).map_err(|_| {
        let words = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
        let mut choices: Vec<String> =
            words.iter().map(|word| format!("\"{word}\"")).chain(or.map(str::to_owned)).collect();
        let last = choices.pop().expect("there are words");
        let error = ReadError(format!("expected {} or {last}", choices.join(", ")));
        error.or_meant(text, words.iter().map(String::as_str))
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
