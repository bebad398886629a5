//! No value that is read comes out again in an error, wherever it stands: any of them may be a secret that was pasted
//! into the wrong place.

use std::path::Path;

use proptest::prelude::*;

use super::FILE;
use super::keys::EVERY_KEY;
use crate::config::{Config, Environment, ListenOption, LogOptions, Overrides, SourceOptions};

/// The variables that a marker is planted in: a known key of each kind, and unknown ones.
const VARIABLES: [&str; 15] = [
    "LISTEN",
    "LIFETIMES",
    "PROFILE",
    "PROFILES__MAPS__REMOTE",
    "PROFILES__MAPS__SCOPE",
    "PROFILES",
    "CORS__ORIGINS",
    "ACCESS__ANONYMOUS",
    "ACCESS__API_KEYS",
    "ACCESS__OIDC__REQUIRE",
    "ACCESS__TRUSTED_PROXY__FROM",
    "LOG__FORMAT",
    "STORE__URL",
    "TLS__CERTT",
    "NO_SUCH_KEY",
];

/// What somebody may paste: HERE's secrets, API keys, and what surrounds them.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_-]{20,86}",
        "tp_[A-Za-z0-9]{30,43}",
        "[0-9]{20,30}",
        "[0-9a-f]{64}",
        "sk-[a-z0-9]{24} "
    ]
}

/// The ways in which it may stand in a file or a variable: as a value of each kind, in good TOML and in bad.
fn paste(secret: &str, form: usize) -> String {
    match form {
        0 => format!("\"{secret}\""),
        1 => format!("[\"{secret}\"]"),
        2 => format!("{{ x = \"{secret}\" }}"),
        3 => format!("[[\"{secret}\"], {{ id = \"{secret}\" }}]"),
        4 => secret.to_owned(),
        5 => format!("\"{secret}"),
        6 => format!("\"https://user:{secret}@a.example\""),
        7 => format!("'''\n{secret}\n"),
        8 => format!("[{{ id = \"a\", sha256 = \"{secret}\", key = \"{secret}\" }}]"),
        _ => format!("\"\\q{secret}\" # {secret}"),
    }
}

/// How many forms `paste` knows.
const FORMS: usize = 10;

fn errors(text: &str, environment: &Environment, overrides: &Overrides) -> Option<String> {
    let error = Config::parse(Some((Path::new(FILE), text)), environment, overrides).err()?;
    Some(format!("{error}\n{error:?}\n{error:#?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_secret_in_the_file_is_not_shown(secret in secret(), form in 0..FORMS, line in any::<prop::sample::Index>()) {
        let mut lines: Vec<String> = EVERY_KEY.lines().map(str::to_owned).collect();
        let keys: Vec<usize> = (0..lines.len()).filter(|index| lines[*index].contains(" = ")).collect();
        let target = &mut lines[keys[line.index(keys.len())]];
        let (key, _) = target.split_once(" = ").unwrap();
        *target = format!("{key} = {}", paste(&secret, form));
        if let Some(shown) = errors(&lines.join("\n"), &Environment::default(), &Overrides::default()) {
            prop_assert!(!shown.contains(secret.trim()), "{}", shown);
        }
    }

    #[test]
    fn a_secret_on_its_own_line_is_not_shown(
        secret in "[A-Za-z0-9_-]{70,86}|tp_[A-Za-z0-9]{30,43}",
        form in 0..4,
        line in any::<prop::sample::Index>(),
    ) {
        let mut lines: Vec<&str> = EVERY_KEY.lines().collect();
        let pasted = match form {
            0 => secret.clone(),
            1 => format!("{secret} = 1"),
            2 => format!("here.access.key.secret = {secret}"),
            _ => format!("[{secret}]"),
        };
        lines.insert(line.index(lines.len()), &pasted);
        let shown = errors(&lines.join("\n"), &Environment::default(), &Overrides::default());
        let shown = shown.expect("never a configuration");
        prop_assert!(!shown.contains(&secret), "{}", shown);
    }

    #[test]
    fn a_secret_in_a_variable_is_not_shown(
        secret in secret(),
        form in 0..FORMS,
        name in prop::sample::select(&VARIABLES[..]),
        with_file in any::<bool>(),
    ) {
        let pair = (format!("TOKEN_PROVIDER_{name}"), paste(&secret, form));
        let text = if with_file { EVERY_KEY } else { "" };
        if let Some(shown) = errors(text, &Environment::from_pairs([pair]), &Overrides::default()) {
            prop_assert!(!shown.contains(secret.trim()), "{}", shown);
        }
    }

    #[test]
    fn a_secret_in_a_flag_is_not_shown(secret in secret(), tail in "[ -~]{0,3}", in_file in any::<bool>()) {
        let text = format!("{secret}{tail}");
        let flags = Overrides {
            listeners: ListenOption { listen: vec![text.clone()] },
            allow_origin: vec![text.clone()],
            source: SourceOptions {
                credentials: Some(format!("~{text}").into()),
                profile: Some(text.clone()),
                scope: Some(format!(" {text}")),
            },
            log: LogOptions { log_format: Some(text), ..LogOptions::default() },
            ..Overrides::default()
        };
        let file = if in_file { EVERY_KEY } else { "profiles = 5\nlog = 7" };
        let shown = errors(file, &Environment::default(), &flags).expect("none of them is good");
        prop_assert!(!shown.contains(secret.trim()), "{}", shown);
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        any in "\\PC{0,80}",
        toml in "([a-z]{1,3}|[\\[\\]{}=.,\"'#\n 0-9]|listen|tls|profiles|access|api_keys){0,40}",
    ) {
        for text in [any, toml] {
            let variable = Environment::from_pairs([("TOKEN_PROVIDER_ACCESS", &text)]);
            let listeners = ListenOption { listen: vec![text.clone()] };
            let flags = Overrides { listeners, ..Overrides::default() };
            let _ = (errors(&text, &Environment::default(), &flags), errors("", &variable, &Overrides::default()));
        }
    }
}
