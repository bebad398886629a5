//! Credential files as people have them, and what is said of those that will not do.

mod random;
mod source;

use serde::Deserialize;

use self::source::Lookup;
use super::*;
use crate::error::LoadErrorKind;

/// Stands where a secret would, in text that must show up nowhere.
const MARKER: &str = "QzPlantedSecretQz";

/// Sample data only: awkward files, with what this library reads.
const FILES: &str = include_str!("../../testdata/credential-files.json");

#[derive(Deserialize)]
struct Files {
    cases: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    name: String,
    #[serde(rename = "file_bytes_latin1")]
    bytes_latin1: String,
    expected: Option<Expected>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Expected {
    id: String,
    secret: String,
    url: String,
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).expect("the sample is Latin-1")).collect()
}

fn id_of(credential: &Credential) -> &str {
    credential.access_key_id().expect("it is an access key")
}

fn secret_of(credential: &Credential) -> &str {
    credential.access_key_secret().expect("it is an access key").expose_secret()
}

fn parts(credential: &Credential) -> Expected {
    Expected {
        id: id_of(credential).to_owned(),
        secret: secret_of(credential).to_owned(),
        url: credential.token_endpoint_url().to_string(),
    }
}

/// Reads a value written this way in a file, before it is judged.
fn value_of(written: &str) -> String {
    let text = format!("{KEY_SECRET}={written}");
    let entries = Entries::parse_properties(text.as_bytes()).expect(written);
    entries.get(KEY_SECRET).expect(written).value.to_string()
}

/// Everything that a program could show of an error.
fn shown(error: &LoadError) -> String {
    let causes: Vec<_> = crate::error_chain(error).map(ToString::to_string).collect();
    format!("{error} {error:?} {error:#?} {causes:?}")
}

/// Of each kind of invisible character the ones that have been met in the wild, and the ends of each range.
const INVISIBLE: &[char] = &[
    ' ',
    '\t',
    '\u{b}',
    '\u{c}',
    '\u{1f}',
    '\u{7f}',
    '\u{85}',
    '\u{a0}',
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{115f}',
    '\u{1680}',
    '\u{17b4}',
    '\u{180e}',
    '\u{2003}',
    '\u{2007}',
    '\u{200b}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202e}',
    '\u{202f}',
    '\u{205f}',
    '\u{2060}',
    '\u{206f}',
    '\u{2800}',
    '\u{3000}',
    '\u{3164}',
    '\u{fe00}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{ffa0}',
    '\u{fff9}',
    '\u{fffb}',
    '\u{1d173}',
    '\u{e0001}',
    '\u{e007f}',
];

#[test]
fn invisible_characters_at_the_ends_of_a_value_do_no_harm() {
    for &blank in INVISIBLE {
        let text = format!(
            "{blank}here.access.key.id{blank}={blank} an-id{blank}\n\
             here.access.key.secret = {blank}\"{blank}{MARKER} {blank}\"{blank}\r\n\
             here.token.scope = openid{blank}\n"
        );
        let ini = format!("{blank}[default]{blank}\n{text}");
        let variables = Lookup {
            access_key_id: Some(format!("{blank}an-id{blank}{blank}")),
            access_key_secret: Some(format!("{blank}'{MARKER}'\n").into()),
            scope: Some(format!("{blank}openid")),
            ..Lookup::default()
        };
        for credential in [
            Credential::from_properties(text.as_bytes(), "x"),
            Credential::from_ini(ini.as_bytes(), "default", "x"),
            variables.find().and_then(|source| source.load()),
        ] {
            let credential = credential.unwrap_or_else(|error| panic!("{blank:?}: {error}"));
            assert_eq!(id_of(&credential), "an-id", "{blank:?}");
            assert_eq!(secret_of(&credential), MARKER, "{blank:?}");
            assert_eq!(credential.scope().map(Scope::as_str), Some("openid"), "{blank:?}");
        }
        assert_eq!(trim_value(&format!("\u{201c}{blank}key{blank}\u{201d}{blank}")), "key", "{blank:?}");
    }
}

