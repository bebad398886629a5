//! Files made at random: nothing panics, no value is shown, and what Java writes is read back.

use proptest::prelude::*;

use super::*;

/// Text that is all kinds of trouble for a reader of `.properties`.
fn trouble() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("here.access.key.id".to_owned()),
        Just("here..access..key..secret".to_owned()),
        Just("here.access.key.secret".to_owned()),
        Just("HERE.access.key.id".to_owned()),
        Just("here.token.endpoint.url".to_owned()),
        Just("here.token.scope".to_owned()),
        Just("https://".to_owned()),
        Just("[default]\n".to_owned()),
        Just(MARKER.to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just(" = ".to_owned()),
        Just("\\".to_owned()),
        Just("\\u".to_owned()),
        "[\\\\=: \t\r\n#!;\"'ua0\\[\\]]{1,3}",
        "\\PC{1,4}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Writes an entry as `java.util.Properties.store` does (JDK 21, `Properties.saveConvert`).
fn store(key: &str, value: &str) -> String {
    let convert = |text: &str, is_key: bool| -> String {
        let mut out = String::new();
        for (index, character) in text.chars().enumerate() {
            match character {
                ' ' if index == 0 || is_key => out.push_str("\\ "),
                '\t' => out.push_str("\\t"),
                '=' | ':' | '#' | '!' | '\\' => out.extend(['\\', character]),
                ' '..='~' => out.push(character),
                _ => {
                    let mut units = [0; 2];
                    let units = character.encode_utf16(&mut units).iter();
                    out.extend(units.map(|unit| format!("\\u{unit:04X}")));
                }
            }
        }
        out
    };
    format!("{}={}\n", convert(key, true), convert(value, false))
}

/// What a key can be: printable ASCII. One in quotes is read without them, on purpose.
fn value() -> impl Strategy<Value = String> {
    "[!-~]{1,60}".prop_filter("is read as written", |value| {
        let in_quotes = ['"', '\''].iter().any(|quote| value.starts_with(*quote) && value.ends_with(*quote));
        !in_quotes && !value.contains("${")
    })
}

proptest! {
    #[test]
    fn nothing_panics_and_no_value_is_shown(text in trouble(), is_ini: bool) {
        let read = if is_ini {
            Credential::from_ini(text.as_bytes(), "default", "file")
        } else {
            Credential::from_properties(text.as_bytes(), "file")
        };
        if let Err(error) = read {
            prop_assert!(!shown(&error).contains(MARKER), "{}", shown(&error));
        }
    }

    #[test]
    fn bytes_of_any_kind_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Credential::from_properties(&bytes, "file");
        let _ = Credential::from_ini(&bytes, "default", "file");
    }

    #[test]
    fn what_java_stores_is_read_back(id in value(), secret in value(), comment in "\\PC{0,20}") {
        let text = format!(
            "#{comment}\n{}{}",
            store("here.access.key.id", &id),
            store("here.access.key.secret", &secret),
        );
        let credential = Credential::from_properties(text.as_bytes(), "file").expect("is well-formed");
        prop_assert_eq!(id_of(&credential), id);
        prop_assert_eq!(secret_of(&credential), secret);
    }

    #[test]
    fn every_line_end_is_as_good(id in value(), secret in value(), line_end in "\r\n|\r|\n") {
        let text = store("here.access.key.id", &id) + &store("here.access.key.secret", &secret);
        let credential = Credential::from_properties(text.replace('\n', &line_end).as_bytes(), "file");
        let credential = credential.expect("is well-formed");
        prop_assert_eq!(secret_of(&credential), secret);
    }
}
