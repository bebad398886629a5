//! A file or a variable as a tree in which each value knows where it came from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};

/// A parser that lost its place goes on to complain about its own confusion; after this many lines it is noise.
const MOST_SYNTAX_ERRORS: usize = 5;

pub(super) type Table = BTreeMap<String, Entry>;

/// A value and its origin. No `Debug`: it would show what was read.
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) node: Node,
}

pub(super) enum Node {
    Table(Table),
    List(Vec<Entry>),
    Text(String),
    /// Text of an environment variable, where the key that it sets decides whether it is a list, a number or a word.
    Raw(String),
    /// Decimal digits, perhaps with a sign.
    Number(String),
    Bool(bool),
    /// What no key takes: a float or a date.
    Other,
}

impl Node {
    /// What to call it in a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::List(_) => "a list",
            Self::Text(_) | Self::Raw(_) => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Other => "another kind of value",
        }
    }
}

/// Reads a configuration file's text.
pub(super) fn from_toml(file: &Arc<Path>, text: &str) -> Result<Table, Vec<ConfigError>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let at =
            |offset| Place::File { file: Arc::clone(file), line: position(text, offset).0, column: None };
        return Ok(table(document.get_ref(), &at));
    }
    let mut by_line = BTreeMap::new();
    for error in &errors {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let place = Place::File { file: Arc::clone(file), line, column: Some(column) };
        // Only `message` is used of the error: its `Display` prints the line, which may hold a secret.
        by_line.entry(line).or_insert_with(|| ConfigError::new(place, "", syntax_message(error.message())));
    }
    Err(by_line.into_values().take(MOST_SYNTAX_ERRORS).collect())
}

/// Reads the text of an environment variable: lists and tables may be written as in the file.
pub(super) fn from_variable(place: Place, text: String) -> Entry {
    if text.starts_with(['[', '{'])
        && let Ok(value) = DeValue::parse(&text)
    {
        return entry(place.clone(), value.get_ref(), &|_| place.clone());
    }
    // Also `[::1]:3000`, which is no list.
    Entry { place, node: Node::Raw(text) }
}

fn table(table: &DeTable<'_>, at: &dyn Fn(usize) -> Place) -> Table {
    let items = table.iter();
    items
        .map(|(key, value)| (key.get_ref().to_string(), entry(at(key.span().start), value.get_ref(), at)))
        .collect()
}

fn entry(place: Place, value: &DeValue<'_>, at: &dyn Fn(usize) -> Place) -> Entry {
    let node = match value {
        DeValue::Table(value) => Node::Table(table(value, at)),
        DeValue::Array(items) => {
            Node::List(items.iter().map(|item| entry(at(item.span().start), item.get_ref(), at)).collect())
        }
        DeValue::String(text) => Node::Text(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(Node::Other, |number| Node::Number(number.to_string())),
        DeValue::Boolean(value) => Node::Bool(*value),
        DeValue::Float(_) | DeValue::Datetime(_) => Node::Other,
    };
    Entry { place, node }
}

/// Line and column, from 1, of a byte of the text.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// A word without quotes is taken for whatever its first letter suggests; say what was probably meant.
fn syntax_message(message: &str) -> String {
    const TAKEN_FOR: [&str; 3] = ["invalid boolean", "invalid float", "invalid integer"];
    let is_word = TAKEN_FOR.iter().any(|start| message.starts_with(start));
    format!("not TOML: {message}{}", if is_word { ", or text in double quotes" } else { "" })
}
