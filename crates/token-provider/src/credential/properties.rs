//! Java's `.properties` format and HERE's `.ini` variant of it, read as Java and HERE's Java SDK read them, so that a
//! file that works there works here.
//!
//! Where that breaks signatures, we differ: a byte-order mark, quotes around a value, and blanks at its ends (also
//! those that nobody sees) are taken off.

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::text::{check_text, is_invisible, trim_value};
use crate::error::LoadError;

/// Keys of a credential file.
pub(super) const KEY_ID: &str = "here.access.key.id";
pub(super) const KEY_SECRET: &str = "here.access.key.secret";
pub(super) const ENDPOINT: &str = "here.token.endpoint.url";
pub(super) const SCOPE: &str = "here.token.scope";
pub(super) const AUTH_METHOD: &str = "here.auth.method";
pub(super) const CLIENT_ID: &str = "here.client.id";
pub(super) const PRIVATE_KEY: &str = "here.private.key";
pub(super) const PRIVATE_KEY_ID: &str = "here.key.id";
pub(super) const ALGORITHM: &str = "here.signing.algorithm";

/// Variables that stand for a file with these keys.
const VARIABLES: [(&str, &str); 4] = [
    ("HERE_ACCESS_KEY_ID", KEY_ID),
    ("HERE_ACCESS_KEY_SECRET", KEY_SECRET),
    ("HERE_TOKEN_ENDPOINT_URL", ENDPOINT),
    ("HERE_TOKEN_SCOPE", SCOPE),
];

/// The entries of a file, or of variables in its stead.
///
/// The one that counts of those with the same key comes last.
#[derive(Clone)]
pub(super) struct Entries(Vec<Entry>);

#[derive(Clone)]
pub(super) struct Entry {
    /// The number of the line it starts on.
    line: usize,
    variable: Option<&'static str>,
    /// Wiped like the value: where a line is garbled, what stands in the place of the key may be the secret.
    key: Zeroizing<String>,
    pub(super) value: Zeroizing<String>,
}

impl Entries {
    /// Takes those of the variables that are set.
    pub(super) fn of_variables(variable: impl Fn(&str) -> Option<SecretString>) -> Self {
        let entry = |(name, key)| {
            let entry = Entry::new(0, key, variable(name)?.expose_secret());
            Some(Entry { variable: Some(name), ..entry })
        };
        Self(VARIABLES.into_iter().filter_map(entry).collect())
    }

    /// Reads a `.properties` file.
    ///
    /// # Errors
    ///
    /// A sentence on what is wrong, without any text from the file.
    pub(super) fn parse_properties(text: &[u8]) -> Result<Self, LoadError> {
        let text = decode(text)?;
        let entry = |(line, logical): (usize, Zeroizing<String>)| {
            let (key, value) = split(&logical);
            Entry::new(line, &unescape(key), &unescape(value))
        };
        Ok(Self(logical_lines(&text).into_iter().map(entry).collect()))
    }

    /// Reads a section of an `.ini` file as commons-configuration does, with which HERE's Java SDK reads it: a comment
    /// may stand behind a value, and the first of equal keys counts.
    ///
    /// # Errors
    ///
    /// As for a `.properties` file; and that there is no such section.
    pub(super) fn parse_ini(text: &[u8], section: &str) -> Result<Self, LoadError> {
        let text = decode(text)?;
        let mut entries = Vec::new();
        // Before the first header, a line is in no section.
        let mut in_section = false;
        let mut found_section = false;
        for (index, line) in natural_lines(&text).map(|line| line.trim_matches(is_invisible)).enumerate() {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = header_of(line) {
                in_section = header == section;
                found_section |= in_section;
            } else if in_section {
                let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
                // Doubled dots are commons-configuration's own escape; a backslash is nobody's, but Java writes `\:`.
                let key = Zeroizing::new(key.replace("..", "."));
                entries.push(Entry::new(index + 1, &key, &unescape(ini_value(value))));
            }
        }
        if !found_section {
            return Err(LoadError::invalid(format!("there is no section [{section}]")));
        }
        entries.reverse();
        Ok(Self(entries))
    }

    /// Returns the entry with this key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| *entry.key == key)
    }

    /// Reads the value of an entry, if it is there and not empty. Errors name line and key, or variable.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, LoadError>,
    ) -> Result<Option<T>, LoadError> {
        let Some(entry) = self.get(key).filter(|entry| !entry.value.is_empty()) else { return Ok(None) };
        read(&entry.value).map(Some).map_err(|error| error.within(&entry.place(key)))
    }

    /// Returns whether there is an entry, which has one value that will do; `why` says so.
    pub(super) fn is_set_to(&self, key: &str, value: &str, why: &str) -> Result<bool, LoadError> {
        let read = |found: &str| {
            if found == value { Ok(()) } else { Err(LoadError::invalid(format!("expected {value}{why}"))) }
        };
        Ok(self.optional(key, read)?.is_some())
    }

    /// Reads the value of an entry that must be there and not be empty.
    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        self.optional(key, read)?.ok_or_else(|| LoadError::invalid(self.missing(key)))
    }

    /// Returns the value of an entry that must be there and be an id or a secret.
    pub(super) fn checked(&self, key: &str) -> Result<Zeroizing<String>, LoadError> {
        self.required(key, |value| check_text("it", value).map(|()| Zeroizing::new(value.to_owned())))
    }

    /// Explains why there is no value for a required key.
    fn missing(&self, key: &str) -> String {
        if let Some(empty) = self.get(key) {
            let remedy = if key == PRIVATE_KEY {
                "write the PEM or its file's path"
            } else {
                "copy its value from the HERE portal"
            };
            return format!("{} is empty; {remedy}", empty.place(key));
        }
        if let Some(set) = self.0.first().and_then(|entry| entry.variable) {
            let absent = VARIABLES.iter().find(|(_, of)| *of == key).map_or(key, |(name, _)| name);
            return format!("{set} is set and {absent} is not; set both or neither");
        }
        // Its name is not repeated: in a garbled line the secret may stand in its place.
        if let Some(entry) = self.0.iter().rev().find(|entry| entry.is_nearly(key)) {
            return format!("line {}: did you mean {key}? Write it exactly like that", entry.line);
        }
        let has = |key| self.get(key).is_some();
        match key {
            KEY_ID if !has(KEY_SECRET) && has(PRIVATE_KEY) => {
                format!("it has {PRIVATE_KEY} but no line `{AUTH_METHOD} = private_key_jwt`; add it")
            }
            KEY_ID if !has(KEY_SECRET) && has(CLIENT_ID) => {
                "it has here.client.id but no access key: create an access key for the app in the HERE \
                 portal, and use its credentials.properties"
                    .to_owned()
            }
            PRIVATE_KEY => {
                format!("{key} is missing; expected a line `{key} = …` with the PEM or its file's path")
            }
            _ => format!(
                "{key} is missing; expected a line `{key} = …` as in the file that the HERE portal offers"
            ),
        }
    }
}

