//! Which source wins, and what a variable may look like.

use std::path::{Path, PathBuf};

use super::{scope, with};
use crate::config::{Config, ConfigErrors, Environment, ListenOption, LogFormat, LogOptions, Overrides};

fn with_variables(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::parse(None, &Environment::from_pairs(pairs.iter().copied()), &Overrides::default())
}

fn listens(config: &Config) -> Vec<String> {
    config.listen.iter().map(ToString::to_string).collect()
}

#[test]
fn flags_beat_variables_beat_the_file_beats_defaults() {
    let file = "listen = ['localhost:1', 'localhost:2']\n[log]\nformat = 'json'";
    let variables = [("TOKEN_PROVIDER_LISTEN", "localhost:3"), ("TOKEN_PROVIDER_LOG__FORMAT", "text")];
    let flags = Overrides {
        listeners: ListenOption { listen: vec!["localhost:4".to_owned(), "localhost:5".to_owned()] },
        log: LogOptions { log_format: Some("auto".to_owned()), ..LogOptions::default() },
        ..Overrides::default()
    };
    let none = Overrides::default();
    for (file, variables, flags, listen, format) in [
        ("", &[][..], &none, &["localhost:3000"][..], LogFormat::Auto),
        (file, &[], &none, &["localhost:1", "localhost:2"], LogFormat::Json),
        (file, &variables, &none, &["localhost:3"], LogFormat::Text),
        (file, &variables, &flags, &["localhost:4", "localhost:5"], LogFormat::Auto),
    ] {
        let config = with(file, variables, flags).unwrap();
        assert_eq!(
            (listens(&config), config.log.format),
            (listen.iter().map(ToString::to_string).collect(), format)
        );
    }
}

#[test]
fn a_variable_replaces_its_key_and_leaves_the_neighbours() {
    let file = "[profiles.default]\nscope = 'a'\nscopes = ['b']\n[profiles.my-Maps]\nscope = 'c'";
    let variables = [
        ("TOKEN_PROVIDER_PROFILES__DEFAULT__SCOPE", "d"),
        ("TOKEN_PROVIDER_PROFILES__MY_MAPS__CA", "/ca.pem"),
    ];
    let config = with(file, &variables, &Overrides::default()).unwrap();
    let [default, maps] = ["default", "my-Maps"].map(|name| &config.profiles[name]);
    assert_eq!((&default.scope, &*default.scopes), (&Some(scope("d")), &[scope("b"), scope("d")][..]));
    assert_eq!((&maps.scope, maps.ca.as_deref()), (&Some(scope("c")), Some(Path::new("/ca.pem"))));
    assert_eq!(config.profiles.len(), 2, "no third one by the variable's spelling");
}

#[test]
fn variables_hold_lists_numbers_and_words() {
    let config = with_variables(&[
        ("TOKEN_PROVIDER_LISTEN", "[::1]:3000, unix:/run/x.sock,"),
        ("TOKEN_PROVIDER_LIFETIMES", "300,15m"),
        ("TOKEN_PROVIDER_PUBLIC_HOSTS", "['a.example', \"b.example\"]"),
        ("TOKEN_PROVIDER_TLS__CERT", "tls.crt"),
        ("TOKEN_PROVIDER_TLS__KEY", "/tls.key"),
        ("TOKEN_PROVIDER_TLS__CLIENT_CA", "/ca.pem"),
        ("TOKEN_PROVIDER_PROFILES__DEFAULT__CREDENTIALS", "/c.properties"),
        ("TOKEN_PROVIDER_CORS__ORIGINS", "[]"),
        ("TOKEN_PROVIDER_ACCESS__ANONYMOUS", "true"),
        ("TOKEN_PROVIDER_ACCESS__ANONYMOUS_MAX_TTL", "900"),
        ("TOKEN_PROVIDER_ACCESS__ANONYMOUS_RATE", "5/s"),
        ("TOKEN_PROVIDER_ACCESS__ANONYMOUS_BURST", "6"),
        (
            "TOKEN_PROVIDER_ACCESS__API_KEYS",
            "[{ id = 'a', sha256 = '0000000000000000000000000000000000000000000000000000000000000000' }]",
        ),
        ("TOKEN_PROVIDER_ACCESS__OIDC__ISSUER", "https://login.example.com"),
        ("TOKEN_PROVIDER_ACCESS__OIDC__AUDIENCE", "a,b"),
        ("TOKEN_PROVIDER_ACCESS__OIDC__REQUIRE", "{ groups = ['maps'] }"),
        ("TOKEN_PROVIDER_ACCESS__OIDC__REQUIRE__ROLE", "x,y"),
        ("TOKEN_PROVIDER_ACCESS__MTLS__RULES", "[{ names = ['a.example', 'b.example'] }]"),
        ("TOKEN_PROVIDER_ADMIN__LISTEN", "9464"),
        ("TOKEN_PROVIDER_AUDIT__TO", "stdout"),
    ])
    .unwrap();
    assert_eq!(listens(&config), ["[::1]:3000", "unix:/run/x.sock"]);
    assert_eq!(config.lifetimes.iter().map(|lifetime| lifetime.as_secs()).collect::<Vec<_>>(), [300, 900]);
    assert_eq!(config.public_hosts.len(), 2);
    assert_eq!(config.tls.unwrap().cert, Path::new("tls.crt"), "relative to the working directory");
    assert_eq!(config.profiles["default"].credentials, Some(PathBuf::from("/c.properties")));
    assert!(config.origins.is_empty());
    let access = config.access;
    assert!(access.anonymous);
    assert_eq!(access.anonymous_policy.max_ttl.map(|ttl| ttl.as_secs()), Some(900));
    assert_eq!(access.anonymous_policy.rate.map(|rate| rate.burst_size().get()), Some(6));
    assert_eq!(access.api_keys.len(), 1);
    let [oidc] = &access.oidc[..] else { panic!("there is one") };
    assert_eq!(oidc.audience, ["a", "b"]);
    assert_eq!(oidc.require["groups"], ["maps"]);
    assert_eq!(oidc.require["role"], ["x", "y"]);
    assert_eq!(access.mtls.expect("is set by its rules").policy.rules.len(), 1);
    assert_eq!(config.admin.unwrap().to_string(), "localhost:9464");
}

