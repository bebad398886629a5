//! Rules: which of them is a caller's, and what it gets by it.

use hyper::HeaderMap;

use super::{headers, rules, status};
use crate::access::{Caller, ClientCertificate, ConnectionInfo, Rules};
use crate::problem::Problem;

const TLS: &str = "[tls]\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n";
const PROXY: &str =
    "[access.trusted_proxy]\nfrom = [\"10.0.0.1\"]\nheader = \"X-User\"\ngroups_header = \"X-Groups\"\n";

fn certificate(names: &[&str]) -> ConnectionInfo {
    let names = names.iter().map(|name| (*name).to_owned());
    let client = ClientCertificate::Verified(names.collect());
    ConnectionInfo { client, ..ConnectionInfo::default() }
}

fn from_proxy() -> ConnectionInfo {
    ConnectionInfo { peer: "10.0.0.1:1".parse().ok(), ..ConnectionInfo::default() }
}

/// The caller's name and longest lifetime, or the status of its refusal.
fn named(verdict: Result<Caller<'_>, Problem>) -> Result<(String, u64), u16> {
    let caller = verdict.map_err(|problem| problem.status.as_u16())?;
    let name = caller.name.as_deref().unwrap_or("nobody").to_owned();
    Ok((name, caller.policy.config.max_ttl.map_or(0, |ttl| ttl.as_secs())))
}

async fn by_certificate(rules: &Rules, names: &[&str]) -> Result<(String, u64), u16> {
    named(rules.authenticate(&HeaderMap::new(), &certificate(names)).await)
}

#[tokio::test]
async fn first_rule_that_matches_counts_and_no_other() {
    let rules = rules(&format!(
        "{TLS}[access.mtls]\nmax_ttl = \"1h\"\n\
         [[access.mtls.rules]]\nnames = [\"spiffe://example.com/ns/maps/*\"]\nmax_ttl = \"5m\"\n\
         [[access.mtls.rules]]\nnames = [\"*.example.com\", \"spiffe://example.com/ns/*/a\"]\nmax_ttl = \"10m\"\n\
         [[access.mtls.rules]]\nnames = [\"spiffe://example.com/other\"]\n"
    ));
    let name = |name: &str, ttl| Ok((name.to_owned(), ttl));
    for (names, expected) in [
        // Two rules match it.
        (&["spiffe://example.com/ns/maps/a"][..], name("spiffe://example.com/ns/maps/a", 300)),
        (&["a.example.com", "spiffe://example.com/ns/maps/b"], name("spiffe://example.com/ns/maps/b", 300)),
        (&["spiffe://example.com/ns/else/a"], name("spiffe://example.com/ns/else/a", 600)),
        (&["x.example", "a.example.com", "b.example.com"], name("a.example.com", 600)),
        // What a rule leaves out is the section's.
        (&["spiffe://example.com/other"], name("spiffe://example.com/other", 3600)),
        (&["spiffe://example.com/ns/maps/a/b"], Err(403)),
        (&["spiffe://example.com/ns/maps/"], Err(403)),
        (&["example.com"], Err(403)),
        (&[], Err(403)),
    ] {
        assert_eq!(by_certificate(&rules, names).await, expected, "{names:?}");
    }
    assert_eq!(named(rules.authenticate(&HeaderMap::new(), &ConnectionInfo::default()).await), Err(401));
}

#[tokio::test]
async fn list_of_allowed_names_is_judged_before_the_rules() {
    let rules = rules(&format!(
        "{TLS}[access.mtls]\nallow = [\"a.example\", \"b.example\"]\n\
         [[access.mtls.rules]]\nnames = [\"a.example\", \"spiffe://example.com/*\"]\nmax_ttl = \"5m\"\n"
    ));
    for (names, expected) in [
        (&["a.example"][..], Ok(("a.example".to_owned(), 300))),
        (&["b.example", "spiffe://example.com/x"], Ok(("spiffe://example.com/x".to_owned(), 300))),
        (&["spiffe://example.com/x"], Err(401)),
        (&["b.example"], Err(403)),
    ] {
        assert_eq!(by_certificate(&rules, names).await, expected, "{names:?}");
    }
}

