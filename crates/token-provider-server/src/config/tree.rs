//! All sources in one tree, each value with the place it came from: what is set later simply replaces what was
//! there, and a message can still say which file and line, variable or flag is meant.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};

/// A parser that lost its place goes on to complain about its own confusion; after this many lines it is noise.
const MOST_SYNTAX_PROBLEMS: usize = 5;

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
    /// What no key takes: a float, a date, a path that is no text.
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
pub(super) fn from_toml(file: &Arc<Path>, text: &str) -> Result<Table, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let at = |offset| Place::File { file: Arc::clone(file), line: line(text, offset).0, column: None };
        return Ok(table(document.get_ref(), &at));
    }
    // Only `message` is used of the error: its `Display` prints the line, which may hold a secret.
    let mut by_line = BTreeMap::new();
    for error in &errors {
        let (line, column) = line(text, error.span().map_or(0, |span| span.start));
        by_line.entry(line).or_insert_with(|| (column, syntax_message(error.message())));
    }
    Err(by_line
        .into_iter()
        .take(MOST_SYNTAX_PROBLEMS)
        .map(|(line, (column, message))| {
            let place = Place::File { file: Arc::clone(file), line, column: Some(column) };
            Problem::new(place, "", message)
        })
        .collect())
}

/// Reads the text of an environment variable: lists and tables may be written as in the file.
pub(super) fn from_variable(place: Place, text: &str) -> Entry {
    if text.starts_with(['[', '{'])
        && let Ok(value) = DeValue::parse(text)
    {
        return entry(place.clone(), value.get_ref(), &|_| place.clone());
    }
    // Also `[::1]:3000`, which is no list.
    Entry { place, node: Node::Raw(text.to_owned()) }
}

/// Sets one key, making the tables on the way to it. Fails where something else than a table is in the way.
pub(super) fn set(table: &mut Table, keys: &[String], entry: Entry) -> Result<(), Problem> {
    descend(table, keys, entry).map_err(|place| {
        Problem::new(
            place,
            keys.join("."),
            "sets a part of something that is not a table; set the whole of it",
        )
    })
}

fn descend(table: &mut Table, keys: &[String], entry: Entry) -> Result<(), Place> {
    let Some((first, rest)) = keys.split_first() else {
        return Ok(());
    };
    let name = name_in(table, first);
    if rest.is_empty() {
        table.insert(name, entry);
        return Ok(());
    }
    let below = table
        .entry(name)
        .or_insert_with(|| Entry { place: entry.place.clone(), node: Node::Table(Table::new()) });
    match &mut below.node {
        Node::Table(table) => descend(table, rest, entry),
        _ => Err(entry.place),
    }
}

/// The key of the table that is meant. A variable cannot be spelt with a hyphen or tell lower from upper case, so
/// `PROFILES__MY_MAPS` also names a profile that the file calls `my-maps`.
fn name_in(table: &Table, key: &str) -> String {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    if table.contains_key(key) {
        return key.to_owned();
    }
    table.keys().find(|name| plain(name) == plain(key)).cloned().unwrap_or_else(|| key.to_owned())
}

fn table(table: &DeTable<'_>, at: &dyn Fn(usize) -> Place) -> Table {
    table
        .iter()
        .map(|(key, value)| {
            let place = at(key.span().start);
            (key.get_ref().to_string(), entry(place, value.get_ref(), at))
        })
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
fn line(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    (before.matches('\n').count() + 1, column + 1)
}

/// A word without quotes is taken for whatever its first letter suggests; say what was probably meant.
fn syntax_message(message: &str) -> String {
    const TAKEN_FOR: [&str; 3] = ["invalid boolean", "invalid float", "invalid integer"];
    if TAKEN_FOR.iter().any(|start| message.starts_with(start)) {
        return format!("not TOML: {message}, or text in double quotes");
    }
    format!("not TOML: {message}")
}