#[test]
fn what_is_wrong_with_a_variable_names_the_variable() {
    for (name, value, expected) in [
        ("LISTN", "x", "unknown variable; did you mean TOKEN_PROVIDER_LISTEN?"),
        ("CORS__ORGINS", "x", "unknown variable; did you mean TOKEN_PROVIDER_CORS__ORIGINS?"),
        ("CORS_ORIGINS", "x", "unknown variable; did you mean TOKEN_PROVIDER_CORS__ORIGINS?"),
        ("PUBLIC__HOSTS", "x", "unknown variable; did you mean TOKEN_PROVIDER_PUBLIC_HOSTS?"),
        ("LOG_LEVEL", "debug", "unknown variable; did you mean TOKEN_PROVIDER_LOG__LEVEL?"),
        (
            "ACCESS_ANONYMOUS_RATE",
            "1/s",
            "unknown variable; did you mean TOKEN_PROVIDER_ACCESS__ANONYMOUS_RATE?",
        ),
        ("LOG__COLOUR", "x", "unknown variable; expected one of: TOKEN_PROVIDER_LOG__FORMAT, "),
        ("COLOUR__X", "x", "unknown variable; expected one of: TOKEN_PROVIDER_ACCESS, "),
        ("LISTEN", "localhost:1,x", "listen[1]: expected \"localhost:3000\""),
        ("LISTEN", ",", "expected a list with at least one entry"),
        ("ACCESS__ANONYMOUS", "yes", "expected true or false"),
        ("LOG", "json", "expected a table, not a string"),
        ("LOG__FORMAT", "[1]", "expected a string, not a list"),
        ("LISTEN__0", "x", "unknown variable; did you mean TOKEN_PROVIDER_LISTEN?"),
        ("ACCESS__API_KEYS", "[{ id = 'a' }]", "access.api_keys[0].sha256: missing"),
        ("ACCESS__API_KEYS", "[{ idd = 'a' }]", "access.api_keys[0].idd: unknown key; did you mean \"id\"?"),
        (
            "ACCESS__API_KEYS__0__ID",
            "a",
            "unknown variable; expected one of: TOKEN_PROVIDER_ACCESS__ANONYMOUS, ",
        ),
        ("ACCESS__OIDC__ISSUER", "https://a.example", "access.oidc.audience: missing"),
        (
            "ACCESS__MTLS__RULES",
            "[{ name = 'a.example' }]",
            "access.mtls.rules[0].name: unknown key; did you mean \"names\"?",
        ),
        (
            "ACCESS__MTLS__RULES__0__NAMES",
            "a.example",
            "unknown variable; expected one of: TOKEN_PROVIDER_ACCESS__MTLS__ALLOW, ",
        ),
    ] {
        let name = format!("TOKEN_PROVIDER_{name}");
        let found = with_variables(&[(&name, value)]).unwrap_err().to_string();
        let expected = format!("{name}: {expected}");
        assert!(found.lines().any(|line| line.starts_with(&expected)), "{found}\n  has no {expected}");
    }
}

#[test]
fn variables_set_keys_of_a_single_provider_and_are_an_error_beside_a_list() {
    let single = "[access.oidc]\nissuer = 'https://a.example'\naudience = 'a'\n";
    let list = single.replace("[access.oidc]", "[[access.oidc]]");
    let variable = ("TOKEN_PROVIDER_ACCESS__OIDC__AUDIENCE", "b");
    let config = with(single, &[variable], &Overrides::default()).unwrap();
    assert_eq!(config.access.oidc[0].audience, ["b"]);
    for text in [list.clone(), list.repeat(2)] {
        let found =
            with(&text, &[variable, ("TOKEN_PROVIDER_ACCESS__OIDC__ISSUR", "x")], &Overrides::default())
                .unwrap_err()
                .to_string();
        let error = "access.oidc: cannot be set beside the list [[access.oidc]] in the file: set it there";
        let expected =
            ["AUDIENCE", "ISSUR"].map(|key| format!("TOKEN_PROVIDER_ACCESS__OIDC__{key}: {error}"));
        assert_eq!(found, expected.join("\n"));
    }
    // Not even the whole list in a variable.
    let whole = ("TOKEN_PROVIDER_ACCESS__OIDC", "[{ issuer = 'https://b.example', audience = 'b' }]");
    let found = with(&list, &[whole], &Overrides::default()).unwrap_err().to_string();
    assert_eq!(
        found,
        "TOKEN_PROVIDER_ACCESS__OIDC: cannot be set beside the list [[access.oidc]] in the file: set it there"
    );
    // Another name that begins like it is unknown, and nothing else.
    let other = ("TOKEN_PROVIDER_ACCESS__OIDCS__ISSUER", "x");
    let found = with(&list, &[other], &Overrides::default()).unwrap_err().to_string();
    assert!(found.contains("unknown") && !found.contains("beside the list"), "{found}");
}

