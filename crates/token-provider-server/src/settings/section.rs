//! Reading settings: a [`Section`] hands out its keys one by one, parsed, and notes everything that is wrong on the way. What is
//! left when it is dropped is an unknown key.
//!
//! A reader returns something even where it met an error, so that the rest is read too; [`read`] throws the result away if
//! there was any.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::{Environment, PREFIX, upper};
use super::error::{ConfigError, ConfigErrors, NOT_TEXT, Place, ReadError};
use super::syntax::{self, position};
use super::unknown::{MisplacedSecrets, key_path, unknown_key, unknown_variable};

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

/// A key, and where its value comes from.
struct Key {
    place: Place,
    /// Dotted, empty for the file as a whole.
    path: String,
}

/// A key with its value. No `Debug`: it would show what was read.
struct Entry<'a> {
    key: Key,
    value: Spanned<DeValue<'a>>,
    /// Whether it is the text of a variable as it stands: what the key takes decides whether it is a list, a number or a word.
    is_raw: bool,
}

/// What all sections share while they are read.
struct Reading<'a> {
    /// The text of the file.
    text: &'a str,
    variables: BTreeMap<&'a str, &'a str>,
    secrets: &'a MisplacedSecrets,
    notes: RefCell<Notes>,
}

#[derive(Default)]
struct Notes {
    /// The variables of all keys that were read.
    known: BTreeSet<String>,
    /// Prefixes of the variables of keys that should be tables but are not.
    broken: Vec<String>,
    errors: Vec<ConfigError>,
}

/// One table of the configuration while it is read.
pub(crate) struct Section<'a> {
    reading: &'a Reading<'a>,
    table: DeTable<'a>,
    key: Key,
    /// What the names of the variables of its keys begin with.
    prefix: String,
    /// The keys that were read, with the place of those that are set.
    keys: BTreeMap<String, Option<Place>>,
}

/// Reads a file's text, if there is one, and the environment. Returns the result of `read` and any warnings.
///
/// A file that is not TOML has no keys to look at, so its syntax errors are reported first and alone.
pub(crate) fn read<T>(
    file: Option<(&Path, &str)>,
    environment: &Environment,
    secrets: &MisplacedSecrets,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<(T, Vec<ConfigError>), ConfigErrors> {
    let (path, text) = file.unwrap_or_else(|| (Path::new(""), ""));
    let file = Arc::from(path);
    let table = syntax::parse(&file, text).map_err(ConfigErrors::new)?;
    let of_variable =
        |name: &str, message: &str| ConfigError::new(Place::Variable(name.to_owned()), "", message);
    let (mut variables, mut notes) = (BTreeMap::new(), Notes::default());
    for (name, value) in environment.settings() {
        match value.to_str() {
            Some(text) => drop(variables.insert(name, text)),
            None => notes.errors.push(of_variable(name, NOT_TEXT)),
        }
    }
    let reading = Reading { text, variables, secrets, notes: notes.into() };
    let key = Key { place: Place::File { file, line: 0, column: None }, path: String::new() };
    let value = read(&mut reading.section(table, key, PREFIX.to_owned()));

    let Notes { known, broken, mut errors } = reading.notes.into_inner();
    let mut warnings = Vec::new();
    let is_read = |name: &str| known.contains(name) || broken.iter().any(|prefix| name.starts_with(prefix));
    for name in reading.variables.into_keys().filter(|name| !is_read(name)) {
        match unknown_variable(name, &known, secrets) {
            Ok(warning) => warnings.push(of_variable(name, &warning)),
            Err(message) => errors.push(of_variable(name, &message)),
        }
    }
    if errors.is_empty() { Ok((value, warnings)) } else { Err(ConfigErrors::new(errors)) }
}

impl<'a> Reading<'a> {
    fn section(&'a self, table: DeTable<'a>, key: Key, prefix: String) -> Section<'a> {
        Section { reading: self, table, key, prefix, keys: BTreeMap::new() }
    }

    /// Returns the place of what is at this byte of the file, or in the same variable as what is around it.
    fn place(&self, around: &Place, offset: usize) -> Place {
        let Place::File { file, .. } = around else { return around.clone() };
        Place::File { file: Arc::clone(file), line: position(self.text, offset).0, column: None }
    }
}

