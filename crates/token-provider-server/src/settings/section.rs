//! Reading settings: a [`Section`] hands out its keys one by one, parsed, and notes everything that is wrong on the way. What is
//! left when it is dropped is an unknown key.
//!
//! A reader returns something even where it met an error, so that the rest is read too; [`read`] throws the result away if
//! there was any.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::{Environment, PREFIX, upper};
use super::error::{ConfigError, ConfigErrors, NOT_TEXT, Place, ReadError};
use super::tree::{Entry, Node, Table, from_toml, from_variable};
use super::unknown::{Hint, key_path, unknown_key, unknown_variable};

/// What a list may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// Strings, or none.
    Any,
    /// Strings, one at least: an empty list would mean nothing, or the opposite of what it looks like.
    NotEmpty,
    /// The same with numbers among them.
    NotEmptyNumbers,
}

/// A grammar: text becomes a value, or what was expected.
pub(crate) trait Parse<T>: Copy {
    fn parse(&self, text: &str) -> Result<T, ReadError>;
}

impl<T, E: Into<ReadError>, F: Fn(&str) -> Result<T, E> + Copy> Parse<T> for F {
    fn parse(&self, text: &str) -> Result<T, ReadError> {
        self(text).map_err(Into::into)
    }
}

/// What all sections share while they are read.
struct Reading {
    hint: Hint,
    /// The variables that nobody has asked for yet.
    variables: RefCell<BTreeMap<String, String>>,
    /// The variables of all keys that somebody has asked for.
    known: RefCell<BTreeSet<String>>,
    errors: RefCell<Vec<ConfigError>>,
}

/// One table of the configuration while it is read.
pub(crate) struct Section<'a> {
    reading: &'a Reading,
    table: Table,
    place: Place,
    /// Dotted, empty at the top.
    path: String,
    /// What the names of the variables of its keys begin with.
    prefix: String,
    /// The keys that the reader has asked for, with the place of those that are set.
    asked: BTreeMap<String, Option<Place>>,
}

/// Reads a file's text, if there is one, and the environment. Returns what `read` has made of it, and what to warn of.
///
/// A file that is not TOML has no keys to look at, so its syntax errors are reported first and alone.
pub(crate) fn read<T>(
    file: Option<(&Path, &str)>,
    environment: &Environment,
    hint: Hint,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<(T, Vec<ConfigError>), ConfigErrors> {
    let (path, text) = file.unwrap_or_else(|| (Path::new(""), ""));
    let file = Arc::from(path);
    let table = from_toml(&file, text).map_err(ConfigErrors::new)?;
    let (mut variables, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, value) in environment.settings() {
        match value.to_str() {
            Some(text) => drop(variables.insert(name.clone(), text.to_owned())),
            None => errors.push(ConfigError::new(Place::Variable(name.clone()), "", NOT_TEXT)),
        }
    }
    let (variables, known, errors) = (variables.into(), RefCell::default(), errors.into());
    let reading = Reading { hint, variables, known, errors };
    let place = Place::File { file, line: 0, column: None };
    let value = read(&mut reading.section(table, place, String::new(), PREFIX.to_owned()));

    let (known, mut errors, mut warnings) =
        (reading.known.into_inner(), reading.errors.into_inner(), Vec::new());
    for name in reading.variables.into_inner().into_keys() {
        match unknown_variable(&name, &known, hint) {
            Ok(warning) => warnings.push(ConfigError::new(Place::Variable(name), "", warning)),
            Err(message) => errors.push(ConfigError::new(Place::Variable(name), "", message)),
        }
    }
    if errors.is_empty() { Ok((value, warnings)) } else { Err(ConfigErrors::new(errors)) }
}

impl Reading {
    fn section(&self, table: Table, place: Place, path: String, prefix: String) -> Section<'_> {
        Section { reading: self, table, place, path, prefix, asked: BTreeMap::new() }
    }
}

