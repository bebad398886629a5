//! What the flags set.

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use super::{scope, with};
use crate::config::{ListenOption, LogOptions, Overrides, SourceOptions};

fn of_source(source: SourceOptions) -> Overrides {
    Overrides { source, ..Overrides::default() }
}

#[test]
fn each_flag_sets_its_key() {
    let flags = Overrides {
        allow_origin: vec!["https://a.example".to_owned(), "http://localhost:*".to_owned()],
        anonymous: true,
        source: SourceOptions {
            credentials: Some("c.properties".into()),
            profile: Some("maps".to_owned()),
            scope: Some("s".to_owned()),
        },
        ..Overrides::default()
    };
    let config = with("access.anonymous = false\nprofiles.maps.scopes = ['t']", &[], &flags).unwrap();
    assert_eq!(config.origins.len(), 4, "and the default, of which one is there twice");
    assert!(config.access.anonymous);
    assert_eq!(config.profile, "maps");
    let maps = &config.profiles["maps"];
    assert_eq!(maps.credentials, Some("c.properties".into()));
    assert_eq!(maps.scope, Some(scope("s")));
    assert_eq!(maps.scopes, ["t", "s"].map(scope));
}

#[test]
fn flags_apply_to_the_profile_in_use() {
    let flags = of_source(SourceOptions { scope: Some("s".to_owned()), ..SourceOptions::default() });
    for (file, variables, profile) in [
        ("", &[][..], "default"),
        ("profile = 'maps'", &[], "maps"),
        ("profile = 'maps'", &[("TOKEN_PROVIDER_PROFILE", "other")], "other"),
    ] {
        let config = with(file, variables, &flags).unwrap();
        assert_eq!((&*config.profile, &config.profiles[profile].scope), (profile, &Some(scope("s"))));
    }
}

#[test]
fn what_is_wrong_with_a_flag_names_the_flag() {
    let listeners = ListenOption { listen: vec!["1".into(), "x".into()] };
    let log = LogOptions { log_format: Some("xml".into()), ..LogOptions::default() };
    let source = |credentials: Option<&str>, profile: Option<&str>, scope: Option<&str>| {
        of_source(SourceOptions {
            credentials: credentials.map(PathBuf::from),
            profile: profile.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    };
    for (flags, expected) in [
        (Overrides { listeners, ..Overrides::default() }, "--listen: listen[1]: expected \"localhost"),
        (
            Overrides { allow_origin: vec!["x".into()], ..Overrides::default() },
            "--allow-origin: expected an origin",
        ),
        (source(Some(""), None, None), "--credentials: expected a path"),
        (source(None, Some("a b"), None), "--profile: expected a name of up to 64"),
        (source(None, None, Some("")), "--scope: expected a scope such as"),
        (Overrides { log, ..Overrides::default() }, "--log-format: expected \"auto\""),
    ] {
        let found = with("", &[], &flags).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    let found = with("[profiles.default]\nremote = 'https://a'", &[], &source(Some("x"), None, None));
    assert!(
        found.unwrap_err().to_string().starts_with("--credentials: cannot be combined with the profile's")
    );
}

#[test]
fn verbosity_starts_from_what_is_configured() {
    for (level, (verbose, quiet), expected) in [
        ("info", (0, 0), LevelFilter::INFO),
        ("info", (1, 0), LevelFilter::DEBUG),
        ("info", (u8::MAX, 0), LevelFilter::TRACE),
        ("warn", (1, 0), LevelFilter::INFO),
        ("info", (0, 1), LevelFilter::WARN),
        ("info", (0, 2), LevelFilter::ERROR),
        ("info", (0, u8::MAX), LevelFilter::OFF),
    ] {
        let log = LogOptions { verbose, quiet, log_format: None };
        let flags = Overrides { log, ..Overrides::default() };
        let config = with(&format!("log.level = '{level}'"), &[], &flags).unwrap();
        assert_eq!(config.log.level, expected, "{level} {verbose} {quiet}");
    }
}

#[test]
fn allowed_origins_are_added_on_this_machine_and_replace_the_default_on_the_network() {
    const LOOPBACK: &str = "http://localhost:* http://127.0.0.1:* http://[::1]:*";
    const A: &str = "https://a.example";
    const B: &str = "https://b.example";
    let file = format!("[cors]\norigins = ['{B}']");
    let open = "[cors]\norigins = ['*']";
    for (file, variables, listen, flags, expected) in [
        ("", &[][..], &[][..], &[A][..], format!("{A} {LOOPBACK}")),
        ("", &[], &["unix:/x.sock", "127.0.0.1:0"], &[A], format!("{A} {LOOPBACK}")),
        (&file, &[], &[], &[A], format!("{A} {B}")),
        (&file, &[], &[], &[B], B.to_owned()),
        (
            &file,
            &[("TOKEN_PROVIDER_CORS__ORIGINS", "https://c.example")],
            &[],
            &[A],
            format!("{A} https://c.example"),
        ),
        ("[cors]\norigins = []", &[], &[], &[A], A.to_owned()),
        ("", &[], &[], &["*"], "*".to_owned()),
        (&file, &[], &[], &["*"], "*".to_owned()),
        (open, &[], &[], &[A], "*".to_owned()),
        ("", &[], &["0.0.0.0:0"], &[A], A.to_owned()),
        ("", &[], &["localhost:0", "10.0.0.1:0"], &[A], A.to_owned()),
        // Nobody knows yet what systemd passes.
        #[cfg(all(target_os = "linux", not(portable)))]
        ("", &[], &["systemd"], &[A], A.to_owned()),
        ("", &[], &["0.0.0.0:0"], &["*"], "*".to_owned()),
    ] {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let listeners = ListenOption { listen: texts(listen) };
        let flags = Overrides { listeners, allow_origin: texts(flags), ..Overrides::default() };
        let config = with(file, variables, &flags).unwrap();
        let found: Vec<String> = config.origins.iter().map(ToString::to_string).collect();
        assert_eq!(found.join(" "), expected, "{file} {variables:?} {flags:?}");
    }
    let flags = Overrides { allow_origin: vec!["*".to_owned(), A.to_owned()], ..Overrides::default() };
    let error = with("", &[], &flags).unwrap_err().to_string();
    assert!(error.contains("`*` allows every origin, so it must be the only entry"), "{error}");
}
