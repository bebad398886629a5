//! What a server says of itself when it starts.

use token_provider::Proxies;

use super::issuer::FoundCredential;
use crate::config::{AccessConfig, Config, CorsConfig, OriginPattern, SubjectName};
use crate::listen::Listener;

/// More names than this are counted instead.
const MAX_NAMES: usize = 3;
/// The same for origins: the three of loopback are among them by default.
const MAX_ORIGINS: usize = 10;

/// Where a profile's tokens come from, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource {
    profile: String,
    credential: String,
    issuer: String,
}

/// What a server says of itself when it starts, in four lines: credential, issuer, listeners, who may ask.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary<'a> {
    /// What it was made from.
    pub config: &'a Config,
    /// Where tokens come from.
    pub sources: &'a [TokenSource],
    /// Where the offline HERE account is that they come from instead, with `--sandbox`.
    pub sandbox: Option<&'a str>,
    /// Where callers are answered.
    pub listeners: &'a [Listener],
    /// Where metrics and status are.
    pub admin: &'a [Listener],
}

impl TokenSource {
    pub(super) fn of(profile: &str, found: &FoundCredential) -> Self {
        // The proxy on the way is named without its password. One that cannot be used is an error elsewhere.
        let (mut issuer, proxies) = (found.endpoint(), Proxies::from_env());
        if let Some(Ok(Some(proxy))) = found.url().map(|url| proxies.for_url(url)) {
            issuer = format!("{issuer} through the proxy {}", Proxies::describe(proxy));
        }
        match found {
            FoundCredential::AccessKey { source, .. } => Self::new(profile, source.to_string(), issuer),
            FoundCredential::ApiKey { .. } => {
                let file = found.file().map(|file| format!("file {}", file.display()));
                let key = file.unwrap_or_else(|| "none needed".to_owned());
                Self::new(profile, key, format!("{issuer}, another token provider"))
            }
        }
    }

    /// A profile of the offline HERE account.
    pub fn sandbox(profile: &str, origin: &str) -> Self {
        Self::new(profile, "made for the sandbox", origin)
    }

    /// Returns where what the issuer is asked with was found.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    fn new(profile: &str, credential: impl Into<String>, issuer: impl Into<String>) -> Self {
        Self { profile: profile.to_owned(), credential: credential.into(), issuer: issuer.into() }
    }
}

impl<'a> Summary<'a> {
    /// Takes what there is to tell.
    pub fn new(
        config: &'a Config,
        sources: &'a [TokenSource],
        listeners: &'a [Listener],
        admin: &'a [Listener],
    ) -> Self {
        Self { config, sources, sandbox: None, listeners, admin }
    }

    /// Names the offline HERE account that all tokens come from.
    #[must_use]
    pub fn with_sandbox(self, origin: Option<&'a str>) -> Self {
        Self { sandbox: origin, ..self }
    }

    /// Returns the four lines.
    pub fn lines(&self) -> [String; 4] {
        let is_local = self.listeners.iter().all(Listener::is_local);
        let issuer = match self.sandbox {
            Some(origin) => {
                format!("sandbox: an offline HERE account at {origin}; nothing leaves this machine")
            }
            None => format!("issuer: {}", by_profile(self.sources, |source| &source.issuer)),
        };
        [
            format!("credential: {}", by_profile(self.sources, |source| &source.credential)),
            issuer,
            places(self.listeners, self.admin),
            format!("who may ask: {}", who_may_ask(self.config, is_local)),
        ]
    }
}

