//! Text from elsewhere (an answer, a certificate, a variable's name, a path), made fit for a terminal and a log.

use std::error::Error;
use std::fmt::{self, Display, Write};

use token_provider::{error_chain, is_invisible};

/// Enough to recognize a message by; a page of HTML that a stranger's server answered with is cut.
const LONGEST_EXCERPT: usize = 300;

/// Whether a character is a control character, invisible, or changes the direction of the text around it.
///
/// Rust's own table decides, too (what `{:?}` escapes: control and format characters, separators, tags, variation selectors,
/// combining marks, unassigned code points), so that it grows with Unicode. It misses the Hangul fillers and the empty
/// Braille pattern, which show as nothing.
pub(crate) fn is_hidden(c: char) -> bool {
    !matches!(c, ' '..='~') && (is_invisible(c) || c.escape_debug().len() > 1)
}

/// Escapes what could end the line, steer a terminal or hide in it.
pub(crate) fn escaped(text: impl Display) -> String {
    text.to_string().chars().map(escape).collect()
}

/// The same, and cut: for text of any length.
pub(crate) fn excerpt(text: impl Display) -> String {
    let text = text.to_string();
    let start: String = text.chars().take(LONGEST_EXCERPT).map(escape).collect();
    if text.chars().nth(LONGEST_EXCERPT).is_some() { start + "…" } else { start }
}

/// Returns what caused an error, outermost first, without what the errors before it say themselves.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut said = escaped(error);
    let mut causes = Vec::new();
    for cause in error_chain(error).skip(1).map(excerpt) {
        if !said.contains(&cause) {
            said.push_str(&cause);
            causes.push(cause);
        }
    }
    causes
}

/// Returns an error with its causes, on one line.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    [vec![escaped(error)], causes(error)].concat().join(": ")
}

/// Writes one character of a JSON text, escaped as in JSON where it is hidden.
pub(crate) fn put_json(c: char, out: &mut impl Write) -> fmt::Result {
    if is_hidden(c) {
        c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
    } else {
        out.write_char(c)
    }
}

fn escape(c: char) -> String {
    match c {
        '\n' | '\r' | '\t' => c.escape_debug().to_string(),
        c if is_hidden(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        for (text, expected) in [
            ("plain, \"quoted\", it's C:\\", "plain, \"quoted\", it's C:\\"),
            ("Größe 東京 …", "Größe 東京 …"),
            ("\x1b]0;owned\x07", "\\u{1b}]0;owned\\u{7}"),
            ("a\nok\r\t\u{85}", "a\\nok\\r\\t\\u{85}"),
            ("\u{202e}\u{200b}\u{61c}\u{ad}", "\\u{202e}\\u{200b}\\u{61c}\\u{ad}"),
            ("\u{180e}\u{fff9}\u{e0041}\u{2028}", "\\u{180e}\\u{fff9}\\u{e0041}\\u{2028}"),
        ] {
            assert_eq!(escaped(text), expected);
            assert_eq!(excerpt(text), expected);
        }
    }

    #[test]
    fn excerpt_ends_after_300_characters() {
        assert_eq!(excerpt("é".repeat(300)), "é".repeat(300));
        assert_eq!(excerpt("é".repeat(301)), "é".repeat(300) + "…");
    }

    #[test]
    fn hidden_characters_are_escaped_and_visible_ones_are_not() {
        let hidden = [
            '\0'..='\u{1f}',
            '\u{7f}'..='\u{a0}',
            '\u{ad}'..='\u{ad}',
            '\u{300}'..='\u{36f}',
            '\u{61c}'..='\u{61c}',
            '\u{115f}'..='\u{1160}',
            '\u{180b}'..='\u{180f}',
            '\u{2000}'..='\u{200f}',
            '\u{2028}'..='\u{202f}',
            '\u{205f}'..='\u{206f}',
            '\u{2800}'..='\u{2800}',
            '\u{3000}'..='\u{3000}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{feff}'..='\u{feff}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{fff0}'..='\u{fffb}',
            '\u{1d173}'..='\u{1d17a}',
            '\u{e0000}'..='\u{e0fff}',
        ];
        for c in hidden.into_iter().flatten() {
            assert!(is_hidden(c), "{c:?}");
            assert!(escaped(c).is_ascii(), "{c:?}");
        }
        let visible = " ~\"'\\azAZ09äéßłжλאبकก中あ한€→😀\u{fffd}";
        assert_eq!(escaped(visible), visible);
    }

    #[test]
    fn json_escapes_are_read_back_as_the_same_character() {
        let all: String = ('\0'..=char::MAX).filter(|c| !matches!(c, '"' | '\\')).collect();
        let mut text = String::from('"');
        all.chars().for_each(|c| put_json(c, &mut text).expect("a String takes everything"));
        text.push('"');
        assert!(!text.contains(is_hidden));
        assert!(serde_json::from_str::<String>(&text).is_ok_and(|read| read == all));
    }
}