impl<'a> Section<'a> {
    /// Reports each of the keys that is not set, with what is expected there. To be called when they have been read.
    pub(crate) fn need(&self, keys: &[(&str, &'static str)]) {
        for (key, expected) in keys.iter().filter(|(key, _)| !self.is_set(key)) {
            self.error(key, format!("missing; expected {expected}"));
        }
    }

    /// Returns whether a key that was read is set, even to a wrong value.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(Option::is_some)
    }

    /// Returns the path of this section, dotted.
    pub(crate) fn dotted(&self) -> &str {
        &self.key.path
    }

    /// Returns the keys that are set, for tables whose keys are names. Those that a variable can spell come first, so that a
    /// variable is theirs.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.table.keys().map(|key| key.get_ref().to_string()).collect();
        names.sort_by_key(|name| name.contains(|c: char| c == '-' || c.is_uppercase()));
        for rest in self.reading.variables.keys().filter_map(|name| name.strip_prefix(&self.prefix)) {
            let is_of = |name: &String| format!("{rest}__").starts_with(&format!("{}__", upper(name)));
            if !names.iter().any(is_of) {
                names.extend(rest.split("__").next().map(str::to_lowercase));
            }
        }
        names
    }

    /// Reads a string.
    pub(crate) fn text<T>(&mut self, key: &str, parse: impl Parse<T>) -> Option<T> {
        self.take(key).and_then(|entry| self.parse(&entry, false, parse))
    }

    /// Reads a string, a whole number or a date; the parser gets its text, of a number the digits.
    pub(crate) fn text_or_number<T>(&mut self, key: &str, parse: impl Parse<T>) -> Option<T> {
        self.take(key).and_then(|entry| self.parse(&entry, true, parse))
    }

    /// Reads a list; a lone value is a list of one, and in a variable commas separate.
    pub(crate) fn list<T>(&mut self, key: &str, list: List, parse: impl Parse<T>) -> Option<Vec<T>> {
        let Entry { key, value, is_raw } = self.take(key)?;
        let (span, numbers) = (value.span(), list == List::NotEmptyNumbers);
        let items: Vec<_> = match value.into_inner() {
            DeValue::Array(items) => items.into_iter().collect(),
            DeValue::String(text) if is_raw => {
                let item = |text: &str| Spanned::new(span.clone(), DeValue::String(text.to_owned().into()));
                text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(item).collect()
            }
            value @ (DeValue::String(_) | DeValue::Integer(_)) => {
                let item = Entry { key, value: Spanned::new(span, value), is_raw };
                return Some(self.parse(&item, numbers, parse).into_iter().collect());
            }
            other => return self.refuse(&key, "a list", &other),
        };
        if items.is_empty() && list != List::Any {
            self.report(&key, "expected a list with at least one entry");
            return None;
        }
        Some(self.items(&key, items).filter_map(|item| self.parse(&item, numbers, parse)).collect())
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        let Entry { key, value, is_raw } = self.take(key)?;
        match value.into_inner() {
            DeValue::Boolean(value) => Some(value),
            DeValue::String(text) if is_raw => {
                self.parse_text(&key, &text, |text: &str| text.parse().map_err(|_| "expected true or false"))
            }
            other => self.refuse(&key, "true or false, without quotes", &other),
        }
    }

    /// Reads a path. One in the file is relative to the file, so that it means the same wherever the server is
    /// started; one in a variable is relative to the working directory, as the shell's user expects.
    pub(crate) fn path(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.text(key, path)?;
        match self.key(key).place {
            Place::File { file, .. } => Some(file.parent().unwrap_or_else(|| Path::new("")).join(path)),
            Place::Variable(_) | Place::Flag(_) => Some(path),
        }
    }