/// Names profiles only where that tells something: where there are several.
fn by_profile(sources: &[TokenSource], of: impl Fn(&TokenSource) -> &str) -> String {
    match sources {
        [] => "none".to_owned(),
        [first, rest @ ..] if rest.iter().all(|source| of(source) == of(first)) => of(first).to_owned(),
        _ => sources
            .iter()
            .map(|source| format!("{}: {}", source.profile, of(source)))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

fn places(listeners: &[Listener], admin: &[Listener]) -> String {
    let mut line = listening_on(listeners);
    if !admin.is_empty() {
        line.push_str("; metrics and status at ");
        line.push_str(&enumerated(admin));
    }
    line
}

/// Says where the server can be called.
pub fn listening_on(listeners: &[Listener]) -> String {
    format!("listening on {}", enumerated(listeners))
}

fn enumerated(listeners: &[Listener]) -> String {
    let names: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    names.join(" and ")
}

/// Says which callers and which web pages a configuration lets in. `is_local` says whether all listeners are reachable
/// from this machine alone.
fn who_may_ask(config: &Config, is_local: bool) -> String {
    format!("{}; {}", callers(&config.access, is_local), pages(&config.cors))
}

fn callers(access: &AccessConfig, is_local: bool) -> String {
    let mut ways = Vec::new();
    if access.lets_anyone_in() {
        ways.push(if is_local { "anyone on this machine" } else { "anyone who can reach it" }.to_owned());
    }
    if !access.api_keys.is_empty() {
        ways.push(format!("API keys ({})", names(access.api_keys.iter().map(|key| key.id.clone()))));
    }
    if let Some(oidc) = &access.oidc {
        ways.push(format!("tokens of {}", oidc.issuer));
    }
    if let Some(mtls) = &access.mtls {
        let allowed = mtls.allow.iter().map(|(SubjectName::Dns(name) | SubjectName::Uri(name))| name.clone());
        ways.push(format!("client certificates ({})", names(allowed)));
    }
    if let Some(proxy) = access.trusted_proxy.as_ref().filter(|proxy| proxy.header.is_some()) {
        let from = names(proxy.from.iter().map(ToString::to_string));
        ways.push(format!("whom the proxy at {from} names"));
    }
    ways.join(", ")
}

fn pages(cors: &CorsConfig) -> String {
    if cors.origins.iter().any(OriginPattern::is_any) {
        return "every web page".to_owned();
    }
    if cors.origins.is_empty() {
        return "no web page but its own".to_owned();
    }
    if cors.origins.len() > MAX_ORIGINS {
        return format!("web pages of {} origins", cors.origins.len());
    }
    let origins: Vec<String> = cors.origins.iter().map(ToString::to_string).collect();
    format!("web pages of {}", origins.join(", "))
}

fn names(names: impl ExactSizeIterator<Item = String>) -> String {
    let count = names.len();
    if count > MAX_NAMES {
        return format!("{count} of them");
    }
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use url::Url;

    use super::*;
    use crate::config::{Environment, Overrides, Remote};

    fn who(text: &str, is_local: bool) -> String {
        let file = (Path::new("c.toml"), text);
        let config = Config::parse(Some(file), &Environment::default(), &Overrides::default());
        who_may_ask(&config.unwrap_or_else(|error| panic!("{error}")), is_local)
    }

    #[test]
    fn sentence_names_every_way_in() {
        let pages = "; web pages of http://localhost:*, http://127.0.0.1:*, http://[::1]:*";
        assert_eq!(who("", true), format!("anyone on this machine{pages}"));
        assert_eq!(who("[access]\nanonymous = true", false), format!("anyone who can reach it{pages}"));
        let key = |id: &str| format!("[[access.api_keys]]\nid = \"{id}\"\nsha256 = \"{}\"\n", id.repeat(64));
        let text = format!("[cors]\norigins = [\"https://m.example\"]\n{}{}", key("a"), key("b"));
        assert_eq!(who(&text, false), "API keys (a, b); web pages of https://m.example");
        let keys: String = ["a", "b", "c", "d"].into_iter().map(key).collect();
        assert_eq!(
            who(&format!("[cors]\norigins = [\"*\"]\n{keys}"), false),
            "API keys (4 of them); every web page"
        );
        let text = "[access.oidc]\nissuer = \"https://login.example\"\naudience = \"x\"\n[access.trusted_proxy]\n\
                    from = [\"10.0.0.0/8\"]\nheader = \"X-User\"\n[cors]\norigins = []\n";
        let expected =
            "tokens of https://login.example, whom the proxy at 10.0.0.0/8 names; no web page but its own";
        assert_eq!(who(text, false), expected);
        let text = "[access.trusted_proxy]\nfrom = [\"10.0.0.0/8\"]\n[cors]\norigins = []\n";
        assert_eq!(who(text, true), "anyone on this machine; no web page but its own", "it names nobody");
    }

    #[test]
    fn four_lines_name_profiles_where_there_are_several() {
        let file = (Path::new("c.toml"), "");
        let config = Config::parse(Some(file), &Environment::default(), &Overrides::default());
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let here = TokenSource::new("default", "file a.properties", "https://here.example/oauth2/token");
        let lines = |sources: &[TokenSource]| {
            let [credential, issuer, ..] = Summary::new(&config, sources, &[], &[]).lines();
            (credential, issuer)
        };
        let issuer = "issuer: https://here.example/oauth2/token";
        assert_eq!(
            lines(std::slice::from_ref(&here)),
            ("credential: file a.properties".into(), issuer.into())
        );
        let maps = TokenSource {
            profile: "maps".to_owned(),
            credential: "file b.properties".to_owned(),
            ..here.clone()
        };
        let both = "credential: default: file a.properties; maps: file b.properties";
        assert_eq!(lines(&[here, maps]), (both.into(), issuer.into()));
    }

    #[test]
    fn another_token_provider_is_named_with_the_file_of_its_key() {
        let url = Url::parse("https://tokens.example/getToken").expect("is a URL");
        let socket = Remote::Socket("/run/other.sock".into());
        let key = Some(("/etc/key".into(), "planted".into()));
        for (at, key, credential, issuer) in [
            (
                Remote::Url(url),
                key,
                "file /etc/key",
                "https://tokens.example/getToken, another token provider",
            ),
            (socket, None, "none needed", "unix:/run/other.sock, another token provider"),
        ] {
            let source = FoundCredential::ApiKey { at, key }.token_source("default");
            assert_eq!(source, TokenSource::new("default", credential, issuer));
        }
    }
}
