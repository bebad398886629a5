//! Names of profiles and callers, and scopes.

use token_provider::Scope;

/// What the ids of this server's own access keys begin with. HERE's have no dot: neither can be taken for the other.
pub(crate) const HERE_KEY: &str = "tp.";

/// Reads the name of a profile or a caller: it stands in URLs, logs and metrics as it is.
pub(crate) fn name(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        return Err("expected a name of up to 64 letters, digits, `.`, `_` or `-`");
    }
    Ok(text.to_owned())
}

/// Reads the id of an access key of this server.
pub(crate) fn here_key_id(text: &str) -> Result<String, &'static str> {
    let id = name(text).ok().filter(|id| id.len() > HERE_KEY.len() && id.starts_with(HERE_KEY));
    id.ok_or("expected `tp.` and up to 61 letters, digits, `.`, `_` or `-`")
}

/// Reads a scope: words of RFC 6749's `scope-token`, separated by single spaces.
pub(crate) fn scope(text: &str) -> Result<Scope, &'static str> {
    let has_gap = text.split(' ').any(str::is_empty);
    let scope = Scope::new(text).ok().filter(|_| !has_gap);
    scope.ok_or("expected a scope such as \"hrn:here:authorization::myrealm:project/p1\"")
}

/// Returns whether a name that others have given, of this length at most, is fit for a log: nothing in it may look like another
/// line.
pub(crate) fn is_plain(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_scopes_are_plain_text() {
        for (text, good) in
            [("default", true), ("my-maps.v2_x", true), ("", false), ("a b", false), ("ä", false)]
        {
            assert_eq!(name(text).is_ok(), good, "{text}");
        }
        assert!(name(&"a".repeat(64)).is_ok());
        assert!(name(&"a".repeat(65)).is_err());
        for (text, good) in [
            ("hrn:here:authorization::r:project/p", true),
            ("openid sdp:GROUP-1,GROUP-2", true),
            ("", false),
            (" a", false),
            ("a  b", false),
            ("a\nb", false),
            ("a\"b", false),
        ] {
            assert_eq!(scope(text).is_ok(), good, "{text:?}");
        }
    }
}
