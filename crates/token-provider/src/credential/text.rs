//! What surrounds a value that was copied and pasted, and what is in it that cannot be part of it.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;

use crate::error::LoadError;

/// Takes a value out of what surrounds it: blanks and invisible characters at its ends, and a pair of quotes.
///
/// Text that is copied from a web page, an office document or a chat brings no-break and zero-width spaces along;
/// a file that is read into a variable, its line break and byte-order mark. All of them break signatures, and nobody
/// sees them.
pub fn trim_value(text: &str) -> &str {
    const QUOTES: [(char, char); 4] =
        [('"', '"'), ('\'', '\''), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}')];
    let text = text.trim_matches(is_invisible);
    let inner = |&(open, close): &(char, char)| text.strip_prefix(open)?.strip_suffix(close);
    QUOTES.iter().find_map(inner).map_or(text, |inner| inner.trim_matches(is_invisible))
}

/// Returns whether a character shows as a blank or not at all: white space, controls, and what Unicode calls
/// `Default_Ignorable_Code_Point` (with U+2800 and U+FFF9 to U+FFFB, which look the same).
pub fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || matches!(character, '\u{2800}' | '\u{fff9}'..='\u{fffb}')
}

/// Refuses what cannot be an id or a secret: HERE's keys are letters, digits, `-` and `_`. Other printable ASCII is left
/// to HERE to judge.
pub(super) fn check_text(what: &str, text: &str) -> Result<(), LoadError> {
    let problem = if text.is_empty() {
        "is empty; copy it again from the HERE portal"
    } else if text.contains("${") {
        "contains ${…}, which is not expanded here; write the value itself"
    } else if text.contains([' ', '\t']) {
        "contains a space, which no HERE key does; copy it again from the HERE portal, and put any comment on its \
         own line"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "contains a character that no HERE key has, such as a line break or an invisible character; copy it again \
         from the HERE portal"
    } else {
        return Ok(());
    };
    Err(LoadError::invalid(format!("{what} {problem}")))
}
