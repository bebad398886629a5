//! Java's `.properties` format, and HERE's `.ini` variant of it, read so that every file any of HERE's SDKs reads
//! right is read right.
//!
//! Where the SDKs differ: a byte-order mark, CRLF, trailing white space and a pair of quotes round a value do no harm,
//! and an unknown escape keeps its backslash (Java drops it, the others keep every backslash).

use zeroize::Zeroizing;

/// The entries of a file in their order, each with the number of the line it starts on.
pub(super) struct Entries(Vec<Entry>);

struct Entry {
    line: usize,
    /// Wiped like the value: where a line is garbled, what stands in the place of the key may be the secret.
    key: Zeroizing<String>,
    value: Zeroizing<String>,
}

impl Entries {
    /// Reads a whole file; with `section`, only that section of an `.ini` file.
    ///
    /// # Errors
    ///
    /// A sentence on what is wrong, without any text from the file.
    pub(super) fn parse(text: &[u8], section: Option<&str>) -> Result<Self, String> {
        let text = decode(text)?;
        let mut entries = Vec::new();
        // Before the first header, an `.ini` file is in no section.
        let mut in_section = section.is_none();
        let mut found_section = section.is_none();
        for (line, logical) in logical_lines(&text) {
            if let (Some(section), Some(header)) = (section, header_of(&logical)) {
                in_section = header == section;
                found_section |= in_section;
            } else if in_section {
                let (key, value) = split(&logical);
                let mut key = unescape(key);
                if section.is_some() {
                    // commons-configuration, which HERE's Java SDK writes these files with, doubles the dots.
                    key = Zeroizing::new(key.replace("..", "."));
                }
                entries.push(Entry { line, key, value: unquote(unescape(trim_end(value))) });
            }
        }
        match section {
            Some(section) if !found_section => Err(format!("there is no section [{section}]")),
            _ => Ok(Self(entries)),
        }
    }

    /// Returns line and value of the last entry with this key: the last one wins, as in Java.
    pub(super) fn last(&self, key: &str) -> Option<(usize, Zeroizing<String>)> {
        let entry = self.0.iter().rev().find(|entry| *entry.key == key)?;
        Some((entry.line, entry.value.clone()))
    }

    /// Returns the line of an entry whose key differs only in case, for the error message.
    pub(super) fn line_in_other_case(&self, key: &str) -> Option<usize> {
        let entry = self.0.iter().rev().find(|entry| entry.key.eq_ignore_ascii_case(key))?;
        Some(entry.line)
    }
}

/// UTF-8 where it is that, else ISO-8859-1, Java's own choice.
fn decode(text: &[u8]) -> Result<Zeroizing<String>, String> {
    if text.starts_with(&[0xFF, 0xFE]) || text.starts_with(&[0xFE, 0xFF]) {
        return Err("the file is in UTF-16; save it as UTF-8".to_owned());
    }
    if text.contains(&0) {
        return Err("the file holds NUL bytes, perhaps because it is in UTF-16; save it as UTF-8".to_owned());
    }
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    if let Ok(text) = std::str::from_utf8(text) {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    // Each byte becomes a character of at most two bytes.
    let mut wide = Zeroizing::new(String::with_capacity(2 * text.len()));
    wide.extend(text.iter().copied().map(char::from));
    Ok(wide)
}

/// Lines that hold an entry, continuations joined, each with its first line's number from 1.
fn logical_lines(text: &str) -> Vec<(usize, Zeroizing<String>)> {
    let mut lines = Vec::new();
    let mut natural = natural_lines(text).map(|line| line.trim_start_matches(is_blank)).enumerate();
    while let Some((index, first)) = natural.next() {
        if first.is_empty() || first.starts_with(['#', '!', ';']) {
            continue;
        }
        let mut parts = Vec::new();
        let mut part = Some(first);
        while let Some(line) = part {
            let continued = without_continuation(line);
            parts.push(continued.unwrap_or(line));
            part = continued.and_then(|_| natural.next()).map(|(_, next)| next);
        }
        // Joined in one go: a string that grows leaves copies of the secret behind.
        lines.push((index + 1, Zeroizing::new(parts.concat())));
    }
    lines
}

/// CRLF, LF and a lone CR all end a line, as in Java.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Returns the line without the backslash that continues it on the next. An even number of backslashes at the end is
/// that many halves of an escaped backslash, and continues nothing.
fn without_continuation(line: &str) -> Option<&str> {
    let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
    if backslashes % 2 == 1 { line.strip_suffix('\\') } else { None }
}

/// Java's blanks, and those that nobody sees: what is copied from a web page or an office document brings no-break and
/// zero-width spaces along.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}' | '\u{a0}' | '\u{200b}' | '\u{feff}')
}

/// Java keeps white space at the end of a value, which breaks signatures; but not what somebody took care to escape.
fn trim_end(value: &str) -> &str {
    let trimmed = value.trim_end_matches(is_blank);
    match without_continuation(trimmed) {
        // The backslash belongs to the blank after it.
        Some(_) => {
            let escaped = value.chars().nth(trimmed.chars().count()).map_or(0, char::len_utf8);
            value.get(..trimmed.len() + escaped).unwrap_or(value)
        }
        None => trimmed,
    }
}

fn header_of(line: &str) -> Option<&str> {
    line.trim_end_matches(is_blank).strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

/// Splits at the first `=`, `:` or blank that no backslash escapes; blanks round one separator belong to it.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character| {
        let separates = !escaped && (is_blank(character) || matches!(character, '=' | ':'));
        escaped = !escaped && character == '\\';
        separates
    });
    let (key, rest) = end.and_then(|end| line.split_at_checked(end)).unwrap_or((line, ""));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        rest = escape;
        let Some(character) = escape.chars().next() else {
            out.push('\\');
            break;
        };
        let known = match character {
            't' => Some('\t'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            'f' => Some('\u{c}'),
            '\\' | '=' | ':' | '#' | '!' | ' ' | '"' | '\'' => Some(character),
            'u' => {
                if let Some((decoded, after)) = unicode_escape(escape) {
                    out.push(decoded);
                    rest = after;
                    continue;
                }
                None
            }
            _ => None,
        };
        if known.is_none() {
            out.push('\\');
        }
        out.push(known.unwrap_or(character));
        rest = escape.get(character.len_utf8()..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// Reads `uXXXX`, or two of them with a backslash between that make a surrogate pair.
fn unicode_escape(text: &str) -> Option<(char, &str)> {
    let unit = |text: &str| u16::from_str_radix(text.get(1..5).filter(|hex| !hex.starts_with('+'))?, 16).ok();
    let first = unit(text)?;
    let after = text.get(5..)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Some((character, after));
    }
    let second = after.strip_prefix('\\').filter(|rest| rest.starts_with('u'))?;
    let pair = [first, unit(second)?];
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some((character, second.get(5..)?))
}

/// HERE's JavaScript README shows quoted values; no key of HERE's begins and ends in a quote.
fn unquote(value: Zeroizing<String>) -> Zeroizing<String> {
    let inner = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
    match inner {
        Some(inner) => Zeroizing::new(inner.to_owned()),
        None => value,
    }
}
