//! Walking the tree of settings: a [`Section`] hands out its keys one by one, parsed, and notes everything that is
//! wrong on the way. What is left when its reader returns is an unknown key.
//!
//! A reader returns something even where it met a problem, so that the rest is read too; `Config::parse` throws the
//! result away if there was any. Parsers say what they expected as a [`Fault`], which has no room for the value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{Place, Problem, did_you_mean, variable_name};
use super::tree::{Entry, Node, Table};
use super::unknown::{key_path, unknown_key, unknown_variable};

/// What is wrong with a value. It holds text of this program and names from the schema only, so no message made of
/// it can show the value.
pub(super) enum Fault {
    /// The whole message.
    Is(&'static str),
    /// The value is none of a known set.
    NotOneOf { message: &'static str, known: Vec<String> },
}

impl From<&'static str> for Fault {
    fn from(message: &'static str) -> Self {
        Self::Is(message)
    }
}

/// What a list may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Strings, or none.
    Any,
    /// Strings, one at least: an empty list would mean nothing, or the opposite of what it looks like.
    NotEmpty,
    /// The same with numbers among them.
    NotEmptyNumbers,
}

/// One table of the configuration while it is read.
pub(super) struct Section<'p> {
    table: Table,
    place: Place,
    /// Dotted, empty at the top.
    path: String,
    /// The keys that the reader has asked for, with the place of those that are set.
    asked: BTreeMap<String, Option<Place>>,
    problems: &'p mut Vec<Problem>,
}

