//! Claims of a token by their names, and names of callers that are made from claims.

use std::slice;

use serde_json::Value;

use super::name::is_plain;

/// A longer claim is not used in a name.
const MAX_CLAIM: usize = 128;

/// Reads a claim's name, or, for one inside another, a JSON Pointer (RFC 6901), which it returns in any case.
pub(crate) fn claim_pointer(text: &str) -> Result<String, &'static str> {
    let plain = || format!("/{}", text.replace('~', "~0").replace('/', "~1"));
    let pointer = if text.starts_with('/') { text.to_owned() } else { plain() };
    if pointer == "/" || !pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1'])) {
        return Err(
            "expected a claim's name, or a JSON Pointer (RFC 6901) such as \"/kubernetes.io/namespace\", in \
             which `~1` is `/` and `~0` is `~`",
        );
    }
    Ok(pointer)
}

/// Returns the strings that a claim is, or has in its list.
pub(crate) fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let values = match claim {
        Some(Value::Array(values)) => values.as_slice(),
        claim => claim.map(slice::from_ref).unwrap_or_default(),
    };
    values.iter().filter_map(Value::as_str)
}

/// A name with claims in it, such as `k8s:{/kubernetes.io/namespace}/{sub}`. No two lists of claims make the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate {
    start: String,
    /// A pointer to each claim, and the text that follows it.
    claims: Vec<(String, String)>,
}

impl NameTemplate {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "expected a name of printable ASCII with at least one claim in braces, such as \"ci:{sub}\"";
        if text.contains("}{") {
            return Err("expected text between `}` and `{`: without it, two callers could get the same name");
        }
        let mut parts = text.split('{');
        let start = parts.next().expect("there is a first part").to_owned();
        let mut claims = Vec::new();
        for part in parts {
            let (claim, text) = part.split_once('}').ok_or(EXPECTED)?;
            claims.push((claim_pointer(claim)?, text.to_owned()));
        }
        // Without a claim, all callers would get the same name.
        if claims.is_empty() || text.matches('}').count() != claims.len() || !is_plain(text, usize::MAX) {
            return Err(EXPECTED);
        }
        Ok(Self { start, claims })
    }

    /// Returns the name that these claims make; none if one is missing or not fit, or hides where it ends.
    pub(crate) fn fill(&self, facts: &Value) -> Option<String> {
        let mut name = self.start.clone();
        for (claim, text) in &self.claims {
            let value = facts.pointer(claim)?.as_str().filter(|value| is_plain(value, MAX_CLAIM))?;
            if text.chars().next().is_some_and(|next| value.contains(next)) {
                return None;
            }
            name += value;
            name += text;
        }
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn claim_is_named_by_its_name_or_by_a_pointer() {
        let claims = json!({
            "sub": "a", "https://example.com/role": "b", "kubernetes.io": { "namespace": "c", "a/b": "d", "m~n": "e" },
            "/odd": "f", "list": ["g", "h"], "": "i", "~": "j"
        });
        for (name, expected) in [
            ("sub", Some("a")),
            ("https://example.com/role", Some("b")),
            ("/kubernetes.io/namespace", Some("c")),
            ("/kubernetes.io/a~1b", Some("d")),
            ("/kubernetes.io/m~0n", Some("e")),
            ("/~1odd", Some("f")),
            ("/list/1", Some("h")),
            ("~", Some("j")),
            ("/list/01", None),
            ("/list/-", None),
            ("/list/2", None),
            ("/sub/x", None),
            ("kubernetes.io/namespace", None),
            ("Sub", None),
        ] {
            let pointer = claim_pointer(name).expect("is a name");
            assert_eq!(claims.pointer(&pointer).and_then(Value::as_str), expected, "{name}");
        }
        for name in ["", "/", "/a~", "/a~2", "/a/~x"] {
            assert!(claim_pointer(name).is_err(), "{name}");
        }
    }

    #[test]
    fn template_is_refused_where_two_callers_could_get_one_name() {
        for (text, is_good) in [
            ("k8s:{/kubernetes.io/namespace}/{/kubernetes.io/serviceaccount/name}", true),
            ("{sub}", true),
            ("nightly", false),
            ("{a}{b}", false),
            ("{a", false),
            ("a}", false),
            ("{a}}", false),
            ("{{a}}", false),
            ("{a{b}}", false),
            ("{}", false),
            ("{/}", false),
            ("", false),
            ("b\u{fc}ro:{sub}", false),
            ("a\n{sub}", false),
        ] {
            assert_eq!(NameTemplate::parse(text).is_ok(), is_good, "{text:?}");
        }
    }

    #[test]
    fn claim_that_is_not_fit_makes_no_name() {
        let template = NameTemplate::parse("k8s:{a}/{b}").expect("is good");
        let long = "x".repeat(MAX_CLAIM + 1);
        for (a, b, expected) in [
            (json!("maps"), json!("x"), Some("k8s:maps/x")),
            // Nothing follows it.
            (json!("maps"), json!("x/y"), Some("k8s:maps/x/y")),
            // What a claim says is not a template.
            (json!("{b}"), json!("x"), Some("k8s:{b}/x")),
            (json!("maps/x"), json!("y"), None),
            (json!(""), json!("x"), None),
            (json!("maps"), json!(""), None),
            (json!("m\u{e4}ps"), json!("x"), None),
            (json!("a\nb"), json!("x"), None),
            (json!("a\u{0}b"), json!("x"), None),
            (json!(long), json!("x"), None),
            (json!(["maps"]), json!("x"), None),
            (json!(7), json!("x"), None),
            (json!(null), json!("x"), None),
            (json!({ "b": "x" }), json!("x"), None),
        ] {
            assert_eq!(template.fill(&json!({ "a": a, "b": b })).as_deref(), expected, "{a} {b}");
        }
        assert_eq!(template.fill(&json!({ "a": "maps" })), None, "one is missing");
    }

    proptest! {
        #[test]
        fn two_lists_of_claims_never_make_one_name(
            text in "[a:/]{0,2}\\{a\\}[a:/]{1,2}\\{b\\}[a:/]{0,2}",
            one in ("[a:/]{1,4}", "[a:/]{1,4}"),
            other in ("[a:/]{1,4}", "[a:/]{1,4}"),
        ) {
            let template = NameTemplate::parse(&text).expect("is good");
            let fill = |(a, b): &(String, String)| template.fill(&json!({ "a": a, "b": b }));
            if let (Some(first), Some(second)) = (fill(&one), fill(&other)) {
                prop_assert_eq!(first == second, one == other);
            }
        }
    }
}
