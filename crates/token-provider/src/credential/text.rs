//! What surrounds a value that was copied and pasted, and what is in it that cannot be part of it.

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
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Refuses what cannot be an id or a secret.
pub(super) fn check_text(what: &str, text: &str) -> Result<(), LoadError> {
    problem_of_key(text).map_or(Ok(()), |problem| Err(LoadError::invalid(format!("{what} {problem}"))))
}

/// Returns what is wrong with a value as an access key id or secret: HERE's keys are letters, digits, `-` and `_`. Other
/// printable ASCII is left to HERE to judge.
fn problem_of_key(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty; copy it again from the HERE portal");
    }
    if text.contains("${") {
        return Some("contains ${…}, which is not expanded here; write the value itself");
    }
    if text.contains([' ', '\t']) {
        return Some(
            "contains a space, which no HERE key does; copy it again from the HERE portal, and put any \
             comment on its own line",
        );
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(
            "contains a character that no HERE key has, such as a line break or an invisible character; copy \
             it again from the HERE portal",
        );
    }
    None
}
