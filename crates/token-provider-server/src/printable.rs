//! Text from elsewhere (an answer, a certificate, a variable's name, a path), made fit for a terminal and a log.

use std::fmt::Display;

/// Enough to recognize a message by; a page of HTML that a stranger's server answered with is cut.
const LONGEST_EXCERPT: usize = 300;

/// Escapes what could end the line, steer a terminal or hide in it: all that the standard library takes for unprintable,
/// such as control characters, marks of direction and characters without a width.
pub(crate) fn escaped(text: impl Display) -> String {
    text.to_string().chars().map(escape).collect()
}

/// The same, and cut: for text of any length.
pub(crate) fn excerpt(text: impl Display) -> String {
    let text = text.to_string();
    let start: String = text.chars().take(LONGEST_EXCERPT).map(escape).collect();
    if text.chars().nth(LONGEST_EXCERPT).is_some() { start + "…" } else { start }
}

fn escape(c: char) -> String {
    if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().to_string() }
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
}