    /// Reads a table below this one, if it or one of its keys is set.
    pub(crate) fn table(&mut self, key: &str) -> Option<Self> {
        let prefix = format!("{}__", self.variable(key));
        let entry = self.take(key).or_else(|| {
            let first = self.reading.variables.keys().find(|name| name.starts_with(&prefix))?;
            let key = Key { place: Place::Variable((*first).to_owned()), path: self.path_of(key) };
            Some(Entry { key, value: Spanned::new(0..0, DeValue::Table(DeTable::new())), is_raw: false })
        })?;
        self.enter(prefix, entry)
    }

    /// Reads a table below this one, or an empty one in its place.
    pub(crate) fn table_or_empty(&mut self, key: &str) -> Self {
        let prefix = format!("{}__", self.variable(key));
        self.table(key).unwrap_or_else(|| self.reading.section(DeTable::new(), self.key(key), prefix))
    }

    /// Reads a list of tables.
    pub(crate) fn tables(&mut self, key: &str, list: List) -> Vec<Self> {
        let Some(Entry { key, value, .. }) = self.take(key) else { return Vec::new() };
        let message = match value.into_inner() {
            DeValue::Array(items) if items.is_empty() && list != List::Any => "one table at least".to_owned(),
            DeValue::Array(items) => {
                let items = self.items(&key, items.into_iter().collect());
                // The path stands for a prefix that no variable has.
                return items.filter_map(|item| self.enter(item.key.path.clone(), item)).collect();
            }
            DeValue::Table(_) => format!("a list of tables: write [[{}]], with two brackets", key.path),
            other => format!("a list of tables, not {}", kind(&other)),
        };
        self.report(&key, format!("expected {message}"));
        Vec::new()
    }

    /// Reads a list of tables, or a table in place of a list of one. Variables set keys of that one only.
    pub(crate) fn table_or_tables(&mut self, key: &str) -> Vec<Self> {
        if !matches!(self.table.get(key).map(Spanned::get_ref), Some(DeValue::Array(_))) {
            return self.table(key).into_iter().collect();
        }
        let (path, name) = (self.path_of(key), self.variable(key));
        let prefix = format!("{name}__");
        let is_of = |variable: &&&str| **variable == name || variable.starts_with(&prefix);
        for name in self.reading.variables.keys().filter(is_of) {
            let message = format!("cannot be set beside the list [[{path}]] in the file: set it there");
            self.report(&Key { place: Place::Variable((*name).to_owned()), path: path.clone() }, message);
        }
        self.reading.notes.borrow_mut().broken.push(prefix);
        self.tables(key, List::Any)
    }

    /// Parses the values of a flag, if it was given. It sets a list with this key.
    pub(crate) fn arguments<T>(
        &self,
        flag: &'static str,
        key: &str,
        values: &[String],
        parse: impl Parse<T>,
    ) -> Option<Vec<T>> {
        let item = |(index, value): (usize, &String)| {
            let path = if values.len() > 1 { format!("{key}[{index}]") } else { String::new() };
            self.parse_text(&Key { place: Place::Flag(flag), path }, value, parse)
        };
        (!values.is_empty()).then(|| values.iter().enumerate().filter_map(item).collect())
    }

    /// Parses the value of a flag, if it was given.
    pub(crate) fn argument<T>(
        &self,
        flag: &'static str,
        value: Option<&str>,
        parse: impl Parse<T>,
    ) -> Option<T> {
        self.parse_text(&Key { place: Place::Flag(flag), path: String::new() }, value?, parse)
    }

    /// Reports a conflict between this key and others.
    pub(crate) fn error(&self, key: &str, message: impl Display) {
        self.report(&self.key(key), message);
    }

    /// Reports what is wrong with the section as a whole.
    pub(crate) fn error_here(&self, message: impl Display) {
        self.report(&self.key, message);
    }

    /// Reports what is wrong with a flag in the light of others.
    pub(crate) fn error_of_flag(&self, flag: &'static str, message: impl Display) {
        self.report(&Key { place: Place::Flag(flag), path: String::new() }, message);
    }

