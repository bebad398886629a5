//! The configuration: a file, then NUL, then environment variables (`NAME=value`), then NUL, then flags (`listen …`),
//! each on a line.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use token_provider_server::parts::access::{Access, Handout};
use token_provider_server::parts::config::{Config, ConfigErrors, Environment, Listen, Overrides};
use token_provider_server::parts::setup::check_exposure;

use super::planted::{PLAIN, assert_hidden, plant};

const FILE: &str = "c.toml";

/// One run.
pub fn run(data: &[u8]) {
    let Some(planted) = plant(data) else { return };
    let text = String::from_utf8_lossy(&planted);
    let mut parts = text.splitn(3, '\0');
    let file = parts.next().unwrap_or_default();
    let pairs = parts.next().unwrap_or_default().lines().filter_map(|line| line.split_once('='));
    let environment = Environment::from_pairs(pairs.filter(|(name, _)| is_name(name)));
    let overrides = overrides(parts.next().unwrap_or_default());
    assert_hidden("the environment", &format!("{environment:?}"));

    match Config::parse(Some((Path::new(FILE), file)), &environment, &overrides) {
        Ok(config) => check_config(&config),
        Err(error) => check_errors(&error),
    }
}

/// A variable's name is shown as it is, so secrets are planted in values alone.
fn is_name(name: &str) -> bool {
    name.len() < PLAIN.len() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'!')
}

fn overrides(flags: &str) -> Overrides {
    let mut overrides = Overrides::default();
    for line in flags.lines() {
        let (flag, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.to_owned();
        match flag {
            "listen" => overrides.listeners.listen.push(value),
            "origin" => overrides.allow_origin.push(value),
            "anonymous" => overrides.anonymous = true,
            "profile" => overrides.source.profile = Some(value),
            "scope" => overrides.source.scope = Some(value),
            "credentials" => overrides.source.credentials = Some(value.into()),
            "log" => overrides.log.log_format = Some(value),
            "verbose" => overrides.log.verbose = value.parse().unwrap_or_default(),
            _ => overrides.log.quiet = value.parse().unwrap_or_default(),
        }
    }
    overrides
}

/// Every problem says something, on one line, and shows no value.
fn check_errors(errors: &ConfigErrors) {
    assert_hidden("an error", &format!("{errors} {errors:?} {errors:#?}"));
    assert!(!errors.as_slice().is_empty());
    for problem in errors.as_slice() {
        let text = problem.to_string();
        assert!(!text.is_empty() && !text.contains(char::is_control), "can be logged: {text:?}");
    }
}

fn check_config(config: &Config) {
    assert!(!config.listen.is_empty());
    assert!(config.profiles.contains_key(&config.profile));
    let lifetimes: Vec<_> = config.lifetimes.iter().collect();
    assert!(lifetimes.is_sorted_by(|one, next| one < next), "{lifetimes:?}");
    assert!(lifetimes.iter().all(|lifetime| (60..=86_400).contains(&lifetime.as_secs())), "{lifetimes:?}");
    let keys = &config.access.api_keys;
    assert_eq!(
        keys.iter().map(|key| &key.id).collect::<BTreeSet<_>>().len(),
        keys.len(),
        "each has its own name"
    );
    let policies = keys.iter().map(|key| &key.policy).chain([&config.access.anonymous_policy]);
    for policy in policies {
        assert!(!policy.profiles.is_empty());
        assert!(policy.profiles.iter().all(|name| config.profiles.contains_key(name)), "{policy:?}");
    }
    let is_guarded = config.access.anonymous || config.access.has_callers();
    // What systemd passes is judged when it is there.
    let is_open = |listen: &Listen| !listen.is_local() && !matches!(listen, Listen::Systemd(_));
    let is_refused = !is_guarded && config.listen.iter().any(is_open);
    assert_eq!(check_exposure(config).is_err(), is_refused, "{:?}", config.listen);
    // What reads well can be put to use: rates, addresses and names included.
    // All but the identity provider, which would be asked for its keys.
    let mut offline = config.clone();
    offline.access.oidc = Vec::new();
    drop(Access::start(&offline, Handout::new([], &config.profile)));
    check_shown(config);
}

/// What is shown of a listener, a host or an origin can be written into a configuration again. (A Unix socket is shown without
/// its mode and owner.)
fn check_shown(config: &Config) {
    let list = |items: Vec<String>| {
        let mut text = String::new();
        for item in items {
            // TOML's basic strings are escaped as Rust's are, where no control characters are about.
            let _ = write!(text, "{item:?}, ");
        }
        format!("[{text}]")
    };
    let shown = |config: &Config| config.listen.iter().map(ToString::to_string).collect();
    let listen = list(shown(config));
    let hosts = list(config.public_hosts.iter().map(ToString::to_string).collect());
    let origins = list(config.origins.iter().map(ToString::to_string).collect());
    if listen.contains("\\u{") {
        return;
    }
    let text = format!("listen = {listen}\npublic_hosts = {hosts}\ncors.origins = {origins}\n");
    let file = Some((Path::new(FILE), text.as_str()));
    match Config::parse(file, &Environment::default(), &Overrides::default()) {
        Ok(read) => {
            assert_eq!(list(shown(&read)), listen, "{text}");
            assert_eq!(read.public_hosts, config.public_hosts, "{text}");
            assert_eq!(read.origins, config.origins, "{text}");
        }
        Err(error) => panic!("{error}\n{text}"),
    }
}
