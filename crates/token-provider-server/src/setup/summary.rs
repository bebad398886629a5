//! What a server says of itself when it starts.

use super::credential::TokenSource;
use crate::config::{AccessConfig, Config, MtlsConfig, OriginPattern};
use crate::listen::Listener;

/// More names than this are counted instead. The three origins of loopback are among them by default.
const MAX_NAMES: usize = 10;

/// Returns what a server says of itself when it starts, in four lines: credential, issuer, listeners, who may ask. `sandbox` is
/// where the offline HERE account is that all tokens come from, with `--sandbox`.
pub fn summary(
    config: &Config,
    sources: &[&TokenSource],
    sandbox: Option<&str>,
    listeners: &[Listener],
    admin: &[Listener],
) -> [String; 4] {
    let issuer = match sandbox {
        Some(origin) => format!("sandbox: an offline HERE account at {origin}; nothing leaves this machine"),
        None => format!("issuer: {}", by_profile(sources, TokenSource::issuer)),
    };
    let admin = match admin {
        [] => String::new(),
        admin => format!("; metrics and status at {}", joined(admin, " and ")),
    };
    let is_local = listeners.iter().all(Listener::is_local);
    [
        format!("credential: {}", by_profile(sources, TokenSource::credential)),
        issuer,
        listening_on(listeners) + &admin,
        format!("who may ask: {}; {}", callers(&config.access, is_local), pages(&config.origins)),
    ]
}

/// Names profiles only where that tells something: where there are several.
fn by_profile(sources: &[&TokenSource], of: impl Fn(&TokenSource) -> String) -> String {
    match sources {
        [] => "none".to_owned(),
        [first, rest @ ..] if rest.iter().all(|source| of(source) == of(first)) => of(first),
        _ => joined(sources.iter().map(|source| format!("{}: {}", source.profile, of(source))), "; "),
    }
}

/// Returns where the server can be called.
pub fn listening_on(listeners: &[Listener]) -> String {
    format!("listening on {}", joined(listeners, " and "))
}

/// Returns which callers are let in. `is_local` is whether all listeners are reachable from this machine alone.
fn callers(access: &AccessConfig, is_local: bool) -> String {
    let anyone = if is_local { "anyone on this machine" } else { "anyone who can reach it" };
    let header =
        access.require_header.as_ref().map(|header| format!(" that sends {header}")).unwrap_or_default();
    let keys = |what: &str, ids: Vec<&String>| {
        (!ids.is_empty()).then(|| format!("{what} ({})", names(ids.into_iter())))
    };
    let certificates = |mtls: &MtlsConfig| {
        let rules = mtls.policy.rules.len();
        let rules = (rules > 0).then(|| format!("rules: {rules}"));
        let listed: Vec<_> = mtls.allow.iter().cloned().chain(rules).collect();
        format!("client certificates ({})", names(listed.iter()))
    };
    let proxy = access.naming_proxy();
    let providers = access.oidc.iter().map(|oidc| &oidc.name);
    let ways = [
        access.allows_anonymous().then(|| anyone.to_owned() + &header),
        keys("API keys", access.api_keys.iter().map(|key| &key.id).collect()),
        keys("access keys", access.here_keys.iter().map(|key| &key.id).collect()),
        (!access.oidc.is_empty()).then(|| format!("tokens from {}", joined(providers, " and "))),
        access.mtls.as_ref().map(certificates),
        proxy.map(|proxy| format!("users named by the proxy at {}", names(proxy.from.iter()))),
    ];
    joined(ways.into_iter().flatten(), ", ")
}

fn pages(origins: &[OriginPattern]) -> String {
    match origins {
        [] => "no web pages except its own".to_owned(),
        _ if origins.contains(&OriginPattern::Any) => "every web page".to_owned(),
        _ if origins.len() > MAX_NAMES => format!("web pages from {} origins", origins.len()),
        _ => format!("web pages from {}", joined(origins, ", ")),
    }
}

fn names(names: impl ExactSizeIterator<Item: ToString>) -> String {
    match names.len() {
        0..=MAX_NAMES => joined(names, ", "),
        count => format!("{count} of them"),
    }
}