impl Section<'_> {
    /// Reads a table with `read` and reports the keys that it did not ask for.
    pub(super) fn walk<T>(
        table: Table,
        place: Place,
        path: String,
        problems: &mut Vec<Problem>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let mut section = Section { table, place, path, asked: BTreeMap::new(), problems };
        let value = read(&mut section);
        section.report_unknown();
        value
    }

    /// Reports each of the keys that is not set, with what is expected there. To be asked before they are read.
    pub(super) fn need(&mut self, keys: &[(&str, &'static str)]) {
        for (key, expected) in keys {
            if !self.table.contains_key(*key) {
                self.problem(key, format!("missing; expected {expected}"));
            }
        }
    }

    /// Says whether a key that has been asked for is set, be it wrongly.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.asked.get(key).is_some_and(Option::is_some)
    }

    /// The keys that are set and have not been asked for yet: for tables whose keys are names.
    pub(super) fn names(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// Reads a string.
    pub(super) fn text<T, F: Into<Fault>>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, F>,
    ) -> Option<T> {
        let entry = self.take(key)?;
        self.one(&self.path_of(key), &entry, false, &parse)
    }

    /// Reads a string or a whole number; the parser gets the number's digits.
    pub(super) fn text_or_number<T, F: Into<Fault>>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, F>,
    ) -> Option<T> {
        let entry = self.take(key)?;
        self.one(&self.path_of(key), &entry, true, &parse)
    }

    /// Reads a list; a lone value is a list of one, and in a variable commas separate.
    pub(super) fn list<T, F: Into<Fault>>(
        &mut self,
        key: &str,
        list: List,
        parse: impl Fn(&str) -> Result<T, F>,
    ) -> Option<Vec<T>> {
        let Entry { place, node } = self.take(key)?;
        let path = self.path_of(key);
        let items = match node {
            Node::List(items) => items,
            Node::Raw(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Entry { place: place.clone(), node: Node::Text(item.to_owned()) })
                .collect(),
            Node::Text(_) | Node::Number(_) => vec![Entry { place: place.clone(), node }],
            other => {
                self.report(place, path, format!("expected a list, not {}", other.kind()));
                return None;
            }
        };
        if items.is_empty() && list != List::Any {
            self.report(place, path, "expected a list with at least one entry");
            return None;
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            values.extend(self.one(&format!("{path}[{index}]"), item, list == List::NotEmptyNumbers, &parse));
        }
        Some(values)
    }

    /// Reads `true` or `false`.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let Entry { place, node } = self.take(key)?;
        match &node {
            Node::Bool(value) => return Some(*value),
            Node::Raw(text) if text == "true" => return Some(true),
            Node::Raw(text) if text == "false" => return Some(false),
            Node::Raw(_) => self.report(place, self.path_of(key), "expected true or false"),
            other => {
                let message = format!("expected true or false, without quotes, not {}", other.kind());
                self.report(place, self.path_of(key), message);
            }
        }
        None
    }

    /// Reads a path. One in the file is relative to the file, so that it means the same wherever the server is
    /// started; one from a flag or a variable is relative to the working directory, as the shell's user expects.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.text(key, |text| match text {
            "" => Err("expected a path"),
            text if text.contains('\0') => Err("expected a path without a NUL character"),
            // Only shells know what it means; a directory called `~` is never wanted.
            text if text.starts_with('~') => Err("expected a path written in full, without `~`"),
            text => Ok(PathBuf::from(text)),
        })?;
        match self.place_of(key) {
            Place::File { file, .. } => Some(file.parent().unwrap_or_else(|| Path::new("")).join(path)),
            Place::Variable(_) | Place::Flag(_) => Some(path),
        }
    }

    /// Reads a table below this one.
    pub(super) fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> Option<T> {
        let entry = self.take(key)?;
        self.enter(self.path_of(key), entry, read)
    }

    /// Reads a table below this one, or an empty one in its place.
    pub(super) fn section_or_empty<T>(&mut self, key: &str, read: impl Fn(&mut Section<'_>) -> T) -> T {
        self.section(key, &read).unwrap_or_else(|| {
            Section::walk(Table::new(), self.place.clone(), self.path_of(key), self.problems, &read)
        })
    }

    /// Reads a list of tables. Those that cannot be read are left out.
    pub(super) fn sections<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(Entry { place, node }) = self.take(key) else {
            return Vec::new();
        };
        let path = self.path_of(key);
        match node {
            Node::List(items) => items
                .into_iter()
                .enumerate()
                .filter_map(|(index, item)| self.enter(format!("{path}[{index}]"), item, &mut read)?)
                .collect(),
            Node::Table(_) => {
                let message = format!("expected a list of tables: write [[{path}]], with two brackets");
                self.report(place, path, message);
                Vec::new()
            }
            other => {
                self.report(place, path, format!("expected a list of tables, not {}", other.kind()));
                Vec::new()
            }
        }
    }

    /// Reports what is wrong with a key in the light of others.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.report(self.place_of(key), self.path_of(key), message);
    }

    /// Reports what is wrong with the section as a whole.
    pub(super) fn problem_here(&mut self, message: impl Into<String>) {
        self.report(self.place.clone(), self.path.clone(), message);
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.table.remove(key);
        self.asked.insert(key.to_owned(), entry.as_ref().map(|entry| entry.place.clone()));
        entry
    }

    fn enter<T>(
        &mut self,
        path: String,
        entry: Entry,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        let Entry { place, node } = entry;
        if let Node::Table(table) = node {
            return Some(Section::walk(table, place, path, self.problems, read));
        }
        self.report(place, path, format!("expected a table, not {}", node.kind()));
        None
    }

    fn one<T, F: Into<Fault>>(
        &mut self,
        path: &str,
        entry: &Entry,
        numbers: bool,
        parse: &impl Fn(&str) -> Result<T, F>,
    ) -> Option<T> {
        let text = match &entry.node {
            Node::Text(text) | Node::Raw(text) => text,
            Node::Number(digits) if numbers => digits,
            other => {
                let expected = if numbers { "a string or a number" } else { "a string" };
                let message = format!("expected {expected}, not {}", other.kind());
                self.report(entry.place.clone(), path, message);
                return None;
            }
        };
        let message = match parse(text).map_err(Into::into) {
            Ok(value) => return Some(value),
            Err(Fault::Is(message)) => message.to_owned(),
            Err(Fault::NotOneOf { message, known }) => {
                match did_you_mean(text, known.iter().map(String::as_str)) {
                    Some(name) => format!("{message}; did you mean \"{name}\"?"),
                    None => message.to_owned(),
                }
            }
        };
        self.report(entry.place.clone(), path, message);
        None
    }

    fn report(&mut self, place: Place, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(place, path, message));
    }

    fn report_unknown(&mut self) {
        let known: Vec<&str> = self.asked.keys().map(String::as_str).collect();
        for (key, entry) in &self.table {
            let path = self.path_of(key);
            let said = match &entry.place {
                Place::Variable(name) if *name == variable_name(&path) => {
                    unknown_variable(&self.path, key, &known)
                }
                _ => Err(unknown_key(key, &known)),
            };
            let place = entry.place.clone();
            self.problems.push(match said {
                Ok(warning) => Problem::warning(place, path, warning),
                Err(message) => Problem::new(place, path, message),
            });
        }
    }

    fn place_of(&self, key: &str) -> Place {
        let asked = self.asked.get(key).cloned().flatten();
        let unread = || self.table.get(key).map(|entry| entry.place.clone());
        asked.or_else(unread).unwrap_or_else(|| self.place.clone())
    }

    fn path_of(&self, key: &str) -> String {
        key_path(&self.path, key)
    }
}

/// Picks the value that goes with a word.
pub(super) fn one_of<T: Clone>(
    message: &'static str,
    choices: &[(&str, T)],
) -> impl Fn(&str) -> Result<T, Fault> {
    move |text| {
        choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone()).ok_or_else(|| {
            Fault::NotOneOf { message, known: choices.iter().map(|(name, _)| (*name).to_owned()).collect() }
        })
    }
}
