//! TOML as text: where something stands in it, and what is wrong with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::error::{ConfigError, Place};

/// A parser that lost its place goes on to complain about its own confusion; after this many lines it is noise.
const MOST_SYNTAX_ERRORS: usize = 5;

/// Reads a configuration file's text.
pub(super) fn parse<'t>(file: &Arc<Path>, text: &'t str) -> Result<DeTable<'t>, Vec<ConfigError>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(document.into_inner());
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

/// Returns line and column, from 1, of a byte of the text.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// Adds what was probably meant. A word without quotes is taken for whatever its first letter suggests.
fn syntax_message(message: &str) -> String {
    const TAKEN_FOR: [&str; 3] = ["invalid boolean", "invalid float", "invalid integer"];
    let meant = match message {
        "duplicate key" => "; to have several tables of one name, write [[…]] for each",
        _ if TAKEN_FOR.iter().any(|start| message.starts_with(start)) => ", or text in double quotes",
        _ => "",
    };
    format!("not TOML: {message}{meant}")
}
