//! A credential file: `p` and the text of a `.properties` file, `i` and that of an `.ini` file, or `s` and an access
//! key that is stored the way Java does it and read back.

use std::fmt::Write as _;

use token_provider::{Credential, LoadError};

use super::planted::{assert_hidden, plant};

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What errors call the file.
const NAME: &str = "the-file";

/// One run.
pub fn run(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    if *mode == b's' {
        return read_back(data);
    }
    let Some(text) = plant(data) else { return };
    if *mode == b'i' {
        return check(&text, |text| Credential::from_ini(text, "default", NAME));
    }
    check(&text, |text| Credential::from_properties(text, NAME));
}

/// No error shows a value; byte-order mark and line ends make no difference.
fn check(text: &[u8], read: impl Fn(&[u8]) -> Result<Credential, LoadError>) {
    let result = read(text);
    match &result {
        Ok(credential) => check_credential(credential),
        Err(error) => {
            assert_hidden("an error", &format!("{error} {error:?} {error:#?}"));
            let message = error.to_string();
            let problem = message.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(": "));
            assert!(problem.is_some_and(|problem| !problem.is_empty()), "names the file: {message}");
            assert!(!message.contains(char::is_control), "can be logged: {message:?}");
        }
    }
    let is_utf_16 = text.starts_with(&[0xFF, 0xFE]) || text.starts_with(&[0xFE, 0xFF]);
    if !is_utf_16 && !text.starts_with(BOM) {
        assert_same("with a byte-order mark", &result, &read(&[BOM, text].concat()));
    }
    if !text.contains(&b'\r') {
        let mut with_crlf = Vec::with_capacity(text.len() + 16);
        for byte in text {
            if *byte == b'\n' {
                with_crlf.push(b'\r');
            }
            with_crlf.push(*byte);
        }
        assert_same("with CRLF", &result, &read(&with_crlf));
    }
}

fn check_credential(credential: &Credential) {
    // A private key is a file of the machine that the text names, or PEM that nobody finds by chance.
    let Some(id) = credential.access_key_id() else { return };
    assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");
    let url = credential.token_endpoint_url();
    let is_loopback = matches!(url.host_str(), Some("localhost" | "[::1]" | "[::ffff:7f00:1]"))
        || url.host_str().is_some_and(|host| host.starts_with("127."));
    assert!(url.scheme() == "https" || (url.scheme() == "http" && is_loopback), "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    // What `Debug` shows is the same for any other access key.
    let other = Credential::new("another-id", "another-secret".to_owned().into())
        .and_then(|other| other.with_token_endpoint_url(url.as_str()))
        .expect("was taken before")
        .with_scope(credential.scope().cloned());
    assert_eq!(format!("{credential:?} {credential:#?}"), format!("{other:?} {other:#?}"));
}

#[track_caller]
fn assert_same(what: &str, one: &Result<Credential, LoadError>, other: &Result<Credential, LoadError>) {
    match (one, other) {
        (Ok(one), Ok(other)) => assert!(one.is_same(other), "{what}: another credential"),
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string(), "{what}"),
        _ => panic!("{what}: {one:?} became {other:?}"),
    }
}

/// Id and secret, on a line each.
fn read_back(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some((id, secret)) = text.split_once('\n') else { return };
    if !can_be_stored(id) || !can_be_stored(secret) {
        return;
    }
    let expected = Credential::new(id, secret.to_owned().into()).expect("is what a key can be");
    let mut file = String::from("#Java writes a comment first\n");
    store(&mut file, "here.access.key.id", id);
    store(&mut file, "here.access.key.secret", secret);
    let read = Credential::from_properties(file.as_bytes(), NAME).expect("is well-formed");
    assert!(read.is_same(&expected), "{file}");
}

/// One in quotes is read without them, on purpose; `${` is refused.
fn can_be_stored(value: &str) -> bool {
    let is_quoted = ['"', '\''].iter().any(|quote| value.starts_with(*quote) && value.ends_with(*quote));
    let is_graphic = value.bytes().all(|byte| byte.is_ascii_graphic());
    !value.is_empty() && !is_quoted && is_graphic && !value.contains("${")
}

/// Writes an entry as `java.util.Properties.store` does.
fn store(file: &mut String, key: &str, value: &str) {
    file.push_str(key);
    file.push('=');
    for (index, character) in value.chars().enumerate() {
        match character {
            ' ' if index == 0 => file.push_str("\\ "),
            '\t' => file.push_str("\\t"),
            '=' | ':' | '#' | '!' | '\\' => file.extend(['\\', character]),
            ' '..='~' => file.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
                    let _ = write!(file, "\\u{unit:04X}");
                }
            }
        }
    }
    file.push('\n');
}