#[test]
fn character_that_no_key_has_is_an_error_inside_a_value() {
    for &inside in INVISIBLE.iter().chain(&['é', '\u{201c}', '\n']) {
        let wrong = format!("a{inside}{MARKER}");
        let table = [(wrong.as_str(), MARKER), ("id", wrong.as_str())];
        for (id, secret) in table {
            let error = Credential::new(id, secret.into()).expect_err("no key has it");
            assert_eq!(error.kind(), LoadErrorKind::Invalid, "{inside:?}");
            let variables = Lookup {
                access_key_id: Some(id.to_owned()),
                access_key_secret: Some(secret.into()),
                ..Lookup::default()
            };
            let read = variables.find().and_then(|source| source.load());
            assert_eq!(read.expect_err("no key has it").kind(), LoadErrorKind::Invalid, "{inside:?}");
            assert!(!shown(&error).contains(MARKER), "{error:?}");
        }
    }
}

#[test]
fn sample_files_are_read() {
    let files: Files = serde_json::from_str(FILES).expect("the sample file is well-formed");
    assert_eq!(files.cases.len(), 15);
    for file in files.cases {
        let read = Credential::from_properties(&latin1(&file.bytes_latin1), "file");
        assert_eq!(read.as_ref().ok().map(parts), file.expected, "{}: {:?}", file.name, read.err());
    }
}