    /// Takes a key from its variable, which beats the file. A variable is for the first key that it can spell.
    fn take(&mut self, key: &str) -> Option<Entry<'a>> {
        let (path, name) = (self.path_of(key), self.variable(key));
        let in_file = self.table.remove_entry(key);
        let is_first = self.reading.notes.borrow_mut().known.insert(name.clone());
        let entry = match (self.reading.variables.get(&*name).filter(|_| is_first), in_file) {
            (Some(text), _) => {
                // `[::1]:3000` is not a list.
                let value = if text.starts_with(['[', '{']) { DeValue::parse(text).ok() } else { None };
                let is_raw = value.is_none();
                let value = value.unwrap_or_else(|| Spanned::new(0..0, DeValue::String((*text).into())));
                Some(Entry { key: Key { place: Place::Variable(name), path }, value, is_raw })
            }
            (None, Some((key, value))) => {
                let place = self.reading.place(&self.key.place, key.span().start);
                Some(Entry { key: Key { place, path }, value, is_raw: false })
            }
            (None, None) => None,
        };
        self.keys.insert(key.to_owned(), entry.as_ref().map(|entry| entry.key.place.clone()));
        entry
    }

    /// Returns the entries of a list.
    fn items(&self, list: &Key, items: Vec<Spanned<DeValue<'a>>>) -> impl Iterator<Item = Entry<'a>> {
        items.into_iter().enumerate().map(|(index, value)| {
            let place = self.reading.place(&list.place, value.span().start);
            Entry { key: Key { place, path: format!("{}[{index}]", list.path) }, value, is_raw: false }
        })
    }

    fn enter(&self, prefix: String, entry: Entry<'a>) -> Option<Self> {
        match entry.value.into_inner() {
            DeValue::Table(table) => Some(self.reading.section(table, entry.key, prefix)),
            other => {
                self.reading.notes.borrow_mut().broken.push(prefix);
                self.refuse(&entry.key, "a table", &other)
            }
        }
    }

    fn parse<T>(&self, entry: &Entry<'_>, numbers: bool, parse: impl Parse<T>) -> Option<T> {
        match entry.value.get_ref() {
            DeValue::String(text) => self.parse_text(&entry.key, text, parse),
            DeValue::Integer(number) if numbers => {
                let decimal = i128::from_str_radix(number.as_str(), number.radix());
                let text = decimal.map_or_else(|_| number.to_string(), |number| number.to_string());
                self.parse_text(&entry.key, &text, parse)
            }
            DeValue::Datetime(date) if numbers => self.parse_text(&entry.key, &date.to_string(), parse),
            other if numbers => self.refuse(&entry.key, "a string or a number", other),
            other => self.refuse(&entry.key, "a string", other),
        }
    }

    fn parse_text<T>(&self, key: &Key, text: &str, parse: impl Parse<T>) -> Option<T> {
        parse.parse(text).map_err(|error| self.report(key, error.message(text))).ok()
    }

    fn refuse<T>(&self, key: &Key, expected: &str, found: &DeValue<'_>) -> Option<T> {
        self.report(key, format!("expected {expected}, not {}", kind(found)));
        None
    }

    fn report(&self, key: &Key, message: impl Display) {
        self.reading.notes.borrow_mut().errors.push(ConfigError::new(key.place.clone(), &key.path, message));
    }

    /// Returns a key of this section; one that is not set is in the place of the section.
    fn key(&self, key: &str) -> Key {
        let place = self.keys.get(key).and_then(Option::as_ref).unwrap_or(&self.key.place);
        Key { place: place.clone(), path: self.path_of(key) }
    }

    fn path_of(&self, key: &str) -> String {
        key_path(&self.key.path, key, self.reading.secrets)
    }

    /// The variable that sets a key.
    fn variable(&self, key: &str) -> String {
        self.prefix.clone() + &upper(key)
    }
}

/// Reports the keys that were not read.
impl Drop for Section<'_> {
    fn drop(&mut self) {
        let known: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        for key in self.table.keys() {
            let place = self.reading.place(&self.key.place, key.span().start);
            let message = unknown_key(key.get_ref(), &known, self.reading.secrets);
            self.report(&Key { place, path: self.path_of(key.get_ref()) }, message);
        }
    }
}

/// What to call a value in a message.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Table(_) => "a table",
        DeValue::Array(_) => "a list",
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Float(_) | DeValue::Datetime(_) => "another kind of value",
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