#[tokio::test]
async fn refusal_does_not_tell_the_rules_and_says_who_it_was_in_the_trail_alone() {
    let rules = rules(&format!("{TLS}[[access.mtls.rules]]\nnames = [\"secret-name.example\"]\n"));
    let problem =
        rules.authenticate(&HeaderMap::new(), &certificate(&["a.example"])).await.expect_err("no rule");
    assert_eq!((problem.status.as_u16(), problem.code()), (403, "access_denied"));
    assert_eq!(problem.description, "rules: no rule lets this caller in");
    assert_eq!(problem.subject.caller.as_deref(), Some("a.example"));
    // There are as many such names as the authority makes: none may be a label of a metric.
    assert!(!problem.subject.is_configured);
}

#[tokio::test]
async fn who_is_refused_by_the_rules_is_not_let_in_as_anonymous_but_by_another_way() {
    let rules = rules(&format!(
        "[access]\nanonymous = true\n{PROXY}[[access.trusted_proxy.rules]]\nusers = [\"alice\"]\n\
         [[access.mtls.rules]]\nnames = [\"a.example\"]\n{TLS}"
    ));
    let of_proxy = ConnectionInfo { peer: "10.0.0.1:1".parse().ok(), ..certificate(&["proxy.example"]) };
    for (user, connection, expected) in [
        (None, certificate(&["b.example"]), Err(403)),
        (None, certificate(&["a.example"]), Ok(("a.example".to_owned(), 0))),
        (Some("bob"), from_proxy(), Err(403)),
        // The proxy's own certificate is nobody's here, and it says who is asking all the same.
        (Some("alice"), of_proxy.clone(), Ok(("alice".to_owned(), 0))),
        (Some("bob"), of_proxy, Err(403)),
        (None, ConnectionInfo::default(), Ok(("nobody".to_owned(), 0))),
    ] {
        let lines: Vec<_> = user.map(|user| ("x-user", user)).into_iter().collect();
        let found = named(rules.authenticate(&headers(&lines), &connection).await);
        assert_eq!(found, expected, "{user:?} {connection:?}");
    }
}

#[tokio::test]
async fn groups_are_believed_from_the_proxy_alone_and_only_if_they_are_given_once() {
    let rules = rules(&format!(
        "{PROXY}[[access.trusted_proxy.rules]]\ngroups = [\"/maps/*\", \"dev\"]\nusers = [\"*@example.com\"]\n\
         max_ttl = \"5m\"\n[[access.trusted_proxy.rules]]\nusers = [\"root@example.com\"]\nmax_ttl = \"1h\"\n"
    ));
    for (lines, expected) in [
        (&[("x-user", "a@example.com"), ("x-groups", "dev")][..], Ok(300)),
        (&[("x-user", "a@example.com"), ("x-groups", "ops, /maps/x ,z")], Ok(300)),
        (&[("x-user", "a@example.com"), ("x-groups", "d\u{fc}, dev")], Ok(300)),
        (&[("x-user", "a@example.com"), ("x-groups", "/maps/x/y")], Err(403)),
        (&[("x-user", "a@example.com"), ("x-groups", "dev ops")], Err(403)),
        (&[("x-user", "a@example.com"), ("x-groups", "")], Err(403)),
        (&[("x-user", "a@example.com")], Err(403)),
        (&[("x-user", "a@example.org"), ("x-groups", "dev")], Err(403)),
        // One of them may be the caller's own, which a careless proxy let through.
        (&[("x-user", "a@example.com"), ("x-groups", "dev"), ("x-groups", "dev")], Err(403)),
        (&[("x-user", "root@example.com"), ("x-groups", "x"), ("x-groups", "y")], Err(403)),
        (&[("x-user", "root@example.com"), ("x-groups", "x")], Ok(3600)),
        (&[("x-user", "root@example.com")], Ok(3600)),
        (&[("x-groups", "dev")], Err(401)),
    ] {
        let found = named(rules.authenticate(&headers(lines), &from_proxy()).await);
        assert_eq!(found.map(|(_, ttl)| ttl), expected, "{lines:?}");
        let stranger = ConnectionInfo { peer: "10.0.0.2:1".parse().ok(), ..ConnectionInfo::default() };
        assert_eq!(named(rules.authenticate(&headers(lines), &stranger).await), Err(401), "{lines:?}");
    }
}