#[test]
fn values_are_read_as_java_writes_them() {
    let table = [
        // written, read
        (r"a\u0041\u00e9", "aAé"),
        (r"\uD83D\uDE00", "\u{1F600}"),
        (r"\ud83dx", r"\ud83dx"),
        (r"\ud83d\u0041", r"\ud83dA"),
        (r"\u12", r"\u12"),
        (r"\u+123", r"\u+123"),
        (r"\uzzzz", r"\uzzzz"),
        (r"https\://x\=y", "https://x=y"),
        (r"a\\", r"a\"),
        (r"a\\\\b", r"a\\b"),
        ("one\\\n   two", "onetwo"),
        ("one\\\r\n\ttwo\\\r\nthree", "onetwothree"),
        ("one\\\\\n", r"one\"),
        ("one\\\n", "one"),
        ("one\\", "one"),
        ("one\\\n\nignored=1", "one"),
        ("one\\\n# no comment", "one# no comment"),
        (r"trailing\ ", "trailing"),
        (r"a\-b\qc", "a-bqc"),
        (r"trailing\\ ", r"trailing\"),
        ("tab\tinside", "tab\tinside"),
        ("  a b  ", "a b"),
        ("\"a\"", "a"),
        ("'a b'", "a b"),
        ("\"a'", "\"a'"),
        ("\"", "\""),
        ("a\"b\"", "a\"b\""),
        ("=leading", "=leading"),
    ];
    for (written, read) in table {
        assert_eq!(value_of(written), read, "{written}");
    }
}

#[test]
fn keys_end_at_equals_sign_colon_or_blank() {
    for separator in ["=", ":", " ", "\t", "\u{c}", " = ", "\t:\t", "  =", " \\\n = "] {
        let text = format!("here.access.key.id{separator}id\n  here.access.key.secret{separator}sec");
        let credential = Credential::from_properties(text.as_bytes(), "file").expect(separator);
        assert_eq!(id_of(&credential), "id", "{separator:?}");
        assert_eq!(secret_of(&credential), "sec", "{separator:?}");
    }
}

#[test]
fn last_of_equal_keys_wins() {
    let text = "here.access.key.id=old\nhere.access.key.secret=s\nhere.access.key.id=new\n";
    let credential = Credential::from_properties(text.as_bytes(), "file").expect("is well-formed");
    assert_eq!(id_of(&credential), "new");
}

#[test]
fn scope_and_endpoint_are_read_and_may_be_empty() {
    let text = "here.access.key.id=i\nhere.access.key.secret=s\n\
                here.token.endpoint.url=http\\://[::1]:8080/oauth2/token\n\
                here.token.scope=hrn:here:authorization::rlm:project/p1\nhere.user.id=ignored\n";
    let credential = Credential::from_properties(text.as_bytes(), "file").expect("is well-formed");
    assert_eq!(credential.token_endpoint_url().as_str(), "http://[::1]:8080/oauth2/token");
    assert_eq!(credential.scope().map(Scope::as_str), Some("hrn:here:authorization::rlm:project/p1"));

    let text =
        "here.access.key.id=i\nhere.access.key.secret=s\nhere.token.endpoint.url=\nhere.token.scope=\n";
    let credential = Credential::from_properties(text.as_bytes(), "file").expect("is well-formed");
    assert_eq!(credential.token_endpoint_url().as_str(), DEFAULT_TOKEN_ENDPOINT_URL);
    assert_eq!(credential.scope(), None);
}

#[test]
fn ini_sections_are_kept_apart_and_doubled_dots_undone() {
    let text = b"here.access.key.id = none\n\
                 [default]\nhere..access..key..id = id-d\nhere..access..key..secret = s-d\n\
                 ; comment\n[ maps ]\nhere.access.key.id = id-m\nhere.access.key.secret = s-m\n\
                 here..token..endpoint..url = https\\://example.com/oauth2/token\n\
                 [default]\nhere.token.scope = openid\n";
    let default = Credential::from_ini(text, "default", "file").expect("is well-formed");
    assert_eq!((id_of(&default), default.scope().map(Scope::as_str)), ("id-d", Some("openid")));
    assert_eq!(default.token_endpoint_url().as_str(), DEFAULT_TOKEN_ENDPOINT_URL);
    let maps = Credential::from_ini(text, "maps", "file").expect("is well-formed");
    assert_eq!((id_of(&maps), maps.scope()), ("id-m", None));
    assert_eq!(maps.token_endpoint_url().as_str(), "https://example.com/oauth2/token");

    let error = Credential::from_ini(text, "other", "c.ini").expect_err("has no such section");
    assert_eq!(error.to_string(), "c.ini: there is no section [other]");
    // As a `.properties` file the headers are odd keys, and dots stay as written.
    let error =
        Credential::from_properties(b"[default]\nhere..access..key..id = x\n", "c").expect_err("has no key");
    assert!(error.to_string().starts_with("c: line 2: did you mean here.access.key.id?"), "{error}");
}

#[test]
fn ini_values_are_read_as_heres_java_sdk_reads_them() {
    // commons-configuration 2, INIConfiguration.parseValue.
    let table = [
        ("secret ; note", "secret"),
        ("secret # note", "secret"),
        ("secret\t;note", "secret"),
        ("secret;no-note", "secret;no-note"),
        ("secret#no-note", "secret#no-note"),
        ("#secret", "#secret"),
        ("\"secret\" ; note", "secret"),
        ("'secret' # note", "secret"),
        ("\"se;cret\"", "se;cret"),
        ("\"secret\"x", "secret"),
        ("secret\u{b}", "secret"),
        ("secret\u{1f}", "secret"),
        ("a=b:c", "a=b:c"),
    ];
    for (written, expected) in table {
        for separator in ["=", ":", " = "] {
            let text = format!(
                "[default]\nhere.access.key.id = id ; note\nhere.access.key.secret{separator}{written}\n\
                 here.access.key.secret = second\n"
            );
            let credential = Credential::from_ini(text.as_bytes(), "default", "file").expect(written);
            assert_eq!(id_of(&credential), "id");
            // Of a key given twice, the first counts.
            assert_eq!(secret_of(&credential), expected, "{written}");
        }
    }
}

#[test]
fn mistaken_files_are_told_what_was_meant() {
    const SECRET: &str = "here.access.key.secret = QzPlantedSecretQz\n";
    let near = "line 1: did you mean here.access.key.id? Write it exactly like that";
    let table = [
        ("here.acces.key.id = x\n", near),
        ("here.accesskey.id = x\n", near),
        ("here.access.id = x\n", near),
        ("accessKeyId = x\n", near),
        ("HERE_ACCESS_KEY_ID=x\n", near),
        ("export HERE_ACCESS_KEY_ID=x\n", near),
        ("here\\.access\\.key_id = x\n", near),
        (
            "{\"here.access.key.id\": \"x\"}\n",
            "it is JSON; expected `key = value` lines, as in the credentials.properties from the HERE portal",
        ),
        (
            "here.access.key.id = ${env:HERE_ID}\n",
            "line 1: here.access.key.id: it contains ${…}, which is not expanded here; write the value \
             itself",
        ),
        (
            "here.access.key.id = x # note\n",
            "line 1: here.access.key.id: it contains a space, which no HERE key does; copy it again from \
             the HERE portal, and put any comment on its own line",
        ),
    ];
    for (line, expected) in table {
        let error = Credential::from_properties(format!("{line}{SECRET}").as_bytes(), "c").expect_err(line);
        assert_eq!(error.to_string(), format!("c: {expected}"), "{line}");
        assert!(!shown(&error).contains(MARKER), "{error:?}");
    }
    let error =
        Credential::from_properties(b"here.client.id = x\nhere.user.id = y", "c").expect_err("no key");
    assert!(error.to_string().starts_with("c: it has here.client.id but no access key:"), "{error}");
    let half = b"here.client.id = x\nhere.access.key.id = y";
    let error = Credential::from_properties(half, "c").expect_err("no secret");
    assert!(
        error.to_string().contains("here.access.key.secret") && !error.to_string().contains("client"),
        "{error}"
    );
    // As Java reads it: the backslash before a dot is dropped.
    let text = format!("here\\.access\\.key\\.id = x\n{SECRET}");
    assert!(Credential::from_properties(text.as_bytes(), "c").is_ok());
    let error = Credential::from_ini(b"{}", "default", "c.ini").expect_err("is JSON");
    assert!(error.to_string().starts_with("c.ini: it is JSON;"), "{error}");
}

#[test]
fn errors_name_file_line_and_key_and_show_no_value() {
    const ID: &str = "here.access.key.id = x\n";
    const SECRET: &str = "here.access.key.secret = QzPlantedSecretQz\n";
    let table = [
        (
            SECRET.to_owned(),
            "here.access.key.id is missing; expected a line `here.access.key.id = …` as in the file that the HERE \
             portal offers",
        ),
        (
            format!("{SECRET}Here.Access.Key.Id = x"),
            "line 2: did you mean here.access.key.id? Write it exactly like that",
        ),
        (
            format!("\n# c\n{SECRET}here.access.key.id =\n"),
            "line 4: here.access.key.id is empty; copy its value from the HERE portal",
        ),
        (
            format!("{ID}here.access.key.secret = \\\n\n# {MARKER}"),
            "line 2: here.access.key.secret is empty; copy its value from the HERE portal",
        ),
        (
            format!("{ID}here.access.key.secret = {MARKER}\\n{MARKER}"),
            "line 2: here.access.key.secret: it contains a character that no HERE key has, such as a line \
             break or an invisible character; copy it again from the HERE portal",
        ),
        (
            format!("{ID}{SECRET}here.token.endpoint.url = {MARKER}"),
            "line 3: here.token.endpoint.url: not a URL; expected something like \
             https://account.api.here.com/oauth2/token",
        ),
        (
            format!("{ID}{SECRET}here.token.endpoint.url = http://{MARKER}.example.com/"),
            "line 3: here.token.endpoint.url: the token endpoint uses plain http://, so anyone on the \
             network can read the token; use https://",
        ),
        (
            format!("{ID}{SECRET}here.token.endpoint.url = https://u:{MARKER}@example.com/"),
            "line 3: here.token.endpoint.url: the token endpoint URL contains a user name or password; \
             remove them, HERE does not use them",
        ),
        (
            format!("{ID}{SECRET}\r\nhere.token.scope = \"{MARKER}\"x"),
            "line 4: here.token.scope: the scope is not well-formed: expected printable ASCII without quotes \
             and backslashes (RFC 6749 §3.3), such as hrn:here:authorization::myrealm:project/my-project",
        ),
        (
            format!("\u{0}{ID}{SECRET}"),
            "the file holds NUL bytes, perhaps because it is in UTF-16; save it as UTF-8",
        ),
        // A secret pasted without its key, and one in place of the key.
        (
            format!("{ID}{MARKER}\n{MARKER} = here.access.key.secret"),
            "here.access.key.secret is missing; expected a line `here.access.key.secret = …` as in the file that the \
             HERE portal offers",
        ),
    ];
    for (text, expected) in table {
        let error = Credential::from_properties(text.as_bytes(), "dir/c.properties").expect_err(expected);
        assert_eq!(error.kind(), LoadErrorKind::Invalid);
        assert_eq!(error.to_string(), format!("dir/c.properties: {expected}"));
        assert!(!shown(&error).contains(MARKER), "{error:?}");
    }
}

#[test]
fn utf_16_is_named_and_a_byte_order_mark_does_no_harm() {
    let text = format!("here.access.key.id = x\nhere.access.key.secret = {MARKER}");
    let utf16: Vec<u16> = std::iter::once(0xFEFF).chain(text.encode_utf16()).collect();
    let little: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for bytes in [little, big] {
        let error = Credential::from_properties(&bytes, "c").expect_err("is UTF-16");
        assert_eq!(error.to_string(), "c: the file is in UTF-16; save it as UTF-8");
    }
    let marked = format!("\u{FEFF}{text}");
    let credential = Credential::from_properties(marked.as_bytes(), "c").expect("is UTF-8");
    assert_eq!(secret_of(&credential), MARKER);
}

#[test]
fn file_in_latin_1_is_read() {
    let text = latin1("# schl\u{fc}ssel\nhere.access.key.id = x\nhere.access.key.secret = s\n");
    let credential = Credential::from_properties(&text, "c").expect("is Latin-1");
    assert_eq!(secret_of(&credential), "s");
}

#[test]
fn a_file_of_many_short_lines_takes_no_memory_to_speak_of() {
    // One buffer of the file's size per line would be 2 GiB.
    let mut text = "a\n".repeat(32_000);
    text.push_str("here.access.key.id=i\nhere.access.key.secret=s");
    let credential = Credential::from_properties(text.as_bytes(), "c").expect("is well-formed");
    assert_eq!(id_of(&credential), "i");
    // And one line with as many continuations is as good.
    let text = format!("here.access.key.id=i\nhere.access.key.secret={}", "a\\\n".repeat(20_000));
    let credential = Credential::from_properties(text.as_bytes(), "c").expect("is well-formed");
    assert_eq!(secret_of(&credential).len(), 20_000);
}

#[test]
fn endpoint_is_https_or_on_this_machine() {
    let credential = Credential::new("i", SecretString::from("s")).expect("is well-formed");
    for good in [
        "https://account.api.here.com/oauth2/token",
        "https://10.0.0.1:8443/t?key=1",
        "http://localhost/oauth2/token",
        "http://LOCALHOST:1/",
        "http://127.0.0.1:8080/oauth2/token",
        "http://127.8.8.8/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
    ] {
        assert!(credential.clone().with_token_endpoint_url(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "account.api.here.com",
        "/oauth2/token",
        "ftp://localhost/",
        "file:///etc/passwd",
        "http://account.api.here.com/oauth2/token",
        "http://localhost.example.com/",
        "http://evil-localhost/",
        "http://localhost-evil/",
        "http://127.0.0.1.example.com/",
        "http://0.0.0.0/",
        "http://[::]/",
        "https://user@example.com/",
        "https://:password@example.com/",
        // What a variable that is not UTF-8 is decoded to; it would be requested as `/%EF%BF%BD/token`.
        "https://account.api.here.com/\u{fffd}/token",
        "https://account.api.here.com/oauth2/token?key=\u{fffd}",
    ] {
        let error = credential.clone().with_token_endpoint_url(bad).expect_err(bad);
        assert_eq!(error.kind(), LoadErrorKind::Invalid, "{bad}");
    }
}

#[test]
fn debug_shows_no_part_of_the_access_key() {
    let credential = Credential::new("planted-id", SecretString::from(MARKER))
        .and_then(|credential| credential.with_token_endpoint_url("https://example.com/t?key=planted-query"))
        .expect("is well-formed");
    let shown = format!("{credential:?} {credential:#?}");
    assert!(!shown.contains("lanted"), "{shown}");
    assert!(shown.contains("https://example.com/t"), "{shown}");
}

#[test]
fn same_is_same_in_every_part() {
    let credential = |id, secret| Credential::new(id, SecretString::from(secret)).expect("is well-formed");
    let one = credential("a", "s");
    assert!(one.is_same(&credential("a", "s")));
    assert!(!one.is_same(&credential("b", "s")));
    assert!(!one.is_same(&credential("a", "t")));
    assert!(!one.is_same(&credential("a", "ss")));
    let elsewhere = one.clone().with_token_endpoint_url("https://example.com/").expect("is a URL");
    assert!(!one.is_same(&elsewhere));
    assert!(!one.is_same(&one.clone().with_scope(Scope::new("openid").ok())));
}

#[test]
fn empty_parts_are_refused() {
    for (id, secret) in [
        ("", "s"),
        ("i", ""),
        ("i\n", "s"),
        ("i", "s\r"),
        ("i", "\u{0}"),
        ("\u{fffd}", "s"),
        ("i", "s\u{fffd}"),
    ] {
        let error = Credential::new(id, SecretString::from(secret)).expect_err("is malformed");
        assert_eq!(error.kind(), LoadErrorKind::Invalid);
    }
}

#[test]
fn kinds_of_tokens_that_differ_in_anything_have_different_ids() {
    use std::collections::BTreeSet;
    use std::time::Duration;

    let key = |id: &str, secret: &str| Credential::new(id, secret.into()).expect("is one");
    let scoped = |scope: &str| Some(Scope::new(scope).expect("is one"));
    let (hour, minute) = (TokenKey::default(), TokenKey::new(Duration::from_secs(60)).expect("is in range"));
    let elsewhere =
        key("id", "secret").with_token_endpoint_url("http://localhost:1/").expect("is on loopback");
    let pem = PrivateKey::generate_pem(SigningAlgorithm::Es256).expect("can be made");
    let private = PrivateKey::from_pem(pem.expose_secret()).expect("is one");
    let private = |id: &str| Credential::with_private_key(id, private.clone()).expect("is one");
    let ids = [
        key("id", "secret").kind_id(&hour, b"k"),
        key("id", "secret").kind_id(&hour, b"l"),
        key("id", "secret").kind_id(&minute, b"k"),
        key("id", "secret").kind_id(&hour.clone().with_scope(scoped("a")), b"k"),
        key("id", "other").kind_id(&hour, b"k"),
        key("ids", "ecret").kind_id(&hour, b"k"),
        elsewhere.kind_id(&hour, b"k"),
        private("id").kind_id(&hour, b"k"),
        private("other").kind_id(&hour, b"k"),
    ];
    assert_eq!(BTreeSet::from(ids).len(), ids.len());
    // The scope that is asked for, wherever it is written down.
    let own = key("id", "secret").with_scope(scoped("a"));
    assert_eq!(own.kind_id(&hour, b"k"), ids[3]);
    assert_eq!(own.kind_id(&hour.with_scope(scoped("a")), b"k"), ids[3]);
}