impl Entry {
    fn new(line: usize, key: &str, value: &str) -> Self {
        let owned = |text: &str| Zeroizing::new(text.to_owned());
        let (key, value) = (owned(key.trim_matches(is_invisible)), owned(trim_value(value)));
        Self { line, variable: None, key, value }
    }

    /// Returns what errors call the place of the entry with this key.
    fn place(&self, key: &str) -> String {
        self.variable.map_or_else(|| format!("line {}: {key}", self.line), str::to_owned)
    }

    /// Returns whether somebody may have meant that key: a typing mistake, another case, the name of the variable.
    fn is_nearly(&self, key: &str) -> bool {
        /// `secert` is one change, `access.id` three.
        const MISTAKES: usize = 3;
        let squeezed = |text: &str| {
            let letters =
                text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase());
            let letters = Zeroizing::new(letters.collect::<String>());
            Zeroizing::new(letters.strip_prefix("here").unwrap_or(&letters).to_owned())
        };
        let name = match self.key.as_str() {
            // `export HERE_ACCESS_KEY_ID=…` of a shell's file.
            "export" => self.value.split('=').next().unwrap_or_default(),
            name => name,
        };
        name.len() <= 2 * key.len() && strsim::osa_distance(&squeezed(name), &squeezed(key)) <= MISTAKES
    }
}

/// Returns the names of an `.ini` file's sections.
pub(super) fn ini_sections(text: &[u8]) -> Result<Vec<String>, LoadError> {
    let text = decode(text)?;
    let lines = natural_lines(&text).map(|line| line.trim_matches(is_invisible));
    Ok(lines.filter_map(header_of).map(str::to_owned).collect())
}

/// UTF-8 where it is that, else ISO-8859-1, Java's own choice.
fn decode(text: &[u8]) -> Result<Zeroizing<String>, LoadError> {
    if text.starts_with(&[0xFF, 0xFE]) || text.starts_with(&[0xFE, 0xFF]) {
        return Err(LoadError::invalid("the file is in UTF-16; save it as UTF-8"));
    }
    if text.contains(&0) {
        let problem = "the file holds NUL bytes, perhaps because it is in UTF-16; save it as UTF-8";
        return Err(LoadError::invalid(problem));
    }
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    if text.trim_ascii_start().starts_with(b"{") {
        let problem = "it is JSON; expected `key = value` lines, as in the credentials.properties from the HERE \
                       portal";
        return Err(LoadError::invalid(problem));
    }
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
    let mut natural = natural_lines(text).map(|line| line.trim_start_matches(is_invisible)).enumerate();
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

fn header_of(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

/// Takes off what commons-configuration takes for a comment: after a closing quote everything, else from the first `#`
/// or `;` with a blank before it.
fn ini_value(value: &str) -> &str {
    let value = value.trim_matches(is_invisible);
    if let Some(inner) = value.strip_prefix('"') {
        return inner.split('"').next().unwrap_or_default();
    }
    if let Some(inner) = value.strip_prefix('\'') {
        return inner.split('\'').next().unwrap_or_default();
    }
    let mut follows_blank = false;
    let end = value.find(|character| {
        let is_comment = follows_blank && matches!(character, '#' | ';');
        follows_blank = is_invisible(character);
        is_comment
    });
    end.and_then(|end| value.get(..end)).unwrap_or(value)
}

/// Splits at the first `=`, `:` or blank that no backslash escapes; blanks round one separator belong to it.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character| {
        let separates = !escaped && (is_invisible(character) || matches!(character, '=' | ':'));
        escaped = !escaped && character == '\\';
        separates
    });
    let (key, rest) = end.and_then(|end| line.split_at_checked(end)).unwrap_or((line, ""));
    let rest = rest.trim_start_matches(is_invisible);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_invisible))
}

/// As Java does: the backslash before any character without a special meaning is dropped.
fn unescape(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        rest = escape;
        let Some(character) = escape.chars().next() else { break };
        if character == 'u' {
            match unicode_escape(escape) {
                Some((decoded, after)) => {
                    out.push(decoded);
                    rest = after;
                    continue;
                }
                // An error in Java. Kept as it is, so that HERE is not asked with half a key.
                None => out.push('\\'),
            }
        }
        out.push(match character {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            other => other,
        });
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