#[tokio::test]
async fn each_rule_has_its_own_buckets_and_what_is_held_for_it() {
    let rules = rules(&format!(
        "{PROXY}rate = \"1/h\"\n[[access.trusted_proxy.rules]]\ngroups = [\"dev\"]\nrate = \"2/h\"\n\
         [[access.trusted_proxy.rules]]\nusers = [\"a*\"]\n[[access.trusted_proxy.rules]]\nusers = [\"*\"]\n"
    ));
    let mut owners = Vec::new();
    for (user, group, expected) in [
        ("alice", "dev", 200),
        ("alice", "dev", 200),
        ("alice", "dev", 429),
        ("alice", "ops", 200),
        ("alice", "ops", 429),
        ("adam", "ops", 200),
        ("bob", "ops", 200),
        ("bob", "ops", 429),
    ] {
        let found =
            rules.authenticate(&headers(&[("x-user", user), ("x-groups", group)]), &from_proxy()).await;
        assert_eq!(status(&found), expected, "{user} {group}");
        owners.extend(found.map(|caller| caller.owner()));
    }
    let expected = [
        "trusted_proxy access.trusted_proxy.rules[0] alice",
        "trusted_proxy access.trusted_proxy.rules[0] alice",
        "trusted_proxy access.trusted_proxy.rules[1] alice",
        "trusted_proxy access.trusted_proxy.rules[1] adam",
        "trusted_proxy access.trusted_proxy.rules[2] bob",
    ];
    assert_eq!(owners, expected);
}

#[tokio::test]
async fn audit_marks_only_what_its_rule_matches_and_lets_in_nobody_else() {
    let rules = rules(&format!(
        "{PROXY}[[access.trusted_proxy.rules]]\nusers = [\"alice\"]\n\
         [[access.trusted_proxy.rules]]\nusers = [\"a*\"]\nmode = \"audit\"\n\
         [[access.trusted_proxy.rules]]\nusers = [\"adam\", \"bob\"]\n"
    ));
    let marked = Some("access.trusted_proxy.rules[1]");
    for (user, expected) in [
        ("alice", Ok(None)),
        ("anna", Ok(marked)),
        ("adam", Ok(marked)),
        ("bob", Ok(None)),
        ("eve", Err(403)),
    ] {
        let found = rules.authenticate(&headers(&[("x-user", user)]), &from_proxy()).await;
        let found =
            found.map(|caller| caller.subject().audit_rule).map_err(|problem| problem.status.as_u16());
        assert_eq!(found.as_ref().map(Option::as_deref).map_err(|status| *status), expected, "{user}");
    }
    assert_eq!(
        rules.config.access.audited().map(|rule| &**rule).collect::<Vec<_>>(),
        marked.into_iter().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn names_that_others_choose_are_no_labels_of_metrics() {
    let with_rules = rules(&format!("{TLS}[[access.mtls.rules]]\nnames = [\"*.example\"]\n"));
    let without = rules(
        &format!("{TLS}[access.mtls]\nallow = [\"a.example\"]\n{PROXY}")
            .replace("groups_header = \"X-Groups\"\n", ""),
    );
    let connection = certificate(&["a.example"]);
    for (rules, headers, connection, expected) in [
        (&without, HeaderMap::new(), &connection, true),
        (&with_rules, HeaderMap::new(), &connection, false),
        (&without, headers(&[("x-user", "alice")]), &from_proxy(), false),
    ] {
        let caller = rules.authenticate(&headers, connection).await.expect("is let in");
        assert_eq!(caller.subject().is_configured, expected, "{caller:?}");
    }
}