impl Section<'_> {
    /// Reports each of the keys that is not set, with what is expected there. To be called before they are read.
    pub(crate) fn need(&self, keys: &[(&str, &'static str)]) {
        let variables = self.reading.variables.borrow();
        for (key, expected) in keys {
            if !self.table.contains_key(*key) && !variables.contains_key(&self.variable(key)) {
                self.report(&self.place, self.path_of(key), format!("missing; expected {expected}"));
            }
        }
    }

    /// Returns whether a key that has been asked for is set, be it wrongly.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.asked.get(key).is_some_and(Option::is_some)
    }

    /// Returns the keys that are set, for tables whose keys are names. Those that a variable can spell come first, so that a
    /// variable is theirs.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.table.keys().cloned().collect();
        names.sort_by_key(|name| name.contains(|c: char| c == '-' || c.is_uppercase()));
        for variable in self.reading.variables.borrow().keys() {
            let is_of = |name: &String| {
                let rest = variable.strip_prefix(&self.variable(name));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
            };
            if let Some(rest) = variable.strip_prefix(&self.prefix)
                && !names.iter().any(is_of)
            {
                names.extend(rest.split("__").next().map(str::to_lowercase));
            }
        }
        names
    }

    /// Reads a string.
    pub(crate) fn text<T>(&mut self, key: &str, parse: impl Parse<T>) -> Option<T> {
        let entry = self.take(key)?;
        self.parse(&self.path_of(key), &entry, false, parse)
    }

    /// Reads a string or a whole number; the parser gets the number's digits.
    pub(crate) fn text_or_number<T>(&mut self, key: &str, parse: impl Parse<T>) -> Option<T> {
        let entry = self.take(key)?;
        self.parse(&self.path_of(key), &entry, true, parse)
    }

    /// Reads a list; a lone value is a list of one, and in a variable commas separate.
    pub(crate) fn list<T>(&mut self, key: &str, list: List, parse: impl Parse<T>) -> Option<Vec<T>> {
        let Entry { place, node } = self.take(key)?;
        let text = |text: &str| Entry { place: place.clone(), node: Node::Text(text.to_owned()) };
        let items = match node {
            Node::List(items) => items,
            Node::Raw(list) => {
                list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(text).collect()
            }
            Node::Text(_) | Node::Number(_) => vec![Entry { place: place.clone(), node }],
            other => {
                self.report(&place, self.path_of(key), format!("expected a list, not {}", other.kind()));
                return None;
            }
        };
        if items.is_empty() && list != List::Any {
            self.report(&place, self.path_of(key), "expected a list with at least one entry");
            return None;
        }
        let numbers = list == List::NotEmptyNumbers;
        let item = |(index, item): (usize, &Entry)| {
            self.parse(&format!("{}[{index}]", self.path_of(key)), item, numbers, parse)
        };
        Some(items.iter().enumerate().filter_map(item).collect())
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        let Entry { place, node } = self.take(key)?;
        let message = match &node {
            Node::Bool(value) => return Some(*value),
            Node::Raw(text) if text == "true" => return Some(true),
            Node::Raw(text) if text == "false" => return Some(false),
            Node::Raw(_) => "expected true or false".to_owned(),
            other => format!("expected true or false, without quotes, not {}", other.kind()),
        };
        self.report(&place, self.path_of(key), message);
        None
    }

    /// Reads a path. One in the file is relative to the file, so that it means the same wherever the server is
    /// started; one in a variable is relative to the working directory, as the shell's user expects.
    pub(crate) fn path(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.text(key, path)?;
        match self.place_of(key) {
            Place::File { file, .. } => Some(file.parent().unwrap_or_else(|| Path::new("")).join(path)),
            Place::Variable(_) | Place::Flag(_) => Some(path),
        }
    }

    /// Reads a table below this one, if it or one of its keys is set.
    pub(crate) fn table(&mut self, key: &str) -> Option<Self> {
        let prefix = format!("{}__", self.variable(key));
        let entry = self.take(key).or_else(|| {
            let variables = self.reading.variables.borrow();
            let first = variables.keys().find(|name| name.starts_with(&prefix))?;
            Some(Entry { place: Place::Variable(first.clone()), node: Node::Table(Table::new()) })
        })?;
        self.enter(self.path_of(key), prefix, entry)
    }

    /// Reads a table below this one, or an empty one in its place.
    pub(crate) fn table_or_empty(&mut self, key: &str) -> Self {
        self.table(key).unwrap_or_else(|| {
            let prefix = format!("{}__", self.variable(key));
            self.reading.section(Table::new(), self.place.clone(), self.path_of(key), prefix)
        })
    }

    /// Reads a list of tables.
    pub(crate) fn tables(&mut self, key: &str) -> Vec<Self> {
        let Some(Entry { place, node }) = self.take(key) else { return Vec::new() };
        let path = self.path_of(key);
        let message = match node {
            Node::List(items) => {
                let path = |index| format!("{path}[{index}]");
                // The path stands for a prefix that no variable has.
                let items = items.into_iter().enumerate();
                return items
                    .filter_map(|(index, item)| self.enter(path(index), path(index), item))
                    .collect();
            }
            Node::Table(_) => format!("expected a list of tables: write [[{path}]], with two brackets"),
            other => format!("expected a list of tables, not {}", other.kind()),
        };
        self.report(&place, path, message);
        Vec::new()
    }

    /// Parses the values of a flag, if it was given. It sets the key at `path`.
    pub(crate) fn arguments<T>(
        &self,
        flag: &'static str,
        path: &str,
        values: &[String],
        parse: impl Parse<T>,
    ) -> Option<Vec<T>> {
        let item = |(index, value): (usize, &String)| {
            let path = if values.len() > 1 { format!("{path}[{index}]") } else { path.to_owned() };
            let entry = Entry { place: Place::Flag(flag), node: Node::Text(value.clone()) };
            self.parse(&path, &entry, false, parse)
        };
        (!values.is_empty()).then(|| values.iter().enumerate().filter_map(item).collect())
    }

    /// Parses the value of a flag, if it was given. It sets the key at `path`.
    pub(crate) fn argument<T>(
        &self,
        flag: &'static str,
        path: &str,
        value: Option<&String>,
        parse: impl Parse<T>,
    ) -> Option<T> {
        self.arguments(flag, path, value.cloned().as_slice(), parse)?.pop()
    }

    /// Reports what is wrong with a key in the light of others.
    pub(crate) fn error(&self, key: &str, message: impl Into<String>) {
        self.report(&self.place_of(key), self.path_of(key), message);
    }

    /// Reports what is wrong with the section as a whole.
    pub(crate) fn error_here(&self, message: impl Into<String>) {
        self.report(&self.place, self.path.clone(), message);
    }

    /// Reports what is wrong with a flag in the light of others.
    pub(crate) fn error_of_flag(&self, flag: &'static str, message: impl Into<String>) {
        self.report(&Place::Flag(flag), "", message);
    }

    /// Takes a key from its variable, which beats the file.
    fn take(&mut self, key: &str) -> Option<Entry> {
        let (in_file, name) = (self.table.remove(key), self.variable(key));
        let in_variable = self.reading.variables.borrow_mut().remove(&name);
        self.reading.known.borrow_mut().insert(name.clone());
        let entry = in_variable.map(|text| from_variable(Place::Variable(name), text)).or(in_file);
        self.asked.insert(key.to_owned(), entry.as_ref().map(|entry| entry.place.clone()));
        entry
    }

    fn enter(&self, path: String, prefix: String, entry: Entry) -> Option<Self> {
        let Entry { place, node } = entry;
        if let Node::Table(table) = node {
            return Some(self.reading.section(table, place, path, prefix));
        }
        self.report(&place, path, format!("expected a table, not {}", node.kind()));
        None
    }

    fn parse<T>(&self, path: &str, entry: &Entry, numbers: bool, parse: impl Parse<T>) -> Option<T> {
        let text = match &entry.node {
            Node::Text(text) | Node::Raw(text) => text,
            Node::Number(digits) if numbers => digits,
            other => {
                let expected = if numbers { "a string or a number" } else { "a string" };
                self.report(&entry.place, path, format!("expected {expected}, not {}", other.kind()));
                return None;
            }
        };
        let report = |error: ReadError| self.report(&entry.place, path, error.message(text));
        parse.parse(text).map_err(report).ok()
    }

    fn report(&self, place: &Place, path: impl Into<String>, message: impl Into<String>) {
        self.reading.errors.borrow_mut().push(ConfigError::new(place.clone(), path, message));
    }

    fn place_of(&self, key: &str) -> Place {
        let asked = self.asked.get(key).cloned().flatten();
        let unread = || self.table.get(key).map(|entry| entry.place.clone());
        asked.or_else(unread).unwrap_or_else(|| self.place.clone())
    }

    fn path_of(&self, key: &str) -> String {
        key_path(&self.path, key)
    }

    /// The variable that sets a key.
    fn variable(&self, key: &str) -> String {
        self.prefix.clone() + &upper(key)
    }
}

/// Reports the keys that nobody has asked for.
impl Drop for Section<'_> {
    fn drop(&mut self) {
        let known: Vec<&str> = self.asked.keys().map(String::as_str).collect();
        for (key, entry) in &self.table {
            let message = unknown_key(key, &known, (self.reading.hint)(key));
            self.report(&entry.place, self.path_of(key), message);
        }
    }
}

/// Reads a path.
pub(crate) fn path(text: &str) -> Result<PathBuf, &'static str> {
    match text {
        "" => Err("expected a path"),
        text if text.contains('\0') => Err("expected a path without a NUL character"),
        // Only shells know what it means; a directory called `~` is never wanted.
        text if text.starts_with('~') => Err("expected a path written in full, without `~`"),
        text => Ok(PathBuf::from(text)),
    }
}
