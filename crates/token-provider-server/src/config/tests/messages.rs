//! Everything wrong in one go: places, guesses, syntax, hints for secrets that went astray.

use super::keys::EVERY_KEY;
use super::{parse, parsed, problems};

#[test]
fn all_problems_are_listed_in_the_order_of_the_file() {
    let text = "\
lisen = 'localhost:1'

[cors]
orgins = []

[tls]
cert = 7
[[access.api_keys]]
id = 'a'
  [[access.api_keys]]
  id = 'a'
  sha256 = 'x'
  colour = 'blue'
[log]
format = 'jso'
level = [
  'a',
]
";
    assert_eq!(
        problems(text),
        "\
c.toml:1: lisen: unknown key; did you mean \"listen\"?
c.toml:4: cors.orgins: unknown key; did you mean \"origins\"?
c.toml:6: tls.key: missing; expected the path of the private key in PEM form
c.toml:7: tls.cert: expected a string, not a number
c.toml:8: access.api_keys[0].sha256: missing; expected the hash that `token-provider key new` prints
c.toml:11: access.api_keys[1].id: already used by access.api_keys[0]: each key needs its own id
c.toml:12: access.api_keys[1].sha256: expected 64 hexadecimal digits, as `token-provider key new` prints them
c.toml:13: access.api_keys[1].colour: unknown key; expected one of: burst, expires, id, max_ttl, profiles, rate, scopes, sha256
c.toml:15: log.format: expected \"auto\", \"text\" or \"json\"; did you mean \"json\"?
c.toml:16: log.level: expected a string, not a list"
    );
    assert_eq!(parse(text).unwrap_err().as_slice().len(), 10);
}

#[test]
fn near_names_are_suggested() {
    for (text, expected) in [
        ("Listen = 1", "Listen: unknown key; did you mean \"listen\"?"),
        ("public-hosts = 1", "public-hosts: unknown key; did you mean \"public_hosts\"?"),
        ("[profile]\n", "profile: expected a string, not a table"),
        (
            "profiles.default.credential = 1",
            "profiles.default.credential: unknown key; did you mean \"credentials\"?",
        ),
        (
            "tls.client-ca = 1\ntls.cert = 'a'\ntls.key = 'b'",
            "tls.client-ca: unknown key; did you mean \"client_ca\"?",
        ),
        ("[[access.api_key]]", "access.api_key: unknown key; did you mean \"api_keys\"?"),
        ("access.anonimous = 1", "access.anonimous: unknown key; did you mean \"anonymous\"?"),
        ("access.oicd = 1", "access.oicd: unknown key; did you mean \"oidc\"?"),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{ user = 'a', users = 'a' }] }",
            "access.trusted_proxy.rules[0].user: unknown key; did you mean \"users\"?",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{ users = 'a', mode = 'audti' }] }",
            "access.trusted_proxy.rules[0].mode: expected \"enforce\" or \"audit\"; did you mean \"audit\"?",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{ users = 'a', profiles = 'defualt' }] }",
            "access.trusted_proxy.rules[0].profiles: expected the name of a configured profile; did you mean \"default\"?",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{ claim = { sub = 'a' }, claims = { sub = 'a' } }] }",
            "access.oidc.rules[0].claim: unknown key; did you mean \"claims\"?",
        ),
        ("log.leval = 1", "log.leval: unknown key; did you mean \"level\"?"),
        ("admin.listn = 1", "admin.listn: unknown key; did you mean \"listen\"?"),
        (
            "profiles.maps = {}\naccess.anonymous_profiles = ['mpas']",
            "access.anonymous_profiles[0]: expected the name of a configured profile; did you mean \"maps\"?",
        ),
    ] {
        let found = problems(text);
        let (_, message) = found.strip_prefix("c.toml:").and_then(|rest| rest.split_once(": ")).unwrap();
        assert_eq!(message, expected, "{text}");
    }
}

#[test]
fn each_table_says_which_keys_it_has() {
    for (path, keys) in [
        (
            "",
            "access, admin, audit, cors, drain, lifetimes, listen, log, outputs, profile, profiles, public_hosts, \
             store, tls",
        ),
        ("tls", "cert, client_ca, key"),
        ("profiles.maps", "api_key_file, ca, credentials, on_rotation, remote, remote_header, scope, scopes"),
        ("cors", "origins"),
        (
            "access",
            "anonymous, anonymous_burst, anonymous_max_ttl, anonymous_profiles, anonymous_rate, anonymous_scopes, \
             api_keys, here_keys, mtls, oidc, require_header, trusted_proxy",
        ),
        (
            "access.oidc",
            "audience, burst, ca, issuer, jwks_file, jwks_token_file, jwks_url, leeway, max_ttl, profiles, rate, \
             require, rules, scopes",
        ),
        ("access.mtls", "allow, burst, max_ttl, profiles, rate, rules, scopes"),
        (
            "access.trusted_proxy",
            "burst, from, groups_header, header, max_ttl, profiles, rate, rules, scopes",
        ),
        ("admin", "listen"),
        ("log", "format, level"),
        ("audit", "to"),
        ("store", "ca, cert, key, key_file, password_file, timeout, url, user"),
    ] {
        let header = if path.is_empty() { String::new() } else { format!("[{path}]\n") };
        let dot = if path.is_empty() { "" } else { "." };
        let expected = format!(": {path}{dot}qqqqqq: unknown key; expected one of: {keys}");
        let found = problems(&format!("{header}qqqqqq = 1"));
        assert!(found.lines().any(|line| line.ends_with(&expected)), "no line ends in {expected}\n{found}");
        // The file that other tests start from leaves no key out.
        for key in keys.split(", ") {
            let set = [format!("\n{key} = "), format!("[{key}]"), format!("{dot}{key}]"), format!("[{key}.")];
            assert!(set.iter().any(|set| EVERY_KEY.contains(set)), "{key} is not in EVERY_KEY");
        }
    }
}