fn joined(items: impl IntoIterator<Item: ToString>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::credential::find_credential;
    use super::*;
    use crate::config::{Environment, Overrides};

    fn parse(text: &str) -> Config {
        let file = (Path::new("c.toml"), text);
        let config = Config::parse(Some(file), &Environment::default(), &Overrides::default());
        config.unwrap_or_else(|error| panic!("{error}"))
    }

    fn who(text: &str, is_local: bool) -> String {
        let config = parse(text);
        format!("{}; {}", callers(&config.access, is_local), pages(&config.origins))
    }

    #[test]
    fn sentence_names_every_way_in() {
        let pages = "; web pages from http://localhost:*, http://127.0.0.1:*, http://[::1]:*";
        assert_eq!(who("", true), format!("anyone on this machine{pages}"));
        assert_eq!(who("[access]\nanonymous = true", false), format!("anyone who can reach it{pages}"));
        let key = |id: &str| format!("[[access.api_keys]]\nid = \"{id}\"\nsha256 = \"{}\"\n", id.repeat(64));
        let text = format!("[cors]\norigins = [\"https://m.example\"]\n{}{}", key("a"), key("b"));
        assert_eq!(who(&text, false), "API keys (a, b); web pages from https://m.example");
        let keys: String = "0123456789a".chars().map(|digit| key(&digit.to_string())).collect();
        assert_eq!(
            who(&format!("[cors]\norigins = [\"*\"]\n{keys}"), false),
            "API keys (11 of them); every web page"
        );
        let text = "[[access.here_keys]]\nid = \"tp.a\"\nsecret_file = \"x\"\n[cors]\norigins = []\n";
        assert_eq!(who(text, false), "access keys (tp.a); no web pages except its own");
        let text = "[access.oidc]\nissuer = \"https://login.example\"\naudience = \"x\"\n[access.trusted_proxy]\n\
                    from = [\"10.0.0.0/8\"]\nheader = \"X-User\"\n[cors]\norigins = []\n";
        let expected = "tokens from https://login.example, users named by the proxy at 10.0.0.0/8; no web \
                        pages except its own";
        assert_eq!(who(text, false), expected);
        let tls = "[tls]\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n[cors]\norigins = []\n";
        let rules = "[[access.mtls.rules]]\nnames = [\"*.a.example\"]\n[[access.mtls.rules]]\nnames = [\"b.example\"]\n";
        let expected = "client certificates (rules: 2); no web pages except its own";
        assert_eq!(who(&format!("{tls}{rules}"), false), expected);
        let allow = format!("{tls}[access.mtls]\nallow = [\"b.example\"]\n{rules}");
        let expected = "client certificates (b.example, rules: 2); no web pages except its own";
        assert_eq!(who(&allow, false), expected);
        let text = "[access.trusted_proxy]\nfrom = [\"10.0.0.0/8\"]\n[cors]\norigins = []\n";
        assert_eq!(who(text, true), "anyone on this machine; no web pages except its own", "it names nobody");
    }

    #[test]
    fn four_lines_name_profiles_where_there_are_several() {
        let source = |profile: &str, credential: &str| TokenSource {
            profile: profile.to_owned(),
            credential: credential.to_owned(),
            file: None,
            private_key: None,
            endpoint: "https://here.example/oauth2/token".to_owned(),
            proxy: None,
            is_remote: false,
        };
        let here = source("default", "file a.properties");
        let lines = |sources: &[&TokenSource]| {
            let [credential, issuer, ..] = summary(&parse(""), sources, None, &[], &[]);
            (credential, issuer)
        };
        let issuer = "issuer: https://here.example/oauth2/token";
        assert_eq!(lines(&[&here]), ("credential: file a.properties".into(), issuer.into()));
        let maps = source("maps", "file b.properties");
        let both = "credential: default: file a.properties; maps: file b.properties";
        assert_eq!(lines(&[&here, &maps]), (both.into(), issuer.into()));
    }

    #[test]
    fn another_token_provider_is_named_with_the_file_of_its_key() {
        let key = tempfile::NamedTempFile::new().expect("can be made");
        let file = format!("file {}", key.path().display());
        let key = format!("api_key_file = '{}'", key.path().display());
        for (profile, credential, issuer) in [
            (
                format!("remote = 'https://tokens.example/getToken'\n{key}"),
                &*file,
                "https://tokens.example/getToken, another token provider",
            ),
            (
                "remote = 'unix:/run/other.sock'".to_owned(),
                "none needed",
                "unix:/run/other.sock, another token provider",
            ),
        ] {
            let config = parse(&format!("[profiles.default]\n{profile}"));
            let (source, _secret) =
                find_credential("default", &config, &Environment::default()).expect("is there");
            assert_eq!((&*source.credential, &*source.issuer()), (credential, issuer));
        }
    }
}
