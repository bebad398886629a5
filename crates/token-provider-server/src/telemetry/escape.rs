//! Which characters are never written as they are into the log, an audit line or a message on a terminal.

use std::fmt::{self, Write as _};

/// Text from elsewhere is cut to this many characters where a person reads it.
const MAX_SHOWN: usize = 300;

/// Whether a character is a control character, invisible, or changes the direction of the text around it.
///
/// Rust's own table decides (what `{:?}` escapes: control and format characters, separators, tags, variation selectors,
/// combining marks, unassigned code points), so that it grows with Unicode. It misses the Hangul fillers and the empty
/// Braille pattern, which show as nothing.
pub(crate) fn is_hidden(c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => true,
        _ => c.escape_debug().len() > 1,
    }
}

/// Text from elsewhere, as it is shown to a person: hidden characters escaped (`\n`, `\u{202e}`), and cut at 300
/// characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        rest.by_ref().take(MAX_SHOWN).try_for_each(|c| put(c, f))?;
        rest.next().map_or(Ok(()), |_| f.write_char('…'))
    }
}

/// Writes one character, escaped as in Rust where it is hidden.
pub(crate) fn put(c: char, out: &mut impl fmt::Write) -> fmt::Result {
    match c {
        '\n' | '\r' | '\t' => write!(out, "{}", c.escape_debug()),
        c if is_hidden(c) => write!(out, "{}", c.escape_unicode()),
        c => out.write_char(c),
    }
}

/// Writes one character of a JSON text, escaped as in JSON where it is hidden.
pub(crate) fn put_json(c: char, out: &mut impl fmt::Write) -> fmt::Result {
    match c {
        c if is_hidden(c) => {
            c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        }
        c => out.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(Escaped(&c.to_string()).to_string().is_ascii(), "{c:?}");
        }
        let visible = " ~\"'\\azAZ09äéßłжλאبकก中あ한€→😀\u{fffd}";
        assert_eq!(Escaped(visible).to_string(), visible);
    }

    #[test]
    fn text_from_elsewhere_is_cut_and_cannot_start_a_line() {
        assert_eq!(Escaped("a\nb\u{1b}[2J\u{202e}").to_string(), "a\\nb\\u{1b}[2J\\u{202e}");
        assert_eq!(Escaped(&"é".repeat(300)).to_string(), "é".repeat(300));
        assert_eq!(Escaped(&"é".repeat(301)).to_string(), format!("{}…", "é".repeat(300)));
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
