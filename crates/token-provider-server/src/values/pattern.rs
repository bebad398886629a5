//! Patterns for names that others have given: values of claims, names in certificates, users and groups.

/// What no `*` stands for: it never reaches over the parts of a subject, a SPIFFE id or a path.
const SEPARATORS: [char; 2] = [':', '/'];

/// Text in which each `*` stands for one or more characters other than `:` and `/`, and everything else for itself.
///
/// Matching takes time in proportion to the text: no part of it is tried twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    start: String,
    /// What follows each `*`.
    rest: Vec<String>,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.contains("**") {
            return Err(
                "expected text in which each `*` stands for one or more characters other than `:` and `/`",
            );
        }
        let mut parts = text.split('*').map(str::to_owned);
        Ok(Self { start: parts.next().unwrap_or_default(), rest: parts.collect() })
    }

    /// Returns whether the whole text is as the pattern says.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some(text) = text.strip_prefix(self.start.as_str()) else { return false };
        let Some((last, middle)) = self.rest.split_last() else { return text.is_empty() };
        let text = middle.iter().try_fold(text, |text, part| after_star(text, part));
        let star = text.and_then(|text| text.strip_suffix(last.as_str()));
        star.is_some_and(|star| !star.is_empty() && !star.contains(SEPARATORS))
    }
}

/// Returns what follows a `*` and the first place of `part` after it. A later place is never better: the `*` would have to
/// stand for all that is between the two, and then the next `*` can stand for it as well.
fn after_star<'t>(text: &'t str, part: &str) -> Option<&'t str> {
    let mut characters = text.chars();
    let first = characters.next()?;
    let (more, rest) = characters.as_str().split_once(part)?;
    (!SEPARATORS.contains(&first) && !more.contains(SEPARATORS)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, letter by letter, by trying everything.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (1..=text.len())
                .take_while(|end| !SEPARATORS.contains(&text[end - 1]))
                .any(|end| reference(rest, &text[end..])),
            [letter, rest @ ..] => text.first() == Some(letter) && reference(rest, &text[1..]),
        }
    }

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).expect("is a pattern").matches(text)
    }

    #[test]
    fn star_is_one_or_more_characters_within_a_part() {
        for (pattern, text, expected) in [
            ("repo:octo/*", "repo:octo/x", true),
            ("repo:octo/*", "repo:octo/x:pull_request", false),
            ("repo:octo/*", "repo:octo/x/y", false),
            ("repo:octo/*", "repo:octo/", false),
            ("repo:octo/*", "repo:octo-evil/x", false),
            ("repo:octo/*", "xrepo:octo/x", false),
            ("repo:octo/*:ref:refs/heads/main", "repo:octo/x:ref:refs/heads/main", true),
            ("repo:octo/*:ref:refs/heads/main", "repo:octo/x:ref:refs/heads/main2", false),
            // A repository cannot have a colon in its name; if one could, it would not pass for a branch.
            ("repo:octo/*:ref:refs/heads/main", "repo:octo/x:pull_request:ref:refs/heads/main", false),
            ("repo:octo/*", "repo:octo/*", true),
            ("repo:octo/x", "repo:octo/X", false),
            ("spiffe://example.com/ns/maps/*", "spiffe://example.com/ns/maps/a/b", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", ".example.com", false),
            ("*", "x", true),
            ("*", "", false),
            ("*", ":", false),
            ("a*a", "aa", false),
            ("a*a", "aaa", true),
            ("*aa*b", "aaab", false),
            ("*aa*b", "aaaab", true),
            ("*ä*", "äää", true),
            ("*ä*", "ää", false),
            ("x", "x", true),
            ("x", "x\n", false),
            ("*", "x\n", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(Pattern::parse("").is_err());
        assert!(Pattern::parse("a**").is_err());
    }

    #[test]
    fn hostile_text_takes_no_longer_than_its_length() {
        let pattern = Pattern::parse(&"*a".repeat(64)).expect("is a pattern");
        let text = "a".repeat(1 << 20) + "b";
        // By trying everything it would be more steps than there are atoms, and the test would never end.
        assert!(!pattern.matches(&text));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn pattern_matches_what_its_definition_says(pattern in "[a*]?([ab:/]\\*?){0,6}", text in "[ab:/é]{0,12}") {
            prop_assume!(Pattern::parse(&pattern).is_ok());
            let (letters, of_text): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), reference(&letters, &of_text));
        }

        #[test]
        fn text_made_from_a_pattern_matches_it(parts in proptest::collection::vec("[ab:/]{1,3}", 1..5), fill in "[ab]{1,3}") {
            prop_assert!(matches(&parts.join("*"), &parts.join(&fill)));
        }
    }
}