#[test]
fn a_variable_cannot_set_a_part_of_what_is_not_a_table() {
    let broken = |key| format!("c.toml:1: {key}: expected a table, not a number");
    for (file, variables, expected) in [
        ("log = 5", &[("TOKEN_PROVIDER_LOG__FORMAT", "json")][..], broken("log")),
        (
            "log = 5",
            &[("TOKEN_PROVIDER_LOG__FORMAT", "xml"), ("TOKEN_PROVIDER_LOG__COLOUR", "blue")],
            broken("log") + "\nTOKEN_PROVIDER_LOG__FORMAT: expected \"auto\", \"text\" or \"json\"",
        ),
        ("tls = 5", &[("TOKEN_PROVIDER_TLS__CERT", "tls.crt")], broken("tls")),
        (
            "tls = 5",
            &[("TOKEN_PROVIDER_TLS__CERT", "tls.crt"), ("TOKEN_PROVIDER_ADMIN__LISTN", "1")],
            broken("tls")
                + "\nTOKEN_PROVIDER_ADMIN__LISTN: unknown variable; did you mean TOKEN_PROVIDER_ADMIN__LISTEN?",
        ),
        (
            "listen = 1",
            &[("TOKEN_PROVIDER_LISTEN__0", "1")],
            "TOKEN_PROVIDER_LISTEN__0: unknown variable; did you mean TOKEN_PROVIDER_LISTEN?".to_owned(),
        ),
    ] {
        let found = with(file, variables, &Overrides::default()).unwrap_err();
        assert_eq!(found.to_string(), expected, "{file} {variables:?}");
    }
}

#[test]
fn variables_that_only_have_the_prefix_are_warned_of() {
    let table = [
        ("KEY", "tp_planted", "an API key does not belong here: "),
        ("URL", "https://planted.example", ""),
        ("VERSION", "1.2.3", ""),
        ("HOST", "planted", ""),
        ("COLOUR", "planted", ""),
        ("", "planted", ""),
        ("HERE_ACCESS_KEY_SECRET", "planted", "HERE's access key does not belong here: "),
        ("PASSWORD", "planted", "secrets do not belong here: "),
        // Kubernetes and Docker, for a service of our name and for one whose name goes on.
        ("SERVICE_HOST", "10.0.0.1", ""),
        ("SERVICE_PORT", "3000", ""),
        ("SERVICE_PORT_HTTP", "3000", ""),
        ("PORT", "tcp://10.0.0.1:3000", ""),
        ("PORT_3000_TCP_ADDR", "10.0.0.1", ""),
        ("TLS_PORT", "tcp://10.0.0.1:3000", ""),
        ("ADMIN_SERVICE_HOST", "10.0.0.1", ""),
        ("ADMIN_PORT_9464_TCP_PORT", "9464", ""),
        ("NAME", "/web/token_provider", ""),
        ("ENV_PATH", "/bin", ""),
    ];
    for (name, value, hint) in table {
        let name = format!("TOKEN_PROVIDER_{name}");
        let config = with_variables(&[(&name, value)]).expect("is a warning");
        let [warning] = config.warnings.as_slice() else { panic!("{name}: {:?}", config.warnings) };
        let expected = format!("{name}: not a setting; ignored");
        assert!(warning.starts_with(&expected) && warning.contains(hint), "{warning}");
        assert!(!warning.contains("planted"), "{warning}");
    }
    let config = with_variables(&[("TOKEN_PROVIDER_LISTEN", "")]).expect("says nothing");
    assert_eq!((listens(&config), config.warnings.len()), (vec!["localhost:3000".to_owned()], 0));
}

#[cfg(unix)]
#[test]
fn variables_that_are_no_text_are_reported() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let environment = Environment::from_pairs([("TOKEN_PROVIDER_LISTEN", OsString::from_vec(vec![0xff]))]);
    let found = Config::parse(None, &environment, &Overrides::default()).unwrap_err();
    assert_eq!(found.to_string(), "TOKEN_PROVIDER_LISTEN: expected UTF-8 text");
}

#[test]
fn the_process_environment_can_be_read() {
    // Cargo sets this for every test.
    assert!(Environment::from_process().variable("CARGO_MANIFEST_DIR").is_some());
}
