//! What is wrong with a configuration, and where. Nothing here ever holds a value that was read: a secret
//! pasted into the wrong place must not come out again in a message or a log.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::printable::excerpt;

/// Everything that is wrong with a configuration, in the order of the file.
///
/// All problems are found in one go, so that a file is put right in one edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|one, other| one.place.cmp(&other.place));
        Self { problems }
    }

    /// Returns each problem, for callers that show them in their own way.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}

/// One thing that is wrong: the place, the key, and what was expected there.
#[derive(Clone, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    path: String,
    message: String,
    is_warning: bool,
}

impl Problem {
    pub(super) fn new(place: Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place, path: path.into(), message: message.into(), is_warning: false }
    }

    /// Something to be told of that keeps nobody from starting.
    pub(super) fn warning(place: Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { is_warning: true, ..Self::new(place, path, message) }
    }

    pub(super) fn is_warning(&self) -> bool {
        self.is_warning
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names_the_key = match &self.place {
            Place::File { .. } => true,
            Place::Variable(name) => *name != variable_name(&self.path),
            // A flag says which key it sets; only the place in a repeated flag is news.
            Place::Flag(_) => self.path.ends_with(']'),
        };
        write!(f, "{}: ", self.place)?;
        if names_the_key && !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// The same text: the path of a flag's key, which `Display` leaves out, can hold the name given to another flag.
impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({self})")
    }
}

/// Where a value came from. The order is the one in which problems are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    File {
        file: Arc<Path>,
        /// 0 where the trouble is with the file as a whole.
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

/// What every environment variable of ours begins with.
pub(super) const PREFIX: &str = "TOKEN_PROVIDER_";

/// The variable that sets a key: `tls.client_ca` is `TOKEN_PROVIDER_TLS__CLIENT_CA`.
pub(super) fn variable_name(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").replace('-', "_").to_uppercase())
}

/// The one of `known` that was probably meant: nearest, and near enough.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    // One slip in a short word, two in a long one; more and the guess is noise.
    let near_enough = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (distance(&word, &name.to_lowercase().replace('-', "_")), name))
        .filter(|(distance, _)| *distance <= near_enough)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // The last two rows of the usual table: two, because a swap looks back over both letters.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let at = |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&last, column) + usize::from(letter != other))
                .min(at(&last, column + 1) + 1)
                .min(at(&next, column) + 1);
            let swapped = row > 0
                && column > 0
                && from.get(row - 1) == Some(other)
                && to.get(column - 1) == Some(letter);
            if swapped {
                cost = cost.min(at(&before, column - 1) + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn distance_counts_single_slips() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("orgins", "origins", 1),
            ("lisetn", "listen", 1),
            ("kitten", "sitting", 3),
            ("id", "audience", 7),
        ] {
            assert_eq!(distance(from, to), expected, "{from} → {to}");
        }
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let known = ["listen", "lifetimes", "public_hosts", "tls", "log"];
        for (word, expected) in [
            ("lisen", Some("listen")),
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

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(one in "[a-d]{0,8}", other in "[a-d]{0,8}") {
            let steps = distance(&one, &other);
            prop_assert_eq!(steps, distance(&other, &one));
            prop_assert!(steps <= one.len().max(other.len()));
            prop_assert_eq!(steps == 0, one == other);
        }
    }
}