#[test]
fn syntax_is_reported_by_line_and_column() {
    for (text, expected) in [
        ("listen = ", "c.toml:1:10: not TOML: "),
        ("a = 1\nlisten = \"ab\n", "c.toml:2:13: not TOML: invalid basic string, expected `\"`"),
        ("ä = 1", "c.toml:1:1: not TOML: "),
        ("[tls", "c.toml:1:5: not TOML: unclosed table, expected `]`"),
        ("[log]\nlevel = \"a\"\nlevel = \"b\"", "c.toml:3:1: not TOML: duplicate key"),
        (
            "[access.oidc]\nissuer = 'a'\n[[access.oidc]]",
            "c.toml:3:10: not TOML: duplicate key; to have several tables of one name, write [[…]] for each",
        ),
        (
            "[[access.oidc]]\nissuer = 'a'\n[access.oidc]",
            "c.toml:3:9: not TOML: duplicate key; to have several tables of one name, write [[…]] for each",
        ),
        (
            "[log]\nformat = text",
            "c.toml:2:10: not TOML: invalid boolean, expected `true`, or text in double quotes",
        ),
        (
            "listen = localhost:3000",
            "c.toml:1:10: not TOML: string values must be quoted, expected literal string",
        ),
        ("max = 1h", "c.toml:1:7: not TOML: "),
        ("\r\nlisten\r\n", "c.toml:2:7: not TOML: key with no value, expected `=`"),
    ] {
        let found = problems(text);
        assert!(found.starts_with(expected), "{text}\n{found}");
    }
}

#[test]
fn several_slips_in_syntax_are_listed_but_not_their_echo() {
    let found = problems("a = tru\nb = 'x'\nc = \"\\q\"\n[d\n");
    let lines: Vec<&str> = found.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(lines, ["c.toml:1:5", "c.toml:3:7", "c.toml:4:3"]);
    // An open bracket turns every line below it into a separate error.
    let found = problems(&format!("a = [1, 2\n{}", "b = 1\n".repeat(100)));
    assert!(found.starts_with("c.toml:2:1: not TOML: missing comma"), "{found}");
    assert_eq!(found.lines().count(), 5);
}

#[test]
fn a_byte_order_mark_and_windows_lines_do_no_harm() {
    assert_eq!(parsed("\u{feff}lifetimes = [60]\r\n[log]\r\nlevel = 'off'\r\n").lifetimes.iter().count(), 1);
    assert_eq!(problems("\u{feff}[log]\r\n\r\nlevl = 1").split(": ").next(), Some("c.toml:3"));
}

#[test]
fn astray_secrets_get_a_hint() {
    const HERE: &str = "HERE's access key does not belong here";
    const KEY: &str = "an API key does not belong here";
    const SECRET: &str = "secrets do not belong here";
    let key = "[[access.api_keys]]\nid = 'a'\nsha256 = '";
    let hash = "a".repeat(64);
    for (text, path, hint) in [
        ("here.access.key.secret = 'x'".to_owned(), "here", HERE),
        ("'here.access.key.secret' = 'x'".to_owned(), "here.access.key.secret", HERE),
        ("[profiles.default]\nhere.access.key.id = 'x'".to_owned(), "profiles.default.here", HERE),
        ("profiles.default.access_key_secret = 'x'".to_owned(), "profiles.default.access_key_secret", HERE),
        ("password = 'x'".to_owned(), "password", SECRET),
        (
            "access.oidc = { client_secret = 'x', issuer = 'https://a', audience = 'a' }".to_owned(),
            "access.oidc.client_secret",
            SECRET,
        ),
        (format!("{key}{hash}'\nkey = 'x'"), "access.api_keys[0].key", KEY),
        (format!("{key}{hash}'\nsecret = 'x'"), "access.api_keys[0].secret", SECRET),
        ("access.tp_AbCdEf = 'x'".to_owned(), "access.(key not shown)", KEY),
    ] {
        let found = problems(&text);
        let expected = format!(": {path}: unknown key; {hint}");
        assert!(found.contains(&expected), "{text}\n  gives {found}\n  not   {expected}");
    }
}

#[test]
fn keys_that_may_be_values_are_not_shown() {
    let long = "aB3-".repeat(20);
    for key in [long.as_str(), "tp_AbCdEf", "\"with space\"", "\"line\\nbreak\"", "\"\\u001b[31m\""] {
        let found = problems(&format!("{key} = 1"));
        assert!(found.starts_with("c.toml:1: (key not shown): unknown key; "), "{found:?}");
    }
}
